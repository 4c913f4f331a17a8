"""Interpolates displacements of some skin vertices to the rest of the skin, and finds each vertex's mirror image."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import scipy.sparse as sparse
from scipy.sparse.linalg import SuperLU, splu
from scipy.spatial import cKDTree

from data_pipelines.puppet.person import feature_rings
from data_pipelines.puppet.person.surface import MIRROR
from demo_jax.factors import mirror_name

Parts = dict[str, slice]
_STIFF = 0.018  # face widths over which the skin bends rather than stretches; more overshoots beside the lips


class ThinPlate:
    """Thin-plate interpolation on the skin's mesh: free vertices follow the fixed and the displaced ones smoothly.

    One sparse factorisation is kept per set of free vertices.
    """

    def __init__(self, parts: Parts, points: np.ndarray, triangles: np.ndarray):
        self._count = parts["lid_right"].stop  # skin, mouth and lids are one mesh and come first
        self._points = points[: self._count]
        self._triangles = triangles[(triangles < self._count).all(-1)]
        self._solvers: dict[bytes, SuperLU] = {}

    @cached_property
    def _matrix(self) -> sparse.csr_matrix:
        """The stiffness matrix (bending, tension); the Laplacian's cotangent weights are clipped to stay positive."""
        corners = self._points[self._triangles]
        area = 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=-1)
        rows, columns, values = [], [], []
        mass = np.zeros(self._count)
        for i in range(3):
            a, b, c = self._triangles[:, i], self._triangles[:, (i + 1) % 3], self._triangles[:, (i + 2) % 3]
            dot = ((self._points[b] - self._points[a]) * (self._points[c] - self._points[a])).sum(-1)
            weight = np.clip(0.5 * dot / np.maximum(2 * area, 1e-12), 0.05, 5.0)
            rows += [b, c]
            columns += [c, b]
            values += [weight, weight]
            np.add.at(mass, a, area / 3)
        shape = (self._count, self._count)
        near = sparse.coo_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape)
        laplacian = sparse.diags(np.asarray(near.sum(1)).ravel()) - near.tocsr()
        bending = laplacian.T @ sparse.diags(1.0 / np.maximum(mass, 1e-6)) @ laplacian
        return (bending + laplacian / _STIFF**2).tocsr()

    def fill(self, displacement: np.ndarray, fixed: np.ndarray, displaced: np.ndarray) -> None:
        """Fills displacement [N, 3] in place at the free vertices.

        Args:
          displacement: known at `displaced`, zero at `fixed`.
          fixed, displaced: [N] bool; all other vertices of the skin are free.
        """
        fixed, displaced = fixed[: self._count], displaced[: self._count]
        free = np.flatnonzero(~(fixed | displaced))
        known = np.flatnonzero(displaced)
        rows = self._matrix[free]
        key = np.packbits(fixed | displaced).tobytes()
        if key not in self._solvers:
            self._solvers[key] = splu(rows[:, free].tocsc())
        displacement[free] = self._solvers[key].solve(-(rows[:, known] @ displacement[known]))


def mirror_map(points: np.ndarray, parts: Parts) -> np.ndarray:
    """Returns [N]: the vertex that is each vertex's mirror image, the nearest one of the mirrored part."""
    image = np.zeros(len(points), int)
    for name, part in parts.items():
        other = parts[
            mirror_name(name.replace("_left", "Left").replace("_right", "Right"))
            .replace("Left", "_left")
            .replace("Right", "_right")
        ]
        if name.endswith(("_left", "_right")):
            image[part] = np.arange(other.start, other.stop)
        else:
            image[part] = other.start + cKDTree(points[other]).query(points[part] * MIRROR)[1]
    n = feature_rings.MOUTH_POINTS  # upper and lower lip touch: by number, not by place
    rings = np.arange(parts["mouth"].stop - parts["mouth"].start - 1).reshape(-1, n)
    image[parts["mouth"]][:-1] = parts["mouth"].start + rings[:, (n // 2 - np.arange(n)) % n].ravel()
    centres = parts["eye_centres"].start
    image[centres : centres + 2] = [centres + 1, centres]
    return image
