"""Examples for `train_matte`: portraits moved, recoloured, degraded and placed before other backgrounds."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, UInt8

from data_pipelines.extraction.portrait_mattes import LabelledPortrait
from demo_jax.rendering.foreground import layers
from demo_jax.rendering.head_share import head_share
from demo_jax.rendering.upright import inside_photograph, places, square_to_photograph

# Spreads of the face's place and size, as a face finder's error and as other croppings.
SHIFT, SIZE, ROLL = 0.10, 0.08, 5.0  # face widths, log, degrees
OTHER_BACKGROUND = 0.7  # probability
GREY = 0.1


@dataclasses.dataclass(frozen=True, kw_only=True)
class MatteExample:
    """The network's input and what it should say: person, the head's share of it, and 1 where the photograph is."""

    image: UInt8[np.ndarray, "S S 3"]
    person: Float32[np.ndarray, "S S"]
    share: Float32[np.ndarray, "S S"]
    weight: Float32[np.ndarray, "S S"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayeredPortrait:
    """A labelled portrait with the colours before and behind its edges."""

    portrait: LabelledPortrait
    front: UInt8[np.ndarray, "H W 3"]
    back: UInt8[np.ndarray, "H W 3"]


def layered(portrait: LabelledPortrait) -> LayeredPortrait:
    """Adds the two layers of colours."""
    front, back = layers(portrait.image, portrait.person / np.float32(255))
    return LayeredPortrait(portrait=portrait, front=front.astype(np.uint8), back=back.astype(np.uint8))


def plain(portrait: LabelledPortrait, size: int) -> MatteExample:
    """The example as it is, for measuring."""
    return _cut(portrait, portrait.image, portrait.centre, portrait.face_width, portrait.roll, size)


def augmented(
    rng: np.random.Generator, one: LayeredPortrait, others: Sequence[LayeredPortrait], size: int
) -> MatteExample:
    """A random variant of `one`; the backgrounds of `others` may stand behind it."""
    portrait = one.portrait
    image = portrait.image
    if rng.random() < OTHER_BACKGROUND:
        alpha = portrait.person[..., None] / np.float32(255)
        scene = background(rng, others, *portrait.person.shape)
        front = recoloured(rng, one.front, 0.5)
        image = (alpha * front + (1 - alpha) * recoloured(rng, scene, 0.5)).astype(np.uint8)
    centre = np.array(portrait.centre) + rng.normal(0, SHIFT, 2) * portrait.face_width
    width = portrait.face_width * np.exp(rng.normal(0, SIZE))
    example = _cut(portrait, image, (centre[0], centre[1]), width, portrait.roll + rng.normal(0, ROLL), size)
    colours = recoloured(rng, example.image, 1.0)
    if rng.random() < GREY:
        colours = np.repeat(colours.mean(-1, keepdims=True).astype(np.uint8), 3, -1)
    changed = dataclasses.replace(example, image=degraded(rng, colours))
    if rng.random() < 0.5:
        return changed
    return MatteExample(**{f.name: getattr(changed, f.name)[:, ::-1] for f in dataclasses.fields(changed)})


def _cut(
    portrait: LabelledPortrait,
    image: np.ndarray,
    centre: tuple[float, float],
    face_width: float,
    roll: float,
    size: int,
) -> MatteExample:
    """Cuts the network's square; labels of the head are computed where the head is, not the square."""
    import cv2

    matrix = square_to_photograph(centre, face_width, roll, size)
    shifted = matrix.copy()
    shifted[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5  # OpenCV's pixel centres are at whole numbers
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    cut = cv2.warpAffine(image, shifted, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    person = cv2.warpAffine(portrait.person, shifted, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    height, width = portrait.person.shape
    cos, sin = np.cos(np.deg2rad(portrait.roll)), np.sin(np.deg2rad(portrait.roll))
    axes = np.array([[cos, -sin], [sin, cos]]) / portrait.face_width
    shift = matrix[:, 2] - portrait.centre
    across, below = places(np.column_stack([axes @ matrix[:, :2], axes @ shift]), size)
    share = head_share(across, below, portrait.chin)
    weight = inside_photograph(matrix, size, width, height)
    return MatteExample(image=cut, person=person.astype(np.float32) / 255, share=share, weight=weight)


def background(rng: np.random.Generator, others: Sequence[LayeredPortrait], height: int, width: int) -> np.ndarray:
    """Returns uint8 [height, width, 3]: another portrait's background or an enlarged part of it, a gradient, noise,
    or shapes."""
    import cv2

    kind = rng.choice(5, p=(0.35, 0.3, 0.1, 0.1, 0.15))
    if kind < 2:
        other = others[int(rng.integers(len(others)))]
        # Far enlarged, hair, skin and clothes are no longer a person but have the colours and edges of one.
        part, share = (other.back, rng.uniform(0.5, 1)) if kind == 0 else (other.portrait.image, rng.uniform(0.12, 0.3))
        rows, columns = (max(int(side * share), 2) for side in part.shape[:2])
        top, left = (int(rng.integers(side - cut + 1)) for side, cut in zip(part.shape, (rows, columns), strict=False))
        part = np.rot90(part[top : top + rows, left : left + columns, :], 0 if kind == 0 else int(rng.integers(4)))
        scene = cv2.resize(np.ascontiguousarray(part), (width, height), interpolation=cv2.INTER_CUBIC)
        return scene if kind == 0 else cv2.GaussianBlur(scene, (0, 0), float(rng.uniform(0.3, 4)))
    corners = rng.uniform(0, 255, (2, 2, 3)) * rng.uniform(0.2, 1) + rng.uniform(-40, 60, 3)
    scene = cv2.resize(corners.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    if kind == 3:  # octaves of noise
        for octave in rng.permutation(6)[: int(rng.integers(1, 5))]:
            grid = 2 ** (int(octave) + 1)
            noise = rng.normal(0, rng.uniform(5, 50), (grid, grid, 3)) * rng.uniform(0, 1, 3)
            noise += rng.normal(0, rng.uniform(5, 50), (grid, grid, 1))
            scene = scene + cv2.resize(noise.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    if kind == 4:  # rectangles, discs and bars, as of rooms and streets
        scene = np.ascontiguousarray(scene)
        for _ in range(int(rng.integers(3, 25))):
            colour = tuple(float(c) for c in rng.uniform(0, 255, 3))
            x, y = rng.uniform(-0.2, 1.2, 2) * (width, height)
            w, h = np.exp(rng.normal(-1.5, 0.8, 2)) * (width, height)
            angle = float(rng.choice((0, 0, rng.uniform(0, 180))))
            if rng.random() < 0.7:
                box = cv2.boxPoints(((float(x), float(y)), (float(w), float(h)), angle))
                cv2.fillPoly(scene, [box.astype(np.int32)], colour)
            else:
                cv2.ellipse(scene, ((float(x), float(y)), (float(w), float(h)), angle), colour, -1)
        scene = cv2.GaussianBlur(scene, (0, 0), float(rng.uniform(0.3, 4)))
    return np.clip(scene, 0, 255).astype(np.uint8)


def recoloured(rng: np.random.Generator, image: UInt8[np.ndarray, "H W 3"], strength: float) -> np.ndarray:
    """Changes exposure, contrast, white balance and saturation."""
    import cv2

    kept = np.exp(rng.normal(0, 0.25 * strength))  # of the saturation
    gains = np.exp(rng.normal(0, 0.2 * strength) + rng.normal(0, 0.06 * strength, 3))
    gamma, shift = np.exp(rng.normal(0, 0.2 * strength)), rng.normal(0, 0.03 * strength)
    saturated = cv2.transform(image, kept * np.eye(3) + (1 - kept) / 3)
    curve = (np.arange(256)[:, None] / 255) ** gamma * gains + shift
    return cv2.LUT(saturated, np.clip(curve * 255, 0, 255).astype(np.uint8)[None])


def degraded(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Blurs, adds noise and JPEG's errors, each sometimes: uint8 [H, W, 3]."""
    import cv2

    if rng.random() < 0.3:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.3, 1.3)))
    if rng.random() < 0.3:
        noise = rng.standard_normal(image.shape, np.float32) * np.float32(rng.uniform(1, 10))
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        quality = int(rng.integers(25, 90))
        coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
    return image
