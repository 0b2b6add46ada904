"""How good predicted image points are: error, calibration of σ, constant offsets, and how far mouth and lids open.

Lengths are in per cent or parts of the face box: the longer side of the upright box round a face's points. Frames and
points without a reference are NaN in real sequences (`[F,P,2]`) and `known` False in labelled crops.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.heads.model import SurfacePoints

OPENINGS = {"mouth": (13, 14), "right lids": (159, 145), "left lids": (386, 374)}
"""MediaPipe's points whose distance is an opening: the middles of the inner lips, and of the upper and lower lids."""
HALF, NINETY = (float(np.sqrt(-2.0 * np.log(1.0 - share))) for share in (0.5, 0.9))
"""Radii in σ that hold 50 % and 90 % of an isotropic Gaussian in two dimensions."""


class Coverage(NamedTuple):
    """Shares of points whose truth lies within 1 σ, 2 σ, and the 50 % and 90 % radii of what was predicted.

    Where σ is right they are 0.393, 0.865, 0.5 and 0.9.
    """

    within_one: float
    within_two: float
    within_half: float
    within_ninety: float


class Slope(NamedTuple):
    """A predicted opening against the reference: how much of its movement is followed.

    slope: of the regression on the reference, 1 where all of the movement is there. correlation: of the two. spread:
    standard deviation of the reference; where that is not well above the reference's own noise, the slope says nothing.
    """

    slope: float
    correlation: float
    spread: float


def box_side(points: np.ndarray, known: np.ndarray | None = None) -> np.ndarray:
    """Longer side [...] px of the upright box round points [...,P,2], of the `known` ones ([...,P]) where given.

    NaN where there is none.
    """
    points = np.asarray(points, np.float64)
    usable = np.isfinite(points).all(-1) & (True if known is None else np.asarray(known, bool))
    low = np.where(usable[..., None], points, np.inf).min(-2)
    high = np.where(usable[..., None], points, -np.inf).max(-2)
    return np.where(usable.any(-1), (high - low).max(-1), np.nan)


def nme(mean: np.ndarray, truth: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Normalised mean error [...] of points [...,P,2] px against the truth, per cent of the longer side of its box.

    known: [...,P], the points that count, for the box too. NaN where none does.
    """
    errors = np.where(known, relative_errors(mean, truth, box_side(truth, known)), 0.0)
    count = np.asarray(known).sum(-1)
    return np.where(count > 0, errors.sum(-1) / np.maximum(count, 1), np.nan)


def relative_errors(mean: np.ndarray, truth: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Distances [...,P] of points [...,P,2] from the truth, per cent of a box of `side` [...] px."""
    return 100.0 * np.linalg.norm(relative_differences(mean, truth, side), axis=-1)


def relative_differences(mean: np.ndarray, truth: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Predicted less true points [...,P,2], in box sides [...] px along the box's edges."""
    difference = np.asarray(mean, np.float64) - np.asarray(truth, np.float64)
    return difference / np.asarray(side, np.float64)[..., None, None]


def coverage(mean: np.ndarray, std: np.ndarray, truth: np.ndarray, known: np.ndarray | None = None) -> Coverage:
    """How often the truth [...,P,2] lies as near as σ [...,P] says; all px.

    Points that are unknown or NaN do not count. NaN where none does.
    """
    return coverage_of(deviations(mean, std, truth), known)


def deviations(mean: np.ndarray, std: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Distances [...,P] of the truth from the prediction, in σ."""
    distance = np.linalg.norm(np.asarray(mean, np.float64) - np.asarray(truth, np.float64), axis=-1)
    return distance / np.asarray(std, np.float64)


def coverage_of(sigmas: np.ndarray, known: np.ndarray | None = None) -> Coverage:
    """`coverage` from distances [...] in σ."""
    counted = sigmas[np.isfinite(sigmas) & (True if known is None else np.asarray(known, bool))]
    if not counted.size:
        return Coverage(*[float("nan")] * 4)
    return Coverage(*(float((counted <= radius).mean()) for radius in (1.0, 2.0, HALF, NINETY)))


def debiased(differences: Sequence[np.ndarray]) -> tuple[list[np.ndarray], bool]:
    """Differences [F,P,2] (box sides) of several clips less one constant offset per point, and whether that offset is
    from other clips.

    What remains is error; what was removed is another convention of where a point lies. The offset of a clip is the
    mean over the other clips of their medians over frames, so that nothing of it is learnt from the clip itself. A
    single clip has no others: its own median is removed, which flatters it. Raises InputError where the clips do not
    have the same points.
    """
    if len({one.shape[1:] for one in differences}) != 1:
        found = ", ".join(str(list(one.shape)) for one in differences)
        raise InputError(f"expected differences [frames, points, 2] of the same points in every clip, found {found}")
    medians = np.stack([_median_over_frames(one) for one in differences])
    if len(medians) == 1:
        return [differences[0] - medians[0]], False
    others = [np.delete(medians, clip, axis=0) for clip in range(len(medians))]
    return [one - _mean_over_clips(rest) for one, rest in zip(differences, others, strict=True)], True


def openings(points: np.ndarray, side: np.ndarray) -> dict[str, np.ndarray]:
    """How far mouth and lids are open, [...] each, in box sides [...] px, from MediaPipe's points [...,478,2] px."""
    return {
        name: np.linalg.norm(points[..., upper, :] - points[..., lower, :], axis=-1) / side
        for name, (upper, lower) in OPENINGS.items()
    }


def opening_slope(predicted: np.ndarray, reference: np.ndarray) -> Slope:
    """The regression of a predicted opening [N] on the reference [N]; pairs with NaN do not count.

    NaN where the reference does not vary. Movement within clips: `centred` openings of all of them in a row.
    """
    predicted, reference = np.asarray(predicted, np.float64), np.asarray(reference, np.float64)
    both = np.isfinite(predicted) & np.isfinite(reference)
    x, y = reference[both], predicted[both]
    if len(x) < 2 or np.ptp(x) == 0:
        return Slope(float("nan"), float("nan"), 0.0)
    x, y = x - x.mean(), y - y.mean()
    shared, spread = float((x * y).mean()), float(x.std())
    correlation = shared / (spread * float(y.std())) if np.ptp(y) > 0 else float("nan")
    return Slope(shared / spread**2, correlation, spread)


def centred(clips: Sequence[np.ndarray], beside: Sequence[np.ndarray]) -> np.ndarray:
    """Values [F] of every clip less the clip's mean, in a row; the mean is over frames known in `beside` as well.

    What is left is movement: that some people's eyes are wider is gone.
    """
    rows = []
    for one, other in zip(clips, beside, strict=True):
        both = np.isfinite(one) & np.isfinite(other)
        rows.append(np.where(both, one - (one[both].mean() if both.any() else np.nan), np.nan))
    return np.concatenate(rows)


def on_surface(values: np.ndarray, surface: SurfacePoints) -> np.ndarray:
    """Per-vertex values [...,V,D] at points of the surface: [...,P,D]; on the host, double precision."""
    ids, weights = np.asarray(surface.vertex_ids), np.asarray(surface.barycentric, np.float64)
    return np.einsum("...pkd,pk->...pd", np.asarray(values, np.float64)[..., ids, :], weights)


def std_on_surface(std: np.ndarray, surface: SurfacePoints) -> np.ndarray:
    """σ [...,P] at points of the surface from σ [...,V] of the vertices, whose errors go together within a triangle."""
    return on_surface(np.asarray(std)[..., None], surface)[..., 0]


def _median_over_frames(differences: np.ndarray) -> np.ndarray:
    """[P,2], NaN for points that are known in no frame."""
    known = np.isfinite(differences).all((0, 2))
    median = np.median(differences, axis=0)
    for point in np.flatnonzero(~known):
        seen = differences[np.isfinite(differences[:, point]).all(-1), point]
        median[point] = np.median(seen, axis=0) if len(seen) else np.nan
    return median


def _mean_over_clips(medians: np.ndarray) -> np.ndarray:
    """[P,2] over the clips [N,P,2] that know a point; 0 where none does."""
    known = np.isfinite(medians)
    return np.where(known, medians, 0.0).sum(0) / np.maximum(known.sum(0), 1)
