"""What hides a face in an image: dark glasses, and something over the mouth. Needs OpenCV (the `prepare` extra)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8

from demo_jax.constants import LUMA
from demo_jax.faces.landmarker import Face

# Of 160 portraits, the lowest brightness of eyes was 0.66, behind painted glasses at most 0.21; the largest difference
# of colours was 15, under painted masks 26 to 72 (8 to 40 under white ones, of which a quarter are missed).
DARK_EYES = 0.4
COVERED_MOUTH = 19.0

_EYES = ((33, 133), (362, 263))  # the corners, MediaPipe's points
_CHEEKS, _SKIN, _AROUND_MOUTH = (50, 280), (151, 168), (164, 18, 200)  # forehead and bridge; above and below the lips
_LUMA = np.array(LUMA)


def behind_dark_glasses(image: UInt8[np.ndarray, "H W 3"], face: Face) -> bool:
    """Whether the brightest parts of an eye are much darker than the cheeks."""
    luma = image.astype(np.float32) @ _LUMA
    points = face.points[:, :2] * (1, -1)
    cheeks = np.median(np.concatenate([_patch(luma, points[i], 0.06 * face.width).ravel() for i in _CHEEKS]))
    brightest = []
    for first, last in _EYES:
        middle, half = (points[first] + points[last]) / 2, float(np.linalg.norm(points[first] - points[last])) / 2
        brightest.append(np.percentile(_patch(luma, middle, half), 90))
    return bool(min(brightest) < DARK_EYES * cheeks)


def mouth_is_covered(image: UInt8[np.ndarray, "H W 3"], face: Face) -> bool:
    """Whether the skin around the mouth has another colour than that of forehead and nose everywhere: a mask, a hand in
    a glove, a microphone. A beard, or lipstick, leaves a part of it."""
    import cv2

    points = face.points[:, :2] * (1, -1)

    def colour(index: int, radius: float) -> Float[np.ndarray, 3]:
        patch = _patch(image, points[index], radius * face.width)
        return np.median(cv2.cvtColor(np.ascontiguousarray(patch), cv2.COLOR_RGB2LAB).reshape(-1, 3), 0)

    skin = [colour(index, 0.05) for index in _SKIN]
    weights = np.array([0.35, 1.0, 1.0])  # of lightness: light falls from above
    found = [colour(index, 0.04) for index in _AROUND_MOUTH]
    return all(min(float(np.linalg.norm(weights * (c - s))) for s in skin) > COVERED_MOUTH for c in found)


def _patch(image: np.ndarray, centre: Float[np.ndarray, 2], radius: float) -> np.ndarray:
    """The square around a point; at least one pixel of the image."""
    reach = max(int(radius), 2)
    x, y = (int(np.clip(c, 0, n - 1)) for c, n in zip(centre, image.shape[1::-1], strict=True))
    return image[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1]
