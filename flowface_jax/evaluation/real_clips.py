"""A network's points on real clips beside MediaPipe's, which nobody has called the truth but which follows the face."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from flowface_jax.aligners.cropping import crop_image, face_square, to_image
from flowface_jax.aligners.faces import boxes_of_points
from flowface_jax.aligners.frames import FrameSource
from flowface_jax.aligners.network import is_sure
from flowface_jax.aligners.noise import FACE_OVAL, IRISES
from flowface_jax.aligners.prediction import Predictor
from flowface_jax.alignment.alignment import Alignment, make_alignment
from flowface_jax.errors import InputError
from flowface_jax.evaluation.alignment_accuracy import (
    box_side,
    centred,
    coverage_of,
    debiased,
    deviations,
    on_surface,
    opening_slope,
    openings,
    relative_differences,
    std_on_surface,
)
from flowface_jax.evaluation.alignment_pictures import CONTOURS
from flowface_jax.evaluation.std_calibration import std_factor
from flowface_jax.heads.model import HeadModel

MESH_POINTS = 468
"""MediaPipe's points without the irises; they make the box and the errors."""
BAD_FRAME = 6.0
"""Per cent of the box: a frame whose mean error is larger shows the points beside the face."""
# fmt: off
GROUPS: dict[str, tuple[int, ...]] = {
    "eyelids": CONTOURS[0] + CONTOURS[1],
    "lips": CONTOURS[2] + CONTOURS[3],
    "brows": (70, 63, 105, 66, 107, 55, 65, 52, 53, 46, 336, 296, 334, 293, 300, 276, 283, 282, 295, 285),
    "nose": (168, 6, 197, 195, 5, 4, 1, 19, 94, 2, 98, 97, 326, 327, 129, 358),
    "oval": FACE_OVAL,
    "irises": IRISES,
}
# fmt: on
"""MediaPipe's points on parts of the face."""


@dataclasses.dataclass(frozen=True)
class ClipComparison:
    """One clip, F frames; px of the image.

    predicted: [F,478,2], the network's vertices at MediaPipe's points, NaN where it lost the face. std: [F,478].
    reference: [F,478,2] MediaPipe's own, NaN where it saw none (and where a point lies outside the image). side: [F],
    longer side of the box round MediaPipe's mesh. alignment: the network's.
    """

    name: str
    predicted: np.ndarray
    std: np.ndarray
    reference: np.ndarray
    side: np.ndarray
    alignment: Alignment

    @property
    def differences(self) -> np.ndarray:
        """Predicted less reference points [F,478,2] in box sides."""
        return relative_differences(self.predicted, self.reference, self.side)

    @property
    def lost(self) -> np.ndarray:
        """[F] bool: MediaPipe saw the face, the network did not."""
        return np.isfinite(self.side) & ~np.isfinite(self.predicted[:, 0, 0])


def compare(name: str, alignment: Alignment, reference: Alignment, head: HeadModel) -> ClipComparison:
    """The network's alignment (point set "vertices") beside MediaPipe's of the same frames, both of one camera.

    Raises InputError where they are something else.
    """
    kinds = alignment.point_set, reference.point_set
    same = alignment.mean.shape[:2] == reference.mean.shape[:2] and (alignment.frame_ids == reference.frame_ids).all()
    if kinds != ("vertices", "mediapipe") or alignment.camera_count != 1 or not same:
        raise InputError(
            f"{name}: expected vertices and MediaPipe's points in the same frames of one camera, found {kinds[0]} in "
            f"{alignment.frame_count} and {kinds[1]} in {reference.frame_count} frames of {alignment.camera_count}"
        )
    if alignment.point_count != head.vertex_count or head.mediapipe.count != reference.point_count:
        raise InputError(f"{name}: the alignment is not of head '{head.name}', or that lacks MediaPipe's points")
    seen = reference.valid[0]
    points = np.where(seen[:, None, None], reference.mean[0].astype(np.float64), np.nan)
    points[~np.isfinite(reference.std[0])] = np.nan
    predicted = on_surface(alignment.mean[0], head.mediapipe)
    predicted[~alignment.valid[0]] = np.nan
    std = std_on_surface(np.where(alignment.valid[0][:, None], alignment.std[0], np.nan), head.mediapipe)
    return ClipComparison(name, predicted, std, points, box_side(points[:, :MESH_POINTS]), alignment)


def align_in_boxes(source: FrameSource, predictor: Predictor, head: HeadModel, reference: Alignment) -> Alignment:
    """The network's vertices with the crop of every frame round MediaPipe's points in it, whatever it found before.

    Frames in which MediaPipe or the network is not sure of the face are invalid. Raises InputError for another number
    of frames than the reference has.
    """
    size, face = predictor.image_size, np.flatnonzero(np.asarray(head.regions["face"]))
    mean = np.zeros((reference.frame_count, head.vertex_count, 2), np.float32)
    std = np.full(mean.shape[:2], np.inf, np.float32)
    valid = np.zeros(len(mean), bool)
    count = 0
    for frame, picture in enumerate(source):
        count += 1
        if frame >= len(mean) or not reference.valid[0, frame]:
            continue
        square = face_square(boxes_of_points(reference.mean[0, frame, :MESH_POINTS]))
        found = predictor.start(crop_image(picture.image, square, size)[None])()
        presence = None if found.presence is None else float(found.presence[0])
        if is_sure(found.mean[0], found.std[0], face, presence, size):
            mean[frame], std[frame] = to_image(square, size, found.mean[0], found.std[0])
            valid[frame] = True
    if count != len(mean):
        raise InputError(f"{source.info.name} has {count} frames, but its stored alignment {len(mean)}")
    kept = {name: getattr(reference, name) for name in ("image_size", "frame_times", "frame_ids", "camera_names")}
    return make_alignment(mean[None], std[None], valid[None], point_set="vertices", source=predictor.name, **kept)


def clips_report(clips: Sequence[ClipComparison]) -> dict[str, Any]:
    """All measures of several clips: a row per clip and one of all frames together ("pooled"), plain values.

    Errors in per cent of the box; `debiased` ones without the offsets of the other clips. Slopes within clips.
    """
    left, from_others = debiased([clip.differences for clip in clips])
    rows = {clip.name: _row([clip], [rest]) for clip, rest in zip(clips, left, strict=True)}
    return {
        "clips": rows,
        "pooled": _row(clips, left),
        "debiased_with_other_clips": from_others,
        "std_factor": calibration(clips),
    }


def calibration(clips: Sequence[ClipComparison]) -> dict[str, float | None]:
    """Factors on σ that make it right against MediaPipe: raw, where its other convention counts as error, and debiased.

    None where no point can be compared.
    """
    left, _ = debiased([clip.differences for clip in clips])
    factors = {}
    for name, sigmas in (("raw", _sigmas(clips)), ("debiased", _sigmas(clips, left))):
        factors[name] = std_factor(sigmas) if np.isfinite(sigmas).any() else None
    return factors


def frame_errors(clip: ClipComparison) -> np.ndarray:
    """Mean error [F] over the mesh, per cent of the box; NaN where there is nothing to compare."""
    errors = 100.0 * np.linalg.norm(clip.differences[:, :MESH_POINTS], axis=-1)
    known = np.isfinite(errors)
    total = np.where(known, errors, 0.0).sum(1)
    return np.where(known.any(1), total / np.maximum(known.sum(1), 1), np.nan)


def clip_openings(clip: ClipComparison) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Openings [F] that were predicted, and MediaPipe's, both in sides of MediaPipe's box."""
    return openings(clip.predicted, clip.side), openings(clip.reference, clip.side)


def restlessness(points: np.ndarray, side: np.ndarray) -> float:
    """RMS second difference over time of points [F,P,2] px, per cent of the box of `side` [F] px; true motion included.

    NaN where no three frames in a row are known.
    """
    second = points[:-2] - 2 * points[1:-1] + points[2:]
    relative = np.linalg.norm(second, axis=-1) / side[1:-1, None]
    known = np.isfinite(relative)
    return float(100.0 * np.sqrt(np.mean(relative[known] ** 2))) if known.any() else float("nan")


def _row(clips: Sequence[ClipComparison], left: Sequence[np.ndarray]) -> dict[str, Any]:
    raw = np.concatenate([100.0 * np.linalg.norm(clip.differences, axis=-1) for clip in clips])
    rest = np.concatenate([100.0 * np.linalg.norm(one, axis=-1) for one in left])
    frames = np.concatenate([frame_errors(clip) for clip in clips])
    slopes = {}
    pairs = [clip_openings(clip) for clip in clips]
    for name in pairs[0][0]:
        ours, theirs = [pair[0][name] for pair in pairs], [pair[1][name] for pair in pairs]
        slopes[name] = {
            "within_clips": opening_slope(centred(ours, theirs), centred(theirs, ours))._asdict(),
            "across_clips": opening_slope(np.concatenate(ours), np.concatenate(theirs))._asdict(),
        }
    return {
        "frames": len(raw),
        "lost_frames": int(sum(clip.lost.sum() for clip in clips)),
        "bad_frames": int((frames > BAD_FRAME).sum()),
        "raw": _quantiles(raw[:, :MESH_POINTS]),
        "debiased": _quantiles(rest[:, :MESH_POINTS]),
        "groups": {
            name: {"raw": _quantiles(raw[:, list(ids)]), "debiased": _quantiles(rest[:, list(ids)])}
            for name, ids in GROUPS.items()
        },
        "openings": slopes,
        "coverage": coverage_of(_sigmas(clips))._asdict(),
        "coverage_debiased": coverage_of(_sigmas(clips, left))._asdict(),
        "restlessness": {
            "network": _mean([restlessness(clip.predicted[:, :MESH_POINTS], clip.side) for clip in clips]),
            "mediapipe": _mean([restlessness(clip.reference[:, :MESH_POINTS], clip.side) for clip in clips]),
        },
    }


def _sigmas(clips: Sequence[ClipComparison], differences: Sequence[np.ndarray] | None = None) -> np.ndarray:
    """Distances between points of the mesh [N] in σ, of given differences (box sides) or the clips' own."""
    rows = []
    for number, clip in enumerate(clips):
        relative = clip.differences if differences is None else differences[number]
        std = clip.std / clip.side[:, None]
        rows.append(deviations(relative, std, np.zeros(2))[:, :MESH_POINTS].ravel())
    return np.concatenate(rows)


def _quantiles(errors: np.ndarray) -> dict[str, float]:
    known = errors[np.isfinite(errors)]
    if not known.size:
        return {"median": float("nan"), "p90": float("nan")}
    return {"median": float(np.median(known)), "p90": float(np.quantile(known, 0.9))}


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")
