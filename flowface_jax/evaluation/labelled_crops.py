"""A network's vertices on crops whose true ones are known, such as rendered ones, from a folder of samples."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from flowface_jax.aligners.prediction import Predictor
from flowface_jax.errors import InputError
from flowface_jax.evaluation.alignment_accuracy import (
    box_side,
    coverage_of,
    deviations,
    nme,
    on_surface,
    opening_slope,
    openings,
    relative_errors,
)
from flowface_jax.evaluation.std_calibration import std_factor
from flowface_jax.heads.model import HeadModel
from flowface_jax.training.archive import Archive
from flowface_jax.training.augmentation import plain_crops
from flowface_jax.training.samples import stack_samples

REGIONS = ("eyelids", "lips", "brows", "nose", "cheeks", "forehead", "jaw", "chin", "ears", "eyeballs")
"""Regions of the head that get a row of their own, where the head names them."""
YAWS = (0.0, 15.0, 30.0, 45.0, 60.0, 90.0)
"""Edges of the bins of the turn, degrees."""
BOTH_EYES = 30.0
"""Degrees of turn up to which both eyes and all of the mouth are seen, so that openings can be judged."""
NOSE, RIGHT_CHEEK, LEFT_CHEEK = 4, 234, 454
"""MediaPipe's points that tell the turn."""
_BATCH = 8


@dataclasses.dataclass(frozen=True)
class Answer:
    """One crop [D,D,3] uint8 with its true vertices [V,2] px, which are known [V], and the predicted ones, σ [V]."""

    index: int
    crop: np.ndarray
    truth: np.ndarray
    known: np.ndarray
    mean: np.ndarray
    std: np.ndarray


@dataclasses.dataclass(frozen=True)
class CropErrors:
    """N crops: index [N]; error: [N], NME of the face's vertices; regions: name → [N]; yaw: [N] degrees, NaN where it
    is not known; sigmas: [N,M] distances of the face's vertices in σ; predicted and true openings: name → [N].
    """

    index: np.ndarray
    error: np.ndarray
    regions: dict[str, np.ndarray]
    yaw: np.ndarray
    sigmas: np.ndarray
    predicted: dict[str, np.ndarray]
    true: dict[str, np.ndarray]


def answers(archive: Archive, predictor: Predictor, indices: Sequence[int]) -> Iterator[Answer]:
    """The network on samples of those numbers, cut as they are after training (`plain_crops`).

    Raises InputError where network and samples are of different heads.
    """
    if archive.vertex_count != predictor.point_count:
        raise InputError(
            f"{archive.folder} holds {archive.vertex_count} vertices a sample, but the network answers for "
            f"{predictor.point_count}; load it with head '{archive.head}'"
        )
    for first in range(0, len(indices), _BATCH):
        chosen = [int(index) for index in indices[first : first + _BATCH]]
        # Every batch has one size, so that nothing is compiled twice.
        filled = chosen + chosen[:1] * (_BATCH - len(chosen))
        batch = plain_crops(stack_samples([archive[index] for index in filled], filled), predictor.image_size)
        images = np.rint(255.0 * np.asarray(batch.image)).astype(np.uint8)
        points, known = np.asarray(batch.points), np.asarray(batch.known)
        step = predictor.batch_size
        found = [predictor.start(images[at : at + step])() for at in range(0, len(chosen), step)]
        mean, std = (np.concatenate([getattr(part, name) for part in found]) for name in ("mean", "std"))
        for row, index in enumerate(chosen):
            yield Answer(index, images[row], points[row], known[row], mean[row], std[row])


def crop_errors(found: Iterator[Answer], head: HeadModel) -> CropErrors:
    """Everything measured on the crops; pictures are not kept. Raises InputError without crops."""
    regions = {name: np.asarray(mask) for name, mask in head.regions.items()}
    face = regions["face"]
    named = {name: regions[name] for name in REGIONS if name in regions and regions[name].any()}
    rows: list[tuple[Any, ...]] = []
    for one in found:
        counted = one.known & face
        side = box_side(one.truth, counted)
        errors = np.where(one.known, relative_errors(one.mean, one.truth, side), np.nan)
        sigmas = np.where(counted, deviations(one.mean, one.std, one.truth), np.nan)[face].astype(np.float32)
        truth, guess = (on_surface(points, head.mediapipe) for points in (_unknown_out(one), one.mean))
        rows.append(
            (
                one.index,
                float(nme(one.mean, one.truth, counted)),
                {name: _mean(errors[mask]) for name, mask in named.items()},
                turn_degrees(truth, head),
                sigmas,
                openings(guess, side),
                openings(truth, side),
            )
        )
    if not rows:
        raise InputError("expected at least one sample to judge the network by, found none")
    index, error, parts, yaw, sigmas, ours, true = zip(*rows, strict=True)
    columns = lambda dicts: {name: np.asarray([one[name] for one in dicts]) for name in dicts[0]}
    return CropErrors(
        index=np.asarray(index),
        error=np.asarray(error),
        regions=columns(parts),
        yaw=np.asarray(yaw),
        sigmas=np.stack(sigmas),
        predicted=columns(ours),
        true=columns(true),
    )


def crops_report(found: CropErrors) -> dict[str, Any]:
    """Errors (per cent of the face's box), coverage, and slopes of openings; plain values."""
    turn = np.abs(found.yaw)
    frontal = turn <= BOTH_EYES
    bins = {
        f"{low:g} to {high:g}": _statistics(found.error[(turn >= low) & (turn < high)])
        for low, high in zip(YAWS[:-1], YAWS[1:], strict=True)
    }
    return {
        "crops": len(found.error),
        "nme": _statistics(found.error),
        "regions": {name: _statistics(values) for name, values in found.regions.items()},
        "yaw": bins,
        "coverage": coverage_of(found.sigmas)._asdict(),
        "std_factor": std_factor(found.sigmas),
        "openings": {
            name: opening_slope(values[frontal], found.true[name][frontal])._asdict()
            for name, values in found.predicted.items()
        },
        "openings_of_crops": int(frontal.sum()),
    }


def best_middle_worst(found: CropErrors, count: int) -> dict[str, np.ndarray]:
    """Numbers of the `count` best, middle and worst crops, best first."""
    order = found.index[np.argsort(found.error, kind="stable")]
    count = min(count, len(order))
    middle = (len(order) - count) // 2
    return {"best": order[:count], "median": order[middle : middle + count], "worst": order[len(order) - count :]}


def turn_degrees(points: np.ndarray, head: HeadModel) -> float:
    """About how far a face with MediaPipe's points [478,2] is turned, degrees: by where its nose is between its cheeks.

    Positive to the subject's left; NaN where one of the points is unknown.
    """
    still = on_surface(np.asarray(head.template), head.mediapipe)
    middle, across = _cheeks(still)
    depth = float((still[NOSE] - middle)[2] / np.linalg.norm(across))
    middle, across = _cheeks(points)
    return float(np.degrees(np.arctan2((points[NOSE] - middle) @ across, max(float(across @ across), 1e-9) * depth)))


def _cheeks(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The middle between the cheeks, and the way from the right to the left one."""
    return (points[LEFT_CHEEK] + points[RIGHT_CHEEK]) / 2, points[LEFT_CHEEK] - points[RIGHT_CHEEK]


def _unknown_out(one: Answer) -> np.ndarray:
    return np.where(one.known[:, None], one.truth, np.nan)


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")


def _statistics(values: np.ndarray) -> dict[str, float]:
    known = values[np.isfinite(values)]
    if not known.size:
        return {"crops": 0, "mean": float("nan"), "median": float("nan"), "p90": float("nan")}
    return {
        "crops": int(known.size),
        "mean": float(known.mean()),
        "median": float(np.median(known)),
        "p90": float(np.quantile(known, 0.9)),
    }
