"""The points of a grid: which settings are varied, and every combination of their values."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

from flowface_jax.errors import InputError

SEED = "run.seed"


@dataclasses.dataclass(frozen=True)
class Axis:
    """A setting, as section.name, and its values as text."""

    setting: str
    values: tuple[str, ...]


def parse_axis(text: str) -> Axis:
    """The axis that "section.name=value,value,…" stands for; values that hold commas are separated by semicolons.

    Raises InputError for other text.
    """
    setting, values = parse_setting(text)
    separator = ";" if ";" in values else ","
    parts = tuple(part.strip() for part in values.split(separator))
    if separator == ";" and not parts[-1]:
        parts = parts[:-1]
    if not all(parts):
        raise InputError(f"grid {setting}: expected values separated by commas, found '{values}'")
    return Axis(setting, parts)


def parse_setting(text: str) -> tuple[str, str]:
    """The name section.name and the value of "section.name=value". Raises InputError for other text."""
    setting, equals, value = text.partition("=")
    section, dot, name = setting.strip().partition(".")
    if not (equals and dot and section and name):
        raise InputError(f"expected section.name=value, as in run.steps=100, found '{text}'")
    return setting.strip(), value.strip()


def make_grid(axes: Sequence[str], seeds: str = "") -> tuple[Axis, ...]:
    """The axes of a grid from their texts, the seeds "0,1,…" last. Raises InputError where a setting comes twice."""
    parsed = [parse_axis(text) for text in axes]
    if seeds:
        parsed.append(parse_axis(f"{SEED}={seeds}"))
    names = [axis.setting for axis in parsed]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"{twice[0]} is varied twice; name each setting in one --grid (run.seed: or in --seeds)")
    return tuple(parsed)


def points(axes: Sequence[Axis]) -> Iterator[dict[str, str]]:
    """Every combination of values, the last axis changing fastest; a single empty one where there is no axis."""
    for values in itertools.product(*(axis.values for axis in axes)):
        yield {axis.setting: value for axis, value in zip(axes, values, strict=True)}
