"""From configs and a grid to the members of a sweep: every one's settings are resolved, and refused, beforehand."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from flowface_jax.errors import InputError
from flowface_jax.storage import require_file
from flowface_jax.training.config import TrainingConfig, training_config
from flowface_jax.training.experiment import as_training_config
from flowface_jax.training.sweeps.grid import Axis, parse_setting, points
from flowface_jax.training.sweeps.members import Member, member_name


def plan_members(configs: Sequence[str], axes: Sequence[Axis], fixed: Sequence[str] = ()) -> tuple[Member, ...]:
    """A member for every config and point of the grid; points of equal settings are one member.

    configs: files of configs/, with ":row" where they have rows. fixed: settings "section.name=value" of all members.
    Raises InputError for the first setting that is unknown or whose value training refuses.
    """
    settings = dict(parse_setting(text) for text in fixed)
    both = sorted(set(settings) & {axis.setting for axis in axes})
    if both:
        raise InputError(f"{both[0]} is both varied and fixed; name it in --grid or in --set")
    members: dict[str, Member] = {}
    seen: list[TrainingConfig] = []
    for source in configs:
        base = load_config(source)
        for point in points(axes):
            resolved = _changed(base, {**settings, **point}, source)
            if resolved in seen:
                continue
            seen.append(resolved)
            member = _member(source, base, resolved, tuple(point))
            if member.name in members:
                raise InputError(f"two members would be called {member.name}; give the files of configs other names")
            members[member.name] = member
    return tuple(members.values())


def load_config(source: str) -> TrainingConfig:
    """The settings of "FILE.py" or "FILE.py:row". Raises InputError where they are no settings of training."""
    path, _, row = source.partition(":")
    file = require_file(path, "a config, as configs/small_rendered.py")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise InputError(f"{file}: expected a Python file with get_config")
    module = importlib.util.module_from_spec(spec)
    # A config is a program of the user's own, and may fail in any way.
    try:
        spec.loader.exec_module(module)
        values = module.get_config(row) if row else module.get_config()
    except Exception as error:
        raise InputError(f"{source}: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}") from error
    sections = [values[name] for name in values] if isinstance(values, ConfigDict) else [None]
    if not all(isinstance(section, ConfigDict) for section in sections):
        raise InputError(f"{source}: expected settings of training in sections, as configs/small_rendered.py has")
    try:
        return as_training_config(values)
    except InputError as error:
        raise InputError(f"{source}: {error}") from None


def _changed(base: TrainingConfig, settings: Mapping[str, str], source: str) -> TrainingConfig:
    values = base.to_mapping()
    for setting, text in settings.items():
        section, _, name = setting.partition(".")
        values.setdefault(section, {})[name] = text
    try:
        return training_config(values)
    except InputError as error:
        told = ", ".join(f"{setting}={text}" for setting, text in settings.items())
        raise InputError(f"{source} with {told or 'its own settings'}: {error}") from None


def _member(source: str, base: TrainingConfig, resolved: TrainingConfig, varied: Sequence[str]) -> Member:
    path, _, row = source.partition(":")
    label = Path(path).stem + (f":{row}" if row else "")
    settings, before = resolved.to_mapping(), base.to_mapping()
    value = lambda setting: settings[setting.split(".")[0]][setting.split(".", 1)[1]]
    flags = tuple(
        f"--config.{section}.{name}={_flag(new)}"
        for section, part in settings.items()
        for name, new in part.items()
        if new != before[section][name]
    )
    config = str(Path(path).absolute()) + (f":{row}" if row else "")
    return Member(member_name(label, {name: value(name) for name in varied}), config, label, settings, flags)


def _flag(value: Any) -> str:
    """A value as ml_collections reads it from a command line."""
    if isinstance(value, bool):
        return str(value).lower()
    return repr(tuple(value)) if isinstance(value, list) else str(value)
