"""Every setting of a run, as frozen dataclasses. `configs/*.py` give values; this file gives names, meaning and checks.

A config file's `get_config()` returns `as_config_dict(Stage1Config(...))`, so that every field can be set on the
command line and an unknown one is an error. `from_config_dict` turns the result back into dataclasses.
"""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from demo_jax.errors import InputError
from demo_jax.factors import FACTORS, FactorLayout

T = TypeVar("T")
DTYPES = ("float32", "bfloat16", "float16")
LOW_RANK = "low_rank"  # the group of parameters that RunConfig.low_rank trains
# Old name of a setting -> its name now. Accepted in checkpoints and on the command line; to be removed in 0.3.
OLD_NAMES = {
    "coupling.slices": "coupling.microbatches",
    "loss.true_control": "loss.teacher_forcing",
    "loss.true_lips": "loss.teacher_forcing_lips",
}


def _check_range(config: Any, where: str, names: str, low: float, high: float = math.inf) -> None:
    """Raises InputError unless low <= value <= high and finite, for each of the named numbers."""
    for name in names.split():
        value = getattr(config, name)
        if not (math.isfinite(value) and low <= value <= high):
            allowed = f"at least {low:g}" if high == math.inf else f"from {low:g} to {high:g}"
            raise InputError(f"{where}{name} is {value}; it must be {allowed}.")


def _check_dtype(dtype: str) -> None:
    if dtype not in DTYPES:
        raise InputError(f"model.dtype is {dtype!r}; it must be one of {', '.join(DTYPES)}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class AutoEncoderConfig:
    """The networks of stage 1. `levels` are (resolution, channels) from coarse to fine; the last is size / 2."""

    size: int = 64  # px, of the image
    levels: tuple[tuple[int, int], ...] = ((8, 96), (16, 64), (32, 32))
    blocks: int = 2  # modulated blocks at each level up to 64 px; one above
    latent: int = 128  # D
    layout: FactorLayout = FactorLayout()
    style_width: int = 192
    encoder_size: int = 64  # px of the whole image for the motion encoder; it crops eyes and mouth at full resolution
    encoder_channels: tuple[int, ...] = (32, 48, 96, 96)  # encoder_size / 2, and each halving down to 4 px
    encoder_width: int = 256
    projection: int = 64  # width of the InfoNCE embeddings
    lip_window: int = 5  # frames of one InfoNCE sample
    dtype: str = "float32"  # of activations; parameters and codes are always float32

    def __post_init__(self) -> None:
        _check_range(self, "model.", "blocks style_width encoder_width projection lip_window", 1)
        _check_dtype(self.dtype)
        resolutions = [r for r, _ in self.levels]
        if resolutions != [self.size // 2 // 2**i for i in reversed(range(len(resolutions)))]:
            raise InputError(
                f"model.levels {self.levels}: resolutions must double up to size / 2 = {self.size // 2}, for example "
                f"((8, 96), (16, 64), (32, 32)) for 64 px."
            )
        if self.encoder_size < 8 or self.size % self.encoder_size:
            raise InputError(f"model.encoder_size is {self.encoder_size}; it must divide model.size, {self.size}.")
        if self.encoder_size != 8 * 2 ** (len(self.encoder_channels) - 1):
            raise InputError(
                f"model.encoder_channels {self.encoder_channels}: one entry for encoder_size / 2 = "
                f"{self.encoder_size // 2} px and one for each halving down to 4 px."
            )
        if self.latent < self.layout.size:
            raise InputError(
                f"model.latent is {self.latent}, less than the {self.layout.size} coordinates of a code: an "
                "orthonormal basis needs at least as many."
            )
        if self.lip_window % 2 == 0:
            raise InputError(f"model.lip_window is {self.lip_window}; it must be odd, so that there is a middle frame.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FlowTransformerConfig:
    """The network of stage 2."""

    width: int = 128
    depth: int = 6
    heads: int = 4
    window: int = 50  # L, frames generated at once
    context: int = 10  # frames before the window
    look_ahead: int = 10  # frames of audio after it
    remat: bool = False  # recompute blocks in the backward pass: less memory, a third more work
    dtype: str = "float32"

    def __post_init__(self) -> None:
        _check_range(self, "model.", "width depth heads window", 1)
        _check_range(self, "model.", "context look_ahead", 0)
        _check_dtype(self.dtype)
        if self.width % (2 * self.heads):
            raise InputError(f"model.width {self.width} must be a multiple of twice model.heads ({self.heads}).")


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """AdamW with linear warm-up and cosine decay to a tenth."""

    learning_rate: float = 5e-4
    warmup_steps: int = 200
    weight_decay: float = 1e-2
    clip_norm: float = 1.0  # largest global norm of the gradient; 0 does not clip
    ema_decay: float = 0.999  # of the parameters that sampling uses; warmed up over the first steps
    accumulate: int = 1  # microbatches whose gradients make one update: less memory, the same batch size

    def __post_init__(self) -> None:
        _check_range(self, "optimizer.", "learning_rate warmup_steps weight_decay clip_norm", 0)
        _check_range(self, "optimizer.", "ema_decay", 0, 1)
        _check_range(self, "optimizer.", "accumulate", 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeshConfig:
    """Devices along each axis; -1 takes all that remain."""

    data: int = -1
    fsdp: int = 1
    tensor: int = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
    path: str = ""  # stage 1: the folder of the corpus; stage 2: the folder written by data_pipelines.encode
    # Stage 1: more corpora, each with the number of rows of a batch that it gives for every row of `path`.
    mixture: tuple[tuple[str, int], ...] = ()
    feature: str = "logmel"  # audio feature, by its name in the records
    batch_size: int = 16  # over all devices
    set_batch_size: int = 8  # stage 1: paired groups beside batch_size; true renders for puppets, else composites
    workers: int = 0  # Grain worker processes; 0 reads in the training process

    def __post_init__(self) -> None:
        _check_range(self, "data.", "batch_size", 1)
        _check_range(self, "data.", "set_batch_size workers", 0)
        if any(rows < 1 for _, rows in self.mixture):
            raise InputError(f"data.mixture is {self.mixture}; the rows of a folder are a whole number from 1.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """Augmentation of the training images of stage 1; validation uses them unchanged."""

    mirror: float = 0.5  # share of examples
    colour: float = 0.05  # driving images: largest change of gain
    shift: float = 0.0  # driving images, crop widths: for video, where pose varies little
    zoom: float = 0.0  # driving images: largest logarithm of the enlargement

    def __post_init__(self) -> None:
        _check_range(self, "augment.", "mirror", 0, 1)
        _check_range(self, "augment.", "colour shift zoom", 0, 0.5)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage1LossConfig:
    """Weights; 0 leaves out a term and everything that only it needs."""

    reconstruction: float = 1.0
    structure: float = 0.2  # of 1 - SSIM over three scales, within the loss of every image
    sharpness: float = 0.5  # of the L1 of gradients over three scales, likewise
    region: float = 20.0  # extra weight of mouth and eye boxes, a twentieth of an image, in L1 and sharpness
    landmarks: float = 0.1  # distance of the decoder's landmarks from true ones, hundredths of an image; works alone
    supervision: float = 1.0  # L1 to the calibrated coordinates
    expression: float = 1.0  # squared error of ARKit's coefficients, read from their factor's block by a linear map
    lip_contrast: float = 0.05  # InfoNCE between lips and audio
    gaze_contrast: float = 0.02  # same gaze with another factor swapped, against other gazes
    temperature: float = 0.1  # of both contrasts
    swap: float = 1.0  # one factor taken from the factor-swapped image, against its true render
    cross_identity: float = 1.0  # motion on a second identity, against its true render
    consistency: float = 0.05  # L1: swapping one factor leaves the other blocks of the code unchanged
    identity: float = 0.03  # L1: two identities with the same motion have the same code
    cross_covariance: float = 0.05  # squared correlation of coordinates in different blocks
    cosine: float = 0.01  # squared cosine between projections of the factors' codes
    perceptual: float = 0.0  # distance in the features of VGG-16, whose weights `vgg16` names
    adversarial: float = 0.0  # patch discriminator, trained too; best when start_from is a run without one
    vgg16: str = ""  # a safetensors file in torchvision's layout, converted by you: no package carries one
    cycle: float = 0.0  # L1: the encoder reads the requested code from a decoded image; for video without true swaps
    teacher_forcing: float = 0.5  # share of samples whose decoder gets the true calibrated pose and gaze
    teacher_forcing_lips: float = 0.25  # share of samples whose decoder gets the true calibrated lips
    false_free: float = 0.15  # share of samples whose decoder gets another row's free coordinates of lip and gaze
    merged: tuple[str, ...] = ()  # factors without a block of their own: their coordinates count as residual

    def __post_init__(self) -> None:
        weights = (
            "reconstruction structure sharpness region landmarks supervision expression lip_contrast gaze_contrast "
            "swap cross_identity consistency identity cross_covariance cosine cycle perceptual adversarial"
        )
        _check_range(self, "loss.", weights, 0)
        _check_range(self, "loss.", "temperature", 1e-3)
        _check_range(self, "loss.", "teacher_forcing teacher_forcing_lips false_free", 0, 1)
        if self.perceptual and not self.vgg16:
            raise InputError("loss.perceptual needs loss.vgg16, a safetensors file with VGG-16's weights.")
        if not set(self.merged) <= set(FACTORS[:3]):
            raise InputError(f"loss.merged is {self.merged}; it may name {', '.join(FACTORS[:3])}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage2LossConfig:
    velocity: float = 1.0
    difference: float = 1.0  # of the velocity's frame difference
    time: str = "uniform"  # or logit_normal: distribution of flow time in training

    def __post_init__(self) -> None:
        _check_range(self, "loss.", "velocity difference", 0)
        if self.time not in ("uniform", "logit_normal"):
            raise InputError(f"loss.time is {self.time!r}; it must be 'uniform' or 'logit_normal'.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CouplingConfig:
    """Which noise is paired with which datum (demo_jax.flow.coupling), within condition.group rows."""

    kind: str = "independent"  # or exact, sinkhorn: minibatch optimal transport
    weight: float = 0.0  # of the distance between conditions; 0 is plain minibatch optimal transport
    share: float = 0.0  # unless 0, `weight` is searched: share of pairs that may cost no more than a datum's own noise
    microbatches: int = 1  # a batch is coupled whole, then gives this many updates; steps count batches

    def __post_init__(self) -> None:
        if self.kind not in ("independent", "exact", "sinkhorn"):
            raise InputError(f"coupling.kind is {self.kind!r}; it must be 'independent', 'exact' or 'sinkhorn'.")
        _check_range(self, "coupling.", "weight", 0)
        _check_range(self, "coupling.", "share", 0, 1)
        _check_range(self, "coupling.", "microbatches", 1)
        if self.weight and self.share:
            raise InputError("coupling.weight and coupling.share are both set; share determines the weight. Set one.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConditionConfig:
    """How conditions are dropped, noised and given in training. Probabilities, but context_noise and group."""

    drop_audio: float = 0.1
    drop_emotion: float = 0.1
    drop_source: float = 0.05
    drop_context: float = 0.2
    context_noise: float = 0.5  # largest noise level of the context; half of the samples are clean
    given: float = 0.5  # a group of rows has anything given
    keyframe: float = 0.3  # a sample has keyframes, factor by factor
    cut: float = 0.3  # a sample's clip ends at a random frame of the window, as it does in a stream
    group: int = 8  # rows that share a given-mask and a coupling

    def __post_init__(self) -> None:
        shares = "drop_audio drop_emotion drop_source drop_context context_noise given keyframe cut"
        _check_range(self, "condition.", shares, 0, 1)
        _check_range(self, "condition.", "group", 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Settings of both stages."""

    seed: int = 0
    steps: int = 4000
    log_every: int = 20
    eval_every: int = 500
    save_every: int = 500
    # A run or published model: a new run starts with its parameters where names and shapes agree, and stage 2 also with
    # its code space.
    start_from: str = ""
    freeze: tuple[str, ...] = ()  # groups of parameters that are not trained, such as motion_encoder
    low_rank: int = 0  # train changes of this rank to the kernels (LoRA) instead of the parameters; 0 trains them all
    optimizer: OptimizerConfig = OptimizerConfig()
    mesh: MeshConfig = MeshConfig()
    data: DataConfig = DataConfig()

    def __post_init__(self) -> None:
        _check_range(self, "", "seed", 0, 2**32 - 1)
        _check_range(self, "", "steps log_every eval_every save_every", 1)
        _check_range(self, "", "low_rank", 0)
        if self.low_rank and not self.start_from:
            raise InputError("low_rank is set without start_from; name the model to fine-tune.")

    def is_frozen(self, group: str) -> bool:
        """Whether a group of parameters is not trained."""
        return group in self.freeze or (self.low_rank > 0 and group != LOW_RANK)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage1Config(RunConfig):
    model: AutoEncoderConfig = AutoEncoderConfig()
    loss: Stage1LossConfig = Stage1LossConfig()
    augment: AugmentConfig = AugmentConfig()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low_rank and self.loss.adversarial:
            raise InputError("loss.adversarial needs to train a discriminator, which low_rank freezes; set one to 0.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage2Config(RunConfig):
    model: FlowTransformerConfig = FlowTransformerConfig()
    loss: Stage2LossConfig = Stage2LossConfig()
    condition: ConditionConfig = ConditionConfig()
    coupling: CouplingConfig = CouplingConfig()
    data: DataConfig = DataConfig(feature="phonetic")
    autoencoder: str = ""  # work directory or published model, of either stage, whose motion encoder wrote the codes

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.data.batch_size % self.condition.group:
            raise InputError(
                f"data.batch_size {self.data.batch_size} must be a multiple of condition.group {self.condition.group}."
            )
        if self.data.batch_size % self.coupling.microbatches:
            raise InputError(
                f"data.batch_size {self.data.batch_size} must be a multiple of coupling.microbatches "
                f"{self.coupling.microbatches}."
            )


def as_config_dict(config: Stage1Config | Stage2Config) -> Any:
    """Returns the config as an ml_collections.ConfigDict, with `stage` "autoencoder" or "flow"."""
    import ml_collections

    stage = "autoencoder" if isinstance(config, Stage1Config) else "flow"
    return ml_collections.ConfigDict({"stage": stage, **dataclasses.asdict(config)})


def from_config_dict(values: Mapping[str, Any]) -> Stage1Config | Stage2Config:
    """Inverts as_config_dict. Raises InputError for unknown keys, wrong types and impossible values."""
    values = dict(values)
    stage = values.pop("stage", None)
    match stage:
        case "autoencoder":
            return build(Stage1Config, values, "config")
        case "flow":
            return build(Stage2Config, values, "config")
    raise InputError(f"config.stage is {stage!r}; it must be 'autoencoder' or 'flow'.")


def build(cls: type[T], values: Mapping[str, Any], where: str = "config") -> T:
    """Returns the frozen dataclass `cls` of nested mappings, with names and types checked.

    Args:
      cls: a dataclass of this file.
      values: field -> value or mapping; names in OLD_NAMES are accepted.
      where: "config", or "config." and the section that `values` describes; for messages and OLD_NAMES.

    Raises:
      InputError: an unknown name, a wrong type or an impossible value.
    """
    values = with_current_names(values, where.partition(".")[2])
    hints = typing.get_type_hints(cls)
    fields = {f.name: hints[f.name] for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise InputError(f"{where}.{unknown[0]} is not a setting; {where} has {', '.join(sorted(fields))}.")
    return cls(**{name: _convert(fields[name], value, f"{where}.{name}") for name, value in values.items()})


def with_current_names(values: Mapping[str, Any], section: str = "") -> dict[str, Any]:
    """Returns nested settings with the names in OLD_NAMES replaced. Raises InputError where both names are given."""
    renamed: dict[str, Any] = {}
    for name, value in values.items():
        path = f"{section}.{name}" if section else name
        new = OLD_NAMES.get(path, path)
        if new != path and new.rpartition(".")[2] in values:
            raise InputError(f"config.{path} is now config.{new}, and both are given; keep the second.")
        renamed[new.rpartition(".")[2]] = with_current_names(value, path) if isinstance(value, Mapping) else value
    return renamed


def _convert(kind: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        try:
            return build(kind, value, where)  # type: ignore[arg-type]
        except ValueError as error:
            raise InputError(str(error)) from error
    if typing.get_origin(kind) is tuple:
        return _convert_tuple(kind, value, where)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise InputError(f"{where} is {value!r}; it must be of type {kind.__name__}.")
    return value


def _convert_tuple(kind: Any, value: Any, where: str) -> tuple:
    """Returns a list or tuple as a tuple with elements of the right types; tuple[int, ...] takes any number."""
    element, *more = typing.get_args(kind)
    if not isinstance(value, list | tuple):
        example = f'("{value}",)' if isinstance(value, str) and element is str else "(a, b)"
        raise InputError(f"{where} is {value!r}; it must be a tuple, such as {example}.")
    if more == [Ellipsis]:
        kinds = [element] * len(value)
    else:
        kinds = [element, *more]
    if len(kinds) != len(value):
        raise InputError(f"{where} is {value!r}; it must have {len(kinds)} entries.")
    return tuple(_convert(k, v, f"{where}[{i}]") for i, (k, v) in enumerate(zip(kinds, value, strict=True)))
