"""Whether JAX has the devices that were requested."""

from __future__ import annotations

import re

import jax

from demo_jax.typing import InputError

_EXTRAS = {"cuda": "cuda", "gpu": "cuda", "tpu": "tpu"}  # platform -> the extra of this package that brings it


def require_devices() -> None:
    """Starts JAX's devices. Commands call it before they read anything, and after joining the other processes of a run.

    Raises:
      InputError: there are none of the kind that JAX_PLATFORMS names, or those of this machine cannot be used.
    """
    wanted = jax.config.jax_platforms
    try:
        jax.devices()
    except Exception as error:  # a RuntimeError or, without the CUDA plugin, a bare AssertionError
        reason = (str(error).strip().splitlines() or [""])[0]
        if not wanted:
            raise InputError(f"JAX can use no device ({reason}); JAX_PLATFORMS=cpu leaves all but the CPU out.") from error
        named = re.search(r"backend '(\w+)'", reason)
        names = wanted.split(",")
        missing = named[1] if named and named[1] in names else next((n for n in names if n != "cpu"), wanted)
        mend = f'install ".[{_EXTRAS[missing]}]", or unset it' if missing in _EXTRAS else "unset it"
        raise InputError(f"JAX finds no {missing} device (JAX_PLATFORMS={wanted}); {mend}.") from error
