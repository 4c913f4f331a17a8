"""Frames of a drawn portrait: rest is exact, motion is the geometry that codes ask for, and the rest of the photograph
stays."""

from __future__ import annotations

import dataclasses
from typing import Any

import drawn_portrait
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn_portrait import CENTRE, LAYOUT, SIZE, UNIT, Drawn, code, drawn
from scipy.ndimage import distance_transform_edt, map_coordinates

from demo_jax.factors import rotation_matrix
from demo_jax.media.background import Background, parse_background
from demo_jax.models.geometry import landmarks, rigid
from demo_jax.rendering import expression, frames, opencv, surface
from demo_jax.rendering.composite import enlarging
from demo_jax.rendering.motion import EYEBALL, TAPER
from demo_jax.rendering.photograph import Scene
from demo_jax.rendering.plate import OUTLINE, fill_background

pytestmark = pytest.mark.optimised  # rest has to be exact as users compile it
BLOCKS = LAYOUT.slices
CHIN = 0.562  # face widths below the centre
CODES = {
    "rest": code(), "turned": code(yaw=15, pitch=8, roll=-6, x=0.03), "open": code(aperture=0.3),
    "blink": code(open_left=0, open_right=0), "both": code(yaw=-18, aperture=0.4, gaze_yaw=20, z=0.7, x=0.1),
}  # fmt: skip


class Program:
    """The compiled program, one for all portraits: their boxes have the same size."""

    def __init__(self) -> None:
        def made(scene: Scene, points: jax.Array, source: jax.Array, driving: jax.Array) -> tuple:
            # The points move as the codes ask for, and no more.
            blocks = {name: (source[None, part], driving[None, part]) for name, part in BLOCKS.items()}
            moved = landmarks.move(points[None], (points[None], points[None]), blocks)[0]
            at, inside = frames.sampling(scene, source, driving, moved, BLOCKS)
            return at, inside, frames.box(scene, at, inside)

        self._made = jax.jit(made)

    def sampling(self, portrait: Drawn, source: np.ndarray, driving: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions [h, w, 2] in the photograph, pixels with centres at +0.5, and the share of paint."""
        photograph = portrait.photograph
        (x, y), inside, _ = self._made(photograph.scene, portrait.points, source, driving)
        at = np.stack([x, y], -1) + (photograph.left + 0.5, photograph.top + 0.5)
        part = slice(photograph.height), slice(photograph.width)
        return at[part], np.asarray(inside.share)[part]

    def frames(self, portrait: Drawn) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """A frame of each of CODES, by XLA and by OpenCV."""
        photograph, frames = portrait.photograph, {}
        for name, driving in CODES.items():
            made = self._made(photograph.scene, portrait.points, CODES["rest"], driving)
            at, inside, box = jax.tree.map(np.asarray, made)
            by_xla = photograph.paste(box[..., : photograph.image.shape[2]])
            frames[name] = by_xla, opencv.frame(photograph, at, inside)
        return frames


@pytest.fixture(scope="module")
def program() -> Program:
    pytest.importorskip("cv2", reason="OpenCV comes with the prepare extra")
    return Program()


@pytest.fixture(scope="module")
def plain() -> Drawn:
    return drawn()


def picture_behind() -> Background:
    pixels = np.random.default_rng(2).integers(0, 256, (90, 70, 3)).astype(np.uint8)
    return Background(text="file", pixels=pixels)


VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "near a border": {"centre": (36.4, 60.3)},
    "colour": {"background": parse_background("#00ff00")},
    "image": {"background": picture_behind()},
    "transparent": {"background": parse_background("transparent")},
}


@pytest.fixture(scope="module", params=VARIANTS)
def variant(request: pytest.FixtureRequest, program: Program) -> tuple[Drawn, dict[str, tuple[np.ndarray, np.ndarray]]]:
    portrait = drawn(**VARIANTS[request.param])
    return portrait, program.frames(portrait)


def box_of(portrait: Drawn) -> tuple[slice, slice]:
    p = portrait.photograph
    return slice(p.top, p.top + p.height), slice(p.left, p.left + p.width)


def test_rest_is_exact(variant):
    portrait, made = variant
    still = portrait.photograph.image
    assert still.shape[:2] == SIZE == (161, 127)
    assert still.shape[2] == 4 or portrait.photograph.scene.opacity == 1
    for frame in made["rest"]:
        np.testing.assert_array_equal(frame, still)


def test_frames_are_the_photograph_outside_the_reach(variant):
    portrait, made = variant
    photograph = portrait.photograph
    reached = np.zeros(SIZE, bool)
    reached[box_of(portrait)] = photograph.scene.reach[: photograph.height, : photograph.width] > 0
    assert 0.2 < reached.mean() < 0.9
    for name, pair in made.items():
        for frame in pair:
            np.testing.assert_array_equal(frame[~reached], photograph.image[~reached])
            assert (frame[reached] != photograph.image[reached]).any() == (name != "rest")


def test_xla_and_opencv_agree(variant):
    _, made = variant
    for name, (by_xla, by_opencv) in made.items():
        assert np.abs(by_xla.astype(int) - by_opencv).max() <= 1, name  # a tie of rounding


def test_without_another_background_the_frame_at_rest_is_the_file(plain):
    np.testing.assert_array_equal(plain.photograph.image, plain.image)


def test_another_background_replaces_all_that_is_behind(program):
    green = drawn(background=parse_background("#00ff00")).photograph.image
    share = drawn_portrait.matte()
    np.testing.assert_array_equal(green[share == 0], np.tile((0, 255, 0), ((share == 0).sum(), 1)))
    assert (green[share == 1, 0] >= 119).all()  # the person


def test_what_a_head_leaves_is_transparent(program):
    """Where the person was opaque at rest, and is not any more."""
    portrait = drawn(background=parse_background("transparent"))
    for frame in program.frames(portrait)["both"]:
        left = (portrait.photograph.image[..., 3] == 255) & (frame[..., 3] < 20)
        assert left.sum() > 50


def row_of(at: np.ndarray, column: int, rows: np.ndarray, level: float) -> float:
    """The row at which positions in a column reach a level, from those in `rows`, the nearest ones on one side."""
    slope, start = np.polyfit(at[rows, column, 1], rows + 0.5, 1)
    return slope * level + start


@pytest.mark.parametrize("gap", [0.0, 0.06])
@pytest.mark.parametrize("change", [0.1, 0.2, 0.3])
def test_a_mouth_opens_by_the_aperture(program, gap, change):
    portrait = drawn(gap=gap)
    span = np.linalg.norm(portrait.points[36] - portrait.points[45])
    source = code(aperture=gap / span)
    at, inside = program.sampling(portrait, source, code(aperture=gap / span + change))
    column = int(CENTRE[0]) - portrait.photograph.left
    upper, lower = (CENTRE[1] - UNIT * portrait.points[[62, 66], 1]).tolist()
    painted = np.flatnonzero(inside[:, column] > 0.5)
    assert len(painted)
    above, below = np.arange(painted[0] - 3, painted[0]), np.arange(painted[-1] + 1, painted[-1] + 4)
    opened = row_of(at, column, below, lower) - row_of(at, column, above, upper)
    # Lips' lines lie up to a pixel beyond the rows, and the interpolation bends there.
    assert abs(opened - UNIT * (gap + change * span)) < 0.3


def depth_inside(at: np.ndarray, frame: np.ndarray, curves: np.ndarray, middle: tuple[float, float]) -> np.ndarray:
    """How far positions lie between two contours, pixels; negative outside them, and beyond their corners."""
    x, y = ((at[..., i] - middle[i]) / UNIT for i in range(2))
    u, v = expression.within(frame, (x, y))
    upper, lower = (np.asarray(expression.curve(jnp.asarray(c), jnp.asarray(u))) for c in curves)
    deep = np.minimum(v - upper, lower - v) * np.linalg.norm(frame[1]) * UNIT
    return np.where(np.abs(u) < 0.95, deep, -1.0)


def seen(points: np.ndarray) -> np.ndarray:
    return points[:, :2] * (1, -1)


def test_an_open_mouth_closes(program):
    portrait = drawn(gap=0.15)
    span = np.linalg.norm(portrait.points[36] - portrait.points[45])
    source = code(aperture=0.15 / span)
    corners = seen(portrait.points[[60, 64]])
    frame, curves = expression.frame_of(*corners), portrait.photograph.scene.face.mouth
    deepest = {}
    for aperture in (0.15 / span, 0.0):
        at, inside = program.sampling(portrait, source, code(aperture=aperture))
        assert inside.max() == 0  # nothing is painted
        deepest[aperture] = depth_inside(at, frame, curves, CENTRE).max()
    assert deepest[0.15 / span] > 2 and deepest[0.0] < 0.25


@pytest.mark.parametrize("angles", [(0.0, 0.0, 0.0), (12.0, -5.0, 8.0)])
def test_closed_lids_hide_the_eyes(program, angles):
    portrait = drawn(angles=angles)
    pose = dict(zip(("yaw", "pitch", "roll"), angles, strict=True))
    turn = rotation_matrix(*angles)
    source, face = code(**pose), portrait.photograph.scene.face
    for eye, (first, last) in enumerate(((42, 45), (36, 39))):
        frame = expression.frame_of(*seen(portrait.points[[first, last]] @ turn.T))
        deepest = []
        for opening in (0.9, 0.0):
            at, _ = program.sampling(portrait, source, code(open_left=opening, open_right=opening, **pose))
            deepest.append(depth_inside(at, frame, face.lids[eye], CENTRE).max())
        assert deepest[0] > 1 and deepest[1] < 0.05


@pytest.mark.parametrize(("yaw", "pitch"), [(20, 0), (-15, 0), (0, 6)])
def test_irises_shift_by_peoples_eyeballs(program, plain, yaw, pitch):
    at, _ = program.sampling(plain, code(), code(gaze_yaw=yaw, gaze_pitch=pitch))
    wanted = UNIT * EYEBALL * np.sin(np.deg2rad((yaw, pitch)))  # image right and down
    assert EYEBALL == 0.09
    for iris in seen(plain.points[68:]):
        place = np.array(CENTRE) + UNIT * iris + wanted - (plain.photograph.left, plain.photograph.top)
        column, row = np.floor(place).astype(int)
        here = np.array([column + 0.5 + plain.photograph.left, row + 0.5 + plain.photograph.top])
        np.testing.assert_allclose(here - at[row, column], wanted, atol=0.05)  # positions are rounded to 1/32 pixel


@pytest.mark.parametrize(
    ("source", "driving"),
    [
        ({}, {"yaw": 18}),
        ({}, {"pitch": -12, "roll": 10}),
        ({"yaw": 10, "pitch": 5}, {"yaw": -8, "roll": -9, "x": 0.04, "y": -0.02, "z": 0.7}),
    ],
)
def test_pose_alone_is_rigid(program, source, driving):
    """Points of the head's surface appear where the driving pose projects them."""
    angles = tuple(float(source.get(n, 0)) for n in ("yaw", "pitch", "roll"))
    portrait = drawn(angles=angles)
    at, inside = program.sampling(portrait, code(**source), code(**driving))
    assert inside.max() == 0
    zoom = np.exp(np.log(2.1) - driving.get("z", np.log(2.1)))
    shift = 2.1 * np.array([driving.get("x", 0), -driving.get("y", 0)])
    turned = rotation_matrix(*(float(driving.get(n, 0)) for n in ("yaw", "pitch", "roll")))
    (ax, ay, az), (cx, cy, cz) = surface.AXES, rigid.CENTRE
    for x, y in ((0.0, 0.25), (0.2, 0.2), (-0.25, -0.2), (0.0, -0.25), (0.3, -0.1)):
        point = np.array([x, y, cz + az * np.sqrt(1 - ((x - cx) / ax) ** 2 - ((y - cy) / ay) ** 2)])
        place = np.array(CENTRE) + UNIT * (zoom * seen(point[None] @ turned.T)[0] + shift)
        wanted = np.array(CENTRE) + UNIT * seen(point[None] @ rotation_matrix(*angles).T)[0]
        where = place[::-1] - (portrait.photograph.top + 0.5, portrait.photograph.left + 0.5)
        found = [map_coordinates(at[..., i], where[:, None], order=1)[0] for i in range(2)]
        np.testing.assert_allclose(found, wanted, atol=0.2)


def test_a_blink_changes_nothing_but_the_eyes(program, plain):
    pose = {"yaw": 10, "pitch": 5}
    before, _ = program.sampling(plain, code(), code(**pose))
    after, _ = program.sampling(plain, code(), code(open_left=0, open_right=0, **pose))
    changed = before[(before != after).any(-1)]
    assert len(changed) > 50
    near = np.zeros(len(changed), bool)
    for first, last in ((36, 39), (42, 45)):
        frame = expression.frame_of(*seen(plain.points[[first, last]]))
        u, v = expression.within(frame, tuple((changed[:, i] - CENTRE[i]) / UNIT for i in range(2)))
        near |= (np.abs(u) <= 1.02) & (v > -1.8) & (v < 1.35)  # the lids' skin: to the brows, and to the cheeks
    assert near.all()


def test_the_torso_stays(program, plain):
    first = round(CENTRE[1] + (CHIN + TAPER) * UNIT)
    for name, (frame, _) in program.frames(plain).items():
        if name in ("open", "blink"):  # the jaw opens, and the collar stays
            np.testing.assert_array_equal(frame[first:], plain.image[first:])
        below = first + round(0.15 * UNIT)  # a head that nods reaches as far
        np.testing.assert_array_equal(frame[below:], plain.image[below:])


@pytest.mark.parametrize("extreme", [{"yaw": 90}, {"pitch": -90, "roll": 90}, {"z": -3, "x": 1}, {"z": 3}])
def test_extreme_poses_are_drawn(program, plain, extreme):
    at, _ = program.sampling(plain, code(), code(**extreme))
    assert np.isfinite(at).all()
    assert np.abs(at).max() < 50 * UNIT


@pytest.mark.parametrize("opening", [0.0, 0.1, 0.9])
def test_rest_is_exact_with_any_eyes(program, opening):
    source = code(open_left=opening, open_right=opening)
    portrait = drawn()
    at, _ = program.sampling(portrait, source, source)
    rows, columns = np.indices(at.shape[:2])
    here = np.stack([columns + portrait.photograph.left, rows + portrait.photograph.top], -1) + 0.5
    np.testing.assert_array_equal(at, here)


# What is made once ----------------------------------------------------------------------------------------------------


def test_the_plate_has_nothing_of_the_person():
    person = drawn_portrait.matte() > 0.5
    image = drawn_portrait.background()
    image[person] = (255, 0, 0)
    filled = fill_background(image, person, UNIT)
    beyond = distance_transform_edt(~person) > 2 * OUTLINE * UNIT
    np.testing.assert_array_equal(filled[beyond], image[beyond])
    assert (filled[..., 0] == 0).all()  # the background has no red
    assert (filled[..., 1:] > 30).all()  # and is nowhere black


def test_the_plate_has_texture_near_the_outline():
    person, image = drawn_portrait.matte() > 0.5, drawn_portrait.background()
    filled, depth = fill_background(image, person, UNIT), distance_transform_edt(person) / UNIT
    texture = {name: filled[where, 1].std() for name, where in {
        "behind": ~person, "near": person & (depth < 0.06), "deep": depth > 0.35,
    }.items()}  # fmt: skip
    assert texture["near"] > 0.4 * texture["behind"] > 2 * texture["deep"]


def test_a_plate_without_a_person_or_without_a_background():
    image = drawn_portrait.background()
    np.testing.assert_array_equal(fill_background(image, np.zeros(SIZE, bool), UNIT), image)
    everywhere = fill_background(image, np.ones(SIZE, bool), UNIT)
    np.testing.assert_allclose(everywhere, np.broadcast_to(image.mean((0, 1)), image.shape), atol=0.01)


def test_enlarging_is_exact_for_lines_and_at_nodes():
    np.testing.assert_allclose(enlarging(np.arange(9.0), 9), np.eye(9), atol=1e-6)
    nodes = np.linspace(1, 7, 50)
    matrix = enlarging(nodes, 9)
    np.testing.assert_allclose(matrix @ (3 - 0.5 * np.arange(9.0)), 3 - 0.5 * nodes, atol=1e-5)
    np.testing.assert_allclose(enlarging(np.array([-5.0, 20.0]), 9), np.eye(9)[[0, -1]], atol=1e-6)  # edges repeat


def test_a_photograph_is_immutable(plain):
    with pytest.raises(dataclasses.FrozenInstanceError):
        plain.photograph.top = 3
    before = plain.photograph.image.copy()
    plain.photograph.paste(np.zeros((192, 128, 3), np.uint8))
    np.testing.assert_array_equal(plain.photograph.image, before)
