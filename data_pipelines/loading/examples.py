"""Records -> examples: decoding, resizing, and the random choices of one example, all from a given generator.

Every function here is pure; `batches` decides which records and which generator.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np
import simplejpeg
from PIL import Image

from data_pipelines.loading import augmentation
from data_pipelines.loading.augmentation import Augment
from demo_jax.constants import FPS, SAMPLES_PER_FRAME
from demo_jax.errors import InputError
from demo_jax.factors import FACTORS, calibrated_code

# Louder than this over the window is speech, not room noise: dB of full scale, root mean square.
VOICED_DB = -45.0

TRUST_CELL = 8  # pixels

Arrays = Mapping[str, np.ndarray]
Example = dict[str, np.ndarray]


def decode_frame(data: bytes, size: int) -> np.ndarray:
    """Decodes one JPEG file to u8 [size, size, 3] RGB; a larger frame is averaged down over areas.

    Raises:
      InputError: the frame is smaller than `size`, or not square.
    """
    height, width, _, _ = simplejpeg.decode_jpeg_header(data)
    if height != width or height < size:
        raise InputError(
            f"a frame of {width} x {height} px cannot serve a model of {size} px; frames are square and at least as "
            "large as the model. Prepare the clips at that size."
        )
    image = simplejpeg.decode_jpeg(data, colorspace="RGB")
    if height == size:
        return image
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BOX))


def stable_hash(text: str) -> int:
    """Returns a number in 0 .. 2^31 - 1 that is the same in every process and on every machine."""
    return zlib.crc32(text.encode()) & 0x7FFFFFFF


def _frame(arrays: Arrays, t: int, size: int) -> np.ndarray:
    start, end = arrays["frame_offsets"][t : t + 2]
    return decode_frame(arrays["frame_bytes"][start:end].tobytes(), size)


def _scale(arrays: Arrays, t: int, size: int) -> np.float32:
    """Returns the pixels of a `size` frame per pixel of the record."""
    start, end = arrays["frame_offsets"][t : t + 2]
    return np.float32(size / simplejpeg.decode_jpeg_header(arrays["frame_bytes"][start:end].tobytes())[0])


def _boxes(arrays: Arrays, t: int, size: int) -> np.ndarray:
    """Returns the boxes [2, 4] float32 in pixels of a `size` frame."""
    return arrays["boxes"][t] * _scale(arrays, t, size)


def _landmarks(arrays: Arrays, t: int, size: int) -> np.ndarray:
    """Returns the landmarks [68, 2] float32 in pixels of a `size` frame; NaN where no face was found (confidence 0)."""
    found = arrays["confidence"][t] > 0
    return np.where(found, arrays["landmarks"][t] * _scale(arrays, t, size), np.float32(np.nan))


def _trust(arrays: Arrays, t: int, size: int) -> np.ndarray:
    """Returns how far the image can be trusted, 0 to 1, in cells of 8 pixels of a `size` frame: [size / 8, size / 8]
    float32; 1 where the record does not say."""
    cells = size // TRUST_CELL
    if "trust" not in arrays:
        return np.ones((cells, cells), np.float32)
    trust = Image.fromarray(arrays["trust"][t].astype(np.float32) / 255)
    return np.asarray(trust.resize((cells, cells), Image.Resampling.BOX))


def _calibrated(arrays: Arrays, t: int | slice) -> np.ndarray:
    """Returns the calibrated code [13] or [W, 13] float32; NaN where the face was not found (confidence 0)."""
    code = calibrated_code(arrays["lips"][t], arrays["pose"][t], arrays["gaze"][t])
    return np.where((arrays["confidence"][t] > 0)[..., None], code, np.float32(np.nan))


def _expression(arrays: Arrays, t: int | slice) -> np.ndarray:
    """Returns the expression [52] or [W, 52] float32; NaN where it was not measured or the face was not found."""
    return np.where((arrays["confidence"][t] > 0)[..., None], arrays["expression"][t], np.float32(np.nan))


def _phoneme(arrays: Arrays, t: int) -> int:
    """Returns the hash of the IPA symbol spoken at the centre of frame t, or -1."""
    times, now = arrays["phoneme_times"], (t + 0.5) / FPS
    spoken = np.flatnonzero((times[:, 0] <= now) & (now < times[:, 1]))
    return stable_hash(str(arrays["phonemes"][spoken[0]])) if len(spoken) else -1


def _voiced(arrays: Arrays, start: int, end: int) -> bool:
    """Returns whether there is speech: from the phonemes where they are known (noise may be as loud), else from the
    level."""
    times = arrays["phoneme_times"]
    if len(times):
        return bool(((times[:, 0] < end / FPS) & (times[:, 1] > start / FPS)).any())
    wave = arrays["waveform"][start * SAMPLES_PER_FRAME : end * SAMPLES_PER_FRAME].astype(np.float32) / 32768
    return bool(np.sqrt(np.mean(np.square(wave))) > 10 ** (VOICED_DB / 20))


_SOURCE_ARRAYS = (
    "frame_bytes", "frame_offsets", "pose", "gaze", "lips", "expression", "confidence", "boxes", "landmarks",
    "trust",
)  # fmt: skip
_SPEECH_ARRAYS = ("waveform", "phonemes", "phoneme_times", "clip_id", "piece")


def arrays_for_source() -> tuple[str, ...]:
    """Returns the names of the record arrays that an image and its truth are read from."""
    return _SOURCE_ARRAYS


def arrays_for_driving(feature: str) -> tuple[str, ...]:
    """Returns the names of the record arrays that a driving window with its audio is read from."""
    return (*_SOURCE_ARRAYS, *_SPEECH_ARRAYS, f"features/{feature}")


def plain_example(
    rng: np.random.Generator,
    driving: Arrays,
    source: Arrays,
    *,
    size: int,
    lip_window: int,
    feature: str,
    augment: Augment,
) -> Example:
    """Returns a random source frame of one segment and a random window of another segment (or the same) of its clip.

    The window is recoloured, shifted and enlarged, with its truth; the target is its middle frame, unchanged.
    """
    length = len(driving["pose"])
    first = int(rng.integers(length - lip_window + 1))
    centre, window = first + lip_window // 2, slice(first, first + lip_window)
    s = int(rng.integers(len(source["pose"])))
    frames = np.stack([_frame(driving, t, size) for t in range(first, first + lip_window)])
    truth = _calibrated(driving, window)
    example = {
        "source": _frame(source, s, size),
        "driving": frames,
        "target": frames[lip_window // 2],
        "source_calibrated": _calibrated(source, s),
        "driving_calibrated": truth,
        "target_calibrated": truth[lip_window // 2],
        "source_expression": _expression(source, s),
        "driving_expression": _expression(driving, window),
        "source_landmarks": _landmarks(source, s, size),
        "target_landmarks": _landmarks(driving, centre, size),
        "driving_boxes": _boxes(driving, centre, size),
        "target_trust": _trust(driving, centre, size),
        "driving_shift": np.zeros(3, np.float32),
        "audio": driving[f"features/{feature}"][window].astype(np.float32),
        "clip_hash": np.array(stable_hash(str(driving["clip_id"])), np.int32),
        "time": np.array(int(driving["piece"]) * 64 + centre, np.int32),
        "voiced": np.array(_voiced(driving, first, first + lip_window)),
        "phoneme": np.array(_phoneme(driving, centre), np.int32),
    }
    if rng.random() < augment.mirror:
        example = augmentation.mirror_example(example, size)
    if augment.shift or augment.zoom:
        shift = augmentation.draw_shift(rng, augment)
        example["driving"] = np.stack([augmentation.shift_image(f, shift) for f in example["driving"]])
        example["driving_calibrated"] = augmentation.shift_truth(example["driving_calibrated"], shift)
        example["driving_shift"] = shift
    if augment.colour:
        example["driving"] = augmentation.recolour(rng, example["driving"], augment.colour)
    return example


def group_example(
    rng: np.random.Generator,
    base: Arrays,
    swapped: Arrays,
    other_identity: Arrays | None,
    *,
    factor: int,
    size: int,
    augment: Augment,
) -> Example:
    """Returns a paired group at two different frames s (source) and t (driving): its base, the render with `factor`
    swapped and, if there is one, the cross-identity render. Frame t of all correspond."""
    length = min(len(a["pose"]) for a in (base, swapped, other_identity) if a is not None)
    s, t = (int(i) for i in rng.choice(length, 2, replace=length < 2))
    images = {
        "source": (base, s),
        "driving": (base, t),
        "redrawn": (swapped, t),
    }
    if other_identity is not None:
        images |= {"reidentity_source": (other_identity, s), "reidentity": (other_identity, t)}
    example = {f"set_{name}": _frame(arrays, at, size) for name, (arrays, at) in images.items()}
    example |= {f"set_{name}_calibrated": _calibrated(arrays, at) for name, (arrays, at) in images.items()}
    example |= {f"set_{name}_expression": _expression(arrays, at) for name, (arrays, at) in images.items()}
    example |= {f"set_{name}_landmarks": _landmarks(arrays, at, size) for name, (arrays, at) in images.items()}
    targets = [name for name in ("redrawn", "reidentity") if name in images]
    example |= {f"set_{name}_trust": _trust(*images[name], size) for name in targets}
    example |= {"set_factor": np.array(factor, np.int32), "set_boxes": _boxes(base, t, size)}
    return _augment_group(rng, example, size, augment)


def composite_example(rng: np.random.Generator, arrays: Arrays, *, size: int, augment: Augment) -> Example:
    """Returns a group for video without paired groups: frame t of a segment, and its composite with the mouth or the
    eyes of another frame as the factor-swapped image.

    There is no second identity. Without two frames that show a face the group carries no information: its factor is the
    residual, and nothing is swapped.
    """
    length, usable = len(arrays["pose"]), arrays["confidence"] > 0
    s = int(rng.integers(length))
    t = int(rng.choice(np.flatnonzero(usable))) if usable.any() else int(rng.integers(length))
    image, truth, expression = _frame(arrays, t, size), _calibrated(arrays, t), _expression(arrays, t)
    points = _landmarks(arrays, t, size)
    swapped, swapped_truth, swapped_expression, factor = image, truth, expression, "residual"
    swapped_points = points
    if usable.sum() > 1:
        factor = ("lip", "gaze")[int(rng.integers(2))]
        truths = _calibrated(arrays, slice(None))
        u = augmentation.donor_frame(rng, arrays["pose"][:, :3], truths[:, augmentation.PART[factor]], usable, t)
        donor_points = _landmarks(arrays, u, size)
        swapped = augmentation.composite(factor, image, points, _frame(arrays, u, size), donor_points)
        swapped_points = augmentation.composite_landmarks(factor, points, donor_points)
        swapped_truth = augmentation.composite_truth(factor, truth, truths[u])
        swapped_expression = augmentation.composite_expression(factor, expression, _expression(arrays, u))
    example = {
        "set_source": _frame(arrays, s, size),
        "set_driving": image,
        "set_redrawn": swapped,
        "set_source_calibrated": _calibrated(arrays, s),
        "set_driving_calibrated": truth,
        "set_redrawn_calibrated": swapped_truth,
        "set_source_expression": _expression(arrays, s),
        "set_driving_expression": expression,
        "set_redrawn_expression": swapped_expression,
        "set_source_landmarks": _landmarks(arrays, s, size),
        "set_driving_landmarks": points,
        "set_redrawn_landmarks": swapped_points,
        "set_factor": np.array(FACTORS.index(factor), np.int32),
        "set_boxes": _boxes(arrays, t, size),
        "set_redrawn_trust": _trust(arrays, t, size),
    }
    return _augment_group(rng, example, size, augment)


def _augment_group(rng: np.random.Generator, example: Example, size: int, augment: Augment) -> Example:
    """Mirrors all images or none, and recolours only `set_driving`, which is never a target."""
    if rng.random() < augment.mirror:
        example = augmentation.mirror_example(example, size)
    if augment.colour:
        example["set_driving"] = augmentation.recolour(rng, example["set_driving"], augment.colour)
    return example


def code_example(
    rng: np.random.Generator, codes: np.ndarray, audio: np.ndarray, emotion: int, *, window: int, context: int,
    look_ahead: int,
) -> Example:  # fmt: skip
    """Returns a random window of a clip with its context, its audio, the codes that follow it, and a source code.

    codes [T, K] float32, audio [T, A]. The start is uniform over the clip, the first frame included; frames outside the
    clip are zero and marked invalid. The source is a frame outside the window where there is one.
    """
    length = len(codes)
    start = int(rng.integers(max(length - window, 0) + 1))
    outside = np.r_[0:start, start + window : length]
    source = int(rng.choice(outside)) if len(outside) else int(rng.integers(length))
    window_codes, codes_valid = _cut(codes, start - context, context + window)
    window_audio, audio_valid = _cut(audio, start - context, context + window + look_ahead)
    after, after_valid = _cut(codes, start + window, window)
    return {
        "codes": window_codes,
        "codes_valid": codes_valid,
        "audio": window_audio,
        "audio_valid": audio_valid,
        "source": codes[source].astype(np.float32),
        "emotion": np.array(emotion, np.int32),
        "next_codes": after,
        "next_valid": after_valid,
    }


def _cut(array: np.ndarray, start: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns rows start .. start + length - 1 of [T, N] as float32, zero outside, and which of them [length] are
    inside."""
    index = np.arange(start, start + length)
    inside = (index >= 0) & (index < len(array))
    rows = array[np.clip(index, 0, len(array) - 1)].astype(np.float32)
    return np.where(inside[:, None], rows, np.float32(0)), inside


def stack(examples: list[Example]) -> Example:
    """Returns one batch of the examples, with a leading axis."""
    return {name: np.stack([example[name] for example in examples]) for name in examples[0]}
