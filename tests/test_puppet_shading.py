"""Light on puppets: shadows, ambient occlusion, catch-lights, glass and the sparse sum of shapes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

pytest.importorskip("numba")

from data_pipelines.puppet.dress import outfit
from data_pipelines.puppet.dress.mesh_parts import Part, join
from data_pipelines.puppet.person import deform
from data_pipelines.puppet.person.head import Region, puppet_head
from data_pipelines.puppet.person.identity import Identity, random_identity
from data_pipelines.puppet.render import lighting, occlusion, shading
from data_pipelines.puppet.render.renderer import Renderer

REST = (np.array([[0.0, 0.0, 0.0, 0.0, 0.0, np.log(2.1)]]), np.zeros((1, 52)), np.zeros((1, 3)))


def drawn_identity(**changes: object) -> Identity:
    return dataclasses.replace(random_identity(np.random.default_rng(1)), **changes)


def plate(z: float, half: float, facing: float = 1.0, cells: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """A square across the z axis: points [V, 3], triangles [F, 3]."""
    at = np.linspace(-half, half, cells + 1)
    x, y = np.meshgrid(at, at)
    points = np.stack([x.ravel(), y.ravel(), np.full(x.size, z)], -1)
    i = np.arange(cells)[:, None] * (cells + 1) + np.arange(cells)[None]
    quads = np.stack([i, i + 1, i + cells + 2, i + cells + 1], -1).reshape(-1, 4)
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    return points, triangles if facing > 0 else triangles[:, ::-1]


def test_a_plate_shadows_what_lies_behind_it_with_a_soft_edge() -> None:
    points, triangles = plate(0.5, 0.4)
    axes = occlusion.axes_towards(np.array([0.0, 0.0, 1.0]))
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    texels = 100
    chosen = np.full(len(triangles), 2, np.int8)
    depth = occlusion.seen_from(points.astype(np.float32), triangles.astype(np.int32), chosen, axes, texels)
    unit = texels / (2 * occlusion.REACH)

    def light(x: float, z: float) -> float:
        return occlusion.lit(depth, (x + occlusion.REACH) * unit, texels / 2, z, 0.02)

    assert light(0.0, 0.0) == 0.0 and light(0.0, 0.6) == 1.0 and light(0.0, 0.49) == 1.0
    across = np.array([light(x, 0.0) for x in np.linspace(0.3, 0.5, 81)])
    assert across[0] == 0.0 and across[-1] == 1.0 and (np.diff(across) >= 0).all()
    assert np.diff(across).max() < 0.06  # the edge is 3 texels or 0.075 wide: steps of 0.0025 change it by a 30th
    assert light(5.0, 0.0) == 1.0  # outside the map


def test_ambient_occlusion_between_plates_and_in_the_open() -> None:
    low, triangles = plate(0.0, 0.6)
    high, over = plate(0.2, 0.6, facing=-1.0)
    points = np.concatenate([low, high])
    both = np.concatenate([triangles, over + len(low)]).astype(np.int32)
    normals = np.repeat([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]], len(low), 0)
    chosen = np.full(len(both), 2, np.int8)
    between = occlusion.ambient_occlusion(points, normals, both, chosen)
    outside = occlusion.ambient_occlusion(points, -normals, both, chosen)
    middle = np.flatnonzero((np.abs(low[:, :2]) < 0.05).all(-1))
    # the gap's edge is seen at 3 heights' distance: 1 - 1 / (1 + 1/9) = 0.1 of the cosine-weighted sky
    assert between[middle].max() < 0.2
    assert outside.min() > 0.97


def test_light_comes_from_the_identitys_direction() -> None:
    sides = []
    for x in (-0.6, 0.6):
        direction = np.array([x, 0.45, 0.66])
        identity = drawn_identity(
            light=tuple(direction / np.linalg.norm(direction)), hair_style="buzz", beard_style="none"
        )
        frame = Renderer(identity, 96).render(*REST)[0].astype(float).sum(-1)
        sides.append(frame[40:62, 26:42].mean() / frame[40:62, 54:70].mean())
    assert sides[0] > 1.1 and sides[1] < 1 / 1.1


def test_lamps_mirror_with_the_light() -> None:
    there, here = (lighting.lamps(drawn_identity(light=(x, 0.4, 0.7))) for x in (0.5, -0.5))
    np.testing.assert_allclose(there[[0, 2, 3, 5, 9]] * [-1, 1, 1], here[[0, 2, 3, 5, 9]])
    np.testing.assert_array_equal(there[[1, 4, 6, 7, 8]], here[[1, 4, 6, 7, 8]])


def test_tone_curve_rises_to_one() -> None:
    values = np.array([shading.tone(x) for x in np.linspace(0.0, 20.0, 400)])
    assert values[0] == 0.0 and (np.diff(values) > 0).all() and 0.9 < values[-1] <= 1.0
    assert shading.tone(-1.0) == 0.0


def glint(renderer: Renderer, **changes: np.ndarray) -> np.ndarray:
    """Centroid (x, y) of the key light's image on the left eye, in pixels."""
    pose, expression, eyes = (changes.get(n, d) for n, d in zip(("pose", "expression", "eyes"), REST, strict=True))
    renderer.albedo = np.zeros_like(renderer.albedo)
    renderer.background = np.zeros_like(renderer.background)
    frames = []
    for strength in (0.0, 1.0):
        renderer.gloss = np.zeros_like(renderer.gloss)
        renderer.gloss[puppet_head().eyeballs[0]] = strength
        frames.append(renderer.render(pose, expression, eyes)[0].astype(float).sum(-1))
    image = frames[1] - frames[0]
    image[image < 0.5 * image.max()] = 0.0
    at = np.arange(renderer.size) + 0.5
    return np.array([image.sum(0) @ at, image.sum(1) @ at]) / image.sum()


def test_catch_light_stays_when_the_eye_turns() -> None:
    renderer = Renderer(drawn_identity(), 256)
    rest = glint(renderer)
    for yaw, pitch in ((12.0, 0.0), (-12.0, 0.0), (0.0, 6.0)):
        np.testing.assert_allclose(glint(renderer, eyes=np.array([[yaw, pitch, 0.0]])), rest, atol=0.3)
    moved = glint(renderer, pose=REST[0] + [[0, 0, 0, 0.05, 0, 0]])
    np.testing.assert_allclose(moved - rest, [0.05 * 256, 0.0], atol=0.3)


def test_glass_tints_what_lies_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clear = Renderer(drawn_identity(), 64).render(*REST)[0]
    points, triangles = plate(0.9, 0.3)
    number = len(points)
    pane = Part(
        points=points,
        triangles=triangles,
        region=np.full(number, Region.GLASS),
        shade=np.ones(number),
        follow=np.ones(number),
        carrier=np.full(number, -1),
    )
    outfit_mesh = outfit.outfit_mesh
    monkeypatch.setattr(outfit, "outfit_mesh", lambda identity: join(outfit_mesh(identity), pane))
    renderer = Renderer(drawn_identity(), 64)
    glass = renderer.region == Region.GLASS
    assert glass.sum() == number
    renderer.albedo[glass], renderer.gloss[glass] = (0.25, 0.25, 0.25), 0.0
    tinted = renderer.render(*REST)[0]
    inside, outside = np.s_[25:39, 25:39], np.s_[:20]
    np.testing.assert_array_equal(tinted[outside], clear[outside])
    # a quarter of the linear light; pixels are whole numbers and the darkest round by up to 4 per cent
    np.testing.assert_allclose(tinted[inside], clear[inside] * 0.25 ** (1 / 2.2), atol=2.0)


def test_sparse_shapes_are_the_whole_basis() -> None:
    head, identity = puppet_head(), drawn_identity()
    neutral = deform.neutral_head(identity)
    expression = np.random.default_rng(3).uniform(0, 1, (2, 52))
    coefficients = deform.shape_coefficients(expression, np.zeros((2, 3)))
    moved = deform.deformed_heads(neutral, expression, np.zeros((2, 3)))
    expected = deform.moved_vertices(neutral, coefficients, np.arange(len(neutral)))
    still = np.setdiff1d(np.arange(len(neutral)), np.concatenate(head.eyeballs))
    np.testing.assert_allclose(moved[:, still], expected[:, still], atol=1e-6)  # 52 shapes cut at 1e-7
