"""The launch recipes: processes find each other by SLURM's variables and by our three."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from configs import full_flow
from demo_jax.config import from_config_dict
from demo_jax.errors import InputError
from demo_jax.jobs import run

LAUNCH = Path(__file__).parents[1] / "docs" / "launch"
JOIN = """
import jax
from jax.experimental import multihost_utils
from demo_jax.training import distributed
distributed.join()
print(jax.process_index(), jax.process_count(), multihost_utils.process_allgather(jax.process_index()).tolist())
"""


def slurm_port() -> int:
    """A free port among those from which JAX chooses one by the number of a SLURM job; another in every process."""
    for port in (61440 + (os.getpid() + i) % 4096 for i in range(4096)):
        with socket.socket() as s:
            if s.connect_ex(("localhost", port)):
                return port
    raise OSError("no port is free")


def by_slurm(rank: int, port: int) -> dict[str, str]:
    return {
        "SLURM_JOB_ID": str(port - 61440), "SLURM_STEP_NODELIST": "localhost,other[1-3]", "SLURM_NTASKS": "2",
        "SLURM_PROCID": str(rank), "SLURM_LOCALID": "0",
    }  # fmt: skip


def by_jax(rank: int, port: int) -> dict[str, str]:
    return {
        "JAX_COORDINATOR_ADDRESS": f"localhost:{port}", "JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": str(rank),
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("variables", [by_slurm, by_jax])
def test_two_processes_find_each_other(variables):
    port = slurm_port()
    started = []
    for rank in range(2):
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "JAX_", "XLA_"))}
        environment |= {"JAX_PLATFORMS": "cpu", **variables(rank, port)}
        started.append(
            subprocess.Popen([sys.executable, "-c", JOIN], env=environment, stdout=subprocess.PIPE, text=True)
        )
    try:
        printed = [p.communicate(timeout=120)[0] for p in started]
    finally:
        for process in started:
            process.kill()
    assert "0 2 [0, 1]" in printed[0].splitlines() and "1 2 [0, 1]" in printed[1].splitlines()  # Gloo prints too


def test_the_job_set_names_its_first_pod_and_counts_them_alike():
    job_set = yaml.safe_load((LAUNCH / "jobset.yaml").read_text())
    (job,) = job_set["spec"]["replicatedJobs"]
    spec = job["template"]["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    variables = {e["name"]: e.get("value") for e in container["env"]}
    name, pods = job_set["metadata"]["name"], spec["completions"]
    host, _, port = variables["JAX_COORDINATOR_ADDRESS"].partition(":")
    assert set(variables) == set(by_jax(0, 0))
    assert host == f"{name}-{job['name']}-0-0.{name}" and int(port) == container["ports"][0]["containerPort"]
    assert int(variables["JAX_NUM_PROCESSES"]) == pods == spec["parallelism"]
    assert spec["completionMode"] == "Indexed" and spec["template"]["spec"]["restartPolicy"] == "Never"
    assert container["command"][1:] == ["train.py", "--distributed"]


@pytest.mark.parametrize("name", ["slurm.sbatch", "tpu_vm.sh"])
def test_scripts_are_shell_and_pass_on_every_setting(name, tmp_path):
    """Run with fake srun and gcloud that only print their arguments."""
    for program in ("srun", "gcloud"):
        fake = tmp_path / program
        fake.write_text('#!/bin/bash\nprintf "%s\\n" "$@"\n')
        fake.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_GPUS_ON_NODE": "4"}
    given = ["configs/full_flow.py", "runs/a b", "--config.steps=7"]
    first = ["pod", "here"] if name == "tpu_vm.sh" else []
    out = subprocess.run(["bash", LAUNCH / name, *first, *given], env=environment, capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    words = out.stdout.splitlines()
    if name == "tpu_vm.sh":
        assert words[4:6] == ["pod", "--zone=here"] and "--worker=all" in words
        assert "train.py --distributed --config=configs/full_flow.py --workdir=runs/a\\ b" in out.stdout
        assert "--config.steps=7" in out.stdout
    else:
        assert words[-4:] == [
            "--distributed",
            "--config=configs/full_flow.py",
            "--workdir=runs/a b",
            "--config.steps=7",
        ]


@pytest.mark.parametrize("shards", [1, 8, 16, 256])
def test_the_recipes_config_fits_their_machines(shards):
    run._check_batches(from_config_dict(full_flow.get_config()), shards)
    with pytest.raises(InputError, match="multiple of 24"):
        run._check_batches(from_config_dict(full_flow.get_config()), 24)
