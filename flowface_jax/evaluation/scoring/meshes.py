"""Measures of meshes in motion: SSME, chamfer distance, jitter."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from flowface_jax.conventions import METRES_TO_MILLIMETRES
from flowface_jax.errors import InputError
from flowface_jax.evaluation.jitter import jitter, second_difference
from flowface_jax.evaluation.mesh_sequence import MeshSequence, own_camera
from flowface_jax.evaluation.reconstruction.chamfer import ChamferConfig, ChamferResult, chamfer
from flowface_jax.evaluation.scoring.inputs import Reading, Source, opened
from flowface_jax.evaluation.scoring.rows import Cell, Resampling, Scored, each, naming, scored
from flowface_jax.evaluation.ssme import REGIONS, SsmeConfig, SsmeResult, sequence_motion_error
from flowface_jax.evaluation.tables import Column
from flowface_jax.evaluation.tracking_benchmark import LEAST_COVERAGE, LOST
from flowface_jax.reporting import Reporter


def open_all(
    predictions: Mapping[str, Source], truth: Source, reading: Reading, truth_reading: Reading, camera: int = 0
) -> tuple[dict[str, MeshSequence], MeshSequence]:
    """Predictions by name and their truth, opened and checked."""
    true = opened(truth, truth_reading)
    beside = reading.beside(true, camera)
    found = {}
    for name, source in predictions.items():
        with naming(name):
            found[name] = opened(source, beside, name)
    return found, true


def score_ssme(
    predictions: Mapping[str, MeshSequence],
    truth: MeshSequence,
    camera: int = 0,
    config: SsmeConfig | None = None,
    regions: Mapping[str, np.ndarray] | None = None,
    resampling: Resampling | None = None,
    reporter: Reporter | None = None,
) -> Scored:
    """SSME of each region, px, the mean over the windows; results are `SsmeResult`.

    regions: masks [V] bool over the truth's vertices; None: the truth's own. A region that a prediction hardly covers
    has no number. Raises InputError as `sequence_motion_error`.
    """
    config = config or SsmeConfig()
    masks = benchmark_regions(truth, regions)
    columns = (*(Column(f"SSME {region}", "px") for region in masks), LOST)
    results: dict[str, SsmeResult] = {}
    rows: dict[str, list[Cell]] = {}
    for name, prediction in each(predictions, reporter, "ssme"):
        with naming(name):
            result = results[name] = sequence_motion_error(prediction, truth, config, camera, masks)
        rows[name] = [_motion_cell(result, k, resampling) for k in range(len(masks))] + [_lost(prediction, truth)]
    reach = min(config.longest_window, truth.frame_count - 1)
    notes = [f"mean over windows of 1 to {reach} frames; {truth.frame_count} frames, camera {camera}"]
    if reach < config.longest_window:
        notes.append(f"the film is too short for windows up to {config.longest_window}: not comparable with those")
    return scored(f"Screen space motion error on {truth.name}", columns, rows, notes, resampling, results)


def score_chamfer(
    predictions: Mapping[str, MeshSequence],
    truth: MeshSequence,
    key_points: Mapping[str, Any],
    truth_key_points: Any,
    config: ChamferConfig | None = None,
    regions: Mapping[str, np.ndarray] | None = None,
    resampling: Resampling | None = None,
    reporter: Reporter | None = None,
) -> Scored:
    """Chamfer distance of each region, mm; results are `ChamferResult`.

    key_points: of each prediction by name, as `key_points_of` gives them. Raises InputError as `chamfer`.
    """
    config = config or ChamferConfig()
    truth = dataclasses.replace(truth, regions=benchmark_regions(truth, regions))
    columns = (*(Column(f"CD {region}", "mm") for region in truth.regions), LOST)
    results: dict[str, ChamferResult] = {}
    rows: dict[str, list[Cell]] = {}
    for name, prediction in each(predictions, reporter, "chamfer"):
        with naming(name):
            result = results[name] = chamfer(prediction, truth, key_points[name], truth_key_points, config)
        cells = [
            (float(result.mean_mm[k]), resampling and resampling.of_frames(result.per_frame_mm[:, k]))
            for k in range(len(result.regions))
        ]
        rows[name] = [*cells, _lost(prediction, truth)]
    size = "with" if config.with_scale else "without"
    notes = [f"each frame placed by seven key points and ICP, {size} scale; every {config.stride}. frame counts"]
    return scored(f"Chamfer distance to {truth.name}", columns, rows, notes, resampling, results)


def score_jitter(
    sequences: Mapping[str, MeshSequence],
    camera: int = 0,
    region: str | None = None,
    resampling: Resampling | None = None,
) -> Scored:
    """Jitter in the image, px, and in space, mm; results are those two, NaN where there is no such place.

    region: None: the face where a sequence has that mask, else all vertices. Raises InputError as `jitter`, and for
    sequences without three results in a row.
    """
    columns = (Column("jitter", "px", digits=3), Column("jitter in space", "mm", digits=3))
    results: dict[str, tuple[float, float]] = {}
    rows: dict[str, list[Cell]] = {}
    for name, sequence in sequences.items():
        chosen = region or ("face" if np.any(sequence.regions.get("face", False)) else None)
        with naming(name):
            cells = [
                _jitter_cell(sequence, chosen, place, resampling) for place in (own_camera(sequence, camera), None)
            ]
        rows[name] = cells
        results[name] = tuple(np.nan if value is None else value for value, _ in cells)
    notes = [f"second differences over time of the {region or 'face, or of all vertices without that mask'}; true "
             "motion is part of them"]  # fmt: skip
    return scored("Jitter", columns, rows, notes, resampling, results)


def benchmark_regions(truth: MeshSequence, named: Mapping[str, np.ndarray] | None) -> dict[str, np.ndarray]:
    """Masks of the benchmark's regions: those named, or the truth's own that are not empty (a head file without its
    landmarks and masks has empty ones). Raises InputError where there is none, or one that was named is empty.
    """
    regions = truth.regions if named is None else named
    masks = {name: np.asarray(regions[name]) for name in REGIONS if name in regions}
    empty = [name for name, mask in masks.items() if not mask.any()]
    if not masks or len(empty) == len(masks) or (empty and named is not None):
        found = f"region '{empty[0]}' is empty" if empty else "found none of them"
        raise InputError(
            f"{truth.name or 'the truth'}: expected masks of {', '.join(REGIONS)}, {found}; name the head whose mesh "
            "it is (--truth-head), or a file of masks (--regions)"
        )
    return {name: mask for name, mask in masks.items() if name not in empty}


def _lost(prediction: MeshSequence, truth: MeshSequence) -> Cell:
    """Per cent of the truth's frames without a result."""
    return 100 * float((truth.valid & ~prediction.valid).sum() / truth.valid.sum()), None


def _motion_cell(result: SsmeResult, region: int, resampling: Resampling | None) -> Cell:
    """The mean over the windows, and its interval when frames are drawn anew; None where hardly anything is covered."""
    if not result.coverage[region] >= LEAST_COVERAGE or not np.isfinite(result.mean[region]):
        return None, None
    if resampling is None:
        return float(result.mean[region]), None
    errors = result.per_frame[..., region]
    counted = np.isfinite(errors)
    sums, counts = np.where(counted, errors, 0), counted.astype(float)

    def mean(frames: np.ndarray) -> float:
        drawn = frames.astype(int)
        total, number = sums[drawn].sum(0), counts[drawn].sum(0)
        return float((total[number > 0] / number[number > 0]).mean())

    frames = np.where(counted.any(1), np.arange(len(errors)), np.nan)
    return float(result.mean[region]), resampling.of_frames(frames, mean)


def _jitter_cell(sequence: MeshSequence, region: str | None, camera: int | None, resampling: Resampling | None) -> Cell:
    """Jitter in the image of a camera, or in space (None); None where the sequence has no such place."""
    in_image_alone = sequence.cameras is None and sequence.seen is not None
    if in_image_alone if camera is None else (sequence.cameras is None and sequence.seen is None):
        return None, None
    value = jitter(sequence, region, camera)
    if not np.isfinite(value):
        raise InputError("expected three frames with a result in a row, found none")
    if resampling is None:
        return value, None
    places = sequence.vertices * METRES_TO_MILLIMETRES if camera is None else sequence.projected(camera).pixels
    if region is not None:
        places = places[:, np.asarray(sequence.regions[region])]
    trebles = [slice(f - 1, f + 2) for f in range(1, len(places) - 1)]
    squared = np.asarray([second_difference(places[t].astype(np.float64), sequence.valid[t]) ** 2 for t in trebles])
    return value, resampling.of_frames(squared, lambda drawn: float(np.sqrt(drawn.mean())))
