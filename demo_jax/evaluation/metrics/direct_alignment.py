"""A second opinion on the head's motion, by direct alignment: a rigid mean face re-projects the first frame's skin.

No network reads these frames. The rotation, scale and shift are found under which the upper face of the mean face,
carrying the first frame's brightness, explains each later frame best (Gauss-Newton on the difference of brightness,
coarse to fine, robustly weighted; Lucas and Kanade, IJCAI 1981, with a rigid face in place of a shift). Only the change
since the first frame is found; where the head was in the first frame is given. Under weak perspective a turn and the
depth of the face are ambiguous: a face that is 10 % flatter than the mean face reads as turned 10 % less. So the
correlation with a reader is evidence, and a gain only within some 15 %.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from demo_jax.evaluation.metrics.images import luma
from demo_jax.faces.measures import RIGID_ABOVE
from demo_jax.factors import rotation_matrix

SPACING = 0.3  # cm between the points that are compared
MOST_ASIDE = 5.5  # cm from the middle of the face; beyond, skin turns away soon
EYE_AREA = 1.9  # cm around each eye: lids and irises move on their own
DETAIL = (0.06, 0.03, 0.015)  # face widths: standard deviations of the blur, coarse to fine
FACE_WIDTH = 150  # pixels: frames with larger faces are reduced to about this
STEPS = 12  # at each of them, at most
SMALLEST_STEP = 0.01  # degrees and hundredths of the scale, at which the next level begins
LEAST_PART = 0.5  # of the points that must lie within the image
_EYE_CORNERS = ((33, 133), (362, 263))
_PROBE = np.array([0.5, 0.5, 0.5, 0.005, 0.5, 0.5])  # finite differences of a projection: degrees, log scale, pixels


def face_points(canonical: np.ndarray) -> np.ndarray:
    """Returns a grid of points [N, 3] on the rigid skin of the canonical face [468, 3], centimetres: nose, forehead,
    upper cheeks, without the eyes."""
    from scipy.interpolate import LinearNDInterpolator

    low, high = canonical[:, :2].min(0), canonical[:, :2].max(0)
    x, y = np.meshgrid(np.arange(low[0], high[0], SPACING), np.arange(RIGID_ABOVE, high[1], SPACING))
    flat = np.column_stack([x.ravel(), y.ravel()])
    points = np.column_stack([flat, LinearNDInterpolator(canonical[:, :2], canonical[:, 2])(flat)])
    kept = np.isfinite(points[:, 2]) & (np.abs(points[:, 0]) < MOST_ASIDE)
    for corners in _EYE_CORNERS:
        kept &= np.linalg.norm(flat - canonical[list(corners), :2].mean(0), axis=-1) > EYE_AREA
    return points[kept]


def pose_changes(
    frames: Iterable[np.ndarray], head: tuple[np.ndarray, np.ndarray, float], canonical: np.ndarray
) -> np.ndarray:
    """Returns the change of yaw, pitch and roll since the first frame, degrees [T, 3]; NaN where half of the face has
    left the image.

    Args:
      frames: uint8 RGB [H, W, 3] each, in an order in which neighbours are alike (a video, or a control's grid): a
        frame's search begins where that of the frame before ended.
      head: the first frame's yaw, pitch, roll [3] (degrees), face centre [2] and face width (pixels): `Readings.head`.
      canonical: the canonical face [468, 3].
    """
    angles, centre, width = head
    factor = max(1, round(width / FACE_WIDTH))
    centre, width = np.asarray(centre) / factor, width / factor
    ears = canonical[127], canonical[356]
    unit = width / float(np.linalg.norm(ears[0] - ears[1]))  # pixels per centimetre
    shape = (face_points(canonical) - np.add(*ears) / 2) * unit
    start = np.concatenate([np.asarray(angles, np.float64), [0.0], centre])
    place, parameters, found = project(start, shape), start, []
    first: list[np.ndarray] = []
    for frame in frames:
        levels = [_band(_reduced(luma(frame), factor), blur * width) for blur in DETAIL]
        if not first:
            first = [_sample(level, place)[0] for level in levels]
        aligned = parameters
        for level, wanted in zip(levels, first, strict=True):
            aligned = _align(level, wanted, shape, aligned)
        if np.isfinite(aligned).all():
            parameters = aligned
        found.append(aligned[:3] - angles)
    return np.array(found).reshape(-1, 3)


def project(parameters: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """Returns pixels [N, 2], y down, of points [N, 3] (pixels, y up) under yaw, pitch, roll (degrees), log scale and
    the centre's x, y: weak perspective."""
    turned = np.exp(parameters[3]) * shape @ rotation_matrix(*parameters[:3]).T
    return parameters[4:] + turned[:, :2] * (1, -1)


def _reduced(y: np.ndarray, factor: int) -> np.ndarray:
    """Means of factor x factor pixels; a rest at the right and below is cut off."""
    height, width = (side // factor for side in y.shape)
    return y[: height * factor, : width * factor].reshape(height, factor, width, factor).mean((1, 3))


def _band(y: np.ndarray, blur: float) -> np.ndarray:
    """[3, H, W]: detail of about one size, without the light that falls on it, and its gradient along x and y."""
    from scipy.ndimage import gaussian_filter

    detail = gaussian_filter(y, blur) - gaussian_filter(y, 4 * blur)
    contrast = np.sqrt(gaussian_filter(detail**2, 4 * blur)) + 1.0  # one level: below, it is noise
    band = detail / contrast
    return np.stack([band, *np.gradient(band)[::-1]])


def _sample(level: np.ndarray, place: np.ndarray) -> np.ndarray:
    """[3, N] of a level at pixels [N, 2] (centres at +0.5), bilinear; NaN beyond the image."""
    from scipy.ndimage import map_coordinates

    at = (place - 0.5).T[::-1]
    return np.stack([map_coordinates(part, at, order=1, cval=np.nan) for part in level])


def _align(level: np.ndarray, wanted: np.ndarray, shape: np.ndarray, parameters: np.ndarray) -> np.ndarray:
    """The parameters of `project` under which a level of a frame shows `wanted` [N]; NaN if the face is not there."""
    for _ in range(STEPS):
        place = project(parameters, shape)
        value, right, down = _sample(level, place)
        known = np.isfinite(value) & np.isfinite(wanted)
        if np.count_nonzero(known) < LEAST_PART * len(wanted):
            return np.full(6, np.nan)
        slopes = np.stack([(project(parameters + d, shape) - place) / d.sum() for d in np.diag(_PROBE)], -1)
        jacobian = (right[:, None] * slopes[:, 0] + down[:, None] * slopes[:, 1])[known]
        misfit = (wanted - value)[known]
        # Cauchy weights; the scale is the misfit's own (1.48 median absolute deviations).
        weight = 1 / (1 + (misfit / (2 * 1.48 * np.median(np.abs(misfit)) + 1e-6)) ** 2)
        scaled = jacobian * _PROBE
        normal = scaled.T @ (scaled * weight[:, None])
        step = _PROBE * np.linalg.solve(
            normal + (1e-6 * np.trace(normal) + 1e-9) * np.eye(6), scaled.T @ (weight * misfit)
        )
        parameters = parameters + step
        if np.abs(step * (1, 1, 1, 100, 1, 1)).max() < SMALLEST_STEP:
            break
    return parameters
