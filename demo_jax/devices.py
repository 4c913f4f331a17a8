"""Starting JAX for a command: on the requested devices, in 32 bits, with the cache of compiled programs."""

from __future__ import annotations

import re
import sys

import jax

from demo_jax.compilation import enable_compilation_cache
from demo_jax.errors import InputError

_EXTRAS = {"cuda": "cuda", "gpu": "cuda", "tpu": "tpu"}  # platform -> the extra of this package that brings it


def start_jax() -> None:
    """Finds the devices, computes in float32, for which the models are made, and turns the compilation cache on.

    A command calls it before it reads anything, and after it has joined the other processes of a run.

    Raises:
      InputError: as require_devices does.
    """
    if jax.config.jax_enable_x64:
        sys.stderr.write("warning: JAX_ENABLE_X64 is set; demo_jax computes in 32 bits all the same.\n")
        jax.config.update("jax_enable_x64", False)
    require_devices()
    enable_compilation_cache()


def require_devices() -> None:
    """Starts JAX's devices.

    Raises:
      InputError: there is no device of the kind that JAX_PLATFORMS names, or JAX cannot use this machine's devices.
    """
    requested = jax.config.jax_platforms
    try:
        jax.devices()
    except Exception as error:  # a RuntimeError or, without the CUDA plugin, a bare AssertionError
        reason = (str(error).strip().splitlines() or [""])[0]
        if not requested:
            raise InputError(f"JAX can use no device ({reason}); JAX_PLATFORMS=cpu uses the CPU.") from error
        named = re.search(r"backend '(\w+)'", reason)
        names = requested.split(",")
        missing = named[1] if named and named[1] in names else next((n for n in names if n != "cpu"), requested)
        mend = f'install ".[{_EXTRAS[missing]}]", or unset it' if missing in _EXTRAS else "unset it"
        raise InputError(f"JAX finds no {missing} device (JAX_PLATFORMS={requested}); {mend}.") from error
