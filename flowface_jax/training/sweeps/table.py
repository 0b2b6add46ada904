"""The table of a sweep: a row for each point of the grid, over its seeds, from what the runs have written so far."""

from __future__ import annotations

import dataclasses
import json
import math
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flowface_jax.training.logs import EVALUATIONS
from flowface_jax.training.sweeps.grid import SEED
from flowface_jax.training.sweeps.members import Member, Sweep
from flowface_jax.training.sweeps.state import MemberState, present_state

CONFIG = "config"


@dataclasses.dataclass(frozen=True)
class Measured:
    """Of a run: step: of its last evaluation. nme: the best, per cent of the face's box. within_one, within_two: per
    cent of points within one and two σ of the truth, at the best. None where nothing was evaluated yet."""

    step: int | None = None
    nme: float | None = None
    within_one: float | None = None
    within_two: float | None = None


@dataclasses.dataclass(frozen=True)
class MemberRow:
    """A member, its state and numbers."""

    member: Member
    state: MemberState
    measured: Measured


@dataclasses.dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation; None of one value, or of none."""

    mean: float | None = None
    std: float | None = None


@dataclasses.dataclass(frozen=True)
class Row:
    """Members that differ in their seed alone. Numbers are over those that are done; a member that is alone tells how
    far it is. values: of the table's varied settings. step: the least of them."""

    values: tuple[Any, ...]
    members: tuple[MemberRow, ...]
    step: int | None
    nme: Spread
    within_one: Spread
    within_two: Spread
    seconds: Spread

    @property
    def status(self) -> str:
        """The members' status, with counts where there are several: "done", or "2 done, 1 failed"."""
        counts = Counter(row.state.status for row in self.members)
        if len(self.members) == 1:
            return next(iter(counts))
        return ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))


@dataclasses.dataclass(frozen=True)
class Table:
    """varied: names of the settings in which members differ, or "config". rows: by NME, those without one last.
    seeded: whether rows are over several seeds."""

    varied: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def seeded(self) -> bool:
        return any(len(row.members) > 1 for row in self.rows)

    @property
    def failed(self) -> tuple[MemberRow, ...]:
        """The members that failed."""
        return tuple(row for group in self.rows for row in group.members if row.state.status == "failed")


def collect(sweep: Sweep) -> Table:
    """The table as it is now; nothing is changed, so that it can be made while members run."""
    varied = varied_settings(sweep.members)
    groups: dict[str, list[MemberRow]] = {}
    for member in sweep.members:
        rest = {name: value for name, value in member.flat_settings.items() if name != SEED}
        row = MemberRow(member, present_state(sweep.folder_of(member)), read_measured(sweep.run_of(member)))
        groups.setdefault(json.dumps([member.label, rest], sort_keys=True), []).append(row)
    rows = [_row(group, varied) for group in groups.values()]
    order = lambda row: (row.nme.mean is None, row.nme.mean or 0.0, row.members[0].member.name)
    return Table(varied, tuple(sorted(rows, key=order)))


def varied_settings(members: Sequence[Member]) -> tuple[str, ...]:
    """In what the members differ, besides seeds: "config" where there are several, and the settings that differ among
    members of one config."""
    labels = {member.label for member in members}
    found: set[str] = set()
    for label in labels:
        flat = [member.flat_settings for member in members if member.label == label]
        found |= {name for name in flat[0] if any(other.get(name) != flat[0][name] for other in flat)}
    return (*([CONFIG] if len(labels) > 1 else []), *sorted(found - {SEED}))


def read_measured(run: Path) -> Measured:
    """The numbers that a run's evaluations hold; a line that is being written is left out."""
    try:
        text = (run / EVALUATIONS).read_text(encoding="utf-8")
    except OSError:
        return Measured()
    lines = [line for line in map(_parsed, text.splitlines()) if line is not None]
    if not lines:
        return Measured()
    usable = [line for line in lines if _number(line, "nme") is not None]
    if not usable:
        return Measured(step=int(lines[-1]["step"]))
    best = min(usable, key=lambda line: line["nme"])
    numbers = (_number(best, name) for name in ("nme", "within_one_std", "within_two_std"))
    return Measured(int(lines[-1]["step"]), *numbers)


def _row(group: Sequence[MemberRow], varied: Sequence[str]) -> Row:
    first = group[0].member
    values = tuple(first.label if name == CONFIG else first.flat_settings[name] for name in varied)
    counted = [row for row in group if row.state.status == "done"] if len(group) > 1 else list(group)
    steps = [row.measured.step for row in counted if row.measured.step is not None]
    spread = lambda numbers: _spread([number for number in numbers if number is not None])
    return Row(
        values=values,
        members=tuple(group),
        step=min(steps, default=None),
        nme=spread(row.measured.nme for row in counted),
        within_one=spread(row.measured.within_one for row in counted),
        within_two=spread(row.measured.within_two for row in counted),
        seconds=spread(row.state.seconds if row.state.attempts else None for row in counted),
    )


def _spread(numbers: Sequence[float]) -> Spread:
    if not numbers:
        return Spread()
    return Spread(statistics.fmean(numbers), statistics.stdev(numbers) if len(numbers) > 1 else None)


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        values = json.loads(line)
    except json.JSONDecodeError:
        return None
    return values if isinstance(values, dict) and isinstance(values.get("step"), int) else None


def _number(values: dict[str, Any], name: str) -> float | None:
    value = values.get(name)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
