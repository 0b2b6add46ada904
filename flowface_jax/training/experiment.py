"""Where experiments meet the library: ml_collections configurations to and from our settings."""

from __future__ import annotations

import dataclasses
from typing import Any

from ml_collections import ConfigDict

from flowface_jax.training.config import TrainingConfig, training_config


def as_config_dict(config: TrainingConfig) -> ConfigDict:
    """The settings as a ConfigDict of sections, for files in configs/ to change and command lines to override."""
    return ConfigDict(dataclasses.asdict(config))


def as_training_config(values: ConfigDict) -> TrainingConfig:
    """The settings of a ConfigDict. Raises InputError for unknown names and unusable values."""
    return training_config({section: _plain(values[section]) for section in values})


def _plain(section: Any) -> dict[str, Any]:
    return dict(section.to_dict()) if isinstance(section, ConfigDict) else dict(section)
