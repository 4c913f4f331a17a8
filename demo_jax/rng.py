"""Random keys, derived from (seed, stream name, step) and never stored: resuming needs nothing but the step."""

from __future__ import annotations

import zlib

import jax
from jaxtyping import Array, Int, Key


def stream(seed: int, name: str, step: int | Int[Array, ""] = 0) -> Key[Array, ""]:
    """Returns the typed key of stream `name` at `step`. Streams of different names are independent."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), zlib.crc32(name.encode())), step)
