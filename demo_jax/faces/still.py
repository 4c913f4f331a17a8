"""A face measured in one image: its pose, its points in the head's own axes, and its calibrated code coordinates.

`measures` needs a clip: an opening of 1 is the 95th percentile of the clip's lid gaps. A single image has no such
percentile, so that openings get an absolute scale here.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float, Float32

from demo_jax.faces import measures
from demo_jax.faces.landmarker import Face
from demo_jax.factors import calibrated_code

RESTING_OPENING = 0.9  # median of the corpora's openings, of people and of puppets
RESTING_GAP = 0.30  # median lid gap of people over the width of their eye (54 people of real video)
RESTING_RANGE = (0.65, 1.3)  # gaps over RESTING_GAP that are the shape of an eye, and not an eye half closed or wide
# The contours, from the corner at image left to the one at image right: MediaPipe's points.
LIDS = (  # person's left eye, then right: upper, lower
    ((362, 398, 384, 385, 386, 387, 388, 466, 263), (362, 382, 381, 380, 374, 373, 390, 249, 263)),
    ((33, 246, 161, 160, 159, 158, 157, 173, 133), (33, 7, 163, 144, 145, 153, 154, 155, 133)),
)
INNER_LIPS = ((78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308), (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308))
IRISES = (468, 473)  # person's right, left: the order of `models.geometry.landmarks.EYE_CORNERS`


@dataclasses.dataclass(frozen=True, kw_only=True)
class StillFace:
    """A face in one image.

    angles   yaw, pitch, roll in degrees
    centre   the point between the ears, pixels, y down
    width    from ear to ear, pixels
    mesh     MediaPipe's points in the head's axes (x right, y up, z ahead), face widths from the centre
    lips     aperture, width, pucker, as in the record
    gaze     yaw, pitch in degrees, and the openings on the absolute scale
    gaps     lid gap over eye width, left and right
    """

    angles: Float[np.ndarray, 3]
    centre: Float[np.ndarray, 2]
    width: float
    mesh: Float[np.ndarray, "478 3"]
    lips: Float[np.ndarray, 3]
    gaze: Float[np.ndarray, 4]
    gaps: Float[np.ndarray, 2]

    def shifted(self, right: float, down: float) -> StillFace:
        """The face in an image whose origin lies elsewhere."""
        return dataclasses.replace(self, centre=self.centre + (right, down))

    def scaled(self, scale: float) -> StillFace:
        """The face in an image of another size."""
        return dataclasses.replace(self, centre=self.centre * scale, width=self.width * scale)

    @property
    def points(self) -> Float32[np.ndarray, "70 3"]:
        """The 68 landmarks and the two irises, in the head's axes, face widths."""
        return self.mesh[[*measures.LANDMARKS_68, *IRISES]].astype(np.float32)

    @property
    def lip_contours(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower edge of the upper lip and upper edge of the lower lip, [11, 3] in the head's axes."""
        upper, lower = (self.mesh[list(line)] for line in INNER_LIPS)
        return upper, lower

    @property
    def lid_contours(self) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
        """Edges of the upper and lower lid of the person's left and right eye, [9, 3] in the head's axes."""
        left, right = ((self.mesh[list(upper)], self.mesh[list(lower)]) for upper, lower in LIDS)
        return left, right

    def code(self, crop: Float[np.ndarray, "3 3"], size: int) -> Float32[np.ndarray, 13]:
        """The calibrated code coordinates in a crop (image -> crop pixels) of `size` pixels."""
        return calibrated_code(self.lips, self.pose(crop, size), self.gaze)

    def pose(self, crop: Float[np.ndarray, "3 3"], size: int) -> Float[np.ndarray, 6]:
        """The pose in such a crop, in the record's units."""
        x, y = (crop[:2, :2] @ self.centre + crop[:2, 2]) / size - 0.5
        return np.array([*self.angles, x, -y, np.log(size / (self.width * crop[0, 0]))])


def measure_still(face: Face, canonical: np.ndarray) -> StillFace:
    """Measures one detected face; `canonical` is `landmarker.canonical_face`."""
    points = face.points[None]
    measured = measures.measure(points, face.expression[None], np.ones(1, bool), canonical)
    scale, rotation, shift = measures.fit_rigid(points, canonical)
    mesh = (face.points - shift[0]) @ rotation[0] / scale[0]
    mesh = (mesh - (mesh[127] + mesh[356]) / 2) / np.linalg.norm(mesh[127] - mesh[356])
    gaps = np.array([lid_gap(mesh, inner, outer, pairs) for _, inner, outer, _, pairs in measures._EYES])
    return StillFace(
        angles=measured.angles[0],
        centre=measured.centre[0],
        width=float(measured.face_width[0]),
        mesh=mesh,
        lips=measured.lips[0],
        gaze=np.array([*measured.gaze[0, :2], *(opening(gap) for gap in gaps)]),
        gaps=gaps,
    )


def lid_gap(mesh: np.ndarray, inner: int, outer: int, pairs: tuple[tuple[int, int], ...]) -> float:
    """The mean gap between the lids over the width of the eye."""
    gap = np.mean([np.linalg.norm(mesh[a] - mesh[b]) for a, b in pairs])
    return float(gap / np.linalg.norm(mesh[inner] - mesh[outer]))


def opening(gap: float) -> float:
    """The opening of an eye in a single image, 0 closed, from its lid gap over its width.

    Eyes differ more in shape than in how far they are open. Within the usual range an eye is at rest, so that a person
    of narrow eyes keeps them; below and above, the opening changes in proportion.
    """
    low, high = (RESTING_GAP * limit for limit in RESTING_RANGE)
    return RESTING_OPENING * (gap / low if gap < low else max(gap / high, 1.0))
