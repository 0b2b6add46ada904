"""Errors of 2D landmarks, and the numbers that publications make of them: NME, AUC and failure rate.

Publications divide by different lengths; every result here says by which.
"""

from __future__ import annotations

import dataclasses
from typing import Literal, get_args

import numpy as np

from flowface_jax.errors import InputError

Normalisation = Literal["box diagonal", "box side", "box geometric mean", "interocular", "interpupil"]
"""Lengths of the truth: of the upright box round its points the diagonal, the longer side, or √(width · height), as for
AFLW2000-3D and Menpo 3D; or, of the 68 Multi-PIE landmarks, the distance of the outer eye corners, as for 300W, or of
the eyes' middles."""
_OUTER_CORNERS = (36, 45)
_EYES = (slice(36, 42), slice(42, 48))


@dataclasses.dataclass(frozen=True, eq=False)
class LandmarkErrors:
    """per_image: [N] mean distance over the points, parts of the length; NaN where nothing was predicted.
    normalisation: which length. lengths: [N] px.
    """

    per_image: np.ndarray
    normalisation: str
    lengths: np.ndarray

    @property
    def mean(self) -> float:
        """NME in per cent, over the images with a prediction; NaN where there is none."""
        found = self.per_image[np.isfinite(self.per_image)]
        return 100 * float(found.mean()) if found.size else float("nan")

    @property
    def missing(self) -> int:
        """Images without a prediction."""
        return int((~np.isfinite(self.per_image)).sum())

    def failure_rate(self, limit: float) -> float:
        """Per cent of all images whose error is above `limit` (parts of the length); those without one are failures."""
        return 100 * float((~(self.per_image <= _checked(limit))).mean())

    def area_under_curve(self, limit: float) -> float:
        """Area under the curve of cumulative errors from 0 to `limit`, in per cent of the whole; images without a
        prediction never come in. Exact, not by sampled steps.
        """
        share = np.clip(1 - self.per_image / _checked(limit), 0, 1)
        return 100 * float(np.where(np.isfinite(share), share, 0).mean())

    def curve(self, limit: float, points: int = 201) -> tuple[np.ndarray, np.ndarray]:
        """Errors [points] from 0 to `limit` (parts of the length), and per cent of all images with none larger."""
        places = np.linspace(0, _checked(limit), points)
        ordered = np.sort(self.per_image[np.isfinite(self.per_image)])
        return places, 100 * np.searchsorted(ordered, places, side="right") / len(self.per_image)


def normalised_mean_error(
    prediction: np.ndarray,
    truth: np.ndarray,
    normalisation: Normalisation = "box side",
    known: np.ndarray | None = None,
) -> LandmarkErrors:
    """Errors of points [N,P,2] px against the truth [N,P,2] px, relative to a length of the truth.

    known: [N,P] bool, points of the truth that count, for its box too; None: those that are finite. Images in which
    the prediction of a known point is NaN have no error: nothing was predicted. Raises InputError for shapes that do
    not fit, an unknown normalisation, images without known points or of length 0, and landmarks that are not the 68
    where eyes are asked for.
    """
    prediction, truth = np.asarray(prediction, np.float64), np.asarray(truth, np.float64)
    if truth.ndim != 3 or truth.shape[-1] != 2 or prediction.shape != truth.shape:
        raise InputError(f"expected points [N,P,2] of one shape, found {list(prediction.shape)}, {list(truth.shape)}")
    finite = np.isfinite(truth).all(-1)
    known = finite if known is None else np.asarray(known, bool) & finite
    if known.shape != finite.shape or not known.any(1).all():
        raise InputError("expected known points [N,P] in every image; leave images without truth out")
    lengths = _lengths(truth, known, normalisation)
    distances = np.linalg.norm(prediction - truth, axis=-1)
    mean = np.where(known, distances, 0).sum(1) / known.sum(1)
    return LandmarkErrors(mean / lengths, normalisation, lengths)


def _lengths(truth: np.ndarray, known: np.ndarray, normalisation: str) -> np.ndarray:
    """[N] px."""
    if normalisation not in get_args(Normalisation):
        raise InputError(f"expected a normalisation of {', '.join(get_args(Normalisation))}, found '{normalisation}'")
    if normalisation.startswith("box"):
        low = np.where(known[..., None], truth, np.inf).min(1)
        width, height = (np.where(known[..., None], truth, -np.inf).max(1) - low).T
        lengths = {
            "box diagonal": np.hypot(width, height),
            "box side": np.maximum(width, height),
            "box geometric mean": np.sqrt(width * height),
        }[normalisation]
    else:
        if truth.shape[1] != 68 or not known[:, 36:48].all():
            raise InputError(f"{normalisation}: expected the 68 landmarks with both eyes known, found {truth.shape[1]}")
        ends = [truth[:, i] for i in _OUTER_CORNERS]
        if normalisation == "interpupil":
            ends = [truth[:, eye].mean(1) for eye in _EYES]
        lengths = np.linalg.norm(ends[0] - ends[1], axis=-1)
    if not (lengths > 0).all():
        raise InputError(f"{normalisation}: the length of image {int(lengths.argmin())} is 0; check its truth")
    return lengths


def _checked(limit: float) -> float:
    if not 0 < limit < 1:
        raise InputError(f"expected a limit between 0 and 1 (0.08 is 8 per cent of the length), found {limit}")
    return limit
