"""The fixed square crop of a clip: its position, and cutting it out of an image."""

from __future__ import annotations

import numpy as np

FACES_PER_CROP = 2.1  # crop width over face width; z of the pose is about log 2.1, as on the puppet
HEAD_RADIUS = 0.8  # in face widths: the part around the face centre that the crop contains in every frame


def square_crop(centre: np.ndarray, face_width: np.ndarray, size: int) -> np.ndarray:
    """Chooses the square crop of a clip.

    It is centred on the middle of the centres' range and 2.1 median face widths wide, or wider if the head would leave
    it. It may extend beyond the image.

    Args:
      centre: face centres [T, 2], source pixels, y down.
      face_width: [T], source pixels.
      size: side of the crop in crop pixels.

    Returns:
      crop [3, 3] float32: source -> crop pixels.
    """
    low, high = centre.min(0), centre.max(0)
    middle = np.median(centre, axis=0)
    middle = np.clip(middle, (low + high) / 2 - face_width.mean() / 8, (low + high) / 2 + face_width.mean() / 8)
    wander = np.abs(centre - middle).max()
    side = max(FACES_PER_CROP * float(np.median(face_width)), 2 * (wander + HEAD_RADIUS * float(face_width.max())))
    return crop_matrix(middle - side / 2, side, size).astype(np.float32)


def crop_matrix(corner: np.ndarray | tuple[float, float], side: float, size: int) -> np.ndarray:
    """Returns the crop [3, 3] of the square whose left top corner and side are given in source pixels."""
    scale = size / side
    return np.array([[scale, 0, -corner[0] * scale], [0, scale, -corner[1] * scale], [0, 0, 1]])


def cut(image: np.ndarray, crop: np.ndarray, size: int) -> np.ndarray:
    """Cuts the crop [3, 3] out of uint8 [H, W, 3] -> [size, size, 3]. Reduced with a low-pass, enlarged bicubically;
    beyond the image its edge is repeated. Needs OpenCV (the `prepare` extra)."""
    import cv2

    matrix = np.asarray(crop, np.float64)[:2].copy()
    # Before a reduction by more than 2 the image is halved with an area mean, so that the warp does not alias.
    while matrix[0, 0] < 0.5 and min(image.shape[:2]) >= 4:
        image = cv2.resize(image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2], None, fx=0.5, fy=0.5,
                           interpolation=cv2.INTER_AREA)  # fmt: skip
        matrix[:, :2] *= 2
    # OpenCV's pixel centres are at whole numbers; here they are at +0.5.
    matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
    enlarging = matrix[0, 0] > 1
    return cv2.warpAffine(
        image, matrix, (size, size), flags=cv2.INTER_CUBIC if enlarging else cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
