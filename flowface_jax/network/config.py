"""Settings of the alignment network: one frozen dataclass, every choice that the paper leaves open with its default."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_type_hints

from flowface_jax.errors import InputError

Backbone = Literal[
    "mit_b0",
    "mit_b1",
    "mit_b2",
    "mit_b3",
    "mit_b4",
    "mit_b5",
    "bisenet_v2",
    "bisenet_v2_wide",
    "nano",
    "resnet101",
    "prnet",
]
UncertaintyInput = Literal["convolved", "appended", "none"]
UncertaintyForm = Literal["log", "value"]
Activation = Literal["tanh", "relu", "none"]
Interpolated = Literal["std", "log_std"]
NormEpsilon = Literal["nvlabs", "huggingface"]

FLAME_VERTEX_COUNT = 5023


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """What the network is. The defaults are the paper's (section 4, 'Training strategy'); equal configs, equal weights.

    backbone: "mit_b0" … "mit_b5" (SegFormer) and "bisenet_v2", "bisenet_v2_wide" encode the image for the recurrent
        UV-to-image flow; "nano" is a whole small network of that kind, see `network.nano`; "resnet101" ('Dense') and
        "prnet" regress the alignment directly (table 4, section 4.5).
    image_size: D_img, px, side of the crop. uv_size: D_uv, cells along a side of the UV grid and of the image features.
    iterations: N_iter of the update block.

    Sizes that the paper fixes, to be changed for small experiments only: feature_size: channels of image and UV
        features. hidden_size: channels of the recurrent state and of the context. texture_size: channels of each
        positional texture. correlation_levels, correlation_radius: of the look-up, in cells of each level.
    vertex_count: points that "resnet101" regresses, those of the one head it is trained for.

    Choices that the paper leaves open:
    uncertainty_input: how the motion encoder sees the last uncertainty: "convolved" with the flow (a third input of
        its first convolution), "appended" to its output beside the flow, or "none".
    uncertainty_form: it sees log S, which is well scaled for any S, or the "value" S itself.
    hidden_activation, context_activation: on the learned initial state and context, RAFT's by default.
    initial_std: S_0, in cells.
    interpolated: σ of a vertex is interpolated from the map of S ("std", equation 1) or of its logarithm.
    norm_epsilon: of SegFormer's layer norms; "nvlabs" as the published weights were trained (1e-6 in blocks, 1e-5 in
        embeddings), "huggingface" 1e-5 throughout.
    drop_path: probability that a residual branch of the last SegFormer block is skipped in training, growing linearly
        from 0 at the first. head_dropout: of the decode head's channels.

    Beyond the paper, off until shown better:
    depth: also predict each point's depth. covariance: a full 2×2 covariance for each point instead of a circle.
    presence: also predict whether the crop shows a face.

    std_scale: factor on every predicted σ, found on real frames after training; it is no part of the loss.
    """

    backbone: Backbone = "mit_b5"
    image_size: int = 512
    uv_size: int = 64
    iterations: int = 3
    feature_size: int = 128
    hidden_size: int = 128
    texture_size: int = 32
    correlation_levels: int = 4
    correlation_radius: int = 4
    vertex_count: int = FLAME_VERTEX_COUNT
    uncertainty_input: UncertaintyInput = "convolved"
    uncertainty_form: UncertaintyForm = "log"
    hidden_activation: Activation = "tanh"
    context_activation: Activation = "relu"
    initial_std: float = 1.0
    interpolated: Interpolated = "std"
    norm_epsilon: NormEpsilon = "nvlabs"
    drop_path: float = 0.1
    head_dropout: float = 0.1
    depth: bool = False
    covariance: bool = False
    presence: bool = False
    std_scale: float = 1.0

    def __post_init__(self) -> None:
        _check_types(self)
        _check_ranges(self)

    @property
    def is_recurrent(self) -> bool:
        """Whether the backbone encodes the image for the UV-to-image flow (else it regresses the alignment itself)."""
        return self.backbone not in ("nano", "resnet101", "prnet")

    @property
    def map_size(self) -> int:
        """Texels along a side of the dense map that the network predicts."""
        return self.image_size if self.backbone == "prnet" else self.uv_size

    @property
    def channel_count(self) -> int:
        """Numbers predicted for each point: x, y, log σ, and the optional depth (2) and covariance (2)."""
        return 3 + 2 * self.depth + 2 * self.covariance

    @staticmethod
    def from_mapping(values: Mapping[str, Any]) -> NetworkConfig:
        """The config with the named fields set. Raises InputError for unknown names and unusable values."""
        known = [field.name for field in dataclasses.fields(NetworkConfig)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise InputError(f"unknown network setting {', '.join(unknown)}; known: {', '.join(known)}")
        return NetworkConfig(**values)


def _check_types(config: NetworkConfig) -> None:
    hints = get_type_hints(NetworkConfig)
    for field in dataclasses.fields(config):
        value, expected = getattr(config, field.name), hints[field.name]
        choices = get_args(expected)
        if choices:
            if value not in choices:
                raise InputError(f"network {field.name}: expected one of {', '.join(choices)}, found {value!r}")
        elif expected is float:
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
                raise InputError(f"network {field.name}: expected a number of at least 0, found {value!r}")
        elif type(value) is not expected:
            raise InputError(f"network {field.name}: expected {expected.__name__}, found {value!r}")


def _check_ranges(config: NetworkConfig) -> None:
    for name in ("image_size", "uv_size", "iterations", "feature_size", "hidden_size", "texture_size", "vertex_count"):
        if getattr(config, name) < 1:
            raise InputError(f"network {name}: expected at least 1, found {getattr(config, name)}")
    if config.initial_std == 0 or config.drop_path >= 1 or config.head_dropout >= 1:
        raise InputError("network initial_std must be positive, drop_path and head_dropout below 1")
    if config.std_scale == 0:
        raise InputError("network std_scale: expected a number above 0, found 0")
    if not 1 <= config.correlation_levels <= 6 or not 0 <= config.correlation_radius <= 16:
        raise InputError("network correlation_levels must be 1 to 6 and correlation_radius 0 to 16")
    if config.image_size % 32:
        raise InputError(f"network image_size: expected a multiple of 32 px, found {config.image_size}")
    if config.backbone == "nano":
        if config.uv_size % 16 or config.uv_size < 32 or config.image_size < 96:
            raise InputError(
                f"network uv_size and image_size: nano takes multiples of 16 from 32 and multiples of 32 from 96, "
                f"found {config.uv_size} and {config.image_size}"
            )
        if config.image_size // 8 % 2 ** (config.correlation_levels - 1):
            raise InputError(
                f"network correlation_levels: nano halves {config.image_size // 8} cells a side once a level but for "
                f"the first, found {config.correlation_levels}; take fewer"
            )
        if config.depth or config.covariance:
            raise InputError("network depth, covariance: nano predicts neither; leave them out")
    if not config.is_recurrent:
        return
    stride = 8 if config.backbone.startswith("bisenet") else 4
    if (config.image_size // stride) % config.uv_size:
        raise InputError(
            f"network uv_size: {config.backbone} gives {config.image_size // stride} feature cells a side for "
            f"{config.image_size} px, which {config.uv_size} does not divide; choose a divisor"
        )
    coarsest = 2 ** max(3, config.correlation_levels - 1)
    if config.uv_size % coarsest:
        raise InputError(f"network uv_size: expected a multiple of {coarsest}, found {config.uv_size}")
