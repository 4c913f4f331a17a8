"""Outfits, measured in pixels: faces stay readable, beards move with the jaw, people differ."""

import collections
import dataclasses

import numpy as np
import pytest

pytest.importorskip("numba")

from data_pipelines.puppet.dress.accessories import glasses
from data_pipelines.puppet.dress.backdrop import BACKDROPS, background
from data_pipelines.puppet.dress.beard import BEARDS, beard, density
from data_pipelines.puppet.dress.hair import CUTS, hair
from data_pipelines.puppet.dress.outfit import outfit_mesh
from data_pipelines.puppet.person import identity_sampling
from data_pipelines.puppet.person.deform import deformed_heads, neutral_head
from data_pipelines.puppet.person.head import Region, puppet_head
from data_pipelines.puppet.person.identity import Identity, describe, random_identity
from data_pipelines.puppet.person.palette import brightness
from data_pipelines.puppet.render.renderer import Renderer
from demo_jax.factors import ARKIT_INDEX

REST = (np.array([[0, 0, 0, 0, 0, np.log(2.1)]]), np.zeros((1, 52)), np.zeros((1, 3)))


def drawn(seed: int, **changes: object) -> Identity:
    return dataclasses.replace(random_identity(np.random.default_rng(seed)), **changes)


def turned(yaw: float, pitch: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.array([[yaw, pitch, 0, 0, 0, np.log(2.1)]]), *REST[1:]


def seen(identity: Identity, poses: np.ndarray, *groups: tuple[Region, ...], jaw: float = 0.0) -> list[np.ndarray]:
    """Returns [2, T] for each group of the head's regions: the pixels that show it, without and with the outfit.

    The group is white in a black image; the count without the outfit leaves out its triangles.
    """
    head = puppet_head()
    renderer = Renderer(identity, 80, 2)
    renderer.gloss = np.zeros_like(renderer.gloss)
    renderer.background = np.zeros_like(renderer.background)
    expression = np.zeros((len(poses), 52))
    expression[:, ARKIT_INDEX["jawOpen"]] = jaw
    motion = poses, expression, np.zeros((len(poses), 3))

    def image(regions: tuple[Region, ...]) -> np.ndarray:
        renderer.albedo = np.zeros_like(renderer.albedo)
        renderer.albedo[renderer.region == Region.GLASS] = 1.0  # clear
        renderer.albedo[: len(head.mean)][np.isin(head.region, regions)] = 1.0
        return renderer.render(*motion).astype(int).sum(-1)

    def pixels() -> list[np.ndarray]:
        black = image(())
        return [(image(group) - black > 40).sum((1, 2)) for group in groups]

    covered = pixels()
    keep = (renderer.triangles < len(head.mean)).all(-1)
    for name in ("triangles", "_kinds", "_glass", "_solid", "_casters"):
        setattr(renderer, name, np.ascontiguousarray(getattr(renderer, name)[keep]))
    return [np.stack(pair) for pair in zip(pixels(), covered, strict=True)]


def test_the_same_generator_gives_the_same_identity() -> None:
    one, same, other = drawn(7), drawn(7), drawn(8)
    for field in dataclasses.fields(Identity):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(same, field.name))
    assert describe(one) == describe(same) and one.hair_seed != other.hair_seed


def test_an_aspect_does_not_depend_on_how_much_another_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    before = [drawn(seed) for seed in range(6)]
    plain = identity_sampling.clothes

    def wasteful(rng: np.random.Generator, who: identity_sampling.Traits) -> dict:
        rng.uniform(size=17)
        return plain(rng, who)

    monkeypatch.setattr(identity_sampling, "clothes", wasteful)
    after = [drawn(seed) for seed in range(6)]
    assert any(a.clothes_style != b.clothes_style or a.clothes != b.clothes for a, b in zip(before, after, strict=True))
    for a, b in zip(before, after, strict=True):
        for name in ("age", "skin", "hair_style", "hair", "beard_style", "glasses", "background", "light", "rim"):
            assert getattr(a, name) == getattr(b, name)
        np.testing.assert_array_equal(a.shape, b.shape)


@pytest.fixture(scope="module")
def crowd() -> list[Identity]:
    return [drawn(seed) for seed in range(400)]


def test_people_differ(crowd: list[Identity]) -> None:
    counts = {key: collections.Counter(describe(i)[key] for i in crowd) for key in describe(crowd[0])}
    assert set(counts["hair_style"]) == set(CUTS)
    assert set(counts["background"]) == set(BACKDROPS)
    assert set(counts["beard"]) == set(BEARDS)
    for key, least, most in (  # shares of 400; five standard deviations of a share of 0.05 are 0.055
        ("hair_style", 0.002, 0.12),
        ("background", 0.015, 0.15),
        ("clothes", 0.02, 0.25),
        ("skin", 0.08, 0.26),
        ("undertone", 0.08, 0.45),
        ("hair_colour", 0.005, 0.35),
        ("iris", 0.03, 0.45),
        ("age", 0.05, 0.55),
    ):
        shares = [n / len(crowd) for n in counts[key].values()]
        assert least <= min(shares) and max(shares) <= most, (key, counts[key])
    bare = {key: counts[key]["none"] / len(crowd) for key in ("glasses", "beard", "headwear", "earrings", "make_up")}
    assert 0.78 < bare["glasses"] < 0.88 and 0.65 < bare["beard"] < 0.85 and 0.85 < bare["headwear"] < 0.97
    assert 0.6 < bare["earrings"] < 0.9 and 0.5 < bare["make_up"] < 0.8
    assert len({tuple(describe(i).values()) for i in crowd}) > 395


def test_people_are_coherent(crowd: list[Identity]) -> None:
    for i in crowd:
        if i.age < 18:
            assert i.beard_style == "none" and i.hair_style not in ("bald", "receding")
            assert i.hair_group not in ("grey", "white")
        skin = brightness(i.skin)
        assert brightness(i.brows) < 0.75 * skin  # expressions are read from the brows
        assert np.abs(np.array(i.lips) - i.skin).max() > 0.07  # and speech from the lips
        if i.hair_style != "bald":
            assert abs(brightness(i.hair) - skin) > 0.10
        assert 0.5 <= i.light_strength <= 1.5 and 0.5 <= i.fill <= 1.5


def test_parts_are_valid(crowd: list[Identity]) -> None:
    head = puppet_head()
    largest = 0
    for identity in crowd[:30]:
        mesh = outfit_mesh(identity)
        number = len(mesh.points)
        largest = max(largest, number)
        for values in (mesh.region, mesh.shade, mesh.follow, mesh.carrier):
            assert values.shape == (number,)
        assert np.isfinite(mesh.points).all() and mesh.triangles.min() >= 0 and mesh.triangles.max() < number
        assert set(np.unique(mesh.region)) <= set(Region)
        assert mesh.carrier.min() >= -1 and mesh.carrier.max() < len(head.mean)
        assert mesh.shade.min() > 0 and mesh.shade.max() <= 2.0
        assert mesh.follow.min() >= 0 and mesh.follow.max() <= 1
        assert (mesh.follow[mesh.carrier >= 0] == 1).all()
    assert largest < 9000


@pytest.mark.parametrize("style", sorted(set(CUTS) - {"bald"}))
def test_every_haircut_covers_the_crown_and_not_the_face(style: str) -> None:
    identity = drawn(3, hair_style=style, headwear="none")
    mesh, points = hair(identity), neutral_head(identity)
    marks = points[puppet_head().landmarks]
    assert len(mesh.points) > 1000 and (mesh.region == Region.HAIR).mean() > 0.9
    before = mesh.points[mesh.points[:, 2] > 0.30]
    assert before[:, 1].min() > marks[17:27, 1].max() + 0.01  # the forehead's hair ends above the brows
    assert mesh.points[:, 1].max() > 0.6 or style == "receding"


EYES, LIPS = (Region.IRIS, Region.PUPIL), (Region.LIP,)


def test_hair_glasses_and_hats_leave_eyes_and_mouth_visible() -> None:
    poses = np.concatenate([turned(yaw, pitch)[0] for yaw, pitch in ((0, 0), (25, 5), (-25, -10), (12, 18))])
    for seed in range(20):
        identity = drawn(100 + seed, glasses=("none", "round", "square", "thin", "browline")[seed % 5])
        for (free, covered), least in zip(seen(identity, poses, EYES, LIPS), (0.80, 0.93), strict=True):
            assert free.min() > 5
            assert (covered >= least * free - 2).all(), (seed, free, covered)  # 2 pixels: shadows of rims and hair


def test_no_hair_pokes_through_the_face_of_a_turned_head() -> None:
    poses = np.concatenate([turned(yaw, pitch)[0] for yaw, pitch in ((40, 0), (-40, 0), (0, 25), (0, -25))])
    for seed in range(8):
        for (free, covered), least in zip(seen(drawn(200 + seed), poses, EYES, LIPS), (0.6, 0.85), strict=True):
            assert (covered >= least * free - 2).all(), (seed, free, covered)


@pytest.mark.parametrize("style", ["moustache", "goatee", "short beard", "full beard", "long beard"])
def test_beards_follow_the_jaw_and_leave_the_lips_free(style: str) -> None:
    identity = drawn(11, beard_style=style)
    mesh, head = beard(identity), puppet_head()
    assert (mesh.carrier >= 0).all() and len(mesh.points) > 20
    expression = np.zeros((1, 52))
    expression[0, ARKIT_INDEX["jawOpen"]] = 1.0
    rest = neutral_head(identity)
    moved = deformed_heads(rest, expression, np.zeros((1, 3)))[0] - rest
    fall = -moved[mesh.carrier, 1]
    chin = -moved[head.landmarks[8], 1]
    assert chin > 0.1
    if style == "moustache":
        assert np.median(fall) < 0.4 * chin
    else:
        assert fall.max() > 0.9 * chin
    assert not np.isin(head.region[mesh.carrier], (Region.LIP, Region.MOUTH)).any()
    lips = rest[head.region == Region.LIP]
    assert density(identity, lips, rest[head.landmarks]).max() < 0.25


def test_a_beard_hides_neither_lips_nor_teeth() -> None:
    for style in ("moustache", "full beard", "long beard"):
        identity = drawn(21, beard_style=style, hair_style="crop", headwear="none", glasses="none")
        for free, covered in seen(identity, turned(15, 5)[0], LIPS, (Region.TEETH, Region.TONGUE), jaw=0.6):
            assert free[0] > 5 and covered[0] >= 0.9 * free[0] - 1


def test_glasses_lie_in_front_of_the_eyes_and_reach_the_ears() -> None:
    head = puppet_head()
    for seed in range(5):
        identity = drawn(seed, glasses="round")
        mesh, points = glasses(identity), neutral_head(identity)
        eye, ear = points[head.eye_centres[0]], points[head.landmarks[16]]
        frame = mesh.points[mesh.region == Region.FRAME]
        before = frame[np.abs(frame[:, 0] - eye[0]) < 0.10]
        assert before[:, 2].min() > points[head.lids, 2].max()  # in front of the lids
        assert np.abs(frame - ear).sum(-1).min() < 0.15
        assert not beard(dataclasses.replace(identity, beard_style="none")).points.size
    assert not glasses(drawn(1, glasses="none")).points.size


@pytest.mark.parametrize("style", sorted(BACKDROPS))
def test_a_background_is_the_same_at_every_size(style: str) -> None:
    identity = drawn(5, background_style=style)
    small, large = background(identity, 64), background(identity, 256)
    assert small.dtype == np.float32 and small.min() >= 0 and small.max() <= 255
    pooled = large.reshape(64, 4, 64, 4, 3).mean((1, 3))
    assert np.abs(pooled - small).mean() < 4.0  # of 255: what a soft edge a pixel wide may differ
    assert np.abs(pooled - small).mean() < 0.2 * small.std() + 0.5
    assert np.array_equal(small, background(identity, 64))
    assert not np.array_equal(small, background(dataclasses.replace(identity, background=(identity.skin,) * 3), 64))
