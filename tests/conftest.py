"""Strict modes for every test, set before JAX starts: 8 fake devices, no implicit rank promotion, no cache on disk."""

from __future__ import annotations

import os

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8".strip()
os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)

import jax
from absl import flags

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_disable_most_optimizations", True)  # the suite is mostly compiling tiny networks
jax.config.update("jax_enable_compilation_cache", False)

if not flags.FLAGS.is_parsed():  # grain's worker processes read absl flags, which only absl.app parses
    flags.FLAGS.mark_as_parsed()
