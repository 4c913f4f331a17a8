"""Renders frames of a puppet from identity, pose, expression and gaze, and measures tracks on the same head.

Camera and units are those of demo_jax/factors.py: weak perspective; pose = yaw, pitch, roll (degrees), x, y (crop
widths), z = log(crop width / face width). Only the head turns; the neck bends with it, the shoulders follow in part and
the background stays. eyes = gaze yaw and pitch in the head, mean of both eyes, and vergence: by how much the lines of
sight converge, 0 when they are parallel; degrees.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from data_pipelines.puppet.dress import outfit
from data_pipelines.puppet.dress.colours import vertex_albedo
from data_pipelines.puppet.person.deform import (
    deformed_heads,
    eye_radius,
    gaze_rotations,
    moved_vertices,
    neutral_head,
    place,
    project,
    shape_coefficients,
)
from data_pipelines.puppet.person.head import Region, puppet_head
from data_pipelines.puppet.person.identity import Identity
from data_pipelines.puppet.render import image, lighting, occlusion, raster, shading
from demo_jax.factors import ARKIT_INDEX, rotation_matrix

BODY_FOLLOWS = 0.6  # share of the head's x and y that the shoulders take
BOX_MARGIN = 0.10  # around the landmarks of mouth and eyes, in face widths
_CHUNK = 32  # frames deformed at a time


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Measurements:
    """Tracks, float32. lips and openings are measured in 3-D before the head turns, so pose does not change them.

    lips       [T, 3] aperture, width (over the eye span), pucker = mouthPucker + mouthFunnel / 2, clipped to 0-1
    openings   [T, 2] left, right: lid gap over the same identity's neutral lid gap
    landmarks  [T, 68, 2] pixels, y down, pixel centres at +0.5
    boxes      [T, 2, 4] of mouth and eyes: x0 y0 x1 y1 in pixels, inside the frame
    """

    lips: np.ndarray
    openings: np.ndarray
    landmarks: np.ndarray
    boxes: np.ndarray


def _gap(points: np.ndarray, pairs: tuple[tuple[int, int], ...]) -> np.ndarray:
    """Returns the mean distance [T] of (upper, lower) landmarks [T, 68, 3], 0 where the lower passes the upper."""
    up, down = (points[:, [p[i] for p in pairs]] for i in (0, 1))
    return (np.linalg.norm(up - down, axis=-1) * (up[..., 1] > down[..., 1])).mean(-1)


def measure(identity: Identity, pose: np.ndarray, expression: np.ndarray, eyes: np.ndarray, size: int) -> Measurements:
    """Measures an identity's head at every frame.

    Args:
      pose: [T, 6]; expression: [T, 52]; eyes: [T, 3] gaze yaw and pitch in the head, vergence; degrees.
      size: pixels of the square frame.
    """
    head = puppet_head()
    neutral = neutral_head(identity)
    points = moved_vertices(neutral, shape_coefficients(expression, eyes), head.landmarks)
    rest = neutral[None, head.landmarks]
    span = np.linalg.norm(points[:, 36] - points[:, 45], axis=-1)
    c = np.clip(np.nan_to_num(np.asarray(expression, np.float64)), 0, 1)
    pucker = c[:, ARKIT_INDEX["mouthPucker"]] + 0.5 * c[:, ARKIT_INDEX["mouthFunnel"]]
    width = np.linalg.norm(points[:, 48] - points[:, 54], axis=-1)
    lips = np.stack([_gap(points, ((62, 66),)) / span, width / span, np.clip(pucker, 0, 1)], -1)
    sides = (((43, 47), (44, 46)), ((37, 41), (38, 40)))
    openings = np.stack([_gap(points, pairs) / _gap(rest, pairs) for pairs in sides], -1)
    landmarks = project(points, pose, size)[..., :2]
    margin = BOX_MARGIN * size * np.exp(-np.asarray(pose, np.float64)[:, 5:6])
    boxes = np.stack(
        [
            np.concatenate([landmarks[:, part].min(1) - margin, landmarks[:, part].max(1) + margin], -1)
            for part in (slice(48, 68), slice(36, 48))
        ],
        1,
    )
    return Measurements(
        lips=lips.astype(np.float32),
        openings=openings.astype(np.float32),
        landmarks=landmarks.astype(np.float32),
        boxes=np.clip(boxes, 0, size).astype(np.float32),
    )


_EYELIDS = (  # landmarks of the left and the right eye: upper and lower margin
    ((42, 43, 44, 45), (42, 47, 46, 45)),
    ((36, 37, 38, 39), (36, 41, 40, 39)),
)
_CROWN = np.array([0.0, 0.62, -0.12])  # where the hair's strands begin, in face widths
_SHADOW_TEXELS = 160


def eye_numbers(identity: Identity, neutral: np.ndarray) -> np.ndarray:
    """Returns the numbers [2, shading.EYE] of the left and right eye; those that change with the frame are 0.

    0-2 centre in pixels and depth, 3 radius in pixels, 4-12 the gaze's rotation (rows, eyeball to head), 13-16 and
    17-20 the upper and lower lid's height as a cubic of x, both in radii, 21 and 22 the sines of the iris' and the
    pupil's radius (the pupil's over the iris'), 23-24 the key light's direction across the iris.
    """
    head = puppet_head()
    numbers = np.zeros((2, shading.EYE))
    for side, (ball, at) in enumerate(zip(head.eyeballs, head.eye_centres, strict=True)):
        away = neutral[ball] - neutral[at]
        sine = np.linalg.norm(away[:, :2], axis=-1) / np.linalg.norm(away, axis=-1)
        front = away[:, 2] > 0
        iris, pupil = (sine[front & (head.region[ball] == r)].max() for r in (Region.IRIS, Region.PUPIL))
        numbers[side, 21:23] = iris, pupil / iris
        numbers[side, 23:25] = identity.light[:2]
    return numbers


class Renderer:
    """Renders one identity at one size.

    For tests and masks `albedo` [V, 3] float32 (linear), `gloss` [V] float32 and `background` [S, S, 3] float32
    (sRGB 0-255) may be replaced.
    """

    def __init__(self, identity: Identity, size: int, samples: int | None = None):
        """size: pixels of the square frame; samples: anti-aliasing points per pixel and axis, default by size."""
        head = puppet_head()
        self.identity, self.size = identity, size
        self.samples = samples or (4 if size <= 96 else 3 if size <= 192 else 2)
        self.outfit = outfit.outfit_mesh(identity)
        count = len(head.mean)
        self.triangles = np.concatenate([head.triangles, self.outfit.triangles + count]).astype(np.int32)
        self.region = np.concatenate([head.region, self.outfit.region])
        shade = np.concatenate([head.shade, self.outfit.shade])
        self._neutral = neutral_head(identity)
        rest = np.concatenate([self._neutral, self.outfit.points])
        self.albedo = vertex_albedo(identity, self.region, shade, rest)
        self.gloss = lighting.gloss(self.region)
        self.background = outfit.background(identity, size)
        right = np.zeros(len(rest), bool)
        right[head.eyeballs[1]] = True
        self._kinds = lighting.triangle_kinds(self.triangles, self.region, right)
        self._glass = np.where(self._kinds == lighting.Kind.GLASS, 2, 0).astype(np.int8)
        self._solid = np.where(self._glass, 0, 2).astype(np.int8)
        self._solid[np.isin(self._kinds, (lighting.Kind.EYE_LEFT, lighting.Kind.EYE_RIGHT))] = 1
        skin = head.parts["skin"]
        self._solid[((self.triangles >= skin.start) & (self.triangles < skin.stop)).all(-1)] = 1
        self._casters = np.minimum(lighting.shadow_casters(self.triangles, self.region), self._solid)
        self._openness = self._open(rest)
        self._softness = lighting.softness(self.region)
        self._lamps = lighting.lamps(identity)
        self._light_axes = occlusion.axes_towards(self._lamps[0])
        self._gamma = image.gamma_table()
        self._eyes = eye_numbers(identity, self._neutral)

    def _open(self, rest: np.ndarray) -> np.ndarray:
        """[V] float32: ambient occlusion of the resting puppet; lids and the eyes' parts unfold and count as open."""
        head = puppet_head()
        y_down = (rest * [1.0, -1.0, 1.0]).astype(np.float32)
        openness = occlusion.ambient_occlusion(
            rest, raster.vertex_normals(y_down, self.triangles), self.triangles, self._casters
        )
        least = lighting.least_open(self.region)
        least[head.lids] = np.maximum(least[head.lids], 0.7)
        return np.maximum(openness, least)

    def render(self, pose: np.ndarray, expression: np.ndarray, eyes: np.ndarray) -> np.ndarray:
        """Returns frames [T, size, size, 3] uint8 RGB for pose [T, 6], expression [T, 52], eyes [T, 3] (degrees)."""
        pose, expression, eyes = (np.asarray(a, np.float64) for a in (pose, expression, eyes))
        frames = np.empty((len(pose), self.size, self.size, 3), np.uint8)
        wide = self.size * self.samples
        depth, number = np.empty((wide, wide), np.float32), np.empty((wide, wide), np.int32)
        points = np.empty((len(self.region), 3), np.float32)
        overlay = np.empty((wide, wide) if self._glass.any() else (0, 0), np.int32)
        extra = np.stack([self._openness, self.gloss, self._softness], -1)
        surface = np.concatenate([self.albedo, extra], -1).astype(np.float32)
        background = (np.asarray(self.background, np.float32) / np.float32(255.0)) ** np.float32(image.GAMMA)
        for start in range(0, len(pose), _CHUNK):
            part = slice(start, start + _CHUNK)
            head = deformed_heads(self._neutral, expression[part], eyes[part])
            numbers, turns, balls = self._frame_numbers(head, pose[part], eyes[part])
            still = numbers[:, [1, 2, 0]].copy()
            still[:, :2] = self.size * (0.5 + BODY_FOLLOWS * pose[part, 3:5] * [1.0, -1.0])
            for t in range(len(head)):
                place(
                    head[t], self._neutral, self.outfit.points, self.outfit.carrier, self.outfit.follow, turns[t],
                    numbers[t, [1, 2, 0]], still[t], points,
                )  # fmt: skip
                normals = raster.vertex_normals(points, self.triangles)
                depth.fill(raster.EMPTY)
                number.fill(-1)
                raster.rasterise(points, self.triangles, self._solid, float(self.samples), depth, number, False)
                if len(overlay):
                    overlay.fill(-1)
                    raster.rasterise(points, self.triangles, self._glass, float(self.samples), depth, overlay, True)
                shadows = occlusion.seen_from(
                    occlusion.about_face(points, numbers[t]),
                    self.triangles,
                    self._casters,
                    self._light_axes,
                    _SHADOW_TEXELS,
                )
                image.render_image(
                    points, normals, surface, self.triangles, self._kinds, number, overlay, self.samples, background,
                    self._lamps, numbers[t], turns[t], balls[t], self._light_axes, shadows, self._gamma,
                    frames[start + t],
                )  # fmt: skip
        return frames

    def _frame_numbers(
        self, head: np.ndarray, pose: np.ndarray, eyes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns each frame's numbers [T, shading.FRAME], turns [T, 3, 3] and eyes [T, 2, shading.EYE].

        The numbers are: 0 pixels of a face width, 1-2 the face centre in pixels, 3 gap of the lips in face widths, 4-5
        the upper lip's y in pixels and the lips' depth, 6-8 the hair's crown in pixels and depth.
        """
        model = puppet_head()
        marks = project(head[:, model.landmarks], pose, self.size)
        numbers = np.zeros((len(pose), shading.FRAME))
        numbers[:, 0] = self.size * np.exp(-pose[:, 5])
        numbers[:, 1] = self.size * (0.5 + pose[:, 3])
        numbers[:, 2] = self.size * (0.5 - pose[:, 4])
        numbers[:, 3] = _gap(head[:, model.landmarks], ((61, 67), (62, 66), (63, 65)))
        numbers[:, 4] = marks[:, 62, 1]
        numbers[:, 5] = marks[:, [62, 66], 2].mean(1)
        numbers[:, 6:9] = project(np.broadcast_to(_CROWN, (len(pose), 1, 3)), pose, self.size)[:, 0]
        turns = rotation_matrix(pose[:, 0], pose[:, 1], pose[:, 2])
        balls = np.repeat(self._eyes[None], len(pose), 0)
        balls[:, :, :3] = project(head[:, model.eye_centres], pose, self.size)
        radius = eye_radius(self._neutral)
        balls[:, :, 3] = radius * numbers[:, :1]
        balls[:, :, 4:13] = gaze_rotations(eyes).reshape(len(pose), 2, 9)
        for side, margins in enumerate(_EYELIDS):
            for k, margin in enumerate(margins):
                at = (head[:, model.landmarks[list(margin)]] - head[:, model.eye_centres[[side]]]) / radius
                powers = at[..., 0][..., None] ** np.arange(4)
                balls[:, side, 13 + 4 * k : 17 + 4 * k] = np.linalg.solve(powers, at[..., 1][..., None])[..., 0]
        return numbers, turns, balls
