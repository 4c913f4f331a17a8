"""A loaded auto-encoder as plain functions on NumPy images and codes, compiled once and run in chunks of one size."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from demo_jax.checkpoint.load import LoadedModel
from demo_jax.factors import FactorLayout
from demo_jax.models.autoencoder import AutoEncoder, to_float, to_uint8
from demo_jax.models.motion_encoder import orthonormal

CHUNK = 16  # images at once


class Reenactor:
    """`encode`, `source` and `decode` of one checkpoint. Images are uint8 [N, S, S, 3], codes float32 [N, K]."""

    def __init__(self, model: LoadedModel) -> None:
        self.size: int = model.autoencoder.model.size
        self.layout: FactorLayout = model.autoencoder.model.layout
        self._net, self._variables = AutoEncoder(model.autoencoder.model), {"params": model.autoencoder_params}
        net = self._net

        def decode(variables: PyTree, pyramid: PyTree, source: jax.Array, codes: jax.Array) -> jax.Array:
            pyramid, source = _repeated(pyramid, source, codes)
            return net.apply(variables, pyramid, source, codes, method=AutoEncoder.decode)

        def landmarks(variables: PyTree, pyramid: PyTree, source: jax.Array, codes: jax.Array) -> jax.Array:
            pyramid, source = _repeated(pyramid, source, codes)
            return net.apply(variables, pyramid, source, codes, method=AutoEncoder.landmarks)

        self._encode = jax.jit(lambda v, x: net.apply(v, to_float(x), method=AutoEncoder.encode_motion))
        self._source = jax.jit(lambda v, x: net.apply(v, to_float(x), method=AutoEncoder.encode_source))
        self._decode, self._landmarks = jax.jit(decode), jax.jit(landmarks)

    def encode(self, images: np.ndarray) -> np.ndarray:
        """Returns the motion codes [N, K] of images [N, S, S, 3]."""
        rows = [self._encode(self._variables, part)[:count] for part, count in _chunks(images)]
        return np.concatenate([np.asarray(r) for r in rows])

    def source(self, image: np.ndarray) -> tuple[PyTree, np.ndarray]:
        """Returns what `decode` needs of a portrait [S, S, 3]: its feature pyramid and its motion code [1, K]."""
        return self._source(self._variables, image[None]), self.encode(image[None])

    def decode(self, source: tuple[PyTree, np.ndarray], codes: np.ndarray) -> np.ndarray:
        """Returns the portrait of `source` with the motion of codes [N, K], uint8 [N, S, S, 3]."""
        return np.concatenate([np.asarray(to_uint8(x))[:n] for x, n in self._chunks(self._decode, source, codes)])

    def decode_float(self, source: tuple[PyTree, np.ndarray], codes: np.ndarray) -> np.ndarray:
        """Returns what `decode` does before rounding: float32, about -1..1."""
        return np.concatenate([np.asarray(x)[:n] for x, n in self._chunks(self._decode, source, codes)])

    def landmarks(self, source: tuple[PyTree, np.ndarray], codes: np.ndarray) -> np.ndarray:
        """Returns the landmarks of the portrait and of each frame that `decode` would draw, pixels [N, 2, 68, 2]."""
        found = np.concatenate([np.asarray(x)[:n] for x, n in self._chunks(self._landmarks, source, codes)])
        return (found + 1) * self.size / 2

    def _chunks(
        self, program: Callable[..., jax.Array], source: tuple[PyTree, np.ndarray], codes: np.ndarray
    ) -> list[tuple[jax.Array, int]]:
        return [(program(self._variables, *source, part), n) for part, n in _chunks(np.asarray(codes, np.float32))]

    def blocks(self, codes: np.ndarray) -> dict[str, np.ndarray]:
        """Returns each factor's block [N, .] of codes [N, K]."""
        return {name: codes[:, part] for name, part in self.layout.slices.items() if part.stop > part.start}

    def latents(self, codes: np.ndarray) -> dict[str, np.ndarray]:
        """Returns each factor's share [N, D] of the motion latent of codes [N, K]."""
        basis = np.asarray(orthonormal(self._variables["params"]["basis"]["free"]))
        return {name: block @ basis[:, self.layout.slices[name]].T for name, block in self.blocks(codes).items()}

    def jacobian(self, image: np.ndarray, code: np.ndarray, step: float = 0.1) -> np.ndarray:
        """Returns the change of a portrait's pixels with each coordinate of its code [K], [S * S * 3, K], by central
        differences.

        Not by jvp: the decoder's warps define reverse differentiation only.
        """
        source = self.source(image)
        moves = step * np.eye(len(code), dtype=np.float32)
        made = self.decode_float(source, np.concatenate([code + moves, code - moves]))
        return ((made[: len(code)] - made[len(code) :]) / (2 * step)).reshape(len(code), -1).T


def swapped(code: np.ndarray, other: np.ndarray, part: slice) -> np.ndarray:
    """Returns codes [N, K] with the block `part` of `other` [N, K]."""
    out = np.array(code, np.float32)
    out[:, part] = other[:, part]
    return out


def _repeated(pyramid: PyTree, source: jax.Array, codes: jax.Array) -> tuple[PyTree, jax.Array]:
    """A portrait's features and code, once for each of the codes."""
    rows = jax.tree.map(lambda a: jnp.broadcast_to(a, (len(codes), *a.shape[1:])), pyramid)
    return rows, jnp.broadcast_to(source, codes.shape)


def _chunks(rows: np.ndarray) -> list[tuple[np.ndarray, int]]:
    """Returns chunks of CHUNK rows, the last filled up by repetition, and how many rows of each count."""
    out = []
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        out.append((np.concatenate([part, np.repeat(part[-1:], CHUNK - len(part), 0)]), len(part)))
    return out
