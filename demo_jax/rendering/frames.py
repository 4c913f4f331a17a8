"""Frames of a photograph: a pure function of its scene, a code, and what the decoder makes of it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from demo_jax.pytrees import AnyArray
from demo_jax.rendering import motion
from demo_jax.rendering.composite import composite, rounded
from demo_jax.rendering.expression import Pair
from demo_jax.rendering.motion import Painted
from demo_jax.rendering.mouth import CAVITY, TONGUE
from demo_jax.rendering.photograph import Scene


def sampling(
    scene: Scene,
    source: Float[Array, " K"],
    code: Float[Array, " K"],
    moved: Float[Array, "70 3"],
    blocks: dict[str, slice],
) -> tuple[Pair, Painted]:
    """Returns where each pixel of the box lies in the scene's layer, rounded pixels, and what is painted.

    Args:
      scene: of the photograph.
      source: its code.
      code: of the frame.
      moved: points of the face with the frame's expression (`decoder.Layers.points`).
      blocks: the layout's slices.
    """
    position, painted = motion.find(scene.face, source, code, moved, scene.grid, 1 / scene.unit, blocks)
    return tuple(rounded(position[i] * scene.unit + scene.centre[i]) for i in range(2)), painted


def paint(teeth: Float[AnyArray, "h w"], tongue: Float[AnyArray, "h w"], scene: Scene) -> Float[AnyArray, "h w 3"]:
    """The colours of the inside of the mouth, of its shares of teeth and tongue."""
    teeth, tongue, cavity = teeth[..., None], tongue[..., None], scene.tone * CAVITY
    return cavity + teeth * (scene.teeth - cavity) + tongue * (scene.tone * TONGUE - cavity)


def box(scene: Scene, at: Pair, painted: Painted) -> UInt8[Array, "h w 4"]:
    """Returns the box of one frame: colours and straight alpha. Pixels that the head cannot reach are those at rest."""
    inside = painted.share, paint(painted.teeth, painted.tongue, scene)
    made = composite(scene.layer, scene.plate, at, *inside, painted.lashes, jnp.asarray(scene.lashes))
    opaque = made[..., 3:] + (1 - made[..., 3:]) * scene.opacity
    made = jnp.concatenate([made[..., :3], opaque], -1)
    made = jnp.where(scene.reach[..., None] > 0, made, scene.still)
    colours = made[..., :3] / jnp.maximum(made[..., 3:], 1 / 255)
    return jnp.round(jnp.clip(jnp.concatenate([colours, 255 * made[..., 3:]], -1), 0, 255)).astype(jnp.uint8)


def draw(
    scene: Scene,
    source: Float[Array, " K"],
    codes: Float[Array, "n K"],
    moved: Float[Array, "n 70 3"],
    blocks: dict[str, slice],
) -> UInt8[Array, "n h w 4"]:
    """Draws n frames, one after the other."""

    def one(arrays: tuple[Array, Array]) -> Array:
        return box(scene, *sampling(scene, source, *arrays, blocks))

    return jax.lax.map(one, (codes, moved))
