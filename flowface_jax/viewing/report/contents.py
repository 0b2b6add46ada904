"""What a report shows, as plain values: every number of it, and nothing of how it looks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

Cell = str | int | float | None
"""A cell of a table; None is unknown."""


@dataclasses.dataclass(frozen=True, eq=False)
class Series:
    """One curve. values: [N], NaN where unknown."""

    name: str
    values: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Chart:
    """Curves over one axis. of_frames: whether `x` [N] are the track's frames, so that a click can show one.

    unit: of the values. logarithmic: of the vertical axis. from_zero: whether that begins at 0.
    """

    title: str
    unit: str
    x: np.ndarray
    x_label: str
    series: tuple[Series, ...]
    note: str = ""
    of_frames: bool = True
    logarithmic: bool = False
    from_zero: bool = True


@dataclasses.dataclass(frozen=True, eq=False)
class HeatMap:
    """A number at every vertex. values: [V], NaN where unknown. limit: value of the brightest colour."""

    title: str
    unit: str
    values: np.ndarray
    limit: float
    note: str = ""


@dataclasses.dataclass(frozen=True)
class ReportTable:
    """Rows of cells under column headings; `title` may be empty."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


@dataclasses.dataclass(frozen=True)
class FlaggedFrames:
    """Neighbouring frames that are flagged for the same reasons. first, last: positions in the track, from 0."""

    first: int
    last: int
    reasons: tuple[str, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Section:
    """A part of the report. absent: why there is nothing to show, else empty. key: its anchor in the page."""

    key: str
    title: str
    charts: tuple[Chart, ...] = ()
    heat_maps: tuple[HeatMap, ...] = ()
    tables: tuple[ReportTable, ...] = ()
    note: str = ""
    absent: str = ""


@dataclasses.dataclass(frozen=True, eq=False)
class Contents:
    """All that a report says. facts: the leading numbers by name. frame_ids: [F], numbers of the frames in their
    source. frame_times: [F] s. worst: positions of the frames to look at first. neutral: [V,3] m and triangles [T,3],
    the head that heat maps are painted on.
    """

    name: str
    verdict: str | None
    verdict_reasons: tuple[str, ...]
    facts: Mapping[str, Cell]
    notes: tuple[str, ...]
    frame_ids: np.ndarray
    frame_times: np.ndarray
    flags: tuple[FlaggedFrames, ...]
    worst: tuple[int, ...]
    sections: tuple[Section, ...]
    neutral: np.ndarray
    triangles: np.ndarray

    @property
    def frame_count(self) -> int:
        return len(self.frame_ids)

    def section(self, key: str) -> Section:
        """The section of that key. Raises KeyError where there is none."""
        for section in self.sections:
            if section.key == key:
                return section
        raise KeyError(key)


def grouped_flags(flags: list[dict], frame_ids: np.ndarray) -> tuple[FlaggedFrames, ...]:
    """The record's flags (by frame number), runs of neighbours with the same reasons as one. Flags of frames that the
    track does not have are left out.
    """
    place = {int(number): f for f, number in enumerate(frame_ids)}
    known = sorted((place[flag["frame"]], tuple(flag["reasons"])) for flag in flags if flag["frame"] in place)
    runs: list[FlaggedFrames] = []
    for f, reasons in known:
        if runs and runs[-1].last == f - 1 and runs[-1].reasons == reasons:
            runs[-1] = dataclasses.replace(runs[-1], last=f)
        else:
            runs.append(FlaggedFrames(f, f, reasons))
    return tuple(runs)


def upper(values: np.ndarray) -> float:
    """The 98th percentile of the known values: where the scale of a heat map ends."""
    return max(float(np.percentile(values[np.isfinite(values)], 98)), 1e-9)


def known(value: float) -> float | None:
    """The number, or None where it is not finite."""
    return float(value) if np.isfinite(value) else None
