"""The programs that make frames of codes: the decoder's squares, and photographs in their own size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree, UInt8

from demo_jax.checkpoint.load import LoadedModel
from demo_jax.errors import InputError
from demo_jax.factors import POSE_SCALE
from demo_jax.models.autoencoder import AutoEncoder, to_float, to_uint8
from demo_jax.models.geometry import rigid
from demo_jax.pytrees import AnyArray
from demo_jax.rendering import frames, opencv
from demo_jax.rendering.matte import find_mattes
from demo_jax.rendering.photograph import Outlines, make_face, make_photograph, measured_face
from demo_jax.sampling.portraits import Portrait, Source, over_white

DECODE_BATCH = 10  # frames decoded at once


class Drawer:
    """An auto-encoder's compiled programs. They are compiled on first use and kept."""

    def __init__(self, model: LoadedModel) -> None:
        self._params, self._people = model.autoencoder_params, model.for_people
        self.layout = model.autoencoder.model.layout
        self.size = model.autoencoder.model.size
        net = AutoEncoder(model.autoencoder.model)

        def encode(params: PyTree, image: UInt8[Array, "S S 3"]) -> tuple[PyTree, Float[Array, " K"]]:
            pixels = to_float(image)[None]
            variables = {"params": params}
            pyramid = net.apply(variables, pixels, method=AutoEncoder.encode_source)
            return pyramid, net.apply(variables, pixels, method=AutoEncoder.encode_motion)[0]

        def rows(count: int, tree: PyTree) -> PyTree:
            return jax.tree.map(lambda a: jnp.broadcast_to(a, (count, *a.shape[1:])), tree)

        def decode(
            params: PyTree, pyramid: PyTree, source_code: Float[Array, " K"], codes: Float[Array, "n K"]
        ) -> UInt8[Array, "n S S 3"]:
            source = jnp.broadcast_to(source_code[None], codes.shape)
            return to_uint8(
                net.apply({"params": params}, rows(len(codes), pyramid), source, codes, method=AutoEncoder.decode)
            )

        def move_face(
            params: PyTree,
            pyramid: PyTree,
            source_code: Float[Array, " K"],
            codes: Float[Array, "n K"],
            points: Float[Array, "70 3"],
        ) -> Float[Array, "n 70 3"]:
            source, face = (jnp.broadcast_to(a[None], (len(codes), *a.shape)) for a in (source_code, points))
            return net.apply(
                {"params": params}, rows(len(codes), pyramid), source, codes, face, method=AutoEncoder.move_face
            )

        def points(params: PyTree, pyramid: PyTree, code: Float[Array, " K"]) -> Float[Array, "70 3"]:
            return net.apply({"params": params}, pyramid, code[None], code[None], method=AutoEncoder.move_face)[0]

        blocks = self.layout.slices
        self.decode, self.move_face = decode, move_face  # pure functions
        self._encode, self._decode, self._move_face = jax.jit(encode), jax.jit(decode), jax.jit(move_face)
        self._points = jax.jit(points)
        self._read_motion = jax.jit(
            lambda params, images: net.apply({"params": params}, to_float(images), method=AutoEncoder.encode_motion)
        )
        self._sampling = jax.jit(
            lambda scene, source, codes, moved: jax.lax.map(
                lambda one: frames.sampling(scene, source, one[0], one[1], blocks), (codes, moved)
            )
        )
        self._draw = jax.jit(lambda scene, source, codes, moved: frames.draw(scene, source, codes, moved, blocks))
        self._opencv = jax.default_backend() == "cpu" and opencv.available()

    def encode(self, square: np.ndarray, person: bool = False) -> tuple[PyTree, Float[Array, " K"]]:
        """Returns the feature pyramid and the raw code of a square, uint8 [S, S, 3], of a `person` or a puppet. Raises
        InputError for another shape or type."""
        if square.shape != (self.size, self.size, 3) or square.dtype != np.uint8:
            raise InputError(f"portrait is {square.dtype}{square.shape}, not uint8 [{self.size}, {self.size}, 3].")
        return self._encode(self._people if person else self._params, square)

    def read_motion(self, squares: UInt8[np.ndarray, "n S S 3"], person: bool = False) -> Float[np.ndarray, "n K"]:
        """Returns the raw codes of squares, of a `person` or a puppet."""
        return np.asarray(self._read_motion(self._people if person else self._params, squares))

    def source(self, portrait: Portrait | Source | np.ndarray) -> Source:
        """Prepares a portrait for its frames: its code, and the layers of a photograph. A source stays as it is."""
        if isinstance(portrait, Source):
            return portrait
        if not isinstance(portrait, Portrait) or portrait.image is None:
            pyramid, code = self.encode(portrait.square if isinstance(portrait, Portrait) else portrait)
            return Source(pyramid=pyramid, code=code, size=(self.size, self.size))
        pyramid, code = self.encode(portrait.square, person=True)
        assert portrait.crop is not None
        if portrait.face is None:
            geometry, centre, unit, angles = self._read_face(pyramid, code, portrait.crop)
            centre = np.clip(centre, 0, portrait.image.shape[1::-1])
        else:
            face = portrait.face
            code = code.at[self.layout.calibrated].set(face.code(portrait.crop, self.size))
            geometry, centre, unit, angles = measured_face(face), face.centre, face.width, face.angles
        image = portrait.image
        if image.shape[2] == 4:
            person, image = image[..., 3].astype(np.float32) / 255, over_white(image)
        else:
            person = find_mattes(image, (float(centre[0]), float(centre[1])), float(unit), float(angles[2])).person
        photograph = make_photograph(
            image, person, geometry, angles, (float(centre[0]), float(centre[1])), float(unit), portrait.background
        )
        alpha = photograph.image.shape[2] == 4
        return Source(pyramid=pyramid, code=code, size=photograph.size, photograph=photograph, alpha=alpha)

    def frames(self, source: Source, codes: Float[np.ndarray, "n K"]) -> Iterator[UInt8[np.ndarray, "H W _"]]:
        """Yields a frame for each raw code. While frames are handed out, the next ones are computed."""
        started: list[tuple[Any, int]] = []
        for start in range(0, len(codes), DECODE_BATCH):
            batch = codes[start : start + DECODE_BATCH]
            padded = np.pad(batch, ((0, DECODE_BATCH - len(batch)), (0, 0)), mode="edge")
            started.append((self._start(source, padded), len(batch)))
            if len(started) > 1:
                yield from self.finish(source, *started.pop(0))
        for computed, count in started:
            yield from self.finish(source, computed, count)

    def _start(self, source: Source, codes: Float[np.ndarray, "n K"]) -> Any:
        """Dispatches a batch; returns arrays that may still be computed."""
        if source.photograph is None:
            return self._decode(self._params, source.pyramid, source.code, codes)
        face = source.photograph.scene.face.points
        return self.start(source, codes, self._move_face(self._people, source.pyramid, source.code, codes, face))

    def start(
        self,
        source: Source,
        codes: Float[np.ndarray, "n K"],
        moved: Float[AnyArray, "n 70 3"],
    ) -> Any:
        """Dispatches the frames of a photograph whose points `move_face` has moved; the result is for `finish`."""
        assert source.photograph is not None
        draw = self._sampling if self._opencv else self._draw
        return draw(source.photograph.scene, source.code, codes, moved)

    def finish(self, source: Source, computed: Any, count: int) -> Iterator[UInt8[np.ndarray, "H W _"]]:
        """Yields the first `count` frames of what was dispatched."""
        photograph = source.photograph
        if photograph is None:
            yield from np.asarray(computed)[:count]
        elif self._opencv:
            arrays = jax.tree.map(np.asarray, computed)
            for i in range(count):
                (x, y), painted = jax.tree.map(lambda a, i=i: a[i], arrays)
                yield opencv.frame(photograph, (x, y), painted)
        else:
            for made in np.asarray(computed)[:count]:
                yield photograph.paste(made[..., : photograph.image.shape[2]])

    def _read_face(
        self, pyramid: PyTree, code: Float[Array, " K"], crop: Float[np.ndarray, "3 3"]
    ) -> tuple[Any, np.ndarray, float, np.ndarray]:
        """The face as the networks read it: its geometry, its centre and width in the image, and its angles."""
        points = np.asarray(self._points(self._people, pyramid, code))
        pose = np.asarray(rigid.limited(code[self.layout.slices["pose"]][:6] * jnp.asarray(POSE_SCALE)), np.float64)
        angles, (x, y, z) = pose[:3], pose[3:]
        side = self.size / crop[0, 0]
        centre = (np.array([x, -y]) + 0.5) * side - crop[:2, 2] / crop[0, 0]
        unit = float(side * np.exp(-z))
        return make_face(points, angles, Outlines.of_landmarks(points)), centre, unit, angles
