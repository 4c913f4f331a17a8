"""Segmenting persons: MediaPipe's selfie segmenter, which labels photographs for `train_matte` (the `prepare` extra).

The model is in no Python package. `npm pack @mediapipe/selfie_segmentation@0.1.1675465747` fetches an archive
(Apache-2.0); `selfie_segmentation.tflite` in it, 249 kB, is the file to name. The metadata that MediaPipe's tasks
require are missing there and are added in memory.
"""

from __future__ import annotations

import os
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from demo_jax.errors import InputError
from demo_jax.faces.landmarker import ImageTask, loading, quiet

VERSION = "1"  # changes whenever the same image gives another label
FETCH = "npm pack @mediapipe/selfie_segmentation@0.1.1675465747"
_PARSER = "mediapipe.tasks.cc.metadata.python._pywrap_metadata_version"


class Segmenter(ImageTask):
    """Finds the persons in one image at a time, about 16 ms each on one core. Close it, or use it in a `with`."""

    def __init__(self, model: str | os.PathLike) -> None:
        """Raises InputError if the file is no selfie segmenter, or if the `prepare` extra is not installed."""
        data = _read(Path(model))
        with loading():
            import mediapipe
            from mediapipe.tasks.python import vision
            from mediapipe.tasks.python.core.base_options import BaseOptions
        self._mediapipe = mediapipe
        with loading(), quiet():
            options = vision.ImageSegmenterOptions(
                base_options=BaseOptions(model_asset_buffer=_with_metadata(data)),
                running_mode=vision.RunningMode.IMAGE,
                output_confidence_masks=True,
                output_category_mask=False,
            )
            try:
                self._task = vision.ImageSegmenter.create_from_options(options)
                self(np.zeros((64, 64, 3), np.uint8))
            except (RuntimeError, ValueError) as error:
                raise InputError(f"{model} cannot be loaded as a selfie segmenter; {FETCH} fetches one.") from error

    def __call__(self, image: UInt8[np.ndarray, "H W 3"]) -> Float32[np.ndarray, "H W"]:
        """Returns the probability, 0 to 1, that a pixel of sRGB shows a person. The model sees 256 x 256 pixels."""
        (mask,) = self._task.segment(self._wrapped(image)).confidence_masks
        return np.array(mask.numpy_view(), np.float32).reshape(image.shape[:2])


def _read(model: Path) -> bytes:
    if not model.is_file():
        raise InputError(f"segmenter {model} does not exist; {FETCH} fetches an archive that contains one.")
    data = model.read_bytes()
    if data[4:8] != b"TFL3":
        raise InputError(f"segmenter {model} is not a .tflite file; {FETCH} fetches an archive that contains one.")
    return data


def _with_metadata(data: bytes) -> bytes:
    """The model with the metadata of an image segmenter: inputs in 0..1, one output as it is."""
    # The wheel lacks the C++ module that names the least version of the parser; it is the same for all such models.
    if _PARSER not in sys.modules:
        package, _, name = _PARSER.rpartition(".")
        stub: Any = types.ModuleType(_PARSER)
        stub.GetMinimumMetadataParserVersion = lambda buffer: "1.5.0"
        sys.modules[_PARSER] = stub
        sys.modules.setdefault(package, types.ModuleType(package)).__dict__[name] = stub
    from mediapipe.tasks.python.metadata.metadata_writers import image_segmenter

    writer = image_segmenter.MetadataWriter.create(
        bytearray(data), input_norm_mean=[0.0], input_norm_std=[255.0], activation=image_segmenter.Activation.NONE
    )
    populated, _ = writer.populate()
    return bytes(populated)
