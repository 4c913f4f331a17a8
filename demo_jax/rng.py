"""Random keys, derived from (seed, stream name, step) and never stored: resuming needs nothing but the step."""

from __future__ import annotations

import zlib

import jax


def stream(seed: int, name: str, step: int | jax.Array = 0) -> jax.Array:
    """The typed key of stream `name` at `step`. Streams of different names are independent."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), zlib.crc32(name.encode())), step)
