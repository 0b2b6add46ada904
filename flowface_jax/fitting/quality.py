"""How well a track explains what was observed, which frames deserve distrust, and a verdict on the whole."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from flowface_jax.alignment.alignment import Alignment
from flowface_jax.fitting.jumps import Jump, find_jumps
from flowface_jax.fitting.parameters import Parameters
from flowface_jax.fitting.problem import FitProblem
from flowface_jax.fitting.regions import ALL, FEWEST_POINTS, region_points
from flowface_jax.fitting.residuals import PointStatistics, point_statistics, usual_spread
from flowface_jax.fitting.verdict import Figures, judge
from flowface_jax.heads.model import HeadModel

LARGE_RESIDUAL = 3.0
LARGE_PERCENT = 1.0
"""An image is flagged when its residual is LARGE_RESIDUAL times the sequence's median and above LARGE_PERCENT of the
face's width: far from usual, and enough to be seen."""

HUGE_PERCENT = 3.0
"""An image is also flagged when its residual is above this per cent of the face's width, however usual that is."""

OUTLIER_SHARE = 0.25
OUTLIER_PERCENT = 2.0
"""An image is flagged when more points are outliers and a tenth of all is further off than this per cent of the face's
width, as in no good fit: outliers alone may only mean that the stated σ are too small."""

LOST_SHARE = 0.5
"""A region counts as hidden or not followed when that is true of more than this share of its facing points."""

LOST_FACE = 1.0 / 3.0
"""Much of the face is lost when more than this share of its facing points is: the share of a hand before the mouth."""


@dataclasses.dataclass(frozen=True)
class Quality:
    """points: residual statistics per image, frame and region. region_names: the R regions, "all" first.

    region_hidden, region_astray: [F,R] share, over all cameras, of the points facing them that are not observed (or
    with a σ that tells nothing), and that are outliers; NaN where too few points face a camera. jumps: of the head.
    flags: frames to distrust, each with its reasons. figures, verdict, reasons: see `verdict`.
    """

    points: PointStatistics
    region_names: tuple[str, ...]
    region_sizes: tuple[int, ...]
    region_hidden: np.ndarray
    region_astray: np.ndarray
    jumps: list[Jump]
    flags: list[dict[str, Any]]
    figures: Figures
    verdict: str
    reasons: list[str]

    def residual_record(self) -> dict[str, Any]:
        """Summary over the sequence: residuals in px and in per cent of the face box's width; None where unknown."""
        points = self.points
        return {
            "median_px": _median(points.median_px),
            "p90_px": _median(points.p90_px),
            "median_percent_of_face_width": _median(_percent(points.median_px, points)),
            "p90_percent_of_face_width": _median(_percent(points.p90_px, points)),
            "outlier_share": _median(points.outlier_share),
        }

    def record(self, alignment: Alignment) -> dict[str, Any]:
        """The verdict with all it rests on, as JSON: medians over frames; None where unknown."""
        points, ids = self.points, alignment.frame_ids
        hidden, followed = _lost(self.region_hidden, self.region_astray)
        regions = {
            name: {
                "points": self.region_sizes[r],
                "reduced_chi_square": _median(points.chi_square[:, r]),
                "reduced_chi_square_median": _median(points.chi_square_median[:, r]),
                "hidden_frames": int(hidden[:, r].sum()),
                "not_followed_frames": int(followed[:, r].sum()),
            }
            for r, name in enumerate(self.region_names)
        }
        figures = dataclasses.asdict(self.figures)
        return {
            "verdict": self.verdict,
            "verdict_reasons": self.reasons,
            "figures": {name: value if np.isfinite(value) else None for name, value in figures.items()},
            "reduced_chi_square": regions[ALL]["reduced_chi_square"],
            "reduced_chi_square_median": regions[ALL]["reduced_chi_square_median"],
            "regions": regions,
            "cameras": {
                name: {
                    "frames_with_face": int(alignment.valid[c].sum()),
                    "median_percent_of_face_width": _median(_percent(points.median_px, points)[c]),
                }
                for c, name in enumerate(alignment.camera_names)
            },
            "jumps": [
                {
                    "frame": int(ids[jump.frame]),
                    "last_frame": int(ids[jump.last_frame]),
                    "distance_mm": round(jump.distance_mm, 2),
                    "angle_degrees": round(jump.angle_degrees, 2),
                }
                for jump in self.jumps
            ],
        }


def assess(parameters: Parameters, problem: FitProblem, alignment: Alignment, head: HeadModel) -> Quality:
    """Compare a fit with what was observed, frame by frame and region by region. Never raises for bad numbers."""
    frames = alignment.frame_count
    regions = region_points(head, alignment.points_on(head), np.asarray(problem.point_weight))
    points = point_statistics(parameters, problem, regions, usual_spread(alignment, regions), frames)
    hidden, astray = _region_shares(points)
    rotation, translation = (
        np.asarray(values, np.float64)[:frames] for values in (parameters.head_rotation, parameters.head_translation)
    )
    # A product of numbers that are not finite is not finite either, and found to be so.
    with np.errstate(invalid="ignore", over="ignore"):
        middle = rotation @ regions.middle.astype(np.float64) + translation
    seen = alignment.valid.any(0)
    jumps, steps = find_jumps(rotation, middle, seen, alignment.frame_times)
    problems = _image_problems(points)
    figures = Figures(
        finite=_finite(parameters, frames),
        residual_percent=_known(_median(_percent(points.median_px, points))),
        residual_p90_percent=_known(_median(_percent(points.p90_px, points))),
        camera_percent=_worst_camera(points),
        residual_sigmas=float(np.sqrt(_known(_median(points.chi_square_median[:, 0])))),
        bad_frames=_share(_bad_frames(problems, points, jumps), seen),
        jumps=len(jumps) / max(steps, 1),
        hidden_frames=_share(_face_lost(hidden + astray, regions.names), seen),
        unseen_frames=float(1.0 - seen.mean()),
    )
    verdict, reasons = judge(figures)
    return Quality(
        points=points,
        region_names=regions.names,
        region_sizes=tuple(int(n) for n in regions.members.sum(1)),
        region_hidden=hidden,
        region_astray=astray,
        jumps=jumps,
        flags=_flags(alignment, problems, jumps, _lost(hidden, astray), regions.names),
        figures=figures,
        verdict=verdict,
        reasons=reasons,
    )


def _region_shares(points: PointStatistics) -> tuple[np.ndarray, np.ndarray]:
    """Shares [F,R] of the facing points that are hidden, and astray; NaN where too few face any camera."""
    facing = points.facing.sum(0)
    enough = facing >= FEWEST_POINTS
    hidden, astray = (
        np.where(enough, part.sum(0) / np.maximum(facing, 1), np.nan).astype(np.float32)
        for part in (points.hidden, points.astray)
    )
    return hidden, astray


def _lost(hidden: np.ndarray, astray: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which regions [F,R] are lost, mostly because they are hidden, and mostly because they are not followed."""
    lost = hidden + astray > LOST_SHARE
    return lost & (hidden >= astray), lost & (hidden < astray)


def _face_lost(lost: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    return lost[:, names.index("face" if "face" in names else ALL)] > LOST_FACE


def _image_problems(points: PointStatistics) -> tuple[np.ndarray, dict[tuple[int, int], list[str]]]:
    """Which images [C,F] fit badly, and why: {(camera, frame): reasons}."""
    relative, relative_p90 = _percent(points.median_px, points), _percent(points.p90_px, points)
    typical = _known(_median(points.median_px))
    large = (points.median_px > LARGE_RESIDUAL * typical) & (relative > LARGE_PERCENT) | (relative > HUGE_PERCENT)
    outliers = (points.outlier_share > OUTLIER_SHARE) & (relative_p90 > OUTLIER_PERCENT)
    reasons: dict[tuple[int, int], list[str]] = {}
    for c, f in np.argwhere(large).tolist():
        text = f"large residual{{}}: {points.median_px[c, f]:.1f} px, {relative[c, f]:.1f} % of the face's width"
        reasons.setdefault((c, f), []).append(text)
    for c, f in np.argwhere(outliers).tolist():
        reasons.setdefault((c, f), []).append(f"{100 * points.outlier_share[c, f]:.0f} % outliers{{}}")
    return large | outliers, reasons


def _bad_frames(
    problems: tuple[np.ndarray, dict[tuple[int, int], list[str]]], points: PointStatistics, jumps: list[Jump]
) -> np.ndarray:
    """[F] bool: most of the cameras that see the face fit badly, or the frame lies within a jump."""
    bad = problems[0].sum(0) > 0.5 * np.maximum(np.isfinite(points.median_px).sum(0), 1)
    for jump in jumps:
        bad[jump.frame : jump.last_frame + 1] = True
    return bad


def _flags(
    alignment: Alignment,
    problems: tuple[np.ndarray, dict[tuple[int, int], list[str]]],
    jumps: list[Jump],
    lost: tuple[np.ndarray, np.ndarray],
    names: tuple[str, ...],
) -> list[dict[str, Any]]:
    """Frames to distrust, each with its reasons: no face, large residual, outliers, jumps, regions lost."""
    jumped = {
        f: f"jump of {jump.distance_mm:.0f} mm and {jump.angle_degrees:.0f}°" + (" before" if f > jump.frame else "")
        for jump in jumps
        for f in range(jump.frame, jump.last_frame + 1)
    }
    flags = []
    for f in range(alignment.frame_count):
        reasons = [] if alignment.valid[:, f].any() else ["no face"]
        for c, name in enumerate(alignment.camera_names):
            where = f" in camera '{name}'" if alignment.camera_count > 1 else ""
            if not alignment.valid[c, f] and alignment.valid[:, f].any():
                reasons.append(f"no face{where}")
            reasons += [text.format(where) for text in problems[1].get((c, f), [])]
        if f in jumped:
            reasons.append(jumped[f])
        for regions, kind in zip(lost, ("hidden", "not followed"), strict=True):
            if regions[f].any():
                reasons.append(f"{kind}: {_named([names[r] for r in np.flatnonzero(regions[f])])}")
        if reasons:
            flags.append({"frame": int(alignment.frame_ids[f]), "reasons": reasons})
    return flags


def _named(regions: list[str]) -> str:
    """Regions in a row; the face stands for its parts."""
    whole = [name for name in regions if name == "face" or name.endswith("ear")]
    return ", ".join(whole if "face" in regions else [name for name in regions if name != ALL] or [ALL])


def _worst_camera(points: PointStatistics) -> float:
    """The largest of the cameras' median residuals in per cent of the face's width; cameras without a face aside."""
    medians = [_median(camera) for camera in _percent(points.median_px, points)]
    return max((value for value in medians if value is not None), default=float("nan"))


def _finite(parameters: Parameters, frames: int) -> bool:
    """Whether every number of the fit is finite, padding aside."""
    groups = {field.name: np.asarray(getattr(parameters, field.name)) for field in dataclasses.fields(parameters)}
    per_frame = ("expression", "joint_rotations", "head_rotation", "head_translation")
    return all(np.isfinite(group[:frames] if name in per_frame else group).all() for name, group in groups.items())


def _percent(values: np.ndarray, points: PointStatistics) -> np.ndarray:
    """Pixels [C,F] in per cent of the face's width, which is at least one pixel."""
    return 100.0 * values / np.maximum(points.face_width_px, 1.0)


def _share(which: np.ndarray, of: np.ndarray) -> float:
    return float((which & of).sum() / max(int(of.sum()), 1))


def _median(values: np.ndarray) -> float | None:
    """Median of what is finite, None where nothing is."""
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else None


def _known(value: float | None) -> float:
    return float("nan") if value is None else value
