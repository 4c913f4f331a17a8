"""Reducing images: no enlargement, no aliasing, no halo around what is transparent."""

import numpy as np
import pytest

from demo_jax.media.resize import fitted_size, resize_image, resize_to


@pytest.mark.parametrize(
    ("size", "longest", "wanted"),
    [
        ((600, 400), 300, (300, 200)), ((400, 600), 300, (200, 300)), ((600, 400), 600, (600, 400)),
        ((600, 400), 5000, (600, 400)), ((601, 400), 300, (300, 200)), ((3000, 40), 100, (100, 2)), ((1, 5), 9, (1, 5)),
    ],
)  # fmt: skip
def test_the_longer_side_fits_and_the_aspect_stays(size, longest, wanted):
    assert fitted_size(*size, longest) == wanted
    for channels in (3, 4):
        image = np.random.default_rng(0).integers(0, 256, (*size, channels), np.uint8)
        small = resize_image(image, longest)
        assert small.shape == (*wanted, channels) and small.dtype == np.uint8
        if wanted == size:
            np.testing.assert_array_equal(small, image)


def waves(size: int, periods: float) -> np.ndarray:
    x = np.sin(2 * np.pi * periods * (np.arange(size) + 0.5) / size)
    return np.repeat((np.tile(x, (size, 1)) * 100 + 128)[..., None], 3, -1).round().astype(np.uint8)


@pytest.mark.parametrize("alpha", [False, True])
def test_waves_stay_or_become_grey_but_never_others(alpha):
    """At a third of the size 85 periods are the most that 170 pixels hold; of more nothing may be left."""

    def small(periods: float) -> np.ndarray:
        image = waves(512, periods)
        if alpha:
            mask = np.full((512, 512, 1), 255, np.uint8)
            mask[:5, :5] = 0  # not opaque everywhere: filtered by alpha
            image = np.concatenate([image, mask], -1)
        return resize_to(image, (170, 170))[20:-20, 20:-20, 0].astype(float)

    assert small(30).std() > 0.95 * 100 / np.sqrt(2)
    for periods in (120, 160, 200):
        assert small(periods).std() < 4
    wanted = waves(170, 30)[20:-20, 20:-20, 0].astype(float)
    assert np.abs(small(30) - wanted).max() < 6  # and nothing moves


def test_colours_of_transparent_pixels_do_not_spread():
    """A white disc on transparent green: its edge stays white, its alpha soft."""
    y, x = np.mgrid[:240, :240]
    inside = np.hypot(x - 120, y - 120) < 70
    image = np.where(inside[..., None], (255, 255, 255, 255), (0, 255, 0, 0)).astype(np.uint8)
    small = resize_image(image, 48)
    alpha = small[..., 3]
    assert ((alpha > 0) & (alpha < 255)).sum() > 40
    # At an alpha of 16 rounding leaves the colour uncertain by 255 / 16 / 2, and Lanczos' ringing by more below it.
    assert small[..., :3][alpha >= 16].min() >= 247
    assert (small[..., :3][alpha == 0][:, 1] > 200).all()  # green, where nothing is seen
    assert abs(float(alpha.mean()) - inside.mean() * 255) < 0.5  # area kept
    opaque = resize_image(np.dstack([image[..., :3], np.full((240, 240), 255, np.uint8)]), 48)
    np.testing.assert_array_equal(opaque[..., :3], resize_image(np.ascontiguousarray(image[..., :3]), 48))
    assert (opaque[..., 3] == 255).all()
