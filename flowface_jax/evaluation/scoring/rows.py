"""What every measure's table is made of: rows with intervals, named errors, progress."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.evaluation.bootstrap import LEVEL, SAMPLES, Interval, bootstrap_interval
from flowface_jax.evaluation.tables import Column, Row, Table
from flowface_jax.reporting import Reporter, SilentReporter

BLOCKS = 20
"""Into how many blocks of neighbouring frames a film is cut to be drawn anew."""
Cell = tuple[float | None, Interval | None]
"""A value of a row and its interval."""


@dataclasses.dataclass(frozen=True)
class Resampling:
    """How confidence intervals are drawn; see `bootstrap_interval`."""

    samples: int = SAMPLES
    seed: int = 0

    def __post_init__(self) -> None:
        if self.samples < 1 or self.seed < 0:
            raise InputError(
                f"bootstrap: expected samples above 0 and a seed from 0, found {self.samples}, {self.seed}"
            )

    def interval(
        self,
        values: np.ndarray,
        groups: np.ndarray | None,
        unit: str,
        statistic: Callable[[np.ndarray], float] | None = None,
    ) -> Interval | None:
        """The interval of values [N] and their groups [N]; None where there are fewer than two things to draw."""
        known = np.isfinite(values)
        if len(np.unique(np.arange(len(values))[known] if groups is None else groups[known])) < 2:
            return None
        return bootstrap_interval(values, groups, unit, statistic, samples=self.samples, seed=self.seed)

    def of_frames(self, values: np.ndarray, statistic: Callable[[np.ndarray], float] | None = None) -> Interval | None:
        """The interval of values [F] of a film's frames, which are drawn in blocks of neighbours."""
        frames = len(values)
        groups = np.arange(frames) * BLOCKS // frames if frames > BLOCKS else np.arange(frames)
        return self.interval(values, groups, f"blocks of {-(-frames // BLOCKS)} frame(s)", statistic)


@dataclasses.dataclass(frozen=True, eq=False)
class Scored:
    """table: a row for each prediction, intervals in its notes. with_ends: the same with the ends of intervals as
    columns, for programs. results: what it was made from, by the prediction's name.
    """

    table: Table
    with_ends: Table
    results: Mapping[str, Any]


def scored(
    title: str,
    columns: Sequence[Column],
    rows: Mapping[str, Sequence[Cell]],
    notes: Sequence[str],
    resampling: Resampling | None,
    results: Mapping[str, Any],
) -> Scored:
    """The tables of rows by name."""
    how = _interval_notes(rows, resampling)
    lines = tuple(Row(name, tuple(value for value, _ in cells)) for name, cells in rows.items())
    table = Table(title, tuple(columns), lines, (*notes, *how, *_spelled_out(columns, rows)))
    return Scored(table, _with_ends(Table(title, tuple(columns), (), (*notes, *how)), rows), results)


def _with_ends(table: Table, rows: Mapping[str, Sequence[Cell]]) -> Table:
    """Columns of which a row has an interval, followed by its ends."""
    wide = [any(cells[k][1] is not None for cells in rows.values()) for k in range(len(table.columns))]
    headings: list[Column] = []
    for column, ends in zip(table.columns, wide, strict=True):
        both = [dataclasses.replace(column, name=f"{column.name} {end}", better="") for end in ("low", "high")]
        headings += [column, *both] if ends else [column]
    lines = []
    for name, cells in rows.items():
        values: list[float | None] = []
        for (value, spread), ends in zip(cells, wide, strict=True):
            both = (None, None) if spread is None else (spread.low, spread.high)
            values += [value, *both] if ends else [value]
        lines.append(Row(name, tuple(values)))
    return dataclasses.replace(table, columns=tuple(headings), rows=tuple(lines))


def _spelled_out(columns: Sequence[Column], rows: Mapping[str, Sequence[Cell]]) -> list[str]:
    """A line for each row that has intervals."""
    lines = []
    for name, cells in rows.items():
        parts = [
            f"{column.name} {spread.low:.{column.digits}f} to {spread.high:.{column.digits}f}"
            for column, (_, spread) in zip(columns, cells, strict=True)
            if spread is not None
        ]
        lines += [f"{name}: {', '.join(parts)}"] if parts else []
    return lines


def _interval_notes(rows: Mapping[str, Sequence[Cell]], resampling: Resampling | None) -> list[str]:
    if resampling is None:
        return []
    spreads = [spread for cells in rows.values() for _, spread in cells if spread is not None]
    if not spreads:
        return ["no intervals: there are fewer than two things to draw from"]
    units = ", ".join(dict.fromkeys(spread.unit for spread in spreads))
    return [
        f"intervals of {LEVEL:.0%} from {resampling.samples} bootstrap samples, seed {resampling.seed}, drawing {units}"
    ]


@contextlib.contextmanager
def naming(name: str) -> Iterator[None]:
    """Input errors inside say whose they are."""
    try:
        yield
    except InputError as error:
        text = str(error)
        raise type(error)(text if text.startswith(f"{name}:") else f"{name}: {text}") from None


def each(items: Mapping[str, Any], reporter: Reporter | None, title: str) -> Iterator[tuple[str, Any]]:
    """Predictions one by one, with progress."""
    bar = (reporter or SilentReporter()).bar(title, len(items), "predictions")
    try:
        for done, (name, item) in enumerate(items.items(), 1):
            yield name, item
            bar.advance_to(done, name)
    finally:
        bar.close()
