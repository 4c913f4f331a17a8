"""Draws a puppet: identity, pose, expression and gaze -> frames, and what can be measured on the same head.

Camera and units are those of demo_jax/factors.py: weak perspective; pose = yaw, pitch, roll (degrees), x, y (crop
widths), z = log(crop width / face width). Only the head turns; the neck bends with it, the shoulders follow in part and
the background stays. eyes = gaze yaw and pitch in the head, mean of both eyes, and vergence: by how much the lines of
sight converge, 0 when they are parallel; degrees.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from data_pipelines.puppet import dress
from data_pipelines.puppet.colours import vertex_albedo
from data_pipelines.puppet.head import Region, puppet_head
from data_pipelines.puppet.identity import Identity
from demo_jax.factors import ARKIT_INDEX, rotation_matrix

BODY_FOLLOWS = 0.6  # share of the head's x and y that the shoulders take
LOOK_DEGREES = 30.0  # of gaze pitch that give eyeLookDown or eyeLookUp = 1
BOX_MARGIN = 0.10  # around the landmarks of mouth and eyes, in face widths
_CHUNK = 32  # frames deformed at a time


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Measurements:
    """float32. Measured in 3-D on the head before it turns, so that pose changes neither lips nor openings.

    lips       [T, 3] aperture, width (over the eye span), pucker = mouthPucker + mouthFunnel / 2, clipped to 0-1
    openings   [T, 2] left, right: lid gap over the same identity's neutral lid gap
    landmarks  [T, 68, 2] pixels, y down, pixel centres at +0.5
    boxes      [T, 2, 4] mouth, eyes: x0 y0 x1 y1 in pixels, inside the frame
    """

    lips: np.ndarray
    openings: np.ndarray
    landmarks: np.ndarray
    boxes: np.ndarray


def shape_coefficients(expression: np.ndarray, eyes: np.ndarray) -> np.ndarray:
    """Expression [T, 52] and eyes [T, 3] -> coefficients of the basis [T, 52] float64.

    The lids follow the gaze: eyeLookUp and eyeLookDown come from its pitch, the other eyeLook* are zero. A closing eye
    takes back what opens or narrows it, so that eyeBlink = 1 closes it whatever else is asked.
    """
    c = np.clip(np.nan_to_num(np.asarray(expression, np.float64)), 0.0, 1.0)
    pitch = np.asarray(eyes, np.float64)[:, 1] / LOOK_DEGREES
    for side in ("Left", "Right"):
        open_ = 1.0 - c[:, ARKIT_INDEX[f"eyeBlink{side}"]]
        for name in ("LookIn", "LookOut"):
            c[:, ARKIT_INDEX[f"eye{name}{side}"]] = 0.0
        c[:, ARKIT_INDEX[f"eyeLookDown{side}"]] = np.clip(pitch, 0, 1) * open_
        c[:, ARKIT_INDEX[f"eyeLookUp{side}"]] = np.clip(-pitch, 0, 1) * open_
        for name in ("Wide", "Squint"):
            c[:, ARKIT_INDEX[f"eye{name}{side}"]] *= open_
    return c


def neutral_head(identity: Identity) -> np.ndarray:
    """[N, 3]: the identity's resting head; landmarks 0 and 16 at distance 1, half-way between them the origin."""
    head = puppet_head()
    points = head.mean + np.tensordot(identity.shape.astype(np.float64), head.identity_basis, 1)
    ears = points[head.landmarks[[0, 16]]]
    return (points - ears.mean(0)) / np.linalg.norm(ears[1] - ears[0])


def eye_radius(points: np.ndarray) -> float:
    """Of the left eyeball of a head [N, 3]."""
    head = puppet_head()
    return float(np.linalg.norm(points[head.eyeballs[0][0]] - points[head.eye_centres[0]]))


def _moved(neutral: np.ndarray, coefficients: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """The neutral head [N, 3] under coefficients [T, 52], only these vertices [V]: [T, V, 3].

    einsum rather than BLAS: every frame's numbers are the same in any batch and with any number of threads.
    """
    head = puppet_head()
    growth = np.ones(len(neutral))
    growth[head.lids] = eye_radius(neutral) / eye_radius(head.mean)  # a large eye has further to close
    basis = (head.expression_basis[:, vertices] * growth[vertices, None]).reshape(coefficients.shape[1], -1)
    moved = np.einsum("tk,kn->tn", coefficients, basis, optimize=False)
    return neutral[vertices] + moved.reshape(len(coefficients), -1, 3)


def deformed_heads(identity: Identity, expression: np.ndarray, eyes: np.ndarray) -> np.ndarray:
    """[T, N, 3] float64: the head in its own axes, with expression and turned eyeballs. No pose."""
    head, neutral = puppet_head(), neutral_head(identity)
    points = _moved(neutral, shape_coefficients(expression, eyes), np.arange(len(neutral)))
    eyes = np.asarray(eyes, np.float64)
    for ball, at, inward in zip(head.eyeballs, head.eye_centres, (-0.5, 0.5), strict=True):
        turn = rotation_matrix(eyes[:, 0] + inward * eyes[:, 2], eyes[:, 1], np.zeros(len(eyes)))
        centre = neutral[at]
        points[:, ball] = centre + (neutral[ball] - centre) @ turn.transpose(0, 2, 1)
    return points


def project(points: np.ndarray, pose: np.ndarray, size: int) -> np.ndarray:
    """Points [T, N, 3] in the head's axes, pose [T, 6] -> [T, N, 3]: pixels x, y (down), and depth in pixels."""
    pose = np.asarray(pose, np.float64)
    turned = points @ rotation_matrix(pose[:, 0], pose[:, 1], pose[:, 2]).transpose(0, 2, 1)
    scale = size * np.exp(-pose[:, 5])[:, None]
    x = size * (0.5 + pose[:, 3:4]) + scale * turned[..., 0]
    y = size * (0.5 - pose[:, 4:5]) - scale * turned[..., 1]
    return np.stack([x, y, scale * turned[..., 2]], -1)


def _gap(points: np.ndarray, pairs: tuple[tuple[int, int], ...]) -> np.ndarray:
    """Mean distance of (upper, lower) landmarks, 0 where the lower has passed the upper: [T, 68, 3] -> [T]."""
    up, down = (points[:, [p[i] for p in pairs]] for i in (0, 1))
    return (np.linalg.norm(up - down, axis=-1) * (up[..., 1] > down[..., 1])).mean(-1)


def measure(identity: Identity, pose: np.ndarray, expression: np.ndarray, eyes: np.ndarray, size: int) -> Measurements:
    """pose [T, 6], expression [T, 52], eyes [T, 3] (gaze yaw, pitch in the head, vergence; degrees) -> Measurements."""
    head = puppet_head()
    neutral = neutral_head(identity)
    points = _moved(neutral, shape_coefficients(expression, eyes), head.landmarks)
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


_GLINT_POINTS = 9


def _glints(identity: Identity) -> dress.Part:
    """The light's small image on each eye: points about the eye's centre, in the camera's axes."""
    radius = eye_radius(neutral_head(identity))
    half = np.array(identity.light) + [0.0, 0.0, 1.4]
    half /= np.linalg.norm(half)
    turn = 2 * np.pi * np.arange(_GLINT_POINTS - 1) / (_GLINT_POINTS - 1)
    disc = np.concatenate([np.zeros((1, 3)), 0.12 * np.stack([np.cos(turn), np.sin(turn), 0 * turn], -1)])
    disc = half + disc
    disc /= np.linalg.norm(disc, axis=-1, keepdims=True)  # on the ball, under the lids
    rim = 1 + np.arange(_GLINT_POINTS - 1)
    fan = np.stack([0 * rim, rim, 1 + rim % (_GLINT_POINTS - 1)], -1)
    number = 2 * _GLINT_POINTS
    return dress.Part(
        points=np.tile(1.02 * radius * disc, (2, 1)),
        triangles=np.concatenate([fan, fan + _GLINT_POINTS]),
        region=np.full(number, Region.GLINT),
        shade=np.ones(number),
        follow=np.ones(number),
        carrier=np.full(number, -1),
    )


_GLOSS = {
    Region.SKIN: 0.10,
    Region.LIP: 0.35,
    Region.TEETH: 0.25,
    Region.TONGUE: 0.30,
    Region.SCLERA: 0.10,
    Region.IRIS: 0.10,
    Region.EAR: 0.08,
    Region.HAIR: 0.14,
    Region.NECK: 0.05,
}
_SOFT = {
    **dict.fromkeys(
        (Region.SKIN, Region.LIP, Region.TEETH, Region.TONGUE, Region.SCLERA, Region.EAR, Region.NECK), 1.0
    ),
    **dict.fromkeys((Region.HAIR, Region.CLOTHES, Region.ACCENT), 0.5),
}


class Renderer:
    """Draws one identity at one size. `albedo` [V, 3] float32 (linear) may be replaced, for tests and for masks."""

    def __init__(self, identity: Identity, size: int, samples: int | None = None):
        """size: pixels of the square frame; samples: anti-aliasing points per pixel and axis, default by size."""
        head = puppet_head()
        self.identity, self.size = identity, size
        self.samples = samples or (4 if size <= 96 else 3 if size <= 192 else 2)
        self.worn = dress.join(dress.hair(identity), dress.body(identity), _glints(identity))
        count = len(head.mean)
        self.triangles = np.concatenate([head.triangles, self.worn.triangles + count]).astype(np.int32)
        self.region = np.concatenate([head.region, self.worn.region])
        shade = np.concatenate([head.shade, self.worn.shade])
        self._neutral = neutral_head(identity)
        rest = np.concatenate([self._neutral, self.worn.points])
        self.albedo = vertex_albedo(identity, self.region, shade, rest)
        self.gloss = np.array([_GLOSS.get(r, 0.0) for r in Region], np.float32)[self.region]
        self.soft = np.array([_SOFT.get(r, 0.0) for r in Region], np.float32)[self.region]
        self.background = dress.background(identity, size)
        self._light = np.array(identity.light, np.float32)
        self._key = np.array([1.0 + 0.06 * identity.warmth, 1.0, 1.0 - 0.08 * identity.warmth], np.float32) * 0.78
        backdrop = np.mean(np.array(identity.background), 0) ** 2.2
        self._sky = (0.30 + 0.20 * backdrop).astype(np.float32)
        self._ground = (0.13 + 0.08 * backdrop).astype(np.float32)

    def render(self, pose: np.ndarray, expression: np.ndarray, eyes: np.ndarray) -> np.ndarray:
        """pose [T, 6], expression [T, 52], eyes [T, 3] (degrees) -> [T, size, size, 3] uint8 RGB."""
        pose, expression, eyes = (np.asarray(a, np.float64) for a in (pose, expression, eyes))
        frames = np.empty((len(pose), self.size, self.size, 3), np.uint8)
        for start in range(0, len(pose), _CHUNK):
            part = slice(start, start + _CHUNK)
            screen = self._screen(pose[part], expression[part], eyes[part])
            for t, points in enumerate(screen):
                frames[start + t] = self._draw(points)
        return frames

    def _screen(self, pose: np.ndarray, expression: np.ndarray, eyes: np.ndarray) -> np.ndarray:
        """[T, V, 3] float32: all vertices in pixels and depth."""
        head = deformed_heads(self.identity, expression, eyes)
        worn = np.broadcast_to(self.worn.points, (len(pose), *self.worn.points.shape)).copy()
        carried = np.flatnonzero(self.worn.carrier >= 0)
        carriers = self.worn.carrier[carried]
        worn[:, carried] += head[:, carriers] - self._neutral[carriers]
        screen = project(np.concatenate([head, worn], 1), pose, self.size)
        still = pose.copy()
        still[:, :3] = 0.0
        still[:, 3:5] *= BODY_FOLLOWS
        resting = project(worn, still, self.size)
        follow = self.worn.follow[None, :, None]
        screen[:, head.shape[1] :] = follow * screen[:, head.shape[1] :] + (1.0 - follow) * resting
        at = project(head[:, puppet_head().eye_centres], pose, self.size)[:, :, None]
        scale = self.size * np.exp(-pose[:, 5])[:, None, None, None] * np.array([1.0, -1.0, 1.0])
        glints = self.worn.points[-2 * _GLINT_POINTS :].reshape(
            1, 2, _GLINT_POINTS, 3
        )  # they do not turn with the head
        screen[:, -2 * _GLINT_POINTS :] = (at + scale * glints).reshape(len(pose), -1, 3)
        return screen.astype(np.float32)

    def _draw(self, screen: np.ndarray) -> np.ndarray:
        from data_pipelines.puppet import raster

        upright = screen * np.array([1.0, -1.0, 1.0], np.float32)
        normals = raster.vertex_normals(upright, self.triangles)
        colours = raster.shade(
            normals, self.albedo, self.gloss, self.soft, self._light, self._key, self._sky, self._ground
        )
        return raster.rasterise(screen, colours, self.triangles, self.background, self.samples)
