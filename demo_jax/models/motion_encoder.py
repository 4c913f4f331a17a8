"""Motion encoder: an image -> motion code, with one trunk, crops of eyes and mouth, and one head per factor; and the
joint basis of motion latents.

This is DEMO's fine-grained controllable motion encoder (arXiv 2510.10650, section on FCME), with one head for each of
lip, pose, gaze and residual. The calibrated coordinates of a code are physical quantities over fixed scales
(`demo_jax.factors`).
"""

from __future__ import annotations

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from demo_jax.config import AutoEncoderConfig
from demo_jax.factors import FACTORS
from demo_jax.models.geometry import rigid
from demo_jax.models.geometry.warp import warp
from demo_jax.models.layers import ConvBlock, Dtype, channel_norm, space_to_depth


@dataclasses.dataclass(frozen=True, kw_only=True)
class FacePatch:
    """A crop of the face for the encoder: its centre on the head (face widths), its rows and columns of pixels, its
    width in face widths, and the factors whose heads see it."""

    centre: tuple[float, float, float]
    shape: tuple[int, int]
    width: float
    factors: tuple[str, ...]


# The eyes with the brows, and the mouth with the chin. A face is about half an image wide: at 128 px these have about
# as many pixels as the image has there. Larger images get larger patches.
_PATCHED = 128
PATCHES = {
    "eyes": FacePatch(centre=rigid.EYES, shape=(24, 48), width=0.9, factors=("gaze", "residual")),
    "mouth": FacePatch(centre=rigid.MOUTH, shape=(32, 40), width=0.8, factors=("lip", "residual")),
}


class MotionEncoder(nn.Module):
    """Reads motion codes, float32, from images in -1..1.

    A trunk sees the whole image at `encoder_size`: every level halves it and applies a residual block. The last level,
    4 x 4, is flattened, not pooled, because pose is where things are. The predicted pose locates eyes and mouth, and
    small branches see these at full resolution, upright and scaled, because a degree of gaze is a twentieth of a pixel
    at 64 px.
    """

    config: AutoEncoderConfig
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, images: Float[Array, "B S S 3"]) -> Float[Array, "B {self.config.layout.size}"]:
        c = self.config
        smaller = (images.shape[1] // c.encoder_size,) * 2
        trunk = self._trunk(nn.avg_pool(images, smaller, smaller))
        pose = self._head("pose", trunk)
        place = rigid.place(jax.lax.stop_gradient(pose[:, :6]))  # the branches of other factors do not train the pose
        crops = {}
        for name, patch in PATCHES.items():
            scale = max(1, images.shape[1] // _PATCHED)
            shape = patch.shape[0] * scale, patch.shape[1] * scale
            grid = rigid.patch_grid(place, patch.centre, shape, patch.width)
            crops[name] = self._crop_features(warp(jax.lax.stop_gradient(images), grid), name)
        codes = {"pose": pose}
        for factor, size in zip(FACTORS, c.layout.sizes, strict=True):
            if size and factor != "pose":
                seen = [crops[name] for name, patch in PATCHES.items() if factor in patch.factors]
                codes[factor] = self._head(factor, jnp.concatenate([trunk, *seen], -1))
        return jnp.concatenate([codes[f] for f in FACTORS if f in codes], -1)

    def _trunk(self, images: Float[Array, "B S S 3"]) -> Float[Array, "B {self.config.encoder_width}"]:
        c = self.config
        x = space_to_depth(images.astype(self.dtype))
        for i, channels in enumerate(c.encoder_channels):
            stride = 1 if i == 0 else 2
            x = nn.Conv(channels, (3, 3), strides=(stride, stride), dtype=self.dtype, name=f"down_{i}")(x)
            if i > 0:  # the first level has the most pixels and the least information
                x = ConvBlock(channels, dtype=self.dtype, name=f"block_{i}")(x)
        x = nn.silu(channel_norm(x)).reshape(x.shape[0], -1)
        return nn.silu(nn.Dense(c.encoder_width, dtype=self.dtype, name="trunk")(x))

    def _crop_features(
        self, patch: Float[Array, "B H W 3"], name: str
    ) -> Float[Array, "B {self.config.encoder_width}//2"]:
        """Returns the features of a crop."""
        first, *more = self.config.encoder_channels
        x = space_to_depth(patch.astype(self.dtype))
        x = nn.Conv(first, (3, 3), dtype=self.dtype, name=f"{name}_0")(x)
        for i, channels in enumerate(more, 1):
            if x.shape[1] < 12:
                break
            x = nn.silu(channel_norm(x))
            x = nn.Conv(channels, (3, 3), strides=(2, 2), dtype=self.dtype, name=f"{name}_{i}")(x)
        x = ConvBlock(x.shape[-1], dtype=self.dtype, name=f"{name}_block")(x)
        x = nn.silu(channel_norm(x)).reshape(x.shape[0], -1)
        return nn.silu(nn.Dense(self.config.encoder_width // 2, dtype=self.dtype, name=f"{name}_seen")(x))

    def _head(self, factor: str, seen: Float[Array, "B features"]) -> Float[Array, "B size"]:
        """Returns the factor's block of the code."""
        size = self.config.layout.sizes[FACTORS.index(factor)]
        h = nn.silu(nn.Dense(self.config.encoder_width // 2, dtype=self.dtype, name=f"{factor}_hidden")(seen))
        # Codes are compared with physical truth to a fraction of a degree: bf16 is too coarse for the last product.
        return nn.Dense(size, dtype=jnp.float32, name=f"{factor}_code")(h)


class MotionBasis(nn.Module):
    """Maps codes to motion latents w = Q code, Q [D, K] with orthonormal columns, learned jointly.

    Q is the orthogonal factor of a free matrix, in float32. Its signs are fixed, so that it is a smooth function of
    that matrix.
    """

    config: AutoEncoderConfig

    @nn.compact
    def __call__(self, codes: Float[Array, "B K"]) -> Float[Array, "B {self.config.latent}"]:
        c = self.config
        free = self.param("free", nn.initializers.normal(1.0), (c.latent, c.layout.size), jnp.float32)
        return codes.astype(jnp.float32) @ orthonormal(free).T


def orthonormal(free: Float[Array, "D K"]) -> Float[Array, "D K"]:
    """Returns the orthonormal factor Q of a matrix = Q R with D >= K, the diagonal of R positive.

    Raises:
      ValueError: D < K.
    """
    if free.shape[0] < free.shape[1]:
        raise ValueError(
            f"a basis of {free.shape[1]} codes needs at least as many latent dimensions, not {free.shape[0]}."
        )
    q, r = jnp.linalg.qr(free.astype(jnp.float32))
    return q * jnp.where(jnp.diagonal(r) < 0, -1.0, 1.0)[None]
