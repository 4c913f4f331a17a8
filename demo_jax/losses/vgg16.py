"""Weights for the perceptual loss, from a file that the user names: no package carries them."""

from __future__ import annotations

import jax.numpy as jnp

from demo_jax.errors import InputError
from demo_jax.losses.perceptual import LAYERS, Weights


def load_vgg16(path: str) -> Weights:
    """Reads the weights for losses.perceptual from a safetensors file of torchvision's VGG-16.

    The file holds `features.0.weight` [outputs, inputs, 3, 3], `features.0.bias` [outputs] and so on; other entries are
    ignored.

    Raises:
      InputError: the file is missing, damaged or of another network.
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
