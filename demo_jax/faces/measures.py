"""From landmarks to the record's numbers: pose, gaze, lips, expression, 68 landmarks, boxes, confidence.

A rigid canonical face is fitted to the upper face (which speech does not move) of every frame by a weighted Procrustes
fit with one scale: MediaPipe's depth is in the unit of x. The fit gives the rotation and takes all points to the
head's own axes, where lengths do not depend on the head's rotation. Properties of the person (face width, the point
between the ears, eye span) are medians over the clip, so that only the six numbers of the rigid motion vary, and these
little.

Noise and lag: landmarks of single images jitter by about half a degree of yaw. Rigid motion is smoothed by a
symmetric Gaussian of 1.5 frames (no lag), lips, gaze and expression by (1 2 1)/4; lids are not smoothed.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from demo_jax.factors import ARKIT_INDEX, euler_angles, rotation_matrix

# MediaPipe's point for each of the usual 68 landmarks, with the usual left and right: 0 and 36 at image left.
LANDMARKS_68 = np.array([
    127, 234, 93, 132, 58, 136, 150, 176, 152, 400, 379, 365, 288, 361, 323, 454, 356,  # jaw
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300,  # brows
    168, 197, 5, 4, 75, 97, 2, 326, 305,  # nose
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,  # eyes
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,  # outer lips
    78, 82, 13, 312, 308, 317, 14, 87,  # inner lips
])  # fmt: skip
MOUTH, EYES = slice(48, 68), slice(36, 48)
OUTER_LIPS, INNER_LIPS = slice(48, 60), slice(60, 68)  # each a polygon
BOX_MARGIN = 0.10  # around the landmarks of mouth and eyes, in face widths

RIGID_ABOVE = -2.0  # cm in the canonical face: the nose and above; below, the jaw and the lips move
POSE_SIGMA = 1.5  # frames

# The eye's centre of rotation relative to the middle of its two corners, in centimetres of the canonical face: outward,
# up, back. Estimated from real clips as the point that stays behind the iris while the head turns and the eyes look at
# the lens.
EYE_OUT, EYE_UP, EYE_BACK = 0.15, 0.22, 0.35
EYE_RADIUS = 1.05  # centre of rotation to the iris, in the same centimetres
MAX_GAZE_SINE = 0.8
BLINK_OPENING = 0.35  # below this the iris is hidden and gaze is interpolated
HIDDEN_LID_GAP = 0.1  # the same in a single image: lid gap over eye width, about 0.35 of the gap at rest
# (iris, inner corner, outer corner, outward sign, lid pairs): person's left eye, then right.
_EYES = (
    (473, 362, 263, 1.0, ((386, 374), (385, 380), (387, 373))),
    (468, 133, 33, -1.0, ((159, 145), (158, 153), (160, 144))),
)
GAP_CONFIDENCE = 0.1  # of frames without a face, interpolated from their neighbours
RESIDUAL_SCALE = 0.05  # root mean square misfit to the clip's mean face, in face widths, at which confidence is 1/e


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measures:
    """All measurements of one scene of T frames, in source pixels (x right, y down)."""

    angles: np.ndarray  # [T, 3] yaw, pitch, roll, degrees
    centre: np.ndarray  # [T, 2] face centre
    face_width: np.ndarray  # [T]
    gaze: np.ndarray  # [T, 4]
    lips: np.ndarray  # [T, 3]
    expression: np.ndarray  # [T, 52]
    landmarks: np.ndarray  # [T, 68, 2], pixel centres at +0.5
    confidence: np.ndarray  # [T]

    def pose(self, crop: np.ndarray, size: int) -> np.ndarray:
        """Pose [T, 6] float32 in a crop, given as source -> crop pixels [3, 3] and its side in crop pixels."""
        centre = self.centre @ crop[:2, :2].T + crop[:2, 2]
        x, y = (centre / size - 0.5).T
        z = np.log(size / (self.face_width * crop[0, 0]))
        return np.column_stack([self.angles, x, -y, z]).astype(np.float32)


def measure(points: np.ndarray, expression: np.ndarray, found: np.ndarray, canonical: np.ndarray) -> Measures:
    """Measures one scene.

    Args:
      points: landmarks [T, 478, 3], axes as in `landmarker.py`, gaps already filled.
      expression: [T, 52].
      found: [T] bool, False in gaps.
      canonical: the canonical face [468, 3].
    """
    scale, rotation, shift = fit_rigid(points, canonical)
    local = in_head_axes(points, scale, rotation, shift)
    person = np.median(local[found], axis=0)  # [478, 3]
    width = np.linalg.norm(person[127] - person[356])
    span = np.linalg.norm(person[33] - person[263])
    rigid = _rigid(canonical)
    misfit = np.sqrt(((local[:, rigid] - person[rigid]) ** 2).sum(-1).mean(-1)) / width
    angles = smooth(euler_angles(rotation), POSE_SIGMA)
    scale_smooth = np.exp(smooth(np.log(scale), POSE_SIGMA))
    between_ears = (person[127] + person[356]) / 2
    # Smoothed through the fitted points' centroid, which jitters least, then carried to the point between the ears.
    anchor = person[:468].mean(0)
    anchor_at = smooth(shift + scale[:, None] * (rotation @ anchor), POSE_SIGMA)
    centre = anchor_at + scale_smooth[:, None] * (rotation_matrix(*angles.T) @ (between_ears - anchor))
    gaps_of_lids = _lid_distances(local)
    openings = gaps_of_lids / np.maximum(np.percentile(gaps_of_lids, 95, axis=0), 1e-6)
    expression = _light(expression, keep=[ARKIT_INDEX["eyeBlinkLeft"], ARKIT_INDEX["eyeBlinkRight"]])
    gaps = [
        np.linalg.norm(local[:, 13] - local[:, 14], axis=-1) / span,
        np.linalg.norm(local[:, 61] - local[:, 291], axis=-1) / span,
    ]
    pucker = (
        expression[:, ARKIT_INDEX["mouthPucker"]] + 0.5 * expression[:, ARKIT_INDEX["mouthFunnel"]]
    )  # as for the puppet
    lips = np.column_stack([_light(np.stack(gaps, 1)), np.clip(pucker, 0, 1)])
    gaze = _steady_gaze(gaze_angles(points, scale, rotation), openings.mean(1) > BLINK_OPENING)
    return Measures(
        angles=angles,
        centre=centre[:, :2] * (1, -1),
        face_width=scale_smooth * width,
        gaze=np.column_stack([gaze, openings]).astype(np.float32),
        lips=lips.astype(np.float32),
        expression=expression.astype(np.float32),
        landmarks=_light(points[:, LANDMARKS_68, :2] * (1, -1)).astype(np.float32),
        confidence=np.where(found, np.exp(-((misfit / RESIDUAL_SCALE) ** 2)), GAP_CONFIDENCE).astype(np.float32),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrameMeasures:
    """Measurements of T images, each on its own, in source pixels (x right, y down): nothing is smoothed, interpolated
    or divided by a statistic of the clip. NaN in images without a face."""

    angles: np.ndarray  # [T, 3] yaw, pitch, roll, degrees
    centre: np.ndarray  # [T, 2] face centre
    face_width: np.ndarray  # [T]
    gaze: np.ndarray  # [T, 2] yaw, pitch, degrees, in the head; NaN too where the lids hide the irises
    lids: np.ndarray  # [T, 2] lid gap over eye width, left and right
    lips: np.ndarray  # [T, 2] aperture, width, over the eye span
    landmarks: np.ndarray  # [T, 68, 2], pixel centres at +0.5


def measure_each(points: np.ndarray, canonical: np.ndarray) -> FrameMeasures:
    """Measures images that need not be of one clip. The same quantities as `measure`, before its smoothing.

    Args:
      points: landmarks [T, 478, 3], axes as in `landmarker.py`; NaN where no face was found.
      canonical: the canonical face [468, 3].
    """
    found = np.isfinite(points[:, 0, 0])
    known = np.asarray(points, np.float64)[found]
    scale, rotation, shift = fit_rigid(known, canonical)
    local = in_head_axes(known, scale, rotation, shift)
    ears = local[:, (127, 356)]
    span = np.linalg.norm(local[:, 33] - local[:, 263], axis=-1)
    gaps = [np.linalg.norm(local[:, a] - local[:, b], axis=-1) / span for a, b in ((13, 14), (61, 291))]
    lids = lid_gaps(local)
    gaze = np.where(lids.mean(1, keepdims=True) >= HIDDEN_LID_GAP, gaze_angles(known, scale, rotation), np.nan)
    centre = shift + scale[:, None] * np.einsum("tij,tj->ti", rotation, ears.mean(1))

    def placed(values: np.ndarray) -> np.ndarray:
        out = np.full((len(points), *values.shape[1:]), np.nan)
        out[found] = values
        return out

    return FrameMeasures(
        angles=placed(euler_angles(rotation)),
        centre=placed(centre[:, :2] * (1, -1)),
        face_width=placed(scale * np.linalg.norm(ears[:, 0] - ears[:, 1], axis=-1)),
        gaze=placed(gaze),
        lids=placed(lids),
        lips=placed(np.stack(gaps, 1)),
        landmarks=placed(known[:, LANDMARKS_68, :2] * (1, -1)),
    )


def fit_rigid(points: np.ndarray, canonical: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Least-squares fit points ~ scale R canonical + shift over the upper face (Umeyama, IEEE TPAMI 13(4), 1991).

    Args:
      points: [T, 478, 3].
      canonical: [468, 3].

    Returns:
      scale [T], R [T, 3, 3], shift [T, 3].
    """
    rigid = _rigid(canonical)
    a, b = canonical[rigid], points[:, rigid]
    a_mean, b_mean = a.mean(0), b.mean(1)
    a, b = a - a_mean, b - b_mean[:, None]
    u, s, vt = np.linalg.svd(np.einsum("tni,nj->tij", b, a))
    s[:, 2] *= (sign := np.sign(np.linalg.det(u @ vt)))
    u[:, :, 2] *= sign[:, None]
    rotation = u @ vt
    scale = s.sum(-1) / (a**2).sum()
    shift = b_mean - scale[:, None] * (rotation @ a_mean)
    return scale, rotation, shift


def in_head_axes(points: np.ndarray, scale: np.ndarray, rotation: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Takes landmarks [T, N, 3] to the axes and the unit of the canonical face, with the fit of `fit_rigid`."""
    return np.einsum("tji,tnj->tni", rotation, points - shift[:, None]) / scale[:, None, None]


def _rigid(canonical: np.ndarray) -> np.ndarray:
    return np.flatnonzero(canonical[:, 1] > RIGID_ABOVE)


def smooth(values: np.ndarray, sigma: float) -> np.ndarray:
    """Symmetric Gaussian over axis 0, edges repeated; any trailing shape."""
    from scipy.ndimage import gaussian_filter1d

    return gaussian_filter1d(values, sigma, axis=0, mode="nearest", truncate=3.0)


def _light(values: np.ndarray, keep: list[int] | None = None) -> np.ndarray:
    """Smooths by (1 2 1)/4 over axis 0; the columns `keep` are unchanged."""
    padded = np.concatenate([values[:1], values, values[-1:]])
    result = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    if keep is not None:
        result[:, keep] = values[:, keep]
    return result


def lid_gaps(local: np.ndarray) -> np.ndarray:
    """Returns the absolute opening of the eyes, left and right: the mean distance of three pairs of lid points over the
    distance of the eye's corners, both seen from the front of the head, [T, 2].

    About 0.3 for an eye at rest; it needs no other frame of the person. Depth is left out: the landmarker's depth of
    lids is noise that never lets a gap close (a blink's least gap, over the gap at rest, read 0.21 with it and 0.16
    without, median of 60 blinks; the gap at rest is the same).

    Args:
      local: landmarks in the head's axes [T, 478, 3], any unit.
    """
    front = local[..., :2]
    widths = [np.linalg.norm(front[:, inner] - front[:, outer], axis=-1) for _, inner, outer, *_ in _EYES]
    return _lid_distances(front) / np.stack(widths, 1)


def _lid_distances(local: np.ndarray) -> np.ndarray:
    """[T, 2] mean lid gap of the left and the right eye, in the unit of the landmarks."""
    gaps = [
        np.mean([np.linalg.norm(local[:, a] - local[:, b], axis=-1) for a, b in pairs], axis=0) for *_, pairs in _EYES
    ]
    return np.stack(gaps, 1)


def gaze_angles(points: np.ndarray, scale: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Returns yaw and pitch of the gaze in the head's axes, degrees [T, 2], the mean of both eyes; each frame on its
    own. Where the lids hide the irises the values mean nothing.

    Args:
      points: [T, 478, 3].
      scale, rotation: of `fit_rigid`, [T] and [T, 3, 3].
    """
    directions = []
    for iris, inner, outer, side, _ in _EYES:
        corner = (points[:, inner] + points[:, outer]) / 2
        offset = rotation @ np.array([side * EYE_OUT, EYE_UP, -EYE_BACK])
        from_centre = (points[:, iris] - corner)[:, :2] / scale[:, None] - offset[:, :2]  # on the image
        sine = from_centre / EYE_RADIUS
        sine = sine * np.minimum(1, MAX_GAZE_SINE / np.maximum(np.linalg.norm(sine, axis=-1, keepdims=True), 1e-9))
        ahead = np.sqrt(1 - (sine**2).sum(-1, keepdims=True))
        directions.append(np.einsum("tji,tj->ti", rotation, np.concatenate([sine, ahead], -1)))
    x, y, z = np.mean(directions, axis=0).T
    return np.rad2deg(np.stack([np.arctan2(x, z), -np.arctan2(y, np.hypot(x, z))], -1))


def _steady_gaze(angles: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """[T, 2] gaze of a clip: frames whose iris is hidden are interpolated, and the whole is smoothed lightly."""
    if visible.any():
        times = np.arange(len(angles))
        angles = np.stack([np.interp(times, times[visible], a[visible]) for a in angles.T], -1)
    return _light(angles)


def feature_boxes(landmarks: np.ndarray, pose: np.ndarray, size: int) -> np.ndarray:
    """Boxes of mouth and eyes, within the crop: the landmarks' extent with a margin of a tenth of the face width, as
    for the puppet.

    Args:
      landmarks: [T, 68, 2], crop pixels.
      pose: [T, 6].
      size: side of the crop, pixels.

    Returns:
      [T, 2, 4] float32 (mouth, eyes; x0 y0 x1 y1).
    """
    margin = BOX_MARGIN * size * np.exp(-pose[:, 5:6])
    parts = (landmarks[:, MOUTH], landmarks[:, EYES])
    boxes = [np.concatenate([part.min(1) - margin, part.max(1) + margin], -1) for part in parts]
    return np.clip(np.stack(boxes, 1), 0, size).astype(np.float32)
