"""Strict modes for every test, set before JAX starts: 8 fake devices, no implicit rank promotion. And what keeps the
suite quick and small: one cache of compiled programs, in-memory caches emptied after each file, slow files first."""

from __future__ import annotations

import ctypes
import gc
import importlib.metadata
import os
import sys
from pathlib import Path

os.environ["JAX_PLATFORMS"] = "cpu"
# XLA's emitters for fused loops make code no test here is timed by, and take a third of the time compiling takes; a
# program split in parts, to be compiled by more threads than a worker has cores, takes a sixth. Later versions do not
# know these flags, and end the process that gives them.
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
if importlib.metadata.version("jaxlib").startswith("0.10."):
    os.environ["XLA_FLAGS"] += " --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
# Compiled programs are shared by pytest's workers, the processes that tests start, and the next run; without the folder
# all is only slower.
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(Path(__file__).resolve().parents[1] / ".jax_cache" / "tests")
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
# Compiling takes most of the suite's time. Programs are compiled quickly, in processes that tests start as well, and
# optimised as a user's are in tests marked so.
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"

import jax
import jaxtyping
import pytest
from absl import flags

# Annotated shapes and types are checked in every call, of modules imported from here on. An int may stand for a float,
# as it may for mypy.
CHECKED = ("flow", "losses", "models", "codes", "training", "sampling")
CHECKER = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
jaxtyping.install_import_hook([f"demo_jax.{name}" for name in CHECKED], CHECKER)

jax.config.update("jax_numpy_rank_promotion", "raise")

if not flags.FLAGS.is_parsed():  # grain's worker processes read absl flags, which only absl.app parses
    flags.FLAGS.mark_as_parsed()

# Tracing makes millions of small objects and few cycles: the collector's usual thresholds cost a sixth of its time.
gc.freeze()
gc.set_threshold(50_000, 20, 100)

# Files by the time they take, longest first; a worker takes the next file when it is free. Others follow by size.
LONGEST = (
    "end_to_end", "configs", "batch_sampling", "flow_comparison", "judge", "generation_benchmark", "models",
    "stage1_terms", "sampling", "photographs", "streaming", "training", "coupling", "moons", "conditioning", "export",
    "bad_input", "disentanglement",
)  # fmt: skip
MUCH = 1.7e9  # bytes of memory, after which a worker forgets programs within a file, too
MAX_CACHE = 2**30  # bytes of programs kept; more are of code long changed


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        return
    programs = list(Path(os.environ["JAX_COMPILATION_CACHE_DIR"]).glob("*"))
    if sum(file.stat().st_size for file in programs) > MAX_CACHE:
        for file in programs:
            file.unlink()


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole files in the order above, then the tests marked slow. `--dist loadgroup` gives a file to one worker."""
    items.sort(key=_place)
    for item in items:
        half = "slow" if item.get_closest_marker("slow") else "fast"
        item.add_marker(pytest.mark.xdist_group(f"{item.path.stem}-{half}"))


def _place(item: pytest.Item) -> tuple[bool, int, int, str]:
    name = item.path.stem.removeprefix("test_")
    place = LONGEST.index(name) if name in LONGEST else len(LONGEST)
    return item.get_closest_marker("slow") is not None, place, -item.path.stat().st_size, name


def _compile_as_marked(node: pytest.Item | pytest.Collector) -> None:
    quickly = node.get_closest_marker("optimised") is None
    if quickly != jax.config.read("jax_disable_most_optimizations"):
        jax.clear_caches()  # they do not know how their programs were compiled
        jax.config.update("jax_disable_most_optimizations", quickly)


@pytest.fixture(scope="module", autouse=True)
def memory(request: pytest.FixtureRequest):
    """What JAX and Python keep of a file's programs, hundreds of MB, goes when the file is over."""
    _compile_as_marked(request.node)  # for the file's fixtures
    yield
    forget()


@pytest.fixture(autouse=True)
def compiler(request: pytest.FixtureRequest, memory: None):
    _compile_as_marked(request.node)
    yield
    if _resident() > MUCH:
        forget()


def forget() -> None:
    """Returns to the system what JAX and Python keep of programs; those needed again are read from the files' cache."""
    jax.clear_caches()
    gc.collect()
    if sys.platform == "linux":
        getattr(ctypes.CDLL(None), "malloc_trim", int)(0)  # glibc's; musl has none


def _resident() -> int:
    """Bytes of memory in use; 0 where the system does not say."""
    pages = Path("/proc/self/statm")
    return int(pages.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if pages.exists() else 0
