"""The cache of compiled programs, which every command turns on: programs are compiled once and then read from disk."""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from pathlib import Path

import jax

from demo_jax.paths import on_object_storage

MIN_COMPILE_TIME = "jax_persistent_cache_min_compile_time_secs"


def enable_compilation_cache() -> None:
    """Keeps every compiled program on disk. A command calls it before it compiles anything.

    The folder is JAX_COMPILATION_CACHE_DIR, or else demo_jax/programs in XDG_CACHE_HOME or ~/.cache.
    JAX_ENABLE_COMPILATION_CACHE=0 turns the cache off. If the folder cannot be written, one warning goes to stderr and
    the cache stays off. Several CPU processes of one run keep nothing: JAX lets only the first of them write, and at
    the next start that one is ahead of the others, which still compile, by longer than Gloo's collectives wait (half a
    minute).
    """
    if not jax.config.jax_enable_compilation_cache:
        return
    if jax.distributed.is_initialized() and jax.default_backend() == "cpu":
        jax.config.update("jax_enable_compilation_cache", False)  # also where the environment names a folder
        return
    folder = jax.config.jax_compilation_cache_dir or ""
    try:
        folder = folder or str(_user_cache() / "demo_jax" / "programs")
        if not on_object_storage(folder):
            Path(folder).mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()  # writing is the only test that also holds for root
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        sys.stderr.write(
            f"warning: compiled programs are not kept for the next start: {folder or 'the cache folder'} cannot be "
            f"written ({reason}); name another one in JAX_COMPILATION_CACHE_DIR.\n"
        )
        jax.config.update("jax_enable_compilation_cache", False)
        return
    jax.config.update("jax_compilation_cache_dir", folder)
    if MIN_COMPILE_TIME.upper() not in os.environ:
        jax.config.update(
            MIN_COMPILE_TIME, 0.0
        )  # by default JAX skips programs that compile within a second: most of a start
    # An entry that is damaged, or for which the disk is full, is compiled again; JAX would warn for every program.
    warnings.filterwarnings("ignore", message="Error (reading|writing) persistent compilation cache entry")


def _user_cache() -> Path:
    """Returns XDG_CACHE_HOME, which counts only if absolute, or ~/.cache. Raises RuntimeError if there is no home."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return named if named.is_absolute() else Path.home() / ".cache"
