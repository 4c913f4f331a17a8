"""The identity's head under expression and gaze, in its own axes and projected to pixels.

The expression basis is sparse: only the vertices that a shape moves are kept. Each frame is summed on its own, so its
numbers are the same in any batch and with any number of threads.
"""

from __future__ import annotations

import functools

import numpy as np
from numba import njit

from data_pipelines.puppet.person.head import puppet_head
from data_pipelines.puppet.person.identity import Identity
from demo_jax.factors import ARKIT_INDEX, rotation_matrix

LOOK_DEGREES = 30.0  # of gaze pitch that give eyeLookDown or eyeLookUp = 1
_UNMOVED = 1e-7  # face widths: shapes move no vertex by less


def shape_coefficients(expression: np.ndarray, eyes: np.ndarray) -> np.ndarray:
    """Returns the coefficients of the basis [T, 52] float64 for expression [T, 52] and eyes [T, 3].

    The lids follow the gaze: eyeLookUp and eyeLookDown come from its pitch, the other eyeLook* are zero. A blink scales
    down the shapes that widen or narrow the eye, so eyeBlink = 1 closes it whatever their values.
    """
    c = np.clip(np.nan_to_num(np.asarray(expression, np.float64)), 0.0, 1.0)
    pitch = np.asarray(eyes, np.float64)[:, 1] / LOOK_DEGREES
    for side in ("Left", "Right"):
        open_ = 1.0 - c[:, ARKIT_INDEX[f"eyeBlink{side}"]]
        for name in ("LookIn", "LookOut"):
            c[:, ARKIT_INDEX[f"eye{name}{side}"]] = 0.0
        c[:, ARKIT_INDEX[f"eyeLookDown{side}"]] = np.clip(pitch, 0, 1) * open_
        c[:, ARKIT_INDEX[f"eyeLookUp{side}"]] = np.clip(-pitch, 0, 1) * open_
        for name in ("Wide", "Squint"):
            c[:, ARKIT_INDEX[f"eye{name}{side}"]] *= open_
    return c


def neutral_head(identity: Identity) -> np.ndarray:
    """Returns the identity's resting head [N, 3]: landmarks 0 and 16 at distance 1, the origin half-way between."""
    head = puppet_head()
    points = head.mean + np.tensordot(identity.shape.astype(np.float64), head.identity_basis, 1)
    ears = points[head.landmarks[[0, 16]]]
    return (points - ears.mean(0)) / np.linalg.norm(ears[1] - ears[0])


def eye_radius(points: np.ndarray) -> float:
    """Returns the radius of the left eyeball of a head [N, 3]."""
    head = puppet_head()
    return float(np.linalg.norm(points[head.eyeballs[0][0]] - points[head.eye_centres[0]]))


@functools.cache
def _sparse_basis() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns starts [53], vertices [M], moves [M, 3]; shape k moves vertices[starts[k] : starts[k + 1]] by moves."""
    basis = puppet_head().expression_basis
    moved = [np.flatnonzero(np.abs(shape).max(-1) > _UNMOVED) for shape in basis]
    starts = np.concatenate([[0], np.cumsum([len(m) for m in moved])])
    moves = np.concatenate([shape[m] for shape, m in zip(basis, moved, strict=True)])
    return starts.astype(np.int64), np.concatenate(moved).astype(np.int64), moves


@njit(cache=True, nogil=True, error_model="numpy")
def _add_shapes(
    points: np.ndarray,
    coefficients: np.ndarray,
    growth: np.ndarray,
    starts: np.ndarray,
    vertices: np.ndarray,
    moves: np.ndarray,
) -> None:
    """Adds coefficients [T, 52] times the sparse basis, times growth [N], to points [T, N, 3] in place."""
    for t in range(points.shape[0]):
        for k in range(coefficients.shape[1]):
            by = coefficients[t, k]
            if by == 0.0:
                continue
            for m in range(starts[k], starts[k + 1]):
                v = vertices[m]
                for c in range(3):
                    points[t, v, c] += by * growth[v] * moves[m, c]


def lid_growth(neutral: np.ndarray) -> np.ndarray:
    """Returns [N]: how much further than the mean head's each vertex moves; large eyes' lids have further to close."""
    head = puppet_head()
    growth = np.ones(len(neutral))
    growth[head.lids] = eye_radius(neutral) / eye_radius(head.mean)
    return growth


def moved_vertices(neutral: np.ndarray, coefficients: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """Returns a few vertices [T, V, 3] of the neutral head [N, 3] under coefficients [T, 52]; vertices: [V].

    einsum rather than BLAS: every frame's numbers are the same in any batch and with any number of threads.
    """
    basis = puppet_head().expression_basis[:, vertices] * lid_growth(neutral)[vertices, None]
    moved = np.einsum("tk,kn->tn", coefficients, basis.reshape(len(basis), -1), optimize=False)
    return neutral[vertices] + moved.reshape(len(coefficients), -1, 3)


def gaze_rotations(eyes: np.ndarray) -> np.ndarray:
    """Returns rotations [T, 2, 3, 3] of left and right eyeball for eyes [T, 3] (gaze yaw, pitch, vergence; degrees)."""
    eyes = np.asarray(eyes, np.float64)
    level = np.zeros(len(eyes))
    return np.stack([rotation_matrix(eyes[:, 0] + by * eyes[:, 2], eyes[:, 1], level) for by in (-0.5, 0.5)], 1)


def deformed_heads(neutral: np.ndarray, expression: np.ndarray, eyes: np.ndarray) -> np.ndarray:
    """Returns heads [T, N, 3] float64 with expression and turned eyeballs, in the head's own axes, without pose.

    neutral: [N, 3] from neutral_head.
    """
    head = puppet_head()
    points = np.repeat(neutral[None], len(expression), 0)
    _add_shapes(points, shape_coefficients(expression, eyes), lid_growth(neutral), *_sparse_basis())
    turns = gaze_rotations(eyes)
    for side, (ball, at) in enumerate(zip(head.eyeballs, head.eye_centres, strict=True)):
        centre = neutral[at]
        points[:, ball] = centre + (neutral[ball] - centre) @ turns[:, side].transpose(0, 2, 1)
    return points


@njit(cache=True, nogil=True, error_model="numpy")
def place(
    head: np.ndarray,
    neutral: np.ndarray,
    outfit: np.ndarray,
    carrier: np.ndarray,
    follow: np.ndarray,
    turn: np.ndarray,
    at: np.ndarray,
    body: np.ndarray,
    out: np.ndarray,
) -> None:
    """Writes one frame's vertices, head [N, 3] and outfit [W, 3] moved with its carriers, to out [N + W, 3] float32.

    Args:
      turn: [3, 3] head to camera.
      at, body: [3] face centre of the head, and of what does not turn, in pixels, and pixels per face width.
      carrier, follow: [W] as in dress.mesh_parts.Part.
      out: x, y (down) and depth in pixels.
    """
    count = head.shape[0]
    for i in range(count + outfit.shape[0]):
        share = 1.0
        if i < count:
            x, y, z = head[i, 0], head[i, 1], head[i, 2]
        else:
            w = i - count
            x, y, z = outfit[w, 0], outfit[w, 1], outfit[w, 2]
            share = follow[w]
            c = carrier[w]
            if c >= 0:
                x += head[c, 0] - neutral[c, 0]
                y += head[c, 1] - neutral[c, 1]
                z += head[c, 2] - neutral[c, 2]
        right = turn[0, 0] * x + turn[0, 1] * y + turn[0, 2] * z
        up = turn[1, 0] * x + turn[1, 1] * y + turn[1, 2] * z
        near = turn[2, 0] * x + turn[2, 1] * y + turn[2, 2] * z
        stay = 1.0 - share
        out[i, 0] = share * (at[0] + at[2] * right) + stay * (body[0] + body[2] * x)
        out[i, 1] = share * (at[1] - at[2] * up) + stay * (body[1] - body[2] * y)
        out[i, 2] = at[2] * (share * near + stay * z)


def project(points: np.ndarray, pose: np.ndarray, size: int) -> np.ndarray:
    """Projects points [T, N, 3] in the head's axes at pose [T, 6] to x, y (down) and depth in pixels [T, N, 3]."""
    pose = np.asarray(pose, np.float64)
    turned = points @ rotation_matrix(pose[:, 0], pose[:, 1], pose[:, 2]).transpose(0, 2, 1)
    scale = size * np.exp(-pose[:, 5])[:, None]
    x = size * (0.5 + pose[:, 3:4]) + scale * turned[..., 0]
    y = size * (0.5 - pose[:, 4:5]) - scale * turned[..., 1]
    return np.stack([x, y, scale * turned[..., 2]], -1)
