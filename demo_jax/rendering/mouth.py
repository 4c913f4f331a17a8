"""The inside of a mouth, drawn by anatomy where the photograph does not show it: teeth that stay with the skull, a
tongue that moves with the lower lip, and the dark behind them.

Positions are in the mouth's frame (`expression.frame_of`): half the distance of its inner corners, about 25 mm.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, UInt8

from demo_jax.constants import LUMA
from demo_jax.rendering.expression import Pair

# Colours in the skin's own light, sRGB; the brightness of a photograph's face scales them.
TEETH, TONGUE, CAVITY = (
    np.array([[colour]], np.float32) for colour in ((222.0, 205.0, 184.0), (158.0, 76.0, 72.0), (44.0, 17.0, 16.0))
)
UPPER_EDGE = 0.13  # incisal edge below the line of closed lips: 3 mm
CURVE = 0.35  # how much higher the edge is at the corners
SHADOW = 0.2  # reach of the upper lip's shadow
SEAMS = (0.0, 0.33, 0.57, 0.77)  # between the teeth, to either side
SEAM_WIDTH, SEAM_DEPTH = 0.018, 0.16
SOFT = 0.04  # of edges


OWN_GAP = 0.03  # face widths between the lips from which a portrait may show its teeth
BRIGHTEST = 70  # percentile of luma between the lips above which pixels are teeth, if any are
_LUMA = np.array(LUMA)


def own_teeth(
    image: UInt8[np.ndarray, "H W 3"], lips: Float[np.ndarray, "n 2"], skin: Float[np.ndarray, 3], unit: float
) -> Float32[np.ndarray, " 3"] | None:
    """Returns the colour of the teeth that a portrait shows; None if it shows none.

    Args:
      image: the photograph.
      lips: the line around the inside of the mouth, pixels.
      skin: colour of the face.
      unit: face width, pixels.
    """
    from PIL import Image, ImageDraw

    # Pillow counts the pixels on the line too: a mouth that is hardly open has few others.
    mask = Image.new("L", image.shape[1::-1])
    ImageDraw.Draw(mask).polygon([tuple(map(float, point)) for point in lips], fill=1)
    inside = image[np.asarray(mask) > 0].astype(np.float64)
    width = float(np.ptp(lips[:, 0]))
    if len(inside) < OWN_GAP * unit * width / 2 or not len(inside):
        return None
    luma = inside @ _LUMA
    colour = np.median(inside[luma >= np.percentile(luma, BRIGHTEST)], 0)

    def redness(c: np.ndarray) -> float:
        return float((c[0] - c[2]) / max(c.sum(), 1.0))

    # Teeth are paler than skin, and not in the dark; a tongue or a lip is redder.
    is_teeth = redness(colour) < redness(skin) and colour @ _LUMA > 0.6 * (skin @ _LUMA)
    return colour.astype(np.float32) if is_teeth else None


def shade(
    rest: Pair, upper_line: Float[Array, "h w"], below_upper: Float[Array, "h w"], above_lower: Float[Array, "h w"]
) -> tuple[Float[Array, "h w"], Float[Array, "h w"]]:
    """Returns the shares of the colour of teeth and of the tongue; the rest is the cavity's.

    Args:
      rest: positions along and down in the frame that stays with the skull.
      upper_line: height of the photograph's upper lip line there.
      below_upper: how far below the edge of the moved upper lip a position is.
      above_lower: how far above the edge of the moved lower lip it is.
    """
    u, v = rest
    falloff = jnp.clip(1 - u * u, 0, 1)
    light = (0.4 + 0.6 * jnp.clip(below_upper / SHADOW, 0, 1)) * (0.3 + 0.7 * falloff)
    edge = upper_line + UPPER_EDGE * (1 - CURVE * u * u)
    seams = jnp.zeros_like(u)
    for seam in SEAMS:
        seams = jnp.maximum(seams, jnp.exp(-jnp.square((jnp.abs(u) - seam) / SEAM_WIDTH)))
    upper = jnp.clip((edge - v) / SOFT + 0.5, 0, 1) * (1 - SEAM_DEPTH * seams)
    # The tongue hides the lower teeth, and rises towards the back, into the dark.
    rise = jnp.clip(1 - above_lower / jnp.maximum(0.75 * (above_lower + below_upper), 1e-3), 0, 1)
    return upper * light, 0.9 * rise * falloff * (1 - upper)
