"""What is made once for a portrait: its layers in its own coordinates, and where the decoder's square lies in it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from demo_jax.constants import LUMA
from demo_jax.factors import rotation_matrix
from demo_jax.media.background import Background
from demo_jax.models.geometry.landmarks import INNER_LIPS
from demo_jax.pytrees import AnyArray, register
from demo_jax.rendering import expression, lashes, mouth, surface
from demo_jax.rendering.composite import enlarging
from demo_jax.rendering.foreground import foreground
from demo_jax.rendering.motion import COARSE, FLIP, Face, Grid
from demo_jax.rendering.plate import fill_background

if TYPE_CHECKING:
    from demo_jax.faces.still import StillFace

# What a head can reach, face widths from its centre; beyond, every frame is the photograph.
SIDES, ABOVE, BELOW = 1.5, 1.9, 2.0
FADE = 0.2  # face widths: before a border that is not the photograph's own, the layer fades out
TRAVEL = 0.45  # face widths by which an outline may move
RIM = 0.02  # face widths around the matte that are no background either: hair too fine for it, and shadows
PERSON = 0.02  # a matte above it is not background
FAR = 100.0  # face widths
LIT = 185.0  # luma of well lit skin, of all people's
CERTAIN = 0.5  # a matte above it is the person
SOFT_EDGE = 0.12  # face widths beyond that at which there may still be hair
ALIGNED = 64  # sides of boxes are multiples of it, so that few sizes are compiled
_CORNERS, _IRISES = ((42, 45), (36, 39)), (69, 68)  # of the person's left and right eye


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outlines:
    """Contours in the head's axes, [n, 3] each, from the corner at image left to the one at image right.

    lips  lower edge of the upper lip, upper edge of the lower lip
    lids  of the person's left and right eye: upper, lower
    """

    lips: tuple[np.ndarray, np.ndarray]
    lids: tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]

    @classmethod
    def of_landmarks(cls, points: Float[np.ndarray, "N 3"]) -> Outlines:
        """Those that the 68 landmarks have."""
        eyes = (((42, 43, 44, 45), (42, 47, 46, 45)), ((36, 37, 38, 39), (36, 41, 40, 39)))
        return cls(
            lips=(points[[60, 61, 62, 63, 64]], points[[60, 67, 66, 65, 64]]),
            lids=tuple(tuple(points[list(lid)] for lid in lids) for lids in eyes),  # type: ignore[arg-type]
        )


@register
@dataclasses.dataclass(frozen=True, kw_only=True)
class Scene:
    """The arrays that a frame is computed from, of a box of h x w pixels.

    face      geometry of the face
    layer     the person, premultiplied, 0 to 255, and the matte, 0 to 1
    plate     what is behind
    opacity   of the plate: 1, or 0 for a transparent background
    still     the frame at rest: premultiplied colours and opacity
    reach     1 where frames may differ from it
    grid      its pixels in face units
    tone      brightness of the face over that of a well lit one
    teeth     their colour, 0 to 255
    lashes    colours of the lashes of the person's left and right eye, 0 to 255
    centre    of the face, pixels of the box with centres at whole numbers
    unit      face width, pixels
    """

    face: Face
    layer: Float[AnyArray, "h w 4"]
    plate: Float[AnyArray, "h w 3"]
    opacity: Float[AnyArray, ""]
    still: Float[AnyArray, "h w 4"]
    reach: Float[AnyArray, "h w"]
    grid: Grid
    tone: Float[AnyArray, ""]
    teeth: Float[AnyArray, "1 1 3"]
    lashes: Float[AnyArray, "2 3"]
    centre: Float[AnyArray, 2]
    unit: Float[AnyArray, ""]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Photograph:
    """A portrait in its own coordinates.

    image  uint8 [H, W, 3], or 4 with straight alpha where the background is transparent: a frame at rest
    top, left, height, width  of the box within it; the scene's is padded to multiples of ALIGNED
    scene  the arrays
    """

    image: UInt8[np.ndarray, "H W _"]
    top: int
    left: int
    height: int
    width: int
    scene: Scene

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the frames."""
        return self.image.shape[0], self.image.shape[1]

    def paste(self, box: UInt8[np.ndarray, "h w _"]) -> UInt8[np.ndarray, "H W _"]:
        """Returns the frame whose box is `box`."""
        frame = self.image.copy()
        frame[self.top : self.top + self.height, self.left : self.left + self.width] = box[: self.height, : self.width]
        return frame


def make_face(
    points: Float[np.ndarray, "70 3"],
    angles: Float[np.ndarray, 3],
    outlines: Outlines,
    mesh: Float[np.ndarray, "N 3"] | None = None,
) -> Face:
    """Returns the geometry of a face. Its lashes and borders are for `make_photograph` to find.

    Args:
      points: 68 landmarks and two irises in the head's axes, face widths.
      angles: yaw, pitch, roll in the photograph, degrees.
      outlines: of lips and lids, likewise.
      mesh: of the whole face, for its depth; None takes the mean head's.
    """
    turn = rotation_matrix(*angles)

    def seen(p: np.ndarray) -> np.ndarray:
        return _seen(p, angles)

    def contour(line: np.ndarray, first: int, last: int) -> np.ndarray:
        frame = expression.frame_of(seen(points[first]), seen(points[last]))
        along, down = expression.within(frame, tuple(seen(line).T))
        return expression.fit_curve(along, down)

    roll = np.deg2rad(angles[2])
    return Face(
        points=points.astype(np.float32),
        depth=surface.ellipsoid_depth(turn) if mesh is None else surface.mesh_depth(mesh, turn),
        mouth=np.stack([contour(line, 60, 64) for line in outlines.lips]),
        lids=np.stack(
            [
                np.stack([contour(line, *corners) for line in lids])
                for lids, corners in zip(outlines.lids, _CORNERS, strict=True)
            ]
        ),
        lashes=np.zeros((2, 2), np.float32),
        chin=np.float32(seen(points[8]) @ (np.sin(roll), np.cos(roll))),
        cut=np.array([-FAR, FAR, -FAR], np.float32),
    )


def measured_face(face: StillFace) -> Face:
    """Returns the geometry of a face that was measured in the photograph."""
    outlines = Outlines(lips=face.lip_contours, lids=face.lid_contours)
    return make_face(face.points, face.angles, outlines, face.mesh)


def _seen(points: Float[np.ndarray, "*N 3"], angles: Float[np.ndarray, 3]) -> Float[np.ndarray, "*N 2"]:
    """Points in the head's axes, seen in the photograph, face units."""
    return (points @ rotation_matrix(*angles)[:2].T) * FLIP


def make_photograph(
    image: UInt8[np.ndarray, "H W 3"],
    person: Float[np.ndarray, "H W"],
    face: Face,
    angles: Float[np.ndarray, 3],
    centre: tuple[float, float],
    unit: float,
    background: Background | None = None,
) -> Photograph:
    """Cuts a photograph into its layers.

    Args:
      image: the photograph.
      person: its matte, 0 to 1.
      face: its geometry.
      angles: yaw, pitch, roll in it, degrees.
      centre: of the face (x, y), pixels, y down, as edges: the first pixel's centre is at 0.5.
      unit: face width, pixels.
      background: another background.
    """
    height, width = image.shape[:2]
    left, right = (round(centre[0] + side * SIDES * unit) for side in (-1, 1))
    top, bottom = round(centre[1] - ABOVE * unit), round(centre[1] + BELOW * unit)
    top, left, bottom, right = max(top, 0), max(left, 0), min(bottom, height), min(right, width)
    person = _connected(person.astype(np.float32), centre, unit)
    whole, behind = _rest(image, person, unit, background)
    inside = slice(top, bottom), slice(left, right)
    behind, still = behind[inside], _premultiplied(whole[inside])
    if transparent := whole.shape[2] == 4:
        matte = still[..., 3]
    else:
        matte = (person * _fade(person.shape, (top, left, bottom, right), FADE * unit))[inside]
    layer = np.concatenate([still[..., :3] - (1 - matte[..., None]) * behind, matte[..., None]], -1)
    reach = _grown(matte > PERSON, TRAVEL * unit).astype(np.float32)

    rows, columns = (-(-n // ALIGNED) * ALIGNED for n in (bottom - top, right - left))

    def padded(x: np.ndarray) -> np.ndarray:
        more = ((0, rows - x.shape[0]), (0, columns - x.shape[1]), *((0, 0),) * (x.ndim - 2))
        return np.pad(x, more, mode="edge").astype(np.float32)

    x, y = np.arange(columns) + 0.5, np.arange(rows) + 0.5

    def units(along_x: np.ndarray, along_y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return (
            ((along_x + left - centre[0]) / unit).astype(np.float32),
            ((along_y + top - centre[1]) / unit).astype(np.float32),
        )

    grid = Grid(
        coarse=units(np.linspace(0, columns, COARSE), np.linspace(0, rows, COARSE)),
        fine=units(x, y),
        enlarge=(enlarging(x / columns * (COARSE - 1), COARSE), enlarging(y / rows * (COARSE - 1), COARSE)),
    )
    lines = _lashes(image, face, angles, centre, unit)
    skin = _middle(image, centre, unit)
    tone, lips = _tone(skin), np.asarray(centre) + unit * _seen(face.points[INNER_LIPS], angles)
    teeth = mouth.own_teeth(image, lips, np.median(skin, 0), unit)
    scene = Scene(
        face=dataclasses.replace(
            face,
            cut=_cut(person, face.chin, centre, unit),
            lids=np.stack([[line.edge, lids[1]] for line, lids in zip(lines, face.lids, strict=True)]),
            lashes=np.array([[line.width, line.hidden] for line in lines], np.float32),
        ),
        layer=padded(layer),
        plate=padded(behind),
        opacity=np.float32(not transparent),
        still=padded(still),
        reach=padded(reach),
        grid=grid,
        tone=tone,
        teeth=tone * mouth.TEETH if teeth is None else teeth[None, None],
        lashes=np.stack([line.colour for line in lines]),
        centre=np.array([centre[0] - left - 0.5, centre[1] - top - 0.5], np.float32),
        unit=np.float32(unit),
    )
    return Photograph(image=whole, top=top, left=left, height=bottom - top, width=right - left, scene=scene)


def _lashes(
    image: UInt8[np.ndarray, "H W 3"],
    face: Face,
    angles: Float[np.ndarray, 3],
    centre: tuple[float, float],
    unit: float,
) -> list[lashes.Line]:
    """The lashes of the person's left and right eye."""
    seen, found = np.array(centre) - 0.5 + unit * _seen(np.asarray(face.points), angles), []
    for lids, corners, iris in zip(face.lids, _CORNERS, _IRISES, strict=True):
        frame = expression.frame_of(*seen[list(corners)])
        found.append(lashes.measure(image, frame, np.asarray(lids), float(expression.within(frame, seen[iris])[0])))
    return found


def _cut(
    person: Float32[np.ndarray, "H W"], chin: Any, centre: tuple[float, float], unit: float
) -> Float32[np.ndarray, " 3"]:
    """The left, right and top border, face units, where they cut the head: hair, a hat or a shoulder beside it."""
    height, width = person.shape
    beside = person[: max(round(centre[1] + float(chin) * unit), 1)]
    borders = zip((beside[:, 0], beside[:, -1], person[0]), (-centre[0], width - centre[0], -centre[1]), strict=True)
    far = (-FAR, FAR, -FAR)
    return np.array(
        [at / unit if line.max(initial=0) > CERTAIN else away for (line, at), away in zip(borders, far, strict=True)],
        np.float32,
    )


def _middle(
    image: UInt8[np.ndarray, "H W 3"], centre: tuple[float, float], unit: float
) -> UInt8[np.ndarray, "pixels 3"]:
    """The pixels in the middle of a face."""
    height, width = image.shape[:2]
    middle = (min(max(centre[0], 0), width - 1), width), (min(max(centre[1] + 0.15 * unit, 0), height - 1), height)
    (left, right), (top, bottom) = ((max(int(c - unit * 0.25), 0), min(int(c + unit * 0.25) + 1, n)) for c, n in middle)
    return image[top:bottom, left:right].reshape(-1, 3)


def _tone(skin: UInt8[np.ndarray, "pixels 3"]) -> np.float32:
    """Brightness of a face, from one in darkness to one in full light."""
    return np.float32(np.clip(np.percentile(skin @ np.array(LUMA), 75) / LIT, 0.3, 1.15))


def _rest(
    image: UInt8[np.ndarray, "H W 3"], person: Float[np.ndarray, "H W"], unit: float, background: Background | None
) -> tuple[UInt8[np.ndarray, "H W _"], Float32[np.ndarray, "H W 3"]]:
    """Returns the frame at rest, with alpha if the background is transparent, and what is behind the person."""
    if background is None:
        hidden = _grown(person > PERSON, RIM * unit)
        return image, fill_background(image, hidden, unit)
    share, colours = person[..., None], foreground(image, person)
    if (behind := background.image(*person.shape)) is None:
        alpha = np.round(255 * share)
        return np.round(np.concatenate([colours * (alpha > 0), alpha], -1)).astype(np.uint8), np.zeros_like(colours)
    return np.round(share * colours + (1 - share) * behind).astype(np.uint8), behind.astype(np.float32)


def _premultiplied(image: UInt8[np.ndarray, "h w _"]) -> Float32[np.ndarray, "h w 4"]:
    """Colours, 0 to 255, multiplied by their opacity, 0 to 1, and the opacity."""
    if image.shape[2] == 3:
        return np.concatenate([image, np.ones_like(image[..., :1])], -1).astype(np.float32)
    opacity = image[..., 3:] / np.float32(255)
    return np.concatenate([image[..., :3] * opacity, opacity], -1)


def _connected(person: Float32[np.ndarray, "H W"], centre: tuple[float, float], unit: float) -> np.ndarray:
    """Returns the matte without what does not hang together with the face: other people, and errors of the matte."""
    from scipy.ndimage import label

    parts, _ = label(person > CERTAIN)
    row, column = (int(np.clip(c, 0, n - 1)) for c, n in zip(centre[::-1], person.shape, strict=True))
    if not parts[row, column]:
        return person
    return person * _grown(parts == parts[row, column], SOFT_EDGE * unit)


def _grown(mask: Bool[np.ndarray, "H W"], distance: float) -> Bool[np.ndarray, "H W"]:
    from scipy.ndimage import distance_transform_edt

    return distance_transform_edt(~mask) <= distance if mask.any() else mask


def _fade(shape: tuple[int, int], box: tuple[int, int, int, int], length: float) -> Float32[np.ndarray, "H W"]:
    """1 within the box, falling to 0 at those of its borders that are not the image's, and 0 outside it."""
    lines = []
    for count, low, high in ((shape[0], box[0], box[2]), (shape[1], box[1], box[3])):
        at = np.arange(count) + 0.5
        up = np.ones(count) if low == 0 else np.clip((at - low) / length, 0, 1)
        down = np.ones(count) if high == count else np.clip((high - at) / length, 0, 1)
        lines.append(up * down)
    return (lines[0][:, None] * lines[1][None]).astype(np.float32)
