"""The surface of a head as depth over the photograph's own plane: the person's mesh where there is one, else an
ellipsoid.

Turning a head about any axis needs the depth of each pixel. Within the face MediaPipe's mesh gives it; around it, of
hair, ears and crown, an ellipsoid does, and beyond its outline the surface falls back. Over the photograph's plane, not
the head's, only the turn away from the photograph matters: a head that is turned in it costs nothing more.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32

from demo_jax.models.geometry import rigid

EXTENT = 2.0  # face widths from the centre to each border of the grid
RESOLUTION = 129
# Of the ellipsoid, face widths. The points of the ears are at 0.5; the decoder's ellipsoid has room for hair.
AXES = (0.52, *rigid.AXES[1:])
FALL = 0.25  # slope beyond the outline of the ellipsoid
LOWEST = -0.35  # face widths
SEAM = 0.12  # face widths over which the mesh goes over into the ellipsoid
SMOOTH = 1.0  # grid steps
STEEPEST = 1.5  # slope: where a surface is steeper, its point under a turned pixel is not found, and the head tears


def _grid() -> tuple[np.ndarray, np.ndarray]:
    line = np.linspace(-EXTENT, EXTENT, RESOLUTION)
    x, y = np.meshgrid(line, line[::-1])
    return x, y


def ellipsoid_depth(turn: Float[np.ndarray, "3 3"]) -> Float32[np.ndarray, "129 129"]:
    """Depth towards the camera of the mean head, turned; row 0 is at y = EXTENT (up), column 0 at x = -EXTENT."""
    x, y = _grid()
    axes, centre = np.array(AXES), np.array(rigid.CENTRE)
    # A point (x, y, s) of the view, in the head's axes over the ellipsoid's: base + s along.
    base = (np.stack([x, y], -1) @ turn[:2] - centre) / axes
    along = turn[2] / axes
    a, b = along @ along, base @ along
    c = (base**2).sum(-1) - 1
    inside = b**2 - a * c
    surface = (-b + np.sqrt(np.maximum(inside, 0))) / a
    radius = np.sqrt(np.maximum(1 - inside / a, 1))  # of the outline, 1 on it
    beyond = -b / a - FALL * axes[0] * (radius - 1)
    return np.maximum(np.where(inside > 0, surface, beyond), LOWEST).astype(np.float32)


def mesh_depth(mesh: Float[np.ndarray, "N 3"], turn: Float[np.ndarray, "3 3"]) -> Float32[np.ndarray, "129 129"]:
    """Depth of a measured face, points in the head's axes and face widths, turned, within an ellipsoid."""
    from scipy.ndimage import distance_transform_edt, gaussian_filter
    from scipy.spatial import Delaunay

    around, depth = ellipsoid_depth(turn), np.full((RESOLUTION, RESOLUTION), -np.inf)
    seen, step = mesh @ turn.T, 2 * EXTENT / (RESOLUTION - 1)
    x, y = _grid()
    for corners in Delaunay(mesh[:, :2]).simplices:  # triangles of the frontal view; the nearest one is seen
        triangle = seen[corners]
        (left, bottom), (right, top) = triangle[:, :2].min(0), triangle[:, :2].max(0)
        columns = slice(max(int((left + EXTENT) / step), 0), int((right + EXTENT) / step) + 2)
        rows = slice(max(int((EXTENT - top) / step), 0), int((EXTENT - bottom) / step) + 2)
        edges = (triangle[1:, :2] - triangle[0, :2]).T
        if abs(np.linalg.det(edges)) < 1e-9:
            continue
        part = np.stack([x[rows, columns], y[rows, columns]], -1) - triangle[0, :2]
        u, v = np.moveaxis(part @ np.linalg.inv(edges).T, -1, 0)
        within = (u >= 0) & (v >= 0) & (u + v <= 1)
        z = triangle[0, 2] + u * (triangle[1, 2] - triangle[0, 2]) + v * (triangle[2, 2] - triangle[0, 2])
        depth[rows, columns] = np.where(within, np.maximum(depth[rows, columns], z), depth[rows, columns])
    known = np.isfinite(depth)
    # Beyond the mesh its border goes on, and fades into the ellipsoid.
    distance, (row, column) = distance_transform_edt(~known, return_indices=True)
    share = np.exp(-distance * step / SEAM)
    difference = gaussian_filter(np.where(known, depth - around, 0), 1.0)[row, column]
    smooth = gaussian_filter(np.where(known, depth, around + share * difference), SMOOTH)
    return _gentle(smooth, STEEPEST * step).astype(np.float32)


def _gentle(depth: Float[np.ndarray, "129 129"], step: float) -> Float[np.ndarray, "129 129"]:
    """The lowest surface above `depth` that changes by at most `step` from a node to the next across or down."""
    while True:
        padded = np.pad(depth, 1, mode="edge")
        around = np.max([padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]], axis=0)
        raised = np.maximum(depth, around - step)
        if np.array_equal(raised, depth):
            return raised
        depth = raised


def depth_at(
    depth: Float[Array, "129 129"], x: Float[Array, "*axes"], y: Float[Array, "*axes"]
) -> Float[Array, "*axes"]:
    """Bilinear depth at positions in the photograph's plane, y up; beyond the grid that of its border."""
    scale = (RESOLUTION - 1) / (2 * EXTENT)
    column = jnp.clip((x + EXTENT) * scale, 0, RESOLUTION - 1.001)
    row = jnp.clip((EXTENT - y) * scale, 0, RESOLUTION - 1.001)
    j, i = jnp.floor(column).astype(jnp.int32), jnp.floor(row).astype(jnp.int32)
    fx, fy = column - j, row - i
    flat, at = depth.reshape(-1), i * RESOLUTION + j

    def read(offset: int) -> Float[Array, "*axes"]:
        return flat.at[at + offset].get(mode="promise_in_bounds")

    top = read(0) * (1 - fx) + read(1) * fx
    bottom = read(RESOLUTION) * (1 - fx) + read(RESOLUTION + 1) * fx
    return top * (1 - fy) + bottom * fy
