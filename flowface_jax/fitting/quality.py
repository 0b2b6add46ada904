"""How well a track explains what was observed, and which frames deserve distrust."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import numpy as np

from flowface_jax.alignment.alignment import Alignment
from flowface_jax.fitting.energy import head_vertices, squared_distances
from flowface_jax.fitting.parameters import Parameters
from flowface_jax.fitting.problem import FitProblem

LARGE_RESIDUAL = 3.0
"""A frame is flagged when its residual is this many times the sequence's median and above 1 % of the face's width."""
OUTLIER_SIGMAS = 5.0
OUTLIER_SHARE = 0.25


@dataclasses.dataclass(frozen=True)
class Quality:
    """median_px, p90_px, face_width_px: [C,F] px, NaN where unseen. outlier_share: [C,F] of observed points further
    than OUTLIER_SIGMAS standard deviations from the fit.
    """

    median_px: np.ndarray
    p90_px: np.ndarray
    face_width_px: np.ndarray
    outlier_share: np.ndarray

    def as_record(self) -> dict[str, Any]:
        """Summary over the sequence: residuals in px and in per cent of the face box's width."""
        relative = 100.0 * self.median_px / self.face_width_px
        relative_p90 = 100.0 * self.p90_px / self.face_width_px
        return {
            "median_px": _median(self.median_px),
            "p90_px": _median(self.p90_px),
            "median_percent_of_face_width": _median(relative),
            "p90_percent_of_face_width": _median(relative_p90),
            "outlier_share": _median(self.outlier_share),
        }


def point_residuals(parameters: Parameters, problem: FitProblem) -> np.ndarray:
    """Distance between fitted and observed points [C,F,P] px; NaN where not observed."""
    distance = np.array(_distances(parameters, problem))
    distance[np.asarray(problem.inverse_std) == 0] = np.nan
    return distance


@jax.jit
def _distances(parameters: Parameters, problem: FitProblem) -> jax.Array:
    world = parameters.to_world(head_vertices(parameters, problem))
    return jax.numpy.sqrt(squared_distances(parameters, problem, world))


def summarise(distance: np.ndarray, alignment: Alignment) -> Quality:
    """Per-image residual statistics from point distances [C,F,P]."""
    observed = np.isfinite(distance)
    columns = np.where(observed, alignment.mean[..., 0], np.nan)
    sigmas = np.where(observed, distance / alignment.std, np.nan)
    return Quality(
        median_px=_over_points(distance, lambda rows: np.nanmedian(rows, axis=1)),
        p90_px=_over_points(distance, lambda rows: np.nanpercentile(rows, 90, axis=1)),
        face_width_px=_over_points(columns, lambda rows: np.nanmax(rows, axis=1) - np.nanmin(rows, axis=1)),
        outlier_share=_over_points(sigmas, lambda rows: (rows > OUTLIER_SIGMAS).sum(1) / np.isfinite(rows).sum(1)),
    )


def frame_flags(quality: Quality, alignment: Alignment) -> list[dict[str, Any]]:
    """Frames to distrust, each with its reasons: no face, large residual, many outliers."""
    typical = _median(quality.median_px)
    flags = []
    for f in range(alignment.frame_count):
        reasons = []
        if not alignment.valid[:, f].any():
            reasons.append("no face")
        for c, name in enumerate(alignment.camera_names):
            where = f" in camera '{name}'" if alignment.camera_count > 1 else ""
            if not alignment.valid[c, f]:
                if alignment.valid[:, f].any():
                    reasons.append(f"no face{where}")
                continue
            median, width = quality.median_px[c, f], quality.face_width_px[c, f]
            if median > LARGE_RESIDUAL * typical and median > 0.01 * width:
                reasons.append(f"large residual{where}: {median:.1f} px")
            if quality.outlier_share[c, f] > OUTLIER_SHARE:
                reasons.append(f"{100 * quality.outlier_share[c, f]:.0f} % outliers{where}")
        if reasons:
            flags.append({"frame": int(alignment.frame_ids[f]), "reasons": reasons})
    return flags


def _over_points(values: np.ndarray, statistic: Any) -> np.ndarray:
    """Apply a row statistic to [C,F,P] where anything is observed: [C,F] float32, NaN elsewhere."""
    rows = values.reshape(-1, values.shape[-1])
    result = np.full(len(rows), np.nan, np.float32)
    seen = np.isfinite(rows).any(1)
    if seen.any():
        result[seen] = statistic(rows[seen])
    return result.reshape(values.shape[:2])


def _median(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else float("nan")
