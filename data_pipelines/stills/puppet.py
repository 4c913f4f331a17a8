"""Moves a photograph: frames, and the record's numbers, which are those that the frames were made from.

Only the crop is rendered, at a multiple of its size. The geometry is that of `demo_jax.rendering.motion`, which says
for each pixel of a frame where it lies in the photograph; landmarks go the opposite way through the same geometry, so
that they lie where the frame shows them.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from data_pipelines.stills.drivers import LIPS_AND_JAW, Drivers
from data_pipelines.stills.frames import compose
from data_pipelines.stills.motion import Motion
from data_pipelines.stills.still import SCALE, Still
from demo_jax.factors import ARKIT_NAMES, FACTOR_OF, FactorLayout, calibrated_code
from demo_jax.models.geometry import landmarks, rigid
from demo_jax.models.geometry.landmarks import LANDMARKS
from demo_jax.rendering import expression, eyes, motion, surface
from demo_jax.rendering.composite import enlarging
from demo_jax.rendering.expression import Pair
from demo_jax.rendering.motion import EYEBALL, FLIP, Face, Grid, Painted

BLOCKS = FactorLayout(lip=3, pose=6, gaze=4, residual=0).slices
COARSE = 49  # nodes across and down the crop, about as dense as over a whole photograph
_MOUTHS = (0.8, 1.25)  # width of a mouth over the driver's to which expressions are scaled
_KNOWN = {  # ARKit's names of which a frame shows the driver's change
    "lips": np.array([name.startswith(("jaw", "mouth")) for name in ARKIT_NAMES]),
    "brows": np.array([name.startswith("brow") for name in ARKIT_NAMES]),
}
_LIP_FACTOR = np.array([FACTOR_OF[name] == "lip" for name in ARKIT_NAMES])
# Lids: the landmarks of upper and lower edge, of the person's left eye and right eye, with corners and iris.
_LIDS = (((43, 44), (46, 47), (42, 45, 69)), ((37, 38), (40, 41), (36, 39, 68)))
_LID_POINTS = np.array([37, 38, 40, 41, 43, 44, 46, 47])
_INVERSION_STEPS = 6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Moved:
    """T frames and their numbers, as in the clip record; `trust` is described there."""

    frames: UInt8[np.ndarray, "T S S 3"]
    pose: Float[np.ndarray, "T 6"]
    gaze: Float[np.ndarray, "T 4"]
    lips: Float[np.ndarray, "T 3"]
    landmarks: Float[np.ndarray, "T 68 2"]
    expression: Float[np.ndarray, "T 52"]
    trust: UInt8[np.ndarray, "T cells cells"]


def move(still: Still, wanted: Motion, drivers: Drivers, own: Float[np.ndarray, 52], size: int) -> Moved:
    """Returns the frames of a motion.

    Args:
      still: the photograph.
      wanted: what they show.
      drivers: whose rows the motion names.
      own: the photograph's expression.
      size: S.
    """
    face = still.face
    source = face.code(still.crop, size)
    count = len(wanted.aperture)
    lips = np.column_stack([wanted.aperture, np.tile(face.lips[1:], (count, 1))])
    codes = calibrated_code(lips, wanted.pose, wanted.gaze)
    change = _displacements(face.points, wanted, drivers)
    scene, unit = still.photograph.scene, float(still.photograph.scene.unit)
    grid, pixels = _grid(still, size)
    found = _program()(scene.face, jnp.asarray(source), codes, change, grid, np.float32(1 / (unit * pixels)))
    (x, y), painted, points, at = jax.tree.map(np.asarray, found)
    shown = still.crop[:2, :2] @ still.face.centre + still.crop[:2, 2] + at * unit * still.crop[0, 0]
    frames, trust = compose(still, grid, (x, y), painted, pixels, size)
    driven = wanted.lips >= 0
    pucker = face.lips[2] + np.where(driven, drivers.pucker[wanted.lips], 0)
    width = np.linalg.norm(points[:, 48] - points[:, 54], axis=-1)
    before = np.linalg.norm(face.points[48] - face.points[54])
    return Moved(
        frames=frames,
        pose=wanted.pose.astype(np.float32),
        gaze=wanted.gaze.astype(np.float32),
        lips=np.column_stack([wanted.aperture, face.lips[1] * width / before, np.clip(pucker, 0, 1)]).astype(
            np.float32
        ),
        landmarks=shown.astype(np.float32),
        expression=_expression(wanted, drivers, own),
        trust=trust,
    )


def _displacements(points: Float[np.ndarray, "70 3"], wanted: Motion, drivers: Drivers) -> Float[np.ndarray, "T 70 3"]:
    """The drivers' expressions on this face, face widths in the head's axes."""
    change = np.zeros((len(wanted.aperture), *points.shape), np.float32)
    mouth = float(np.linalg.norm(points[48] - points[54]))
    brows = np.setdiff1d(np.arange(LANDMARKS), LIPS_AND_JAW)
    for t, (lips, above) in enumerate(zip(wanted.lips, wanted.brows, strict=True)):
        if above >= 0:
            change[t, brows, :2] = drivers.displacement[above, brows]
        if lips >= 0:
            scale = np.clip(mouth / drivers.mouth_width[lips], *_MOUTHS)
            change[t, LIPS_AND_JAW, :2] = scale * drivers.displacement[lips, LIPS_AND_JAW]
    return change


def _expression(wanted: Motion, drivers: Drivers, own: Float[np.ndarray, 52]) -> Float[np.ndarray, "T 52"]:
    """ARKit's 52: the photograph's own plus the driver's change; NaN of what nobody measured in the frame."""
    rows = []
    for lips, brows, as_driven in zip(wanted.lips, wanted.brows, wanted.own_gap, strict=True):
        if lips < 0 and brows < 0:
            rows.append(own)
            continue
        row = np.full(len(ARKIT_NAMES), np.nan)
        for driver, names in ((lips, _KNOWN["lips"]), (brows, _KNOWN["brows"])):
            row[names] = own[names] + (drivers.expression[driver, names] if driver >= 0 else 0)
        if not as_driven:  # jaw and lips are not where the driver's are
            row[_LIP_FACTOR] = np.nan
        rows.append(np.clip(row, 0, 1))
    return np.stack(rows).astype(np.float32)


def _grid(still: Still, size: int) -> tuple[Grid, float]:
    """The crop's pixels at SCALE times its size in face units, and how many of them there are to a pixel of the
    photograph."""
    count, pixels = SCALE * size, SCALE * float(still.crop[0, 0])
    unit = float(still.photograph.scene.unit)
    first = (-still.crop[:2, 2] / still.crop[0, 0] - still.face.centre) / unit
    side = size / float(still.crop[0, 0]) / unit
    along = np.arange(count) + 0.5
    lines = [(start + along / count * side).astype(np.float32) for start in first]
    nodes = [(start + np.linspace(0, side, COARSE)).astype(np.float32) for start in first]
    enlarge = enlarging(along / count * (COARSE - 1), COARSE)
    return Grid(coarse=(nodes[0], nodes[1]), fine=(lines[0], lines[1]), enlarge=(enlarge, enlarge)), pixels


@functools.cache
def _program() -> Any:
    def one(
        face: Face,
        source: Float[Array, " K"],
        grid: Grid,
        pixel: Float[Array, ""],
        code: Float[Array, " K"],
        change: Float[Array, "70 3"],
    ) -> tuple[Pair, Painted, Float[Array, "70 3"], Float[Array, "68 2"]]:
        moved = _moved(jnp.asarray(face.points), change, source, code)
        position, painted = motion.find(face, source, code, moved, grid, pixel, BLOCKS)
        return position, painted, moved, _seen(face, moved, source, code)

    return jax.jit(
        lambda face, source, codes, changes, grid, pixel: jax.lax.map(
            lambda frame: one(face, source, grid, pixel, *frame), (codes, changes)
        )
    )


def _moved(
    points: Float[Array, "70 3"], change: Float[Array, "70 3"], source: Float[Array, " K"], code: Float[Array, " K"]
) -> Float[Array, "70 3"]:
    """The points with the driver's change, and the gaps of lips and lids that the code asks for."""
    blocks = {name: (source[None, part], code[None, part]) for name, part in BLOCKS.items()}
    # `landmarks.move` bounds how far predicted lips move to the sides; these are measured.
    aside = jnp.zeros_like(change).at[48:LANDMARKS, 0].set(change[48:LANDMARKS, 0])
    predicted = jnp.zeros_like(change)[None], (change - aside)[None]
    return landmarks.move((points + aside)[None], predicted, blocks)[0]


def _seen(
    face: Face, moved: Float[Array, "70 3"], source: Float[Array, " K"], code: Float[Array, " K"]
) -> Float[Array, "68 2"]:
    """Where the 68 landmarks lie in the frame, face units of the photograph: the inverse of `motion.find`."""
    poses = tuple(rigid.limited(c[BLOCKS["pose"]] * motion.POSE_SCALE) for c in (source, code))
    turns = tuple(rigid.rotation(pose[None, :3])[0] for pose in poses)
    at, with_expression = (motion.in_image(p, turns[0]) for p in (face.points, moved))
    still = jnp.asarray(expression.STILL)
    on_face = with_expression[:LANDMARKS].at[still].set(at[still])
    lids = _lids(face, at, turns[0], source, code)
    goal = lids[0], lids[1]
    guess = goal
    for _ in range(_INVERSION_STEPS):  # of p + displacement(p) = lid
        (dx, dy), _ = expression.displacements(guess, at[:LANDMARKS], with_expression[:LANDMARKS])
        guess = goal[0] - dx, goal[1] - dy
    on_face = on_face.at[jnp.asarray(_LID_POINTS)].set(jnp.stack(guess, -1))
    # Jaws near the neck move less.
    share = motion.motion_share(face, poses[0][2], on_face[:, 0], on_face[:, 1])[:, None]
    x, y = on_face[:, 0], -on_face[:, 1]
    ahead = jnp.stack([x, y, surface.depth_at(face.depth, x, y)], -1)
    turned = ahead @ (turns[1] @ turns[0].T)[:2].T
    zoom = jnp.exp(poses[0][5] - poses[1][5])
    shift = (poses[1][3:5] - poses[0][3:5]) * jnp.exp(poses[0][5])
    return on_face + share * ((zoom * turned + shift[None]) * jnp.asarray(FLIP)[None] - on_face)


def _lids(
    face: Face,
    at: Float[Array, "70 2"],
    turn: Float[Array, "3 3"],
    source: Float[Array, " K"],
    code: Float[Array, " K"],
) -> Pair:
    """Where the lids' landmarks (_LID_POINTS) lie on a face that only moves its eyes: the inverse of `eyes.turn`."""
    gazes = tuple(c[BLOCKS["gaze"]] * motion.GAZE_SCALE for c in (source, code))
    shift = (turn @ (EYEBALL * (motion.ahead(gazes[1]) - motion.ahead(gazes[0]))))[:2] * jnp.asarray(FLIP)
    placed = at
    for eye, (upper, lower, (first, last, _)) in enumerate(_LIDS):
        frame = expression.frame_of(at[first], at[last])
        opening = jnp.minimum(landmarks.lid_ratio(gazes[0][2 + eye], gazes[1][2 + eye]), motion.MAX_OPENING)
        gaze = jnp.stack(expression.within(frame, frame[0] + shift))
        for index, which in ((upper, 0), (lower, 1)):
            points = at[jnp.asarray(index)]
            u, v = expression.within(frame, (points[:, 0], points[:, 1]))
            line = expression.curve(face.lids[eye, which], u)
            edge = eyes.edges(u, face.lids[eye], opening, gaze)[which]
            change = edge - line
            if which == 0:  # a point below what a closed lid shows of its lashes is at the lid's edge
                last = eyes.last_shown(u, line, opening, face.lashes[eye, 1])
                change = edge + jnp.minimum(v - last, jnp.maximum(v - line, 0)) - v
            placed = placed.at[jnp.asarray(index)].add(change[:, None] * frame[2][None])
    points = placed[jnp.asarray(_LID_POINTS)]
    return points[:, 0], points[:, 1]
