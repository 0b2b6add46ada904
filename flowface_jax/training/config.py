"""Settings of a training run: one frozen dataclass per concern, from nested mappings, unknown names refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from flowface_jax.errors import InputError
from flowface_jax.network.config import NetworkConfig
from flowface_jax.network.losses import LossConfig
from flowface_jax.settings import check_settings, settings_from
from flowface_jax.training.augmentation import AugmentationConfig
from flowface_jax.training.devices import Route
from flowface_jax.training.optimiser import OptimiserConfig

Precision = Literal["float32", "bfloat16"]


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """What is learnt from.

    head: whose vertices, as `flowface track --head` names it. rendered_share: of every batch, crops rendered on the
    device, up to 1; the rest is read from `records`, folders made by `flowface prepare`, mixed in proportion to
    `record_weights` (numbers, one for each folder; none: by their sizes). rendered_crops: an epoch of rendered crops,
    after which they repeat (their colours do not). texture_side: texels of rendered skin. supersampling: rendered
    pixels per pixel, along a side.
    validation_records: folders; none: crops rendered from people of their own. validation_crops: how many are tried,
    rounded up to whole batches.
    backgrounds: folder of pictures (the Describable Textures Dataset, or any) put behind heads and before faces.
    skins: folder of textures of real people, made by `flowface texture`. "" for none.
    region_weights: factors on λ, as "lips=4".
    """

    head: str = "generic"
    rendered_share: float = 1.0
    rendered_crops: int = 200_000
    texture_side: int = 256
    supersampling: int = 1
    records: tuple[str, ...] = ()
    record_weights: tuple[str, ...] = ()
    validation_records: tuple[str, ...] = ()
    validation_crops: int = 256
    backgrounds: str = ""
    skins: str = ""
    region_weights: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_settings(self, "data")
        if self.rendered_share > 1 or (self.rendered_share < 1) != bool(self.records):
            raise InputError(
                "data.rendered_share: expected 1 where there are no records and less where there are, found "
                f"{self.rendered_share:g} with {len(self.records)} folders of records"
            )
        if self.record_weights and len(self.record_weights) != len(self.records):
            raise InputError(
                f"data.record_weights: expected one for each of {len(self.records)} folders, "
                f"found {len(self.record_weights)}"
            )
        if min(self.rendered_crops, self.validation_crops) < 1:
            raise InputError("data.rendered_crops and data.validation_crops must be at least 1")

    @property
    def weights_of_records(self) -> tuple[float, ...] | None:
        """The record weights as numbers, None for none. Raises InputError where one is no positive number."""
        return tuple(_number("data.record_weights", text) for text in self.record_weights) or None

    @property
    def weights_of_regions(self) -> dict[str, float]:
        """Factors on λ by region. Raises InputError where an entry is not NAME=FACTOR."""
        pairs = [entry.partition("=") for entry in self.region_weights]
        return {name: _number("data.region_weights", factor) for name, _, factor in pairs}


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """How long, on what, and what is kept.

    seed: of weights, order and augmentation. batch_size: crops of a step on all devices together. epochs: of the
    data; steps: instead of epochs, where not 0. micro_batches: parts that a device's batch is computed in.
    precision: of the network's computations. rematerialised: less memory for a third more time.
    average_decay: of the moving average of weights, which is then what is validated and kept; 0: none.
    devices: how many of all processes' are used; 0: all. route: `jax.pmap`, or `jax.jit` of `jax.shard_map`.
    initial: weights files to start from, pieces of a network or a whole one.
    evaluate_every, checkpoint_every, log_every: steps; 0: at the end only. latest, best: checkpoints that are kept.
    pictures: validation crops that are drawn at each evaluation.
    """

    seed: int = 0
    batch_size: int = 16
    epochs: int = 6
    steps: int = 0
    micro_batches: int = 1
    precision: Precision = "float32"
    rematerialised: bool = False
    average_decay: float = 0.0
    devices: int = 0
    route: Route = "pmap"
    initial: tuple[str, ...] = ()
    evaluate_every: int = 1000
    checkpoint_every: int = 1000
    log_every: int = 20
    latest: int = 2
    best: int = 1
    pictures: int = 8

    def __post_init__(self) -> None:
        check_settings(self, "run")
        if min(self.batch_size, self.micro_batches, self.latest) < 1 or max(self.epochs, self.steps) < 1:
            raise InputError("run.batch_size, micro_batches, latest, and epochs or steps must be at least 1")
        if self.average_decay >= 1:
            raise InputError(f"run.average_decay: expected less than 1, found {self.average_decay:g}")


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """Everything that decides a run: equal settings, equal weights on the same machine."""

    model: NetworkConfig = NetworkConfig()
    loss: LossConfig = LossConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    data: DataConfig = DataConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    run: RunConfig = RunConfig()

    def to_mapping(self) -> dict[str, dict[str, Any]]:
        """Nested tables of plain values, tuples as lists, as JSON holds them."""
        plain = lambda value: list(value) if isinstance(value, tuple) else value
        return {
            section: {name: plain(value) for name, value in values.items()}
            for section, values in dataclasses.asdict(self).items()
        }


def training_config(values: Mapping[str, Mapping[str, Any]]) -> TrainingConfig:
    """The settings with those of each section replaced. Raises InputError for unknown names and unusable values."""
    known = {field.name: getattr(TrainingConfig(), field.name) for field in dataclasses.fields(TrainingConfig)}
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise InputError(f"unknown section {unknown[0]}; known: {', '.join(known)}")
    sections = {name: settings_from(type(known[name]), section, name) for name, section in values.items()}
    return dataclasses.replace(TrainingConfig(), **sections)


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise InputError(f"{name}: expected positive numbers, found '{text}'")
    return value
