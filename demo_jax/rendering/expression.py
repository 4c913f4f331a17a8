"""How lips, jaw and brows move over a face at rest: smooth displacement above and below the mouth, and its inside.

All positions are in face units: face widths from the centre of the face in the photograph, x right, y down. The points'
displacements are interpolated exactly (multiquadrics; Hardy, J. Geophysical Research 76, 1971), once for what moves
with the upper lip and once for what moves with the lower, because at the lips motion is not smooth: they part. What
lies between the two lips' lines after both were moved is the inside of the mouth. So a mouth opens exactly as far as
its points do, and closes without a gap.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32

from demo_jax.models.geometry.landmarks import LANDMARKS
from demo_jax.pytrees import AnyArray

# Positions are pairs of arrays, x and y: with a last axis of two a CPU could not use its vector instructions.
Pair = tuple[Float[Array, "*axes"], Float[Array, "*axes"]]

SOFTNESS = 0.05  # face widths: displacement is smooth at this scale
# Points that both interpolations have; eyes have their own geometry (`eyes`), their corners hold the face.
_COMMON = (*range(0, 4), *range(13, 17), *range(17, 36), 48, 54, 60, 64)
_UPPER, _LOWER = (*_COMMON, *range(49, 54), *range(61, 64)), (*_COMMON, *range(4, 13), *range(55, 60), *range(65, 68))
STILL = (36, 39, 42, 45)
# Where nothing moves, face units: around the head, at the neck, on the forehead.
_ANCHORS = np.array(
    [(x, y) for x in (-0.95, 0.95) for y in (-0.9, -0.4, 0.1, 0.6, 1.1)]
    + [(x, y) for x in (-0.5, 0.0, 0.5) for y in (-0.95, 1.15)]
    + [(-0.25, -0.5), (0.25, -0.5), (0.0, -0.45)],
    np.float32,
)


def nodes(members: tuple[int, ...]) -> Float32[np.ndarray, " 87"]:
    """1 for each landmark or anchor that an interpolation has."""
    mask = np.zeros(LANDMARKS + len(_ANCHORS), np.float32)
    mask[[*members, *STILL]] = 1
    mask[LANDMARKS:] = 1
    return mask


def displacements(at: Pair, source: Float[Array, "68 2"], driving: Float[Array, "68 2"]) -> tuple[Pair, Pair]:
    """Where `at` lies in the source, less `at`: moved with the upper and with the lower lip.

    Args:
      at: positions on the face with the driving expression and the source's pose, [N] each.
      source: landmarks of the source.
      driving: landmarks with the driving expression and the source's pose.
    """
    still = jnp.zeros(LANDMARKS).at[jnp.asarray(STILL)].set(1.0)[:, None]
    driving = source + (driving - source) * (1 - still)
    anchors = jnp.asarray(_ANCHORS)
    centres = jnp.concatenate([driving, anchors]).T
    away = jnp.concatenate([source - driving, jnp.zeros_like(anchors)])
    between = _kernel((centres[0][None], centres[1][None]), (centres[0][:, None], centres[1][:, None]))
    coefficients = []
    for members in (_UPPER, _LOWER):
        # Nodes of the other interpolation get the equation "coefficient = 0".
        used = jnp.asarray(nodes(members))
        matrix = between * used[:, None] * used[None] + jnp.diag(1 - used)
        coefficients.append(jnp.linalg.solve(matrix, away * used[:, None]))

    def add(sums: tuple[Array, ...], node: tuple[Array, Array]) -> tuple[tuple[Array, ...], None]:
        centre, weights = node
        distance = _kernel(at, centre)
        return tuple(total + weight * distance for total, weight in zip(sums, list(weights), strict=True)), None

    # A loop: as one matrix, XLA on a CPU computes `at` again for each of its rows.
    zero = jnp.zeros_like(at[0])
    (x1, y1, x2, y2), _ = jax.lax.scan(add, (zero,) * 4, (centres.T, jnp.concatenate(coefficients, -1)))
    return (x1, y1), (x2, y2)


def _kernel(a: tuple[Any, Any], b: tuple[Any, Any] | Float[Array, 2]) -> Float[Array, "*axes"]:
    x, y = a[0] - b[0], a[1] - b[1]
    return jnp.sqrt(x * x + y * y + SOFTNESS**2)


def frame_of(first: Float[AnyArray, 2], last: Float[AnyArray, 2]) -> Float[AnyArray, "3 2"]:
    """The axes of a mouth or an eye: the middle of its corners, and half of the way between them, along and down."""
    xp = jnp if isinstance(first, jax.Array) else np
    along = (last - first) / 2
    return xp.stack([(first + last) / 2, along, xp.stack([-along[1], along[0]])])


def within(frame: Float[AnyArray, "3 2"], at: tuple[Any, Any]) -> tuple[Any, Any]:
    """Coordinates along (-1 to 1 between the corners) and down in a frame, of positions (x, y)."""
    x, y = at[0] - frame[0, 0], at[1] - frame[0, 1]
    size = frame[1, 0] ** 2 + frame[1, 1] ** 2
    return (x * frame[1, 0] + y * frame[1, 1]) / size, (x * frame[2, 0] + y * frame[2, 1]) / size


def curve(coefficients: Float[Array, 4], along: Float[Array, "*axes"]) -> Float[Array, "*axes"]:
    """The height of a contour, (1 - u^2) (a + b u + c u^2 + d u^3), and 0 beyond the corners."""
    u = jnp.clip(along, -1, 1)
    a, b, c, d = coefficients
    return (1 - u * u) * (a + u * (b + u * (c + u * d)))


def smooth(t: Float[Array, "*axes"]) -> Float[Array, "*axes"]:
    """0 below 0, 1 above 1, and Hermite's cubic between."""
    t = jnp.clip(t, 0, 1)
    return t * t * (3 - 2 * t)


def fit_curve(along: Float[np.ndarray, " n"], down: Float[np.ndarray, " n"]) -> Float32[np.ndarray, " 4"]:
    """The coefficients of `curve` through points between the corners, by least squares."""
    inside = np.abs(along) < 0.98
    u, v = along[inside], down[inside]
    terms = min(4, len(u))
    basis = (1 - u**2)[:, None] * u[:, None] ** np.arange(terms)
    ridge = 1e-3 * np.eye(terms)  # few or uneven points must not make waves
    result = np.zeros(4, np.float32)
    result[:terms] = np.linalg.solve(basis.T @ basis + ridge, basis.T @ v)
    return result
