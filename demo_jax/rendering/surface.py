"""The surface of a head as heights over its own frontal plane: the person's mesh where there is one, else an ellipsoid.

Turning a head about any axis needs the depth of each pixel. Within the face MediaPipe's mesh gives it; around it, of
hair, ears and crown, an ellipsoid does, and beyond its outline the surface goes on falling back.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32

from demo_jax.models.geometry import rigid

EXTENT = 2.0  # face widths from the centre to each border of the grid
RESOLUTION = 129
FALL = 0.25  # slope beyond the outline of the ellipsoid
LOWEST = -0.35  # face widths
SEAM = 0.12  # face widths over which the mesh goes over into the ellipsoid
SMOOTH = 1.5  # grid steps: without it, the sides of a nose are too steep to be found


def ellipsoid_heights() -> Float32[np.ndarray, "129 129"]:
    """Heights of the mean head; row 0 is at y = EXTENT (up), column 0 at x = -EXTENT."""
    line = np.linspace(-EXTENT, EXTENT, RESOLUTION)
    x, y = np.meshgrid(line, line[::-1])
    (ax, ay, az), (cx, cy, cz) = rigid.AXES, rigid.CENTRE
    radius = np.hypot((x - cx) / ax, (y - cy) / ay)
    inside = cz + az * np.sqrt(np.maximum(1 - radius**2, 0))
    beyond = cz - FALL * ax * (radius - 1)
    return np.maximum(np.where(radius < 1, inside, beyond), LOWEST).astype(np.float32)


def mesh_heights(mesh: Float[np.ndarray, "N 3"]) -> Float32[np.ndarray, "129 129"]:
    """Heights of a measured face, points in the head's axes and face widths, within an ellipsoid."""
    from scipy.interpolate import LinearNDInterpolator
    from scipy.ndimage import distance_transform_edt, gaussian_filter

    line = np.linspace(-EXTENT, EXTENT, RESOLUTION)
    x, y = np.meshgrid(line, line[::-1])
    around = ellipsoid_heights()
    heights = LinearNDInterpolator(mesh[:, :2], mesh[:, 2])(x, y)
    known = np.isfinite(heights)
    # Beyond the mesh its border goes on, and fades into the ellipsoid.
    distance, (row, column) = distance_transform_edt(~known, return_indices=True)
    step = line[1] - line[0]
    share = np.exp(-distance * step / SEAM)
    difference = (heights - around)[row, column]
    return gaussian_filter(around + share * difference, SMOOTH).astype(np.float32)


def height(
    heights: Float[Array, "129 129"], x: Float[Array, "*axes"], y: Float[Array, "*axes"]
) -> Float[Array, "*axes"]:
    """Bilinear heights at positions in the head's plane; beyond the grid those of its border."""
    scale = (RESOLUTION - 1) / (2 * EXTENT)
    column = jnp.clip((x + EXTENT) * scale, 0, RESOLUTION - 1.001)
    row = jnp.clip((EXTENT - y) * scale, 0, RESOLUTION - 1.001)
    j, i = jnp.floor(column).astype(jnp.int32), jnp.floor(row).astype(jnp.int32)
    fx, fy = column - j, row - i
    flat, at = heights.reshape(-1), i * RESOLUTION + j

    def read(offset: int) -> Float[Array, "*axes"]:
        return flat.at[at + offset].get(mode="promise_in_bounds")

    top = read(0) * (1 - fx) + read(1) * fx
    bottom = read(RESOLUTION) * (1 - fx) + read(RESOLUTION + 1) * fx
    return top * (1 - fy) + bottom * fy
