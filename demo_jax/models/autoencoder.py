"""The motion auto-encoder of stage 1: motion encoder, joint basis, source encoder, decoder."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from demo_jax.config import AutoEncoderConfig
from demo_jax.factors import columns_of
from demo_jax.models.decoder import Decoder, Layers, Pyramid, SourceEncoder, compose
from demo_jax.models.geometry import landmarks, rigid
from demo_jax.models.geometry.landmarks import LANDMARKS
from demo_jax.models.layers import Dtype
from demo_jax.models.motion_encoder import MotionBasis, MotionEncoder
from demo_jax.pytrees import AnyArray

FACTOR_EMBEDDING = 32  # width of the projections by which factors are compared


class AutoEncoder(nn.Module):
    """Called by `apply(variables, ..., method=AutoEncoder.encode_motion)` and so on; images are -1..1, float32."""

    config: AutoEncoderConfig

    def setup(self) -> None:
        dtype: Dtype = jnp.dtype(self.config.dtype)
        self.motion_encoder = MotionEncoder(self.config, dtype)
        self.basis = MotionBasis(self.config)
        self.source_encoder = SourceEncoder(self.config, dtype)
        self.decoder = Decoder(self.config, dtype)
        self.lip_projection = nn.Dense(self.config.projection)
        self.audio_projection = nn.Sequential(
            [nn.Dense(2 * self.config.projection), nn.silu, nn.Dense(self.config.projection)]
        )
        self.gaze_projection = nn.Dense(FACTOR_EMBEDDING)
        # Zeros: random weights would disturb the encoder of a run that starts from a checkpoint without these.
        zeros = nn.initializers.zeros
        self.expression_readouts = [nn.Dense(len(columns_of(f)), kernel_init=zeros) for f in self._with_expressions]
        self.factor_projections = [nn.Dense(FACTOR_EMBEDDING) for _ in self.config.layout.used]

    def encode_motion(self, images: Float[Array, "B S S 3"]) -> Float[Array, "B K"]:
        """Returns the motion codes of images."""
        return self.motion_encoder(images)

    def encode_source(self, image: Float[Array, "B S S 3"]) -> Pyramid:
        """Returns the features of the source that the decoder needs; computed once per portrait."""
        return self.source_encoder(image)

    def decode(
        self, pyramid: Pyramid, source_code: Float[Array, "B K"], driving_code: Float[Array, "B K"]
    ) -> Float[Array, "B S S 3"]:
        """Renders the source with the driving motion."""
        return compose(pyramid["rgb"], self.decode_layers(pyramid, source_code, driving_code))

    def decode_layers(
        self,
        pyramid: Pyramid,
        source_code: Float[Array, "B K"],
        driving_code: Float[Array, "B K"],
    ) -> Layers:
        """Returns the layers that the image is composed of."""
        codes = source_code, driving_code
        return self.decoder(pyramid, tuple(self.basis(c) for c in codes), self._blocks(codes))

    def move_face(
        self,
        pyramid: Pyramid,
        source_code: Float[Array, "B K"],
        driving_code: Float[Array, "B K"],
        face: Float[Array, "B 70 3"] | None = None,
    ) -> Float[Array, "B 70 3"]:
        """Returns the points of the face with the driving expression (`landmarks.FacePoints`), of a measured `face` if
        one is given (`landmarks.move`)."""
        blocks = self._blocks((source_code, driving_code))
        points = self.decoder.face_points(pyramid, blocks)
        return points[1] if face is None else landmarks.move(face, points, blocks)

    def _blocks(
        self, codes: tuple[Float[Array, "B K"], Float[Array, "B K"]]
    ) -> dict[str, tuple[Float[Array, "B _"], Float[Array, "B _"]]]:
        return {f: (codes[0][:, part], codes[1][:, part]) for f, part in self.config.layout.slices.items()}

    def decode_with_landmarks(
        self, pyramid: Pyramid, source_code: Float[Array, "B K"], driving_code: Float[Array, "B K"]
    ) -> tuple[Float[Array, "B S S 3"], Float[Array, "B 2 68 2"]]:
        """Returns the images of `decode`, and the landmarks of source and image in -1..1, y down."""
        layers = self.decode_layers(pyramid, source_code, driving_code)
        return compose(pyramid["rgb"], layers), self._seen(layers.points, (source_code, driving_code))

    def landmarks(
        self, pyramid: Pyramid, source_code: Float[Array, "B K"], driving_code: Float[Array, "B K"]
    ) -> Float[Array, "B 2 68 2"]:
        """Returns the landmarks of `decode_with_landmarks`, without the images."""
        codes = source_code, driving_code
        return self._seen(self.decoder.face_points(pyramid, self._blocks(codes)), codes)

    def _seen(
        self,
        points: tuple[Float[Array, "B 70 3"], Float[Array, "B 70 3"]],
        codes: tuple[Float[Array, "B K"], Float[Array, "B K"]],
    ) -> Float[Array, "B 2 68 2"]:
        """Landmarks as they are seen in the images, in -1..1, y down."""
        pose = self.config.layout.slices["pose"]
        pairs = zip(points, codes, strict=True)
        return jnp.stack([rigid.project(p[:, :LANDMARKS], rigid.place(code[:, pose][:, :6])) for p, code in pairs], 1)

    def embed_lips(self, lip_codes: Float[Array, "B T lip"]) -> Float[Array, "B {self.config.projection}"]:
        """Returns embeddings of the lip blocks of consecutive frames, for InfoNCE."""
        return self.lip_projection(lip_codes.reshape(lip_codes.shape[0], -1))

    def embed_audio(self, audio: Float[Array, "B T A"]) -> Float[Array, "B {self.config.projection}"]:
        """Returns embeddings of the audio features of the same frames."""
        return self.audio_projection(audio.reshape(audio.shape[0], -1).astype(jnp.float32))

    def embed_gaze(self, gaze_codes: Float[Array, "B gaze"]) -> Float[Array, "B 32"]:
        """Returns embeddings of gaze blocks, for the cosine contrast. The bias matters: straight ahead is 0, which has
        no direction without it."""
        return self.gaze_projection(gaze_codes)

    @property
    def _with_expressions(self) -> tuple[str, ...]:
        """Factors that have coordinates and ARKit names."""
        return tuple(f for f in self.config.layout.used if len(columns_of(f)))

    def read_expressions(self, codes: Float[Array, "... K"]) -> dict[str, Float[Array, "... _"]]:
        """Predicts the ARKit coefficients of each factor (columns_of) from its block alone, by a linear map."""
        slices = self.config.layout.slices
        pairs = zip(self._with_expressions, self.expression_readouts, strict=True)
        return {factor: readout(codes[..., slices[factor]]) for factor, readout in pairs}

    def embed_factors(self, codes: Float[Array, "... K"]) -> list[Float[Array, "... 32"]]:
        """Returns one embedding for each factor that has coordinates (the paper's cosine term)."""
        layout = self.config.layout
        blocks = [codes[..., layout.slices[f]] for f in layout.used]
        return [p(x) for p, x in zip(self.factor_projections, blocks, strict=True)]

    def __call__(
        self, source: Float[Array, "B S S 3"], driving: Float[Array, "B T S S 3"], audio: Float[Array, "B T A"]
    ) -> Float[Array, "B S S 3"]:
        """Uses every parameter, for initialisation."""
        b, w = driving.shape[:2]
        codes = self.encode_motion(driving.reshape(b * w, *driving.shape[2:])).reshape(b, w, -1)
        self.embed_lips(codes[..., self.config.layout.slices["lip"]])
        self.embed_audio(audio)
        self.embed_gaze(codes[:, 0, self.config.layout.slices["gaze"]])
        self.embed_factors(codes[:, 0])
        self.read_expressions(codes[:, 0])
        return self.decode(self.encode_source(source), self.encode_motion(source), codes[:, w // 2])


def to_float(images: UInt8[AnyArray, "*axes"]) -> Float[AnyArray, "*axes"]:
    """Converts 0..255 to float32 -1..1, the range of every image in and out of the networks."""
    return images.astype(jnp.float32) / 127.5 - 1


def to_uint8(images: Float[Array, "*axes"]) -> UInt8[Array, "*axes"]:
    """Converts -1..1 to 0..255, clipped and rounded: the inverse of to_float."""
    return jnp.round((jnp.clip(images, -1, 1) + 1) * 127.5).astype(jnp.uint8)
