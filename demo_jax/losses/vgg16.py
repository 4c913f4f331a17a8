"""Weights for the perceptual loss, from a file that the user names: no package carries them."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from demo_jax.errors import InputError
from demo_jax.losses.perceptual import LAYERS


def load_vgg16(path: str) -> dict[str, jax.Array]:
    """A safetensors file of torchvision's VGG-16 -> weights for losses.perceptual, float32.

    It holds `features.0.weight` [O, I, 3, 3] and `features.0.bias` [O] and so on; what else it holds is left alone.
    Raises InputError if it is missing, damaged or of another network.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        stored = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"loss.vgg16 {path} cannot be read as a safetensors file ({error}).") from error
    weights = {}
    for number, channels, out in LAYERS:
        for name, shape in (("weight", (out, channels, 3, 3)), ("bias", (out,))):
            key = f"features.{number}.{name}"
            found = stored[key].shape if key in stored else None
            if found != shape:
                raise InputError(f"loss.vgg16 {path}: {key} has shape {found}, and should have {shape}; name VGG-16's.")
        weights[f"{number}.kernel"] = jnp.asarray(
            stored[f"features.{number}.weight"].transpose(2, 3, 1, 0), jnp.float32
        )
        weights[f"{number}.bias"] = jnp.asarray(stored[f"features.{number}.bias"], jnp.float32)
    return weights
