"""Measures in images: points of a 2D alignment, and pictures of avatars."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.evaluation import published
from flowface_jax.evaluation.images import LpipsNetwork, lpips, ms_ssim, psnr, ssim
from flowface_jax.evaluation.images.ssim import SMALLEST_MULTI_SCALE
from flowface_jax.evaluation.landmark_error import LandmarkErrors, Normalisation, normalised_mean_error
from flowface_jax.evaluation.scoring.inputs import ImagePoints, Reading, Source, image_points, picture_pairs
from flowface_jax.evaluation.scoring.rows import Cell, Resampling, Scored, each, naming, scored
from flowface_jax.evaluation.tables import Column
from flowface_jax.reporting import Reporter


def score_nme(
    predictions: Mapping[str, Source],
    truth: Source,
    reading: Reading | None = None,
    truth_reading: Reading | None = None,
    camera: int = 0,
    region: str | None = None,
    normalisation: Normalisation = "box side",
    limit: float = 0.08,
    resampling: Resampling | None = None,
) -> Scored:
    """Normalised mean error of points in images, per cent; results are `LandmarkErrors`.

    region: of the mesh whose vertices the points are; None: the face where masks are known, else all points; "all".
    limit: of the failure rate and the area under the curve, parts of the length. Raises InputError as
    `normalised_mean_error`.
    """
    reading, true = reading or Reading(), image_points(truth, truth_reading or reading, camera)
    rates = (("failures", "lower"), ("AUC", "higher"), ("missing", "lower"))
    columns = (Column("NME", "%"), *(Column(rate, "%", better, 1) for rate, better in rates))
    images = true.known.any(1)
    if not images.any():
        raise InputError(f"{true.name}: expected an image with known points, found none")
    results: dict[str, LandmarkErrors] = {}
    rows: dict[str, list[Cell]] = {}
    counted = 0
    for name, source in predictions.items():
        with naming(name):
            ours = image_points(source, reading, camera, name)
            if ours.points.shape != true.points.shape:
                raise InputError(
                    f"expected points [N,P] as the truth has, {list(true.points.shape[:2])}, found "
                    f"{list(ours.points.shape[:2])}"
                )
            chosen = _chosen_points(ours, true, region)
            counted = int(chosen.sum())
            points, theirs, known = (v[images][:, chosen] for v in (ours.points, true.points, true.known))
            result = results[name] = normalised_mean_error(points, theirs, normalisation, known)
        spread = resampling and resampling.of_frames(100 * result.per_image)
        missing = 100 * result.missing / len(result.per_image)
        values = result.failure_rate(limit), result.area_under_curve(limit), missing
        rows[name] = [(result.mean, spread), *((value, None) for value in values)]
    notes = [
        f"relative to the truth's {normalisation}; {counted} points, {int(images.sum())} images; "
        f"failures and area up to {100 * limit:g} %"
    ]
    return scored(f"2D alignment on {true.name}", columns, rows, notes, resampling, results)


def score_avatar(
    predictions: Mapping[str, str | os.PathLike[str]],
    truth: str | os.PathLike[str],
    network: LpipsNetwork | None = None,
    resampling: Resampling | None = None,
    reporter: Reporter | None = None,
) -> Scored:
    """PSNR, SSIM, MS-SSIM and LPIPS of pictures; results are arrays [4,N] in this order, NaN where not measured.

    predictions, truth: folders of images, or videos. network: None leaves LPIPS out. MS-SSIM is left out of pictures
    that are too small for it. Raises InputError for other sizes or numbers.
    """
    columns = published.AVATARS_INSTA.columns
    results: dict[str, np.ndarray] = {}
    rows: dict[str, list[Cell]] = {}
    for name, path in each(predictions, reporter, "avatar"):
        with naming(name):
            measured = [_picture_values(*pair, network) for pair in picture_pairs(path, truth)]
        values = results[name] = np.concatenate(measured, axis=1)
        rows[name] = [_picture_cell(one, resampling) for one in values]
    count = max(values.shape[1] for values in results.values())
    notes = [f"means over {count} pictures"]
    if network is None:
        notes.append("LPIPS needs its network's weights")
    if any(np.isnan(values[2]).any() for values in results.values()):
        notes.append(f"MS-SSIM needs pictures of {SMALLEST_MULTI_SCALE} px")
    if any(np.isinf(values[0]).any() for values in results.values()):
        notes.append("PSNR is infinite where pictures are equal, and has then no mean")
    return scored(f"Pictures beside {Path(truth).name}", columns, rows, notes, resampling, results)


def _chosen_points(ours: ImagePoints, true: ImagePoints, region: str | None) -> np.ndarray:
    """[P] bool of the points that count."""
    everything = np.ones(true.points.shape[1], bool)
    if region == "all":
        return everything
    named = {**ours.regions, **true.regions}
    mask = named.get(region or "face")
    if region is None and (mask is None or not mask.any()):
        return everything
    if mask is None:
        raise InputError(
            f"expected a region of {', '.join(named) or 'none: the files name no regions'}, found '{region}'"
        )
    if mask.shape != everything.shape:
        raise InputError(f"expected {len(everything)} points as the truth has, found {len(mask)}")
    if not mask.any():
        raise InputError(f"region '{region}' is empty: it holds no point; choose another")
    return mask


def _picture_values(pictures: np.ndarray, truth: np.ndarray, network: LpipsNetwork | None) -> np.ndarray:
    """[4,N] PSNR dB, SSIM, MS-SSIM, LPIPS, NaN where not measured."""
    nothing = np.full(len(pictures), np.nan)
    large = min(pictures.shape[1:3]) >= SMALLEST_MULTI_SCALE
    return np.stack(
        [
            psnr(pictures, truth),
            ssim(pictures, truth),
            ms_ssim(pictures, truth) if large else nothing,
            nothing if network is None else lpips(pictures, truth, network),
        ]
    )


def _picture_cell(values: np.ndarray, resampling: Resampling | None) -> Cell:
    if not np.isfinite(values).all():
        return None, None
    return float(values.mean()), resampling and resampling.of_frames(values)
