"""Names, units and layout of the factors: lip, pose, gaze, residual.

Conventions. The camera looks along -z, x is right in the image, y is up; the face looks along +z, at the camera.
R = Rz(roll) Ry(yaw) Rx(pitch), right-handed: yaw > 0 turns the nose to image right, pitch > 0 down, roll > 0 the head's
top to image left. Left means the person's left. Lengths are 3-D distances on the face, so that turning the head moves
neither z nor the lips.

    face width   distance between landmarks 0 and 16 of the 68 (in front of the ears)
    face centre  projection of the point half-way between them, which lies on the head's axis of rotation
    eye span     distance between the outer eye corners (landmarks 36 and 45)
"""

from __future__ import annotations

import dataclasses
from types import ModuleType
from typing import Any

import numpy as np

FACTORS = ("lip", "pose", "gaze", "residual")

POSE_NAMES = ("yaw", "pitch", "roll", "x", "y", "z")  # degrees x 3; crop widths x 2; log(crop width / face width)
GAZE_NAMES = ("gaze_yaw", "gaze_pitch", "open_left", "open_right")  # degrees x 2, in the head; 0-1 x 2
LIPS_NAMES = ("aperture", "width", "pucker")  # over the eye span x 2; 0-1
EMOTIONS = ("", "neutral", "happy", "sad", "angry", "surprised", "fearful", "disgusted", "contempt")  # "" is unknown

ARKIT_NAMES = (
    "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight",
    "cheekPuff", "cheekSquintLeft", "cheekSquintRight",
    "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight", "eyeLookInLeft", "eyeLookInRight",
    "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight",
    "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight",
    "jawForward", "jawLeft", "jawOpen", "jawRight",
    "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight", "mouthFunnel",
    "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight", "mouthPucker",
    "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper",
    "mouthSmileLeft", "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft",
    "mouthUpperUpRight", "noseSneerLeft", "noseSneerRight", "tongueOut",
)  # fmt: skip
ARKIT_INDEX = {name: i for i, name in enumerate(ARKIT_NAMES)}

_RESIDUAL_MOUTH = ("mouthSmile", "mouthFrown", "mouthDimple")


def _factor_of(name: str) -> str:
    if name.startswith(("jaw", "mouth")) and not name.startswith(_RESIDUAL_MOUTH):
        return "lip"
    return "gaze" if name.startswith("eye") else "residual"


FACTOR_OF: dict[str, str] = {name: _factor_of(name) for name in ARKIT_NAMES}


def columns_of(factor: str) -> np.ndarray:
    """Returns the indices of a factor's ARKit names ("pose" has none)."""
    return np.array([ARKIT_INDEX[n] for n in ARKIT_NAMES if FACTOR_OF[n] == factor], np.int64)


def mirror_name(name: str) -> str:
    """Returns the name that `name` becomes in a mirrored image: Left and Right (left and right) change places."""
    for a, b in (("Left", "Right"), ("left", "right")):
        for old, new in ((a, b), (b, a)):
            if name.endswith(old):
                return name.removesuffix(old) + new
    return name


# The permutation p with mirrored[..., i] = expression[..., p[i]].
ARKIT_MIRROR = np.array([ARKIT_INDEX[mirror_name(name)] for name in ARKIT_NAMES])

# The permutation p with mirrored[..., i, :] = landmarks[..., p[i], :], of the usual 68 landmarks.
LANDMARK_MIRROR = np.concatenate(
    [
        np.arange(16, -1, -1), np.arange(26, 16, -1), np.arange(27, 31), np.arange(35, 30, -1),
        (45, 44, 43, 42, 47, 46), (39, 38, 37, 36, 41, 40),
        np.arange(54, 47, -1), np.arange(59, 54, -1), np.arange(64, 59, -1), (67, 66, 65),
    ]
)  # fmt: skip

# One unit of a calibrated code coordinate, in the unit of the record: a code is record value / scale, so that a usual
# change is about 1 in every coordinate and no block swamps another.
POSE_SCALE = np.array([15.0, 15.0, 15.0, 0.1, 0.1, 0.1], np.float32)
GAZE_SCALE = np.array([10.0, 10.0, 0.5, 0.5], np.float32)
LIPS_SCALE = np.array([0.1, 0.1, 0.5], np.float32)

TRACK_COLUMNS = ("time", *POSE_NAMES, *GAZE_NAMES, *LIPS_NAMES, *ARKIT_NAMES)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FactorLayout:
    """The blocks of the K coordinates of a motion code: lip | pose | gaze | residual, in this order.

    The first coordinates of lip, pose and gaze are calibrated: lips (3), pose (6) and gaze (4) of the clip record,
    divided by LIPS_SCALE, POSE_SCALE and GAZE_SCALE. The rest are free.
    """

    lip: int = 20
    pose: int = 6
    gaze: int = 6
    residual: int = 10

    def __post_init__(self) -> None:
        if self.lip < 3 or self.pose < 6 or self.gaze < 4 or self.residual < 0:
            raise ValueError(
                f"{self}: lip needs at least 3 coordinates, pose 6, gaze 4 (the calibrated ones); residual at least 0."
            )

    @property
    def size(self) -> int:
        """K."""
        return self.lip + self.pose + self.gaze + self.residual

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        return self.lip, self.pose, self.gaze, self.residual

    @property
    def used(self) -> tuple[str, ...]:
        """The factors that have coordinates: all, or all but the residual."""
        return tuple(f for f, n in zip(FACTORS, self.sizes, strict=True) if n)

    @property
    def slices(self) -> dict[str, slice]:
        """Factor name -> its coordinates in a code [..., K]."""
        ends = np.cumsum(self.sizes)
        return {f: slice(int(e) - n, int(e)) for f, e, n in zip(FACTORS, ends, self.sizes, strict=True)}

    @property
    def factor_index(self) -> np.ndarray:
        """The factor of each coordinate, an index in FACTORS: [K] int32."""
        return np.repeat(np.arange(len(FACTORS), dtype=np.int32), self.sizes)

    @property
    def calibrated(self) -> np.ndarray:
        """The calibrated coordinates, in the order lips (3), pose (6), gaze (4): [13] int32."""
        s = self.slices
        starts = ((s["lip"].start, 3), (s["pose"].start, 6), (s["gaze"].start, 4))
        return np.concatenate([np.arange(a, a + n, dtype=np.int32) for a, n in starts])


CALIBRATED_NAMES = (*LIPS_NAMES, *POSE_NAMES, *GAZE_NAMES)
CALIBRATED_SCALE = np.concatenate([LIPS_SCALE, POSE_SCALE, GAZE_SCALE])


def calibrated_code(lips: np.ndarray, pose: np.ndarray, gaze: np.ndarray) -> np.ndarray:
    """Returns the calibrated code coordinates [..., 13], float32, of record arrays [..., 3], [..., 6] and [..., 4]. NaN
    stays NaN."""
    return (np.concatenate([lips, pose, gaze], -1) / CALIBRATED_SCALE).astype(np.float32)


# A mirrored image's calibrated code is code[..., CALIBRATED_MIRROR] * CALIBRATED_MIRROR_SIGN: yaw, roll, x and gaze
# yaw change sign, the openings of the eyes change places.
CALIBRATED_MIRROR = np.array([CALIBRATED_NAMES.index(mirror_name(n)) for n in CALIBRATED_NAMES])
CALIBRATED_MIRROR_SIGN = np.array(
    [-1.0 if name in ("yaw", "roll", "x", "gaze_yaw") else 1.0 for name in CALIBRATED_NAMES], np.float32
)


def mirror_calibrated(code: np.ndarray) -> np.ndarray:
    """Returns the calibrated codes [..., 13] (or the record's unscaled values) of the mirrored image."""
    return code[..., CALIBRATED_MIRROR] * CALIBRATED_MIRROR_SIGN


def rotation_matrix(yaw: np.ndarray, pitch: np.ndarray, roll: np.ndarray) -> np.ndarray:
    """Returns R = Rz(roll) Ry(yaw) Rx(pitch), [..., 3, 3] float64, from angles in degrees, each [...]."""
    return rotation_from_radians(*(np.deg2rad(np.asarray(angle, np.float64)) for angle in (yaw, pitch, roll)))


def rotation_from_radians(yaw: Any, pitch: Any, roll: Any, *, xp: ModuleType = np) -> Any:
    """Returns `rotation_matrix` of angles in radians, in their own dtype. `xp` is the module of these arrays: numpy, or
    jax.numpy, which this module does not import."""
    cy, sy, cp, sp, cr, sr = xp.cos(yaw), xp.sin(yaw), xp.cos(pitch), xp.sin(pitch), xp.cos(roll), xp.sin(roll)
    rows = [
        [cr * cy, cr * sy * sp - sr * cp, cr * sy * cp + sr * sp],
        [sr * cy, sr * sy * sp + cr * cp, sr * sy * cp - cr * sp],
        [-sy, cy * sp, cy * cp],
    ]
    return xp.stack([xp.stack(row, -1) for row in rows], -2)


def in_head(yaw: float, pitch: float, angles: np.ndarray) -> np.ndarray:
    """Returns gaze yaw and pitch [T, 2] in a head turned by angles [T, 3], of a direction in the camera's axes.

    All angles are degrees.
    """
    turn = rotation_matrix(*angles.T)
    ahead = rotation_matrix(np.array([yaw]), np.array([pitch]), np.zeros(1))[0][:, 2]
    x, y, z = (ahead @ turn).T
    return np.rad2deg(np.stack([np.arctan2(x, z), -np.arctan2(y, np.hypot(x, z))], -1))


def euler_angles(rotation: np.ndarray) -> np.ndarray:
    """Returns yaw, pitch, roll in degrees [..., 3] of R [..., 3, 3]: the inverse of rotation_matrix for |yaw| < 90."""
    r = np.asarray(rotation, np.float64)
    yaw = np.arcsin(np.clip(-r[..., 2, 0], -1, 1))
    pitch = np.arctan2(r[..., 2, 1], r[..., 2, 2])
    roll = np.arctan2(r[..., 1, 0], r[..., 0, 0])
    return np.rad2deg(np.stack([yaw, pitch, roll], -1))
