"""Checkpoints: states are restored on one device and eight; damaged and foreign folders are refused by name."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
import resource

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath

from demo_jax import sharding
from demo_jax.checkpoint.damage import not_damage
from demo_jax.checkpoint.fingerprints import fingerprint
from demo_jax.checkpoint.load import load_model
from demo_jax.checkpoint.orbax_io import DamagedError
from demo_jax.checkpoint.publish import export_model
from demo_jax.checkpoint.save import NotSavedError, RunCheckpoints
from demo_jax.config import DataConfig, MeshConfig, OptimizerConfig, Stage1Config
from demo_jax.errors import InputError
from demo_jax.training.state import create, from_parts, make_optimizer, to_parts

META = {
    "schema": 1,
    "kind": "autoencoder",
    "config": dataclasses.asdict(Stage1Config()),
    "autoencoder_config": dataclasses.asdict(Stage1Config()),
}


@pytest.fixture
def state():
    params = {"layer": {"kernel": jax.random.normal(jax.random.key(0), (64, 32)), "bias": jnp.ones(32)}}
    return create(params, make_optimizer(OptimizerConfig(), 10))


def save(folder, state, meta=META):
    with RunCheckpoints(folder) as checkpoints:
        checkpoints.save(int(state.step), to_parts(state), meta)


def test_saving_compiles_nothing(tmp_path, state, monkeypatch):
    """Orbax would cut every replicated array into slices, each a program of its own."""
    mesh = sharding.make_mesh(MeshConfig())
    replicated = jax.device_put(state, sharding.state_shardings(jax.eval_shape(lambda: state), mesh))
    cut, slice_in_dim = [], jax.lax.slice_in_dim
    monkeypatch.setattr(jax.lax, "slice_in_dim", lambda *a, **k: cut.append(a[0].shape) or slice_in_dim(*a, **k))
    save(tmp_path, replicated)
    assert not cut


def test_a_state_is_restored_on_any_number_of_devices(tmp_path, state):
    abstract = jax.eval_shape(lambda: state)
    eight = sharding.make_mesh(MeshConfig(fsdp=8))
    one = sharding.make_mesh(MeshConfig(), jax.devices()[:1])
    spread = jax.device_put(state, sharding.state_shardings(abstract, eight))
    assert len(spread.params["layer"]["kernel"].sharding.device_set) == 8
    save(tmp_path, spread)
    with RunCheckpoints(tmp_path) as checkpoints:
        assert checkpoints.latest() == 0
        for mesh in (one, eight):
            placed = sharding.state_shardings(abstract, mesh)
            target = jax.tree.map(lambda a, s: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=s), abstract, placed)
            restored = from_parts(checkpoints.restore(to_parts(target), check=lambda meta: None, log=pytest.fail))
            for a, b in zip(jax.tree.leaves(restored), jax.tree.leaves(state), strict=True):
                np.testing.assert_array_equal(a, b)
            assert len(restored.params["layer"]["kernel"].sharding.device_set) == mesh.size


def test_relative_paths_work(tmp_path, state, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save("runs/one", state)
    export_model("runs/one", "public")
    for folder in ("runs/one", "public"):
        loaded = load_model(folder, "autoencoder").autoencoder_params["layer"]["bias"]
        np.testing.assert_array_equal(loaded, state.ema["layer"]["bias"])
    assert (tmp_path / "public").is_dir() and (tmp_path / "runs/one/checkpoints/0").is_dir()


def test_only_the_last_two_steps_are_kept(tmp_path, state):
    with RunCheckpoints(tmp_path) as checkpoints:
        for step in (1, 2, 3):
            checkpoints.save(step, to_parts(state), META)
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir() if p.name.isdigit()) == ["2", "3"]


def test_a_model_loads_from_a_run_and_from_its_published_folder(tmp_path, state):
    state = dataclasses.replace(state, ema=jax.tree.map(lambda p: p + 1, state.params))
    save(tmp_path / "run", state)
    loaded = load_model(tmp_path / "run", "autoencoder")
    np.testing.assert_array_equal(loaded.autoencoder_params["layer"]["kernel"], state.ema["layer"]["kernel"])
    assert loaded.autoencoder == Stage1Config() and loaded.flow is None
    export_model(tmp_path / "run", tmp_path / "public")
    public = load_model(tmp_path / "public", "autoencoder")
    assert public.autoencoder_params["layer"]["kernel"].dtype == jnp.float32
    np.testing.assert_allclose(public.autoencoder_params["layer"]["kernel"], state.ema["layer"]["kernel"], rtol=1e-3)
    assert not (tmp_path / "public" / "train").exists()


def test_no_folder_of_the_training_machine_is_published(tmp_path, state):
    config = dataclasses.asdict(
        Stage1Config(data=DataConfig(path="/secret/a", mixture=(("/secret/b", 2),)), start_from="/secret/c")
    )
    save(tmp_path / "run", state, META | {"config": config, "autoencoder_config": config})
    export_model(tmp_path / "run", tmp_path / "public")
    assert "secret" in json.dumps(load_model(tmp_path / "run", "autoencoder").meta)
    public = load_model(tmp_path / "public", "autoencoder")
    assert "secret" not in json.dumps(public.meta) and public.autoencoder == Stage1Config()


def test_a_fingerprint_depends_on_values_and_names_only(state):
    base = fingerprint(state.params)
    assert len(base) == 16 and fingerprint(jax.tree.map(jnp.array, state.params)) == base
    changed = jax.tree.map(lambda p: p, state.params)
    changed["layer"]["bias"] = changed["layer"]["bias"].at[3].add(1e-3)
    assert fingerprint(changed) != base
    assert fingerprint({"other": state.params["layer"]}) != base


def test_a_folder_that_is_no_checkpoint_is_refused_in_one_sentence(tmp_path, state):
    with pytest.raises(InputError, match="does not exist"):
        load_model(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="is not a checkpoint"):
        load_model(tmp_path / "empty")
    (tmp_path / "file").write_text("text")
    with pytest.raises(InputError, match="is not a checkpoint"):
        load_model(tmp_path / "file")
    save(tmp_path / "run", state)
    with pytest.raises(InputError, match=r"of kind 'autoencoder'; a stage-2 \(flow\) checkpoint is needed"):
        load_model(tmp_path / "run")
    save(tmp_path / "old", state, {**META, "schema": 99})
    with pytest.raises(InputError, match="schema 99; this version reads 1"):
        load_model(tmp_path / "old", "autoencoder")


def test_a_damaged_checkpoint_is_named(tmp_path, state):
    save(tmp_path, state)
    for file in (tmp_path / "checkpoints" / "0" / "ema").rglob("*"):
        if file.is_file() and "d/" in file.as_posix():
            file.write_bytes(b"")
    with pytest.raises(InputError, match="is damaged"):
        load_model(tmp_path, "autoencoder")


def largest_file(folder):
    """The file with incompressible arrays."""
    return max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def damage(file, how):
    data = bytearray(file.read_bytes())
    if how == "cut":
        data = data[: len(data) // 2]
    else:
        data[len(data) // 2] ^= 4
    file.write_bytes(data)


@pytest.mark.parametrize("how", ["cut", "flipped"])
def test_a_damaged_step_is_named_and_the_one_before_it_used(tmp_path, state, how, capsys):
    late = dataclasses.replace(state, step=state.step + 7, ema=jax.tree.map(lambda p: p + 1, state.params))
    for s in (state, late):
        save(tmp_path, s)
    damage(largest_file(tmp_path / "checkpoints" / "7" / "ema"), how)
    logged: list[str] = []
    with RunCheckpoints(tmp_path) as checkpoints:
        restored = from_parts(checkpoints.restore(to_parts(state), check=lambda meta: None, log=logged.append))
    assert int(restored.step) == 0 and len(logged) == 1
    assert "checkpoints/7 is damaged" in logged[0] and "Step 7 is skipped; taking the one before it." in logged[0]
    loaded = load_model(tmp_path, "autoencoder")
    np.testing.assert_array_equal(loaded.autoencoder_params["layer"]["kernel"], state.ema["layer"]["kernel"])
    assert "Step 7 is skipped" in capsys.readouterr().err
    damage(largest_file(tmp_path / "checkpoints" / "0" / "ema"), how)
    with pytest.raises(InputError, match="is damaged"):
        load_model(tmp_path, "autoencoder")
    with RunCheckpoints(tmp_path) as checkpoints, pytest.raises(InputError, match="every checkpoint there is damaged"):
        checkpoints.restore(to_parts(state), check=lambda meta: None, log=logged.append)


def test_a_published_model_with_a_changed_bit_is_refused(tmp_path, state):
    trained_here = {**META["config"], "start_from": "/somewhere/else"}
    save(tmp_path / "run", state, {**META, "config": trained_here})
    export_model(tmp_path / "run", tmp_path / "public")
    assert load_model(tmp_path / "public", "autoencoder").meta["config"]["start_from"] == ""  # means nothing elsewhere
    damage(largest_file(tmp_path / "public"), "flipped")
    with pytest.raises(InputError, match=r"arrays differ from what was saved, such as ema\['layer'\]\['kernel'\]"):
        load_model(tmp_path / "public", "autoencoder")


def test_a_failure_of_the_machine_is_not_called_damage(tmp_path, state):
    """Here too many files are open."""
    save(tmp_path, state)
    load_model(tmp_path, "autoencoder")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")), hard))
    taken: list[int] = []
    try:
        with contextlib.suppress(OSError):  # numbers that were free below the limit
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        with pytest.raises(InputError, match=r"cannot be read \(.*Too many open files") as refused:
            load_model(tmp_path, "autoencoder")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for file in taken:
            os.close(file)
    assert not isinstance(refused.value, DamagedError) and "damaged" not in str(refused.value)
    load_model(tmp_path, "autoencoder")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (MemoryError("a gigabyte"), "a gigabyte"),
        (PermissionError(errno.EACCES, "Permission denied", "d/1"), "Permission denied"),
        (ExceptionGroup("two", [ValueError("x"), OSError(errno.EIO, "Input/output error")]), "Input/output error"),
        (jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory"), "Out of memory"),
        (ValueError("DATA_LOSS: checksum"), ""),
        (FileNotFoundError(errno.ENOENT, "No such file", "d/1"), ""),
    ],
)
def test_causes_outside_the_checkpoint_are_distinguished_from_damage(tmp_path, error, says):
    found = not_damage(error, epath.Path(tmp_path))
    assert says in found and bool(found) == bool(says)
    outer = RuntimeError("Orbax gave up")
    outer.__cause__ = error
    assert says in not_damage(outer, epath.Path(tmp_path))


def test_only_a_full_disk_leads_to_advice_to_make_room(tmp_path):
    with (
        RunCheckpoints(tmp_path) as checkpoints,
        pytest.raises(NotSavedError, match=r"already exists\.\)\. The same command resumes"),
        checkpoints._writing(),
    ):
        raise ValueError("Cannot rename: the destination already exists.")


def test_a_failed_write_is_reported_and_costs_no_earlier_step(tmp_path, state):
    save(tmp_path, state)
    late = dataclasses.replace(state, step=state.step + 5)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))  # no file may be larger, as on a disk that is full
    try:
        with pytest.raises(NotSavedError, match=r"could not be written \(.*\)\. Make room; the same"):
            save(tmp_path, late)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    with RunCheckpoints(tmp_path) as checkpoints:
        assert checkpoints.latest() == 0
    load_model(tmp_path, "autoencoder")
