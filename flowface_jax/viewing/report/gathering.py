"""`report_contents`: from a track and what lies beside it to what its report shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from flowface_jax.alignment.alignment import Alignment
from flowface_jax.conventions import CONVENTIONS
from flowface_jax.fitting.track import Track
from flowface_jax.heads.model import HeadModel
from flowface_jax.viewing.report.contents import (
    Cell,
    Chart,
    Contents,
    HeatMap,
    ReportTable,
    Section,
    Series,
    grouped_flags,
    known,
    upper,
)
from flowface_jax.viewing.report.measures import (
    Motion,
    Residuals,
    head_angles,
    head_position_mm,
    measure_motion,
    over_vertices,
    point_residuals,
    region_median,
    residual_percent,
    seen_frames,
)
from flowface_jax.viewing.report.truth import TruthComparison
from flowface_jax.viewing.report.truth_section import truth_section

WORST_FRAMES = 6


def report_contents(
    track: Track,
    head: HeadModel,
    alignment: Alignment | None = None,
    truth: TruthComparison | None = None,
    request: Mapping[str, Any] | None = None,
    name: str = "track",
) -> Contents:
    """Everything that the report of a track says. request: the job as recorded beside the track, where it is.

    Raises InputError for a head or an alignment that are not the track's.
    """
    motion = measure_motion(track, head)
    residuals = None if alignment is None else point_residuals(track, head, alignment)
    summary = track.summary
    neutral = np.asarray(track.neutral_vertices(head))
    quality = summary.get("quality", {})
    sections = (
        _residual_section(track),
        _motion_section(track, motion),
        _surface_section(track, residuals, neutral),
        truth_section(track, truth, head),
        _region_section(track, head, residuals),
        _energy_section(track),
        _camera_section(track),
        _making_section(summary, request or {}),
        _head_section(summary, head),
        _convention_section(),
    )
    return Contents(
        name=name,
        verdict=quality.get("verdict"),
        verdict_reasons=tuple(quality.get("verdict_reasons", ())),
        facts=_facts(track, motion),
        notes=(*summary.get("notes", ()), *summary.get("uncertainty", {}).get("notes", ())),
        frame_ids=np.asarray(track.frame_ids),
        frame_times=np.asarray(track.frame_times),
        flags=grouped_flags(summary.get("flags", []), track.frame_ids),
        worst=_worst(track),
        sections=sections,
        neutral=neutral,
        triangles=np.asarray(head.triangles),
    )


def frame_chart(track: Track, title: str, unit: str, series: Mapping[str, np.ndarray], **options: Any) -> Chart:
    """Curves [F] by name over the track's frames."""
    curves = tuple(Series(name, np.asarray(values, np.float64)) for name, values in series.items())
    return Chart(title, unit, np.asarray(track.frame_ids, np.float64), "frame", curves, **options)


def _facts(track: Track, motion: Motion) -> dict[str, Cell]:
    summary = track.summary
    residual, solver, quality = (summary.get(key, {}) for key in ("residual", "solver", "quality"))
    seconds = float(track.frame_times[-1] - track.frame_times[0]) if track.frame_count else 0.0
    return {
        "frames": track.frame_count,
        "with a face": int(seen_frames(track).sum()),
        "flagged": len(summary.get("flags", [])),
        "length, s": seconds,
        "cameras": track.cameras.count,
        "head": summary.get("head", {}).get("name"),
        "residual, px": residual.get("median_px"),
        "residual, % of face width": residual.get("median_percent_of_face_width"),
        "90th percentile, %": residual.get("p90_percent_of_face_width"),
        "reduced χ² (median)": quality.get("reduced_chi_square_median"),
        "jitter of the face, px": known(motion.jitter_px),
        "solver": f"{solver.get('steps')} steps, {'converged' if solver.get('converged') else 'not converged'}"
        if solver
        else None,
    }


def _residual_section(track: Track) -> Section:
    names = track.cameras.names
    per_camera = lambda values, suffix="": {f"{n}{suffix}": values[c] for c, n in enumerate(names)}
    charts = [
        frame_chart(
            track,
            "Residual",
            "px",
            per_camera(track.residual_px, ", median") | per_camera(track.residual_p90_px, ", 90th percentile"),
            note="distance between observed and fitted points of face and ears",
        ),
        frame_chart(track, "Residual relative to the face", "% of its width", per_camera(residual_percent(track))),
    ]
    if track.region_names:
        lost = {
            "hidden": track.region_hidden[:, 0],
            "astray": track.region_astray[:, 0],
        }
        charts += [
            frame_chart(
                track,
                "Residual beside the stated σ",
                "reduced χ²",
                {"mean": track.region_chi_square[:, 0], "from the median": track.region_chi_square_median[:, 0]},
                note="1 where the stated σ are right; the median hardly moves with outliers",
            ),
            frame_chart(track, "Points lost", "share of those that face a camera", lost),
        ]
    return Section("residual", "Residual over time", tuple(charts))


def _motion_section(track: Track, motion: Motion) -> Section:
    angles, position = head_angles(track), head_position_mm(track)
    first = track.cameras.names[0]
    charts = [
        frame_chart(
            track,
            "Head pose",
            "degrees",
            dict(zip(("yaw", "pitch", "roll"), angles.T, strict=True)),
            note=f"before camera {first}; 0 looks straight into it; yaw towards the subject's left, pitch down",
            from_zero=False,
        ),
        frame_chart(
            track,
            "Head position",
            "mm",
            dict(zip(("right", "down", "forward"), (position - _middle(position)).T, strict=True)),
            note=f"in camera {first}, from its median over the frames ({_place(position)})",
            from_zero=False,
        ),
    ]
    openings = dict(motion.openings_mm)
    mouth = {name: openings.pop(name) for name in ("mouth",) if name in openings}
    if openings:
        charts += [
            frame_chart(track, "Eye opening", "mm", openings, note="between the lids, on the fitted head"),
            frame_chart(track, "Mouth opening", "mm", mouth, note="between the inner lips, on the fitted head"),
        ]
    charts.append(
        frame_chart(
            track,
            "Motion of the face in the image",
            "px",
            {"from the frame before": motion.step_px, "second difference": motion.second_difference_px},
            note=f"camera {first}; jitter is the root mean square of the second differences, true motion included",
        )
    )
    note = "" if openings else "The head has no landmarks, so the openings of eyes and mouth cannot be measured."
    return Section("motion", "Pose, expression and motion over time", tuple(charts), note=note)


def _surface_section(track: Track, residuals: Residuals | None, neutral: np.ndarray) -> Section:
    maps = []
    if residuals is not None:
        for title, unit, values in (
            ("Residual in the image", "px", residuals.px),
            ("Residual beside its uncertainty", "σ", residuals.sigmas),
        ):
            carried = over_vertices(values, residuals.surface, neutral)
            if np.isfinite(carried).any():
                maps.append(HeatMap(title, unit, carried, upper(carried), "median over frames and cameras"))
    if track.uncertainty is not None:
        std = np.asarray(track.uncertainty.neutral_mm, np.float64)
        if np.isfinite(std).any():
            maps.append(HeatMap("Standard deviation of the neutral head", "mm", std, upper(std), "one σ, linear"))
    absent = (
        ""
        if maps
        else "No error bars are stored and no alignment lies beside the track, so nothing is known per vertex."
    )
    note = ""
    if residuals is None and maps:
        note = "No alignment lies beside the track, so its residual cannot be shown per vertex."
    return Section("surface", "Over the surface", heat_maps=tuple(maps), note=note, absent=absent)


def _region_section(track: Track, head: HeadModel, residuals: Residuals | None) -> Section:
    record = track.summary.get("quality", {}).get("regions", {})
    if not record:
        return Section("regions", "Regions", absent="The track's record holds no regions; a newer fit writes them.")
    names = [name for name in track.region_names if name in record] or list(record)
    columns = ["region", "points", "reduced χ²", "from the median", "frames hidden", "frames not followed"]
    fields = ("points", "reduced_chi_square", "reduced_chi_square_median", "hidden_frames", "not_followed_frames")
    rows: list[tuple[Cell, ...]] = [(name, *(record[name].get(field) for field in fields)) for name in names]
    if residuals is not None:
        columns.append("residual, px")
        everywhere = np.ones(head.vertex_count, bool)
        rows = [
            (*row, region_median(residuals.px, residuals.surface, np.asarray(head.regions.get(name, everywhere))))
            for row, name in zip(rows, names, strict=True)
        ]
    note = "medians over frames; χ² is 1 where the stated σ are right"
    return Section("regions", "Regions", tables=(ReportTable("", tuple(columns), tuple(rows), note),))


def _energy_section(track: Track) -> Section:
    history = np.asarray(track.energy_history, np.float64)
    parts = track.summary.get("solver", {}).get("energy", {})
    table = ReportTable("At the solution", ("term", "energy"), tuple(parts.items()))
    tables = (table,) if parts else ()
    if not np.isfinite(history).any():
        return (
            Section("energy", "Energy", tables=tables, note="The track holds no energy history.")
            if tables
            else (Section("energy", "Energy", absent="The track holds no energy history."))
        )
    steps = np.arange(1, len(history) + 1, dtype=np.float64)
    positive = bool((history[np.isfinite(history)] > 0).all())
    chart = Chart("Energy", "", steps, "step", (Series("energy", history),), of_frames=False, logarithmic=positive)
    return Section("energy", "Energy", (chart,), tables=tables)


def _camera_section(track: Track) -> Section:
    cameras, std = track.cameras, track.uncertainty
    centres = np.asarray(cameras.centres())
    columns = (
        "camera",
        "image, px",
        "focal length, px",
        "± px",
        "principal point, px",
        "position in the world, m",
        "frames with a face",
    )
    rows = []
    for c, name in enumerate(cameras.names):
        width, height = (int(side) for side in np.asarray(cameras.image_size)[c])
        spread = None if std is None else known(float(std.focal[c]))
        rows.append(
            (
                name,
                f"{width}×{height}",
                float(np.asarray(cameras.focal)[c]),
                spread,
                _numbers(np.asarray(cameras.principal_point)[c], 1),
                _numbers(centres[c], 3),
                int(np.asarray(track.observed)[c].sum()),
            )
        )
    given = track.summary.get("cameras_known")
    note = "" if given is None else "given by a calibration" if given else "not given: solved for with the head"
    return Section("cameras", "Cameras", tables=(ReportTable("", columns, tuple(rows), note),))


def _making_section(summary: Mapping[str, Any], request: Mapping[str, Any]) -> Section:
    tables = []
    job = {key: value for key, value in request.items() if key != "settings" and value is not None}
    for title, values in (
        ("Job", job),
        ("Alignment", summary.get("alignment", {})),
        ("Fit settings", summary.get("settings", {})),
        ("Parameters", summary.get("layout", {})),
        ("Solver", {key: value for key, value in summary.get("solver", {}).items() if key != "energy"}),
        ("Seconds", summary.get("timings", {})),
        ("Versions", summary.get("versions", {})),
    ):
        if values:
            rows = tuple((str(key), _plain(value)) for key, value in values.items())
            tables.append(ReportTable(title, ("name", "value"), rows))
    absent = "" if tables else "The track's record holds no settings."
    return Section("making", "Settings", tables=tuple(tables), absent=absent)


def _head_section(summary: Mapping[str, Any], head: HeadModel) -> Section:
    rows = (
        ("name", head.name),
        ("licence", summary.get("head", {}).get("licence", head.licence)),
        ("vertices", head.vertex_count),
        ("triangles", int(head.triangles.shape[0])),
        ("identity coefficients", head.identity_size),
        ("expression coefficients", head.expression_size),
        ("joints", ", ".join(head.joint_names)),
    )
    return Section("head", "Head model", tables=(ReportTable("", ("name", "value"), rows),))


def _convention_section() -> Section:
    return Section("conventions", "Conventions", tables=(ReportTable("", ("what", "how"), tuple(CONVENTIONS.items())),))


def _worst(track: Track) -> tuple[int, ...]:
    """The frames of the largest residual relative to the face, flagged ones first, no two of one moment; in order."""
    percent = residual_percent(track)
    worst = np.where(np.isfinite(percent), percent, -np.inf).max(0)
    flagged = np.isin(track.frame_ids, [flag["frame"] for flag in track.summary.get("flags", [])])
    apart = track.frame_count / (4 * WORST_FRAMES)
    chosen: list[int] = []
    for f in np.lexsort((-worst, ~flagged)):
        if len(chosen) < WORST_FRAMES and np.isfinite(worst[f]) and all(abs(f - other) >= apart for other in chosen):
            chosen.append(int(f))
    return tuple(sorted(chosen))


def _middle(position: np.ndarray) -> np.ndarray:
    known = position[np.isfinite(position).all(1)]
    return np.median(known, axis=0) if len(known) else np.zeros(3)


def _place(position: np.ndarray) -> str:
    return _numbers(_middle(position), 0) + " mm"


def _numbers(values: np.ndarray, digits: int) -> str:
    return ", ".join(f"{float(value) + 0.0:.{digits}f}" for value in values)


def _plain(value: Any) -> Cell:
    """A recorded value as a cell."""
    if value is None or isinstance(value, str | int | float):
        return str(value).lower() if isinstance(value, bool) else value
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items())
    return "; ".join(str(_plain(item)) for item in value) or None
