"""The tracking benchmark over many sequences (paper, section 3.3): scores of each, their means, rows and curves.

Sequences count alike, however many frames they have. A frame without a result takes no part in either error; how many
there are is stated beside them. A region that a method's mesh hardly covers (ears, for a mask of the face) has no
number, as in the paper's table 2.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.evaluation.bootstrap import Interval, bootstrap_interval
from flowface_jax.evaluation.mesh_sequence import MeshSequence, own_camera
from flowface_jax.evaluation.published import MULTIFACE_REGIONS
from flowface_jax.evaluation.reconstruction.chamfer import ChamferConfig, chamfer
from flowface_jax.evaluation.ssme import SsmeConfig, SsmeResult, sequence_motion_error
from flowface_jax.evaluation.tables import Column, Row
from flowface_jax.evaluation.temporal_filter import STD_FRAMES, filter_projected
from flowface_jax.heads.model import SurfacePoints
from flowface_jax.storage import read_json, write_json

FORMAT = "flowface-tracking-scores/1"
LEAST_COVERAGE = 0.05
"""A region of whose pixels the prediction covers a smaller share has no number."""
LOST = Column("lost frames", "%", "lower", 1)
KeyPoints = SurfacePoints | np.ndarray


@dataclasses.dataclass(frozen=True)
class ScoreConfig:
    """How both errors are computed; by default as their modules say."""

    ssme: SsmeConfig = SsmeConfig()
    chamfer: ChamferConfig = ChamferConfig()


@dataclasses.dataclass(frozen=True, eq=False)
class SequenceScores:
    """One method on one sequence. frames: of which there is truth. lost: those without a result. By region: chamfer_mm,
    ssme_px [N_H] (NaN where nothing counts), frames_counted [N_H], coverage (see `ssme.SsmeResult`).
    """

    sequence: str
    frames: int
    lost: int
    chamfer_mm: Mapping[str, float]
    ssme_px: Mapping[str, np.ndarray]
    frames_counted: Mapping[str, np.ndarray]
    coverage: Mapping[str, float]

    def mean_ssme(self, region: str) -> float:
        """The mean over the windows in which a frame counts, px; NaN where there is none."""
        values = np.asarray(self.ssme_px.get(region, np.nan), np.float64)
        return float(np.mean(values[np.isfinite(values)])) if np.isfinite(values).any() else float("nan")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write as JSON."""
        write_json(path, {"format": FORMAT, **dataclasses.asdict(self)})

    @staticmethod
    def load(path: str | os.PathLike[str]) -> SequenceScores:
        """Scores that `save` wrote. Raises InputError for another file."""
        value = read_json(path, "scores of a sequence")
        if not isinstance(value, dict) or value.get("format") != FORMAT:
            raise InputError(f'{path} holds no scores of a sequence: expected "format": "{FORMAT}"')
        try:
            by_region = {name: value[name] for name in ("chamfer_mm", "ssme_px", "frames_counted", "coverage")}
            numbers = {name: {r: _numbers(v) for r, v in regions.items()} for name, regions in by_region.items()}
            return SequenceScores(str(value["sequence"]), int(value["frames"]), int(value["lost"]), **numbers)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{path}: the scores are incomplete ({error}); score the sequence again") from None


def score_sequence(
    prediction: MeshSequence,
    truth: MeshSequence,
    prediction_key_points: KeyPoints,
    truth_key_points: KeyPoints,
    config: ScoreConfig | None = None,
    camera: int = 0,
) -> SequenceScores:
    """Both errors of a prediction over the F frames of the truth, in one camera of the truth.

    Key points: as for `chamfer`. A prediction that images show without a pinhole camera counts as seen without
    perspective where its depth is negative anywhere. Raises InputError as `sequence_motion_error` and `chamfer`.
    """
    config = ScoreConfig() if config is None else config
    motion = sequence_motion_error(prediction, truth, config.ssme, camera)
    distances = chamfer(prediction, truth, prediction_key_points, truth_key_points, config.chamfer)
    covered = dict(zip(motion.regions, motion.coverage.tolist(), strict=True))
    distance = dict(zip(distances.regions, distances.mean_mm.tolist(), strict=True))
    return SequenceScores(
        sequence=truth.name,
        frames=int(truth.valid.sum()),
        lost=int((truth.valid & ~prediction.valid).sum()),
        chamfer_mm={r: mm for r, mm in distance.items() if covered.get(r, 0.0) >= LEAST_COVERAGE},
        **_by_region(motion),
    )


def score_filtered(
    scores: SequenceScores,
    prediction: MeshSequence,
    truth: MeshSequence,
    config: ScoreConfig | None = None,
    camera: int = 0,
    std_frames: float = STD_FRAMES,
) -> SequenceScores:
    """The scores of the same prediction after the temporal filter of its place in the image, as the paper gives single-
    image methods temporal information; the chamfer distance stays.
    """
    config = ScoreConfig() if config is None else config
    seen = filter_projected(prediction.projected(own_camera(prediction, camera)), prediction.valid, std_frames)
    filtered = dataclasses.replace(prediction, cameras=None, seen=seen)
    return dataclasses.replace(scores, **_by_region(sequence_motion_error(filtered, truth, config.ssme, camera)))


def lost_sequence(truth: MeshSequence) -> SequenceScores:
    """The scores of a method that found nothing in any frame."""
    frames = int(truth.valid.sum())
    return SequenceScores(truth.name, frames, frames, {}, {}, {}, {})


def benchmark_row(name: str, scores: Sequence[SequenceScores], source: str = "") -> Row:
    """A row of table 2 with `LOST` behind its columns: mean chamfer distance and SSME of each region over the
    sequences. Raises InputError for no sequence.
    """
    _check(scores)
    distances = [_mean([s.chamfer_mm.get(region, np.nan) for s in scores]) for region in MULTIFACE_REGIONS]
    motions = [_mean([s.mean_ssme(region) for s in scores]) for region in MULTIFACE_REGIONS]
    return Row(name, (*distances, *motions, 100 * lost_share(scores)), source=source)


def face_numbers(scores: Sequence[SequenceScores]) -> tuple[float | None, float | None, float | None]:
    """CD mm and SSME px of the face, as in table 4, and lost frames in per cent."""
    values = benchmark_row("", scores).values
    return values[0], values[len(MULTIFACE_REGIONS)], values[-1]


def lost_share(scores: Sequence[SequenceScores]) -> float:
    """Frames without a result as a share of all."""
    return sum(s.lost for s in scores) / max(1, sum(s.frames for s in scores))


def interval(scores: Sequence[SequenceScores], region: str = "face") -> Interval | None:
    """The confidence interval of a region's mean SSME, px, from drawing sequences; None for fewer than two."""
    values = np.asarray([s.mean_ssme(region) for s in scores])
    return bootstrap_interval(values, unit="sequences") if np.isfinite(values).sum() >= 2 else None


def mean_curve(scores: Sequence[SequenceScores]) -> SsmeResult:
    """SSME over the windows, averaged over the sequences, as `draw_motion_error_curves` takes it. Without frames of its
    own: `per_frame` and `pixels` are empty. Raises InputError where nothing was measured.
    """
    _check(scores)
    measured = [s for s in scores if s.ssme_px]
    if not measured:
        raise InputError("expected at least one sequence with a result, found none")
    regions = tuple(dict.fromkeys(region for s in measured for region in s.ssme_px))
    count = max(len(curve) for s in measured for curve in s.ssme_px.values())
    curves = np.full((len(measured), len(regions), count), np.nan)
    frames = np.zeros((len(regions), count), int)
    for k, one in enumerate(measured):
        for r, region in enumerate(regions):
            curve = one.ssme_px.get(region, np.zeros(0))
            curves[k, r, : len(curve)] = curve
            frames[r, : len(curve)] += np.asarray(one.frames_counted.get(region, 0), int)
    ssme = np.asarray([[_mean(curves[:, r, h]) for h in range(count)] for r in range(len(regions))], np.float64)
    mean = np.asarray([_mean([s.mean_ssme(region) for s in measured]) for region in regions], np.float64)
    coverage = np.asarray([_mean([s.coverage.get(r, np.nan) for s in measured]) for r in regions], np.float64)
    nothing = np.zeros((0, count, len(regions))), np.zeros((0, len(regions)))
    return SsmeResult(regions, np.arange(1, count + 1), ssme, mean, frames, coverage, *nothing)


def _by_region(motion: SsmeResult) -> dict[str, Any]:
    """The fields of `SequenceScores` that motion fills, of regions that are covered."""
    kept = [k for k, share in enumerate(motion.coverage) if share >= LEAST_COVERAGE]
    return {
        "ssme_px": {motion.regions[k]: motion.ssme[k] for k in kept},
        "frames_counted": {motion.regions[k]: motion.frames_counted[k] for k in kept},
        "coverage": dict(zip(motion.regions, motion.coverage.tolist(), strict=True)),
    }


def _check(scores: Sequence[SequenceScores]) -> None:
    if not scores:
        raise InputError("expected scores of at least one sequence, found none")


def _mean(values: Sequence[float] | np.ndarray) -> float | None:
    """The mean of those that are numbers; None (NaN in an array) where there is none."""
    values = np.asarray(values, np.float64)
    values = values[np.isfinite(values)]
    return float(values.mean()) if values.size else None


def _numbers(value: Any) -> Any:
    if isinstance(value, list):
        return np.asarray([np.nan if one is None else one for one in value], np.float64)
    return float("nan") if value is None else float(value)
