"""The part of the report that compares with the truth."""

from __future__ import annotations

import numpy as np

from flowface_jax.fitting.track import Track
from flowface_jax.heads.model import HeadModel
from flowface_jax.viewing.report.contents import Cell, Chart, HeatMap, ReportTable, Section, Series, known, upper
from flowface_jax.viewing.report.truth import TruthComparison, VertexErrors

TITLE = "Against the truth"


def truth_section(track: Track, truth: TruthComparison | None, head: HeadModel) -> Section:
    """Motion error over windows, over frames and by region; vertex errors where the meshes correspond."""
    if truth is None:
        absent = "No truth was given; flowface report TRACK TRUTH compares with one."
        return Section("truth", TITLE, absent=absent)
    motion, errors = truth.motion, truth.vertices
    x = np.asarray(track.frame_ids, np.float64)
    charts = [
        Chart(
            "Screen space motion error over the window",
            "px",
            np.asarray(motion.windows, np.float64),
            "window h, frames",
            tuple(Series(region, motion.ssme[r]) for r, region in enumerate(motion.regions)),
            of_frames=False,
        ),
        Chart(
            "Screen space motion error over time",
            "px",
            x,
            "frame",
            tuple(Series(region, _over_windows(motion.per_frame[:, :, r])) for r, region in enumerate(motion.regions)),
            note="from each frame to those after it, mean over the windows",
        ),
    ]
    if errors is not None:
        series = (
            Series("face placed in each frame", errors.placed_by_frame_mm),
            Series("as it lies", errors.in_place_by_frame_mm),
        )
        charts.append(Chart("Vertex error of the face", "mm", x, "frame", series))
    note = f"Compared with {truth.name}."
    if errors is None:
        note += " Its mesh is another one than the track's, so vertices have no error of their own."
    return Section("truth", TITLE, tuple(charts), _maps(errors), (_table(truth, head),), note)


def _maps(errors: VertexErrors | None) -> tuple[HeatMap, ...]:
    if errors is None or not np.isfinite(errors.placed_mm).any():
        return ()
    placed = "mean over frames, after one similarity of the face in each"
    return (
        HeatMap("Vertex error, placed", "mm", errors.placed_mm, upper(errors.placed_mm), placed),
        HeatMap("Vertex error, as it lies", "mm", errors.in_place_mm, upper(errors.in_place_mm), "mean over frames"),
    )


def _table(truth: TruthComparison, head: HeadModel) -> ReportTable:
    motion, errors = truth.motion, truth.vertices
    columns = ["region", "SSME, px", "covered, %"] + (["error placed, mm", "error as it lies, mm"] if errors else [])
    rows = []
    for r, region in enumerate(motion.regions):
        row: list[Cell] = [region, known(motion.mean[r]), known(100 * motion.coverage[r])]
        if errors is not None:
            mask = np.asarray(head.regions[region])
            row += [known(errors.placed_mm[mask].mean()), known(errors.in_place_mm[mask].mean())]
        rows.append(tuple(row))
    note = f"SSME: mean over windows of 1 to {int(motion.windows[-1])} frames"
    return ReportTable("By region", tuple(columns), tuple(rows), note)


def _over_windows(errors: np.ndarray) -> np.ndarray:
    """[F] mean of [F,N_H] over the windows that count."""
    counted = np.isfinite(errors)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(counted, errors, 0).sum(1) / np.where(counted.any(1), counted.sum(1), np.nan)
