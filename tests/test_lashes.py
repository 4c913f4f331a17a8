"""The line of lashes: what is measured of it in a drawn eye, and what a blink shows of it."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn_portrait import LAYOUT, code, face_points

from demo_jax.models.geometry import landmarks
from demo_jax.rendering import expression, eyes, frames, lashes, opencv
from demo_jax.rendering.lashes import LUMA
from demo_jax.rendering.photograph import Outlines, Photograph, Scene, make_face, make_photograph

pytestmark = pytest.mark.optimised  # rest has to be exact as users compile it
UNIT, SIZE, CENTRE = 150.0, (330, 300), (150.0, 165.0)
SKIN, DARK, WHITE, IRIS = (200, 150, 130), (70, 50, 45), (235, 230, 225), (60, 90, 120)
ABOVE, BELOW = 0.06, 0.1  # half widths: the drawn line about the upper lid's contour
CORNERS = ((42, 45), (36, 39))
OPENINGS = np.linspace(0.9, 0, 19)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sitter:
    """A photograph of drawn eyes; the frames and contours of its eyes, pixels and the frames' units; its points."""

    photograph: Photograph
    frames: tuple[np.ndarray, ...]
    lids: np.ndarray
    points: np.ndarray

    def within(self, eye: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of each pixel: coordinates along and down in the frame of an eye, and how far below its upper contour."""
        y, x = np.indices(SIZE)
        u, v = expression.within(self.frames[eye], (x, y))
        return u, v, v - np.asarray(expression.curve(self.lids[eye, 0], u))


def sitter(line: tuple[int, int, int] | None) -> Sitter:
    """Eyes with this colour of lashes, or without any."""
    points = face_points()
    face = make_face(points, np.zeros(3), Outlines.of_landmarks(points))
    seen = np.array(CENTRE) - 0.5 + UNIT * points[:, :2] * (1, -1)
    eye_frames = tuple(expression.frame_of(*seen[list(corners)]) for corners in CORNERS)
    image, (y, x) = np.full((*SIZE, 3), SKIN, np.uint8), np.indices(SIZE)
    for frame, lids in zip(eye_frames, face.lids, strict=True):
        u, v = expression.within(frame, (x, y))
        upper, lower = (np.asarray(expression.curve(lid, u)) for lid in lids)
        ball = (np.abs(u) < 1) & (v > upper) & (v < lower)
        image[ball] = WHITE
        image[ball & (np.hypot(u, v) < 0.35)] = IRIS
        if line is not None:
            image[(np.abs(u) < 1) & (v > upper - ABOVE) & (v < upper + BELOW)] = line
    made = make_photograph(image, np.ones(SIZE), face, np.zeros(3), CENTRE, UNIT)
    return Sitter(photograph=made, frames=eye_frames, lids=np.asarray(face.lids), points=points)


@pytest.fixture(scope="module")
def drawn() -> Sitter:
    return sitter(DARK)


@pytest.fixture(scope="module")
def blink(drawn: Sitter) -> dict[float, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Of each of OPENINGS, a frame by XLA and by OpenCV, and the share of the line."""
    pytest.importorskip("cv2", reason="OpenCV comes with the prepare extra")
    blocks = LAYOUT.slices

    @jax.jit
    def made(scene: Scene, face: jax.Array, source: jax.Array, driving: jax.Array) -> tuple:
        pairs = {name: (source[None, part], driving[None, part]) for name, part in blocks.items()}
        moved = landmarks.move(face[None], (face[None], face[None]), pairs)[0]
        at, painted = frames.sampling(scene, source, driving, moved, blocks)
        return at, painted, frames.box(scene, at, painted)

    found = {}
    for opening in OPENINGS:
        arrays = made(drawn.photograph.scene, drawn.points, code(), code(open_left=opening, open_right=opening))
        at, painted, box = jax.tree.map(np.asarray, arrays)
        by_xla = drawn.photograph.paste(box[..., :3])
        found[opening] = by_xla, opencv.frame(drawn.photograph, at, painted), np.abs(painted.lashes)
    return found


def test_the_line_of_a_photograph_is_found(drawn):
    scene = drawn.photograph.scene
    for eye in range(2):
        np.testing.assert_allclose(scene.lashes[eye], DARK, atol=6)  # between pixels
        lower_side = float(scene.face.lids[eye, 0, 0] - drawn.lids[eye, 0, 0])
        # The contour's coefficient adds 1 - u^2 of itself; columns beside the iris are measured.
        assert BELOW < lower_side < 2 * BELOW
        np.testing.assert_array_equal(scene.face.lids[eye, 1], drawn.lids[eye, 1])


def test_lids_without_lashes_get_a_faint_line():
    plain = sitter(None).photograph.scene
    np.testing.assert_allclose(plain.lashes, lashes.BRIGHTEST * np.array([SKIN, SKIN]), atol=1)


def test_rest_is_exact_and_a_blink_is_of_the_eyes(drawn, blink):
    near = np.zeros(SIZE, bool)
    for eye in range(2):
        u, v, _ = drawn.within(eye)
        near |= (np.abs(u) <= 1.05) & (np.abs(v) < eyes.SKIN_ABOVE + 0.6)
    for opening, (by_xla, by_opencv, _) in blink.items():
        for frame in (by_xla, by_opencv):
            same = np.ones(SIZE, bool) if opening == 0.9 else ~near
            np.testing.assert_array_equal(frame[same], drawn.photograph.image[same])


def test_xla_and_opencv_agree(blink):
    for by_xla, by_opencv, _ in blink.values():
        assert np.abs(by_xla.astype(int) - by_opencv).max() <= 1  # a tie of rounding


def test_a_closed_eye_has_a_dark_line_and_lids_around_it(drawn, blink):
    frame = blink[0.0][0] @ LUMA
    for eye in range(2):
        u, v, _ = drawn.within(eye)
        edge = drawn.photograph.scene.face.lids[eye]
        upper, lower = (np.asarray(expression.curve(lid, u)) for lid in edge)
        below = v - (upper + eyes.UPPER_SHARE * (lower - upper))
        middle = np.abs(u) < 0.5
        line = frame[middle & (np.abs(below) < 0.06)]
        lids = frame[middle & (np.abs(below) > 0.4) & (np.abs(below) < 0.6)]
        assert line.mean() < 0.55 * lids.mean()
        skin = np.array(SKIN) @ LUMA
        assert lids.min() > 0.9 * skin and lids.max() < 1.02 * skin and line.max() < 0.8 * skin  # no white, nor iris


def test_the_line_grows_smoothly_as_the_eye_closes(blink):
    most = np.array([share.max() for *_, share in blink.values()])
    ratios = OPENINGS / 0.9
    assert (most[ratios > eyes.CLOSING] == 0).all() and most[-1] > 0.95
    assert (np.diff(most) >= 0).all()
    steepest = 1.5 / eyes.CLOSING * (ratios[0] - ratios[1])  # of Hermite's cubic
    assert np.diff(most).max() <= steepest + 1e-3


@pytest.mark.parametrize("outer", [-1, 1])
def test_the_line_fades_towards_the_corners(outer):
    frame, lids = jnp.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), jnp.array([[-0.4, 0, 0, 0], [0.3, 0, 0, 0.0]])
    u = jnp.linspace(-1, 1, 81)
    edge = eyes.edges(u, lids, jnp.float32(0), jnp.zeros(2))[0]
    at = u, edge + lashes.BELOW_EDGE * 0.1
    width, step = jnp.float32(0.1), jnp.float32(0.02)
    share = np.asarray(lashes.line(at, frame, lids, jnp.float32(0), jnp.zeros(2), width, outer, step))
    assert share[0] == share[-1] == 0 and share[40] > 0.99
    inner_half, outer_half = (share[:41], share[40:][::-1]) if outer == 1 else (share[40:][::-1], share[:41])
    assert (np.diff(inner_half) >= 0).all() and (np.diff(outer_half) >= 0).all()
    assert outer_half.sum() > inner_half.sum()
