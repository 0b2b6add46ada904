"""Frozen dataclasses of settings from names and values: unknown names refused, text read as the field's type."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar, get_args, get_type_hints

from flowface_jax.errors import InputError

T = TypeVar("T")


def settings_from(kind: type[T], values: Mapping[str, Any], section: str, base: T | None = None) -> T:
    """`base`, or the defaults of `kind`, with `values` replaced; text, as from a command line, is read as the field's
    type.

    section: how errors name the settings, as in "fit.focal". Raises InputError for an unknown name or a value that
    cannot be read.
    """
    base = kind() if base is None else base
    known = {field.name: getattr(base, field.name) for field in dataclasses.fields(base)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise InputError(f"unknown setting {section}.{unknown[0]}; known: {', '.join(sorted(known))}")
    parsed = {name: _parsed(f"{section}.{name}", value, known[name]) for name, value in values.items()}
    return dataclasses.replace(base, **parsed)  # type: ignore[type-var]


def check_settings(config: Any, section: str) -> None:
    """Refuse values outside a field's `Literal`, and numbers that are negative or NaN. Raises InputError."""
    for name, hint in get_type_hints(type(config)).items():
        value = getattr(config, name)
        choices = [choice for choice in get_args(hint) if isinstance(choice, str)]
        if choices and value not in choices:
            raise InputError(f"{section}.{name}: expected one of {', '.join(choices)}, found '{value}'")
        if hint in (int, float) and not value >= 0:
            raise InputError(f"{section}.{name}: expected a number ≥ 0, found {value}")


def _parsed(name: str, value: Any, current: Any) -> Any:
    try:
        if isinstance(current, tuple):
            return tuple(part for part in value.split(",") if part) if isinstance(value, str) else tuple(value)
        if isinstance(current, bool):
            return {"true": True, "1": True, "false": False, "0": False}[str(value).lower()]
        if isinstance(value, bool):
            raise ValueError
        if isinstance(current, int):
            number = float(value)
            if number != int(number):
                raise ValueError
            return int(number)
        if isinstance(current, float):
            return float(value)
        return str(value)
    except (TypeError, ValueError, KeyError, OverflowError):
        raise InputError(f"{name}: expected {type(current).__name__}, found '{value}'") from None
