"""Perceptual loss: distance of two images in the features of a classification network (Johnson et al. 2016).

The network is VGG-16 (Simonyan & Zisserman 2015) up to relu3_3. No package carries its weights: they come from a file
that the user names, in torchvision's layout (`vgg16.load_vgg16`).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

# Convolutions by their number in torchvision's `features`, with channels in and out. Features are compared after the
# last of each group; between groups the image is halved.
GROUPS = (((0, 3, 64), (2, 64, 64)), ((5, 64, 128), (7, 128, 128)), ((10, 128, 256), (12, 256, 256), (14, 256, 256)))
LAYERS = tuple(layer for group in GROUPS for layer in group)
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)  # of ImageNet, on which the weights were trained
_STD = np.array([0.229, 0.224, 0.225], np.float32)

Weights = dict[str, Float[Array, "..."]]  # "0.kernel" [3, 3, inputs, outputs], "0.bias" [outputs] and so on, float32


def vgg_features(weights: Weights, images: Float[Array, "B S S 3"]) -> list[Float[Array, "B _ _ _"]]:
    """Returns relu1_2 [B, S, S, 64], relu2_2 at half the size and relu3_3 at a quarter, of images in -1..1."""
    x = ((images + 1) / 2 - _MEAN[None, None, None]) / _STD[None, None, None]
    found: list[Array] = []
    for group in GROUPS:
        if found:
            b, h, w, c = x.shape
            x = jnp.max(x.reshape(b, h // 2, 2, w // 2, 2, c), (2, 4))
        for number, *_ in group:
            kernel, bias = weights[f"{number}.kernel"], weights[f"{number}.bias"]
            x = jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
            x = jax.nn.relu(x + bias[None, None, None])
        found.append(x)
    return found


def perceptual(weights: Weights, image: Float[Array, "B S S 3"], truth: Float[Array, "B S S 3"]) -> Float[Array, " B"]:
    """Returns the squared distance of features of images in -1..1, averaged over pixels and summed over sizes.

    Each pixel's features are scaled to unit length as in LPIPS (Zhang et al. 2018), but without its learned channel
    weights.
    """

    def unit(x: Array) -> Array:
        return x * jax.lax.rsqrt(jnp.sum(jnp.square(x), -1, keepdims=True) + 1e-6)

    pairs = zip(vgg_features(weights, image), vgg_features(weights, truth), strict=True)
    return sum(jnp.mean(jnp.sum(jnp.square(unit(a) - unit(b)), -1), (1, 2)) for a, b in pairs)
