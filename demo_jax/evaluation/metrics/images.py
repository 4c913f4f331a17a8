"""Metrics of rendered images: PSNR, SSIM, sharpness, flicker. uint8 images [.., S, S, 3] in, float64 out.

Reports and benchmarks take their PSNR and SSIM from here. `demo_jax.losses.reconstruction` has PSNR and a cheaper SSIM
on JAX arrays, for train steps and validation; tests hold the two PSNR equal and this SSIM to scikit-image's.
"""

from __future__ import annotations

import numpy as np

SSIM_SIGMA, SSIM_RADIUS = 1.5, 5  # Wang et al., IEEE TIP 13(4), 2004: a Gaussian window of 11 pixels
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
STATIC_LEVELS = 2.0  # of 255: standard deviation over time below which a pixel of the truth is background


def region(box: np.ndarray, size: int | tuple[int, int]) -> tuple[slice, slice]:
    """Returns the rows and columns that cover a box (x0 y0 x1 y1, pixels) within an image of `size` pixels, a side or
    (height, width)."""
    height, width = (size, size) if isinstance(size, int) else size
    x0, y0 = np.floor(np.maximum(box[:2], 0)).astype(int)
    x1, y1 = np.ceil(np.minimum(box[2:], (width, height))).astype(int)
    return slice(y0, y1), slice(x0, x1)


def psnr(image: np.ndarray, truth: np.ndarray, box: np.ndarray | None = None) -> float:
    """Returns the PSNR in dB of images [H, W, 3] or [H, W] with values 0 to 255, within a box (x0 y0 x1 y1, pixels) if
    one is given; at most 88.1."""
    if box is not None:
        rows, columns = region(box, (truth.shape[0], truth.shape[1]))
        image, truth = image[rows, columns], truth[rows, columns]
    error = np.mean((image.astype(np.float64) - truth.astype(np.float64)) ** 2)
    return float(10 * np.log10(255**2 / max(float(error), 1e-4)))


def ssim(image: np.ndarray, truth: np.ndarray) -> float:
    """Returns the structural similarity of uint8 images [S, S, 3]: the mean over channels and over the pixels whose
    window fits."""
    from scipy.ndimage import gaussian_filter1d

    def mean(x: np.ndarray) -> np.ndarray:
        for axis in (0, 1):
            x = gaussian_filter1d(x, SSIM_SIGMA, axis=axis, radius=SSIM_RADIUS)
        return x[SSIM_RADIUS:-SSIM_RADIUS, SSIM_RADIUS:-SSIM_RADIUS]

    a, b = image.astype(np.float64), truth.astype(np.float64)
    ma, mb = mean(a), mean(b)
    va, vb, both = mean(a * a) - ma**2, mean(b * b) - mb**2, mean(a * b) - ma * mb
    similarity = (2 * ma * mb + _C1) * (2 * both + _C2) / ((ma**2 + mb**2 + _C1) * (va + vb + _C2))
    return float(similarity.mean())


def luma(images: np.ndarray) -> np.ndarray:
    """Returns the luma (Rec. 601) of images [.., 3] as float64 [..]."""
    return images.astype(np.float64) @ np.array([0.299, 0.587, 0.114])


def laplacian(y: np.ndarray) -> np.ndarray:
    """Returns the 5-point Laplacian of luma [H, W], without the border: [H - 2, W - 2]."""
    return y[:-2, 1:-1] + y[2:, 1:-1] + y[1:-1, :-2] + y[1:-1, 2:] - 4 * y[1:-1, 1:-1]


def laplacian_variance(image: np.ndarray) -> float:
    """Returns the variance of the luma's 5-point Laplacian inside the border: a measure of sharpness."""
    return float(laplacian(luma(image)).var())


def sharpness_ratio(image: np.ndarray, truth: np.ndarray) -> float:
    """Returns the Laplacian variance over the truth's: below 1 is softer."""
    return laplacian_variance(image) / max(laplacian_variance(truth), 1e-6)


def flicker(frames: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Returns the RMS change from frame to frame of `frames` and of `truth` [T, S, S, 3], where the truth is static.

    In levels of 255; NaN if no pixel of the truth is static or there is one frame.
    """
    still = luma(truth).std(0) < STATIC_LEVELS
    if len(frames) < 2 or not still.any():
        return float("nan"), float("nan")
    generated, expected = (
        float(np.sqrt(np.mean(np.diff(x[:, still].astype(np.float64), axis=0) ** 2))) for x in (frames, truth)
    )
    return generated, expected
