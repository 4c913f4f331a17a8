"""Fingerprints identify parameters, on any device and under any sharding."""

from __future__ import annotations

import hashlib

import jax
import numpy as np
from jaxtyping import PyTree


def fingerprint(params: PyTree) -> str:
    """Returns 16 hex digits that depend on every parameter's value, name and shape, not on device and sharding."""
    digest = hashlib.sha256()
    for path, leaf in sorted(
        ((jax.tree_util.keystr(p), x) for p, x in jax.tree_util.tree_leaves_with_path(params)), key=lambda item: item[0]
    ):
        digest.update(f"{path}{leaf.shape}".encode())
        digest.update(np.asarray(leaf, np.float32).tobytes())
    return digest.hexdigest()[:16]


def code_fingerprint(autoencoder_params: PyTree) -> str:
    """Returns the fingerprint of the motion encoder: its codes suit every decoder that was trained on them."""
    return fingerprint(autoencoder_params["motion_encoder"])
