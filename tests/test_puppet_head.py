"""The puppet's head: its mesh is whole and symmetric, lips seal, lids cover, directions have the named effect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from data_pipelines.puppet.person import feature_rings, organs
from data_pipelines.puppet.person.deform import deformed_heads, neutral_head
from data_pipelines.puppet.person.head import Region, puppet_head
from data_pipelines.puppet.person.identity import Identity, random_identity
from data_pipelines.puppet.person.interpolation import mirror_map
from data_pipelines.puppet.person.shapes import IDENTITY_INDEX, IDENTITY_NAMES
from data_pipelines.puppet.person.surface import MIRROR, skin_at
from data_pipelines.puppet.render.renderer import Renderer
from demo_jax.factors import ARKIT_INDEX, ARKIT_MIRROR, ARKIT_NAMES

NEUTRAL_Z = np.log(2.1)


def drawn(seed: int, **changes: float) -> Identity:
    """A random puppet; names of identity directions set their coefficients, and all others are then zero."""
    import dataclasses

    identity = random_identity(np.random.default_rng(seed))
    if not changes:
        return identity
    shape = np.zeros(len(IDENTITY_NAMES), np.float32)
    for name, value in changes.items():
        shape[IDENTITY_INDEX[name]] = value
    return dataclasses.replace(identity, shape=shape)


def expression(**values: float) -> np.ndarray:
    """[1, 52]; `Both` stands for left and right."""
    out = np.zeros((1, 52))
    for name, value in values.items():
        for each in (name.replace("Both", "Left"), name.replace("Both", "Right")):
            out[0, ARKIT_INDEX[each]] = value
    return out


def mouth_ring(points: np.ndarray, ring: int) -> np.ndarray:
    start = puppet_head().parts["mouth"].start + feature_rings.MOUTH_POINTS * (ring - 1)
    return points[..., start : start + feature_rings.MOUTH_POINTS, :]


def face_triangles() -> np.ndarray:
    """Those of the one mesh of skin, mouth and lids."""
    head = puppet_head()
    return head.triangles[(head.triangles < head.parts["lid_right"].stop).all(-1)]


def normals(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    a, b, c = (points[..., triangles[:, i], :] for i in range(3))
    return np.cross(b - a, c - a)


def test_every_basis_and_the_mesh_are_symmetric_to_the_last_bit() -> None:
    head = puppet_head()
    image = mirror_map(head.mean, head.parts)
    np.testing.assert_array_equal(image[image], np.arange(len(image)))
    np.testing.assert_array_equal(head.mean[image] * MIRROR, head.mean)
    np.testing.assert_array_equal(head.identity_basis[:, image] * MIRROR, head.identity_basis)
    np.testing.assert_array_equal(head.expression_basis[ARKIT_MIRROR][:, image] * MIRROR, head.expression_basis)
    skin = head.triangles[(head.triangles < head.parts["skin"].stop).all(-1)]
    assert {tuple(sorted(t)) for t in skin} == {tuple(sorted(t)) for t in image[skin]}


def test_the_face_is_watertight_but_for_the_lids_edges_on_the_eyeballs() -> None:
    head, triangles = puppet_head(), face_triangles()
    ways = Counter((int(a), int(b)) for t in triangles for a, b in zip(t, np.roll(t, -1), strict=True))
    assert max(ways.values()) == 1  # no edge is walked twice in one direction: all triangles face the same way
    border = {way for way in ways if way[::-1] not in ways}
    edges = {
        v
        for side in ("left", "right")
        for v in range(head.parts[f"lid_{side}"].stop - feature_rings.EYE_POINTS, head.parts[f"lid_{side}"].stop)
    }
    assert {v for way in border for v in way} == edges and len(border) == 2 * feature_rings.EYE_POINTS
    assert set(np.unique(triangles)) == set(range(head.parts["lid_right"].stop))
    volume = (head.mean[triangles[:, 0]] * normals(head.mean, triangles)).sum() / 6
    assert volume > 0.5  # outwards


def test_landmarks_are_vertices_at_exact_places_of_the_mean_head() -> None:
    head = puppet_head()
    points = head.mean * head.width + head.origin
    nose = np.array([[0, 0.03], [0, -0.03], [0, -0.09], [0, -0.160]])
    np.testing.assert_allclose(points[head.landmarks[27:31]], skin_at(nose), atol=1e-12)
    used = np.unique(head.triangles)
    assert np.isin(head.landmarks, used).all()
    midline = head.landmarks[[8, 27, 28, 29, 30, 33, 51, 57, 62, 66]]
    np.testing.assert_array_equal(head.mean[midline, 0], 0.0)
    pairs = np.array([[0, 16], [4, 12], [17, 26], [21, 22], [31, 35], [36, 45], [39, 42], [37, 44], [48, 54], [60, 64]])
    left, right = head.mean[head.landmarks[pairs[:, 1]]], head.mean[head.landmarks[pairs[:, 0]]]
    np.testing.assert_array_equal(left * MIRROR, right)
    assert (head.region[head.landmarks[48:60]] == Region.LIP).all()
    assert (head.region[head.landmarks[17:27]] == Region.BROW).all()


def test_size_is_modest_and_bases_are_zero_where_nothing_moves() -> None:
    head = puppet_head()
    assert 6000 <= len(head.mean) <= 9000
    assert (np.abs(head.expression_basis).max(-1) > 0).mean() < 0.15
    still = head.mean[:, 1] > 0.5
    assert not head.expression_basis[:, still].any()


@pytest.mark.parametrize("seed", range(5))
def test_lips_seal_along_their_whole_line(seed: int) -> None:
    neutral = neutral_head(drawn(seed))
    opposite = -np.arange(feature_rings.MOUTH_POINTS) % feature_rings.MOUTH_POINTS

    def opening(**values: float) -> float:
        head = deformed_heads(neutral, expression(**values), np.zeros((1, 3)))
        line = mouth_ring(head, feature_rings.CONTACT_RING)[0]
        return float(np.abs(line - line[opposite]).max())

    sealed = ("mouthPressBoth", "mouthSmileBoth", "mouthPucker", "mouthStretchBoth", "mouthFrownBoth", "mouthLeft")
    for values in ({}, {"jawOpen": 0.5, "mouthClose": 0.5}, *({name: 1.0} for name in sealed)):
        assert opening(**values) < 1e-12, values
    assert opening(jawOpen=0.5) > 0.08


def coverage(identity: Identity, **values: float) -> np.ndarray:
    """Rows of a 160 px frame in which an eyeball shows: painted white and black, the difference of the two images."""
    painted = Renderer(identity, 160)
    balls, shown = np.concatenate(puppet_head().eyeballs), []
    pose = np.zeros((1, 6))
    pose[0, 5] = NEUTRAL_Z
    painted.gloss = np.zeros_like(painted.gloss)
    for value in (0.0, 1.0):
        painted.albedo = np.zeros_like(painted.albedo)
        painted.albedo[painted.region == Region.GLASS] = 1.0  # panes are clear
        painted.albedo[balls] = value
        shown.append(painted.render(pose, expression(**values), np.zeros((1, 3)))[0].astype(int).sum(-1))
    return np.flatnonzero(np.abs(shown[1] - shown[0]).max(1) > 30)


@pytest.mark.parametrize("seed", range(6))
def test_lids_cover_the_eyes_of_all_kinds_of_people(seed: int) -> None:
    identity = drawn(40 + seed)
    rows = [len(coverage(identity, eyeBlinkBoth=blink)) for blink in (0.0, 0.3, 0.6, 1.0)]
    assert rows[3] == 0 and rows[0] > rows[1] > rows[2] > 0, rows


def test_lids_cover_extreme_eyes() -> None:
    for changes in (
        {"large_eyes": 1.8},
        {"large_eyes": -1.8},
        {"slanted_eyes": 1.8, "large_eyes": 1.5},
        {"slanted_eyes": -1.8},
        {"hooded_lids": -1.8, "deep_eyes": 1.8},
        {"age": 1.8},
        {"age": -1.8},
    ):
        assert len(coverage(drawn(3, **changes), eyeBlinkBoth=1.0)) == 0, changes


def at(*landmarks: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda points: points[puppet_head().landmarks[list(landmarks)]].mean(0)


def part(name: str) -> Callable[[np.ndarray], np.ndarray]:
    return lambda points: points[puppet_head().parts[name]]


def nearest(x: float, y: float) -> Callable[[np.ndarray], np.ndarray]:
    """The front vertex of the skin that rests at this place of the mean head."""
    mean = puppet_head().mean
    here = np.linalg.norm(mean[:, :2] - [x, y], axis=-1) + 9.0 * (
        (mean[:, 2] < 0) | (np.arange(len(mean)) >= puppet_head().parts["skin"].stop)
    )
    index = int(here.argmin())
    return lambda points: points[index]


def gap(upper: Callable, lower: Callable, axis: int) -> Callable[[np.ndarray], float]:
    return lambda p: float(upper(p)[axis] - lower(p)[axis])


def span(name: str, axis: int) -> Callable[[np.ndarray], float]:
    return lambda p: float(np.ptp(part(name)(p)[:, axis]))


def fold(points: np.ndarray) -> float:
    """By how much the lid's fold stands over its margin."""
    lid = part("lid_left")(points).reshape(feature_rings.LID_ROWS, -1, 3)[:, feature_rings.EYE_POINTS // 4]
    return float(lid[2, 1] - lid[feature_rings.MARGIN_ROW, 1])


def brow_thickness(points: np.ndarray) -> float:
    rows = part("brow_left")(points).reshape(organs.BROW_ROWS, -1, 3)
    return float(np.linalg.norm(rows[-1] - rows[0], axis=-1).mean())


# What each direction must enlarge, between -1.5 and +1.5 standard deviations, and by how much at least (face widths).
MEASURES: dict[str, tuple[Callable[[np.ndarray], float], float]] = {
    "long_face": (gap(at(27), at(8), 1), 0.05),
    "wide_jaw": (gap(at(12), at(4), 0), 0.05),
    "long_chin": (gap(at(57), at(8), 1), 0.06),
    "square_chin": (gap(nearest(0.16, -0.56), nearest(-0.16, -0.56), 0), 0.05),
    "tall_forehead": (lambda p: float(p[puppet_head().region == Region.SKIN, 1].max()), 0.09),
    "high_cheekbones": (gap(nearest(0.40, -0.10), nearest(0.38, -0.32), 0), 0.04),
    "full_cheeks": (gap(nearest(0.36, -0.30), nearest(-0.36, -0.30), 0), 0.08),
    "large_eyes": (span("eyeball_left", 1), 0.03),
    "wide_set_eyes": (gap(at(42), at(39), 0), 0.05),
    "slanted_eyes": (gap(at(45), at(42), 1), 0.03),
    "deep_eyes": (gap(at(27), lambda p: part("eyeball_left")(p)[0], 2), 0.02),
    "hooded_lids": (lambda p: -fold(p), 0.03),
    "long_nose": (gap(at(27), at(33), 1), 0.025),
    "wide_nose": (gap(at(35), at(31), 0), 0.03),
    "high_bridge": (gap(at(28), nearest(0.10, -0.10), 2), 0.03),
    "upturned_nose": (gap(at(30), at(27), 1), 0.03),
    "wide_mouth": (gap(at(54), at(48), 0), 0.05),
    "full_upper_lip": (gap(at(51), at(62), 1), 0.02),
    "full_lower_lip": (gap(at(66), at(57), 1), 0.02),
    "large_ears": (span("ear_left", 1), 0.05),
    "high_brows": (gap(at(24), at(44), 1), 0.03),
    "thick_brows": (brow_thickness, 0.015),
    "angled_brows": (gap(at(26), at(22), 1), 0.03),
    "age": (gap(at(27), at(33), 1), 0.015),
}


@pytest.mark.parametrize("name", IDENTITY_NAMES)
def test_each_identity_direction_has_the_named_effect(name: str) -> None:
    measure, least = MEASURES[name]
    low, high = neutral_head(drawn(0, **{name: -1.5})), neutral_head(drawn(0, **{name: 1.5}))
    assert measure(high) - measure(low) > least
    for points in (low, high):
        ears = points[puppet_head().landmarks[[0, 16]]]
        assert np.linalg.norm(ears[1] - ears[0]) == pytest.approx(1.0, abs=1e-12)
    # other organs are left alone: a person of large ears has no other nose
    others = {"large_ears": 30, "thick_brows": 8, "wide_mouth": 27, "long_nose": 8, "hooded_lids": 8}
    if name in others:
        np.testing.assert_allclose(at(others[name])(low), at(others[name])(high), atol=0.006)


@pytest.mark.parametrize("name", [n for n in ARKIT_NAMES if not n.startswith(("eyeLookIn", "eyeLookOut"))])
def test_no_expression_turns_the_outer_skin_over(name: str) -> None:
    """Free skin, for random people; lips and lids fold by design. mouthClose only ever closes an open jaw."""
    head = puppet_head()
    triangles = head.triangles[(head.triangles < head.parts["skin"].stop).all(-1)]
    for seed in range(3):
        neutral = neutral_head(drawn(70 + seed))
        moved = neutral + head.expression_basis[ARKIT_INDEX[name]]
        if name == "mouthClose":
            moved += head.expression_basis[ARKIT_INDEX["jawOpen"]]
        before, after = normals(neutral, triangles), normals(moved, triangles)
        assert ((before * after).sum(-1) > 0).all()
