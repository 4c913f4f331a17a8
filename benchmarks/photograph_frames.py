"""What `benchmarks.photographs` measures on the frames of one portrait: codes changed in one coordinate, no speech."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from demo_jax.errors import InputError
from demo_jax.evaluation.metrics import direct_alignment, preservation, seams, sharpness
from demo_jax.evaluation.metrics.control import blink_closure
from demo_jax.evaluation.metrics.reader import READ_NAMES, Readings, read_faces
from demo_jax.faces.crop import cut
from demo_jax.faces.landmarker import FaceFinder, canonical_face
from demo_jax.faces.measures import BOX_MARGIN, EYES
from demo_jax.factors import CALIBRATED_NAMES, CALIBRATED_SCALE
from demo_jax.media.resize import resize_to
from demo_jax.media.video import read_video
from demo_jax.media.video_writer import VideoWriter
from demo_jax.sampling.pipeline import Pipeline
from demo_jax.sampling.portraits import Portrait, Source

# Control -> its grid. Turns and gaze are added to the portrait's own, the others replace it. Degrees, eye spans, 0-1.
GRIDS: dict[str, tuple[float, ...]] = {
    "yaw": tuple(range(-20, 21, 5)),
    "pitch": tuple(range(-12, 13, 4)),
    "roll": tuple(range(-15, 16, 5)),
    "gaze_yaw": tuple(range(-15, 16, 5)),
    "gaze_pitch": tuple(range(-10, 11, 5)),
    "aperture": (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3),
    "open": (0.0, 0.25, 0.5, 0.75, 1.0),
}
REPLACES = ("aperture", "open")
OPENINGS = ("open_left", "open_right")
HEAD = (0.75, 1.05, 0.8)  # face widths from the centre: the head's box to the sides, above, below
STILL_FRAMES = 25
SHARP_YAWS = (-15.0, -10.0, 10.0, 15.0)
POSES = {"yaw": (-15, 15), "pitch": (-8, 8), "roll": (-10, 10)}  # of the seams
SPEAKING = 0.1 * (1 - np.cos(np.linspace(0, 2 * np.pi, 13)))  # apertures: the lips open to 0.2 and close
JAW = (0.0, 0.9)  # face widths below the centre: from the ears to below the chin the jaw moves with the lips
TALK = 0.15  # aperture at which the mouth's inside is looked at
OLD_SIDE = 256  # pixels to which the decoder's square is enlarged for the reader


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sitter:
    """A portrait and the model that draws it.

    read    the photograph's reading
    values  calibrated code values of the portrait, in the record's units
    """

    model: Pipeline
    finder: FaceFinder
    portrait: Portrait
    source: Source
    read: Readings
    values: Mapping[str, float]

    @property
    def image(self) -> np.ndarray:
        """The photograph, RGB."""
        assert self.portrait.image is not None
        return self.portrait.image[..., :3]

    def codes(self, changes: Sequence[Mapping[str, float]]) -> np.ndarray:
        """The portrait's code, once for each change of values (record units)."""
        return changed(np.asarray(self.source.code), self.model.layout.calibrated, changes)

    def frames(self, changes: Sequence[Mapping[str, float]]) -> np.ndarray:
        """[T, H, W, 3]."""
        return np.stack(list(self.model.drawer.frames(self.source, self.codes(changes))))

    def read_frames(self, frames: np.ndarray) -> Readings:
        """Readings of frames of this person."""
        return read_faces(frames, self.finder, (float(self.read.centre[0, 0]), float(self.read.centre[0, 1])))


def changed(code: np.ndarray, calibrated: np.ndarray, changes: Sequence[Mapping[str, float]]) -> np.ndarray:
    """Returns [T, K] copies of a raw code [K] with values of CALIBRATED_NAMES, in the record's units."""
    codes = np.repeat(code[None], len(changes), 0)
    for row, change in zip(codes, changes, strict=True):
        for name, value in change.items():
            i = CALIBRATED_NAMES.index(name)
            row[calibrated[i]] = value / CALIBRATED_SCALE[i]
    return codes


def grid_changes(name: str, values: Mapping[str, float]) -> list[dict[str, float]]:
    """Returns the changes of a control's grid for a portrait of these values."""
    if name == "open":
        return [dict.fromkeys(OPENINGS, x) for x in GRIDS[name]]
    return [{name: x + (0.0 if name in REPLACES else values[name])} for x in GRIDS[name]]


def requested(name: str, values: Mapping[str, float]) -> np.ndarray:
    """Returns the change of the value that each step of a grid asks for; of openings over the portrait's own."""
    grid = np.array(GRIDS[name], np.float64)
    if name == "open":
        return grid / max(sum(values[o] for o in OPENINGS) / 2, 1e-3)
    return grid - values[name] if name in REPLACES else grid


def sit(model: Pipeline, finder: FaceFinder, portrait: Portrait) -> Sitter:
    """Prepares a portrait. Raises InputError if the reader finds no face in it."""
    source = model.source(portrait)
    assert portrait.image is not None and source.photograph is not None
    scene, place = source.photograph.scene, source.photograph
    near = float(scene.centre[0]) + place.left, float(scene.centre[1]) + place.top
    read = read_faces([portrait.image[..., :3]], finder, near)
    if not read.found[0]:
        raise InputError("the reader finds no face in this portrait.")
    code = np.asarray(source.code)[model.layout.calibrated] * CALIBRATED_SCALE
    values = dict(zip(CALIBRATED_NAMES, map(float, code), strict=True))
    return Sitter(model=model, finder=finder, portrait=portrait, source=source, read=read, values=values)


def reach_mask(source: Source) -> np.ndarray:
    """Returns the pixels of the photograph that frames may change, bool [H, W]."""
    return _pasted(source, np.asarray(source.photograph.scene.reach) > 0)  # type: ignore[union-attr]


def _pasted(source: Source, inside: np.ndarray) -> np.ndarray:
    place = source.photograph
    assert place is not None
    mask = np.zeros(place.size, bool)
    mask[place.top : place.top + place.height, place.left : place.left + place.width] = inside[
        : place.height, : place.width
    ]
    return mask


def head_box(read: Readings) -> np.ndarray:
    """Returns the box around the head, x0 y0 x1 y1, of one reading."""
    (x, y), width = read.centre[0], read.face_width[0]
    return np.array([x - HEAD[0] * width, y - HEAD[1] * width, x + HEAD[0] * width, y + HEAD[2] * width])


def figures(sitter: Sitter) -> dict[str, Any]:
    """Returns everything of one portrait but its sharpness."""
    mask = reach_mask(sitter.source)
    control, frames = controls(sitter)
    rest = sitter.frames([{}])
    outside = [preservation.change_outside(f, sitter.image, mask)["max"] for f in frames.values()]
    grid = GRIDS["aperture"].index(TALK)
    talking = frames["aperture"][grid]
    landmarks = np.asarray(sitter.read_frames(talking[None]).landmarks[0])
    lid = np.array(control["open"]["read"])[0, 5:7].mean()
    return {
        "face_width": float(sitter.read.face_width[0]),
        "size": sitter.source.size,
        "yaw": sitter.values["yaw"],
        "kept": kept(sitter),
        "reach": float(mask.mean()),
        "outside": float(np.nanmax(outside)) if np.isfinite(outside).any() else float("nan"),
        "control": control,
        "old_control": old_controls(sitter),
        "aligned": aligned(sitter, frames, rest),
        "blink": blink_closure(np.array([lid]), float(np.mean(control["open"]["rest"][5:7]))),
        "frozen": frozen(sitter),
        "seams": borders(sitter, frames, mask),
        "flicker": flicker(sitter, mask),
        "mouth": sharpness.mouth_detail(talking, landmarks) if np.isfinite(landmarks).all() else float("nan"),
    }


def kept(sitter: Sitter) -> dict[str, float]:
    """PSNR of a second at rest, before encoding and as H.264, and of the decoder's square, enlarged."""
    frames, box = sitter.frames([{}] * STILL_FRAMES), head_box(sitter.read)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "still.mp4"
        with VideoWriter(path, sitter.source.size) as video:
            for frame in frames:
                video.write(frame)
        height, width = sitter.source.size
        decoded = np.stack([frame[:height, :width] for frame in read_video(path)[1]])
    photograph, old, side = old_frames(sitter, [{}], None)
    crop = sitter.portrait.crop
    assert crop is not None
    scale = side / sitter.model.size
    corners = (box.reshape(2, 2) @ crop[:2, :2].T + crop[:2, 2]) * scale
    return {
        "frames": preservation.portrait_psnr(frames, sitter.image, box)["min"],
        "mp4_luma": preservation.portrait_psnr(decoded, sitter.image, box, of_luma=True)["min"],
        "old": preservation.portrait_psnr(old, photograph, corners.ravel())["min"],
    }


def controls(sitter: Sitter) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Requested changes and readings of each grid, and the frames."""
    found, frames = {}, {}
    rest = sitter.read_frames(sitter.frames([{}])).table[0]
    for name in GRIDS:
        frames[name] = sitter.frames(grid_changes(name, sitter.values))
        found[name] = {
            "requested": requested(name, sitter.values).tolist(),
            "read": sitter.read_frames(frames[name]).table.tolist(),
            "rest": rest.tolist(),
        }
    return found, frames


def old_frames(
    sitter: Sitter, changes: Sequence[Mapping[str, float]], side: int | None
) -> tuple[np.ndarray, np.ndarray, int]:
    """Returns the photograph's square, the decoder's own frames of it enlarged to it, and its side in pixels (None: as
    large as it is in the photograph). The network reads the portrait, as it did before there was a photograph path."""
    model, crop = sitter.model, sitter.portrait.crop
    assert crop is not None
    side = side or round(model.size / crop[0, 0])
    photograph = cut(sitter.image, np.diag([side / model.size, side / model.size, 1]) @ crop, side)
    source = model.source(sitter.portrait.square)
    codes = changed(np.asarray(source.code), model.layout.calibrated, changes)
    small = model.drawer.frames(source, codes)
    return photograph, np.stack([resize_to(frame, (side, side)) for frame in small]), side


def old_controls(sitter: Sitter) -> dict[str, Any]:
    """The same as `controls`, of the decoder's own square."""
    model, found = sitter.model, {}
    code = np.asarray(model.source(sitter.portrait.square).code)[model.layout.calibrated] * CALIBRATED_SCALE
    values = dict(zip(CALIBRATED_NAMES, map(float, code), strict=True))
    rest = read_faces(old_frames(sitter, [{}], OLD_SIDE)[1], sitter.finder).table[0]
    for name in GRIDS:
        frames = old_frames(sitter, grid_changes(name, values), OLD_SIDE)[1]
        found[name] = {
            "requested": requested(name, values).tolist(),
            "read": read_faces(frames, sitter.finder).table.tolist(),
            "rest": rest.tolist(),
        }
    return found


def aligned(sitter: Sitter, frames: Mapping[str, np.ndarray], rest: np.ndarray) -> dict[str, list[float]]:
    """Changes of yaw, pitch and roll over their grids by direct alignment, each direction from rest on."""
    canonical, head, found = canonical_face(sitter.finder.model), sitter.read.head(0), {}
    for i, name in enumerate(READ_NAMES[:3]):
        values = np.array(GRIDS[name])
        angles = np.zeros(len(values))
        for order in (np.flatnonzero(values > 0), np.flatnonzero(values < 0)[::-1]):
            series = [rest[0], *(frames[name][k] for k in order)]
            angles[order] = direct_alignment.pose_changes(series, head, canonical)[1:, i]
        found[name] = angles.tolist()
    return found


def frozen(sitter: Sitter) -> float:
    """The largest difference that shut eyes make outside the eyes' box while the lips move."""
    apertures = [{"aperture": float(a)} for a in (0.0, 0.1, 0.2)]
    shut = [a | dict.fromkeys(OPENINGS, 0.0) for a in apertures]
    points, margin = sitter.read.landmarks[0, EYES], BOX_MARGIN * sitter.read.face_width[0]
    box = np.concatenate([points.min(0) - margin, points.max(0) + margin])
    inside = preservation.boxes_mask(box[None], sitter.image.shape)
    return preservation.change_outside(sitter.frames(shut), sitter.frames(apertures), inside)["max"]


def borders(sitter: Sitter, frames: Mapping[str, np.ndarray], mask: np.ndarray) -> dict[str, float]:
    """Seam ratios along the reach's border and the box's, the largest over turned frames; NaN without a border."""
    box = _pasted(sitter.source, np.ones_like(np.asarray(sitter.source.photograph.scene.reach), bool))  # type: ignore[union-attr]
    turned = np.stack([frames[n][GRIDS[n].index(x)] for n, values in POSES.items() for x in values])
    return {name: _largest_seam(turned, sitter.image, border) for name, border in (("reach", mask), ("box", box))}


def _largest_seam(frames: np.ndarray, photograph: np.ndarray, border: np.ndarray) -> float:
    with contextlib.suppress(InputError):  # everything is inside: there is no border
        return float(seams.seam_ratio(frames, photograph, border).max())
    return float("nan")


def flicker(sitter: Sitter, mask: np.ndarray) -> dict[str, float]:
    """Flicker, the pose still, while the lips move: along the outline of the person above the mouth and below the jaw,
    where nothing should move, and along the reach's border."""
    frames = sitter.frames([{"aperture": float(a)} for a in SPEAKING])
    person = _pasted(sitter.source, np.asarray(sitter.source.photograph.scene.layer)[..., 3] > 0.5)  # type: ignore[union-attr]
    above, below = (round(sitter.read.centre[0, 1] + y * sitter.read.face_width[0]) for y in JAW)
    parts = {"head": (person, slice(0, above)), "shoulders": (person, slice(below, None)), "reach": (mask, slice(None))}
    found = dict.fromkeys(parts, float("nan"))
    for name, (border, rows) in parts.items():
        with contextlib.suppress(InputError):  # there is no border
            found[name] = seams.rim_flicker(frames[:, rows], border[rows])["max"]
    return found


def sharp(sitter: Sitter) -> dict[str, float]:
    """Sharpness of cheeks and hair on turned frames, and of the decoder's square, enlarged."""
    changes = [{"yaw": sitter.values["yaw"] + yaw} for yaw in SHARP_YAWS]
    frames = sitter.frames(changes)
    hair = sharpness.hair_patch(sitter.read.head(0))
    new = sharpness.turned_sharpness(frames, sitter.read_frames(frames), sitter.image, sitter.read, hair)
    photograph, old, _ = old_frames(sitter, changes, None)
    read, source = read_faces(old, sitter.finder), read_faces([photograph], sitter.finder)
    found = {name: float(np.nanmedian(values)) if np.isfinite(values).any() else np.nan for name, values in new.items()}
    if source.found[0]:
        was = sharpness.turned_sharpness(old, read, photograph, source, sharpness.hair_patch(source.head(0)))
        found |= {f"old_{name}": float(np.nanmedian(v)) for name, v in was.items() if np.isfinite(v).any()}
    return found
