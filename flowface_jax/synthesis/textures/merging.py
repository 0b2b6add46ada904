"""Many unwrapped pictures of one head into one: equal exposure, no passers-by, and the detail of the best views."""

from __future__ import annotations

import cv2
import numpy as np

from flowface_jax.synthesis.textures.colour import srgb_to_linear

COARSE = 4
"""Texels per side of one coarse cell: where exposure and outliers are judged, too coarse for misplaced detail."""
DARKEST = 0.01
"""Linear reflectance added before logarithms, so that noise in the dark is no outlier."""
LIGHT_RIDGE = 0.02
"""Weight that keeps a frame's change of light from following the face's own pattern."""
OUTLIER, LARGEST_OUTLIER = 0.10, 0.25
"""Logarithmic difference from the common picture (10 %, or more where it is usual) at which a weight falls to 0.6."""
SELECTIVITY = 3.0
"""Power of the weights: high, so that few best views carry the detail rather than the average of all."""
ROUNDS = 4


def merge(colour: np.ndarray, weight: np.ndarray, normal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Merge N pictures over the atlas: linear colour [A,A,3] float32 and how well each texel was seen [A,A].

    colour: [N,A,A,3] sRGB uint8. weight: [N,A,A] float, 0 where unseen. normal: [A,A,3] of the head, for the light that
    shifts over the face when the head turns. The second result is the largest weight of an accepted sample. A is a
    multiple of COARSE.
    """
    log, coarse_weight = _coarse(colour, weight)
    normal = _shrink(normal)
    log, gains = _equalised(log, coarse_weight, normal)
    common = weighted_median(log, coarse_weight)
    accepted = _accepted(log, coarse_weight, common)
    return _weighted_mean(colour, weight, accepted, gains)


def weighted_median(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Median over the first axis of values [N,H,W,D] with weights [N,H,W]: [H,W,D]; 0 where all weights are 0."""
    result = np.zeros(values.shape[1:], np.float32)
    for k in range(values.shape[-1]):
        order = np.argsort(values[..., k], axis=0, kind="stable")
        total = np.cumsum(np.take_along_axis(weight, order, 0), axis=0)
        middle = (total < 0.5 * total[-1:]).sum(0, keepdims=True)
        rank = np.minimum(middle, len(values) - 1)
        result[..., k] = np.take_along_axis(values[..., k], np.take_along_axis(order, rank, 0), 0)[0]
    return np.where(weight.sum(0)[..., None] > 0, result, 0.0)


def _coarse(colour: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logarithm of the linear colour and the weight, in cells of COARSE texels: [N,a,a,3], [N,a,a]."""
    logs, weights = [], []
    for picture, w in zip(colour, weight, strict=True):
        seen = (w > 0).astype(np.float32)
        share = _shrink(seen)
        mean = _shrink(srgb_to_linear(picture) * seen[..., None]) / np.maximum(share, 1e-6)[..., None]
        logs.append(np.log(mean + DARKEST))
        weights.append(np.where(share > 0.3, _shrink(w.astype(np.float32)), 0.0))
    return np.stack(logs), np.stack(weights)


def _equalised(log: np.ndarray, weight: np.ndarray, normal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms with each picture's exposure, white balance and direction of light made those of all.

    The difference of two pictures' logarithms is modelled as linear in the normal. Returns also the corrections
    [N,a,a,3] that were added.
    """
    basis = np.concatenate([np.ones((*normal.shape[:2], 1), np.float32), normal], -1).reshape(-1, 4)
    corrections = np.zeros((len(log), 4, 3), np.float32)
    importance = weight.sum((1, 2))
    for _ in range(ROUNDS):
        current = log + _field(corrections, basis, log.shape)
        common = weighted_median(current, weight)
        for f in range(len(log)):
            corrections[f] += _change(common - current[f], weight[f], basis)
        # The common exposure is the mean of the pictures', whatever the order of the updates.
        corrections -= (importance[:, None, None] * corrections).sum(0) / max(importance.sum(), 1e-9)
    field = _field(corrections, basis, log.shape)
    return log + field, field


def _field(corrections: np.ndarray, basis: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return np.einsum("pb,nbc->npc", basis, corrections).reshape(shape).astype(np.float32)


def _change(difference: np.ndarray, weight: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Robust linear fit [4,3] of a difference [a,a,3] by the basis [a²,4]."""
    flat = difference.reshape(-1, 3).astype(np.float64)
    w = weight.reshape(-1).astype(np.float64)
    chosen = w > 0
    if chosen.sum() < 16:
        return np.zeros((4, 3), np.float32)
    flat, w, x = flat[chosen], w[chosen] / w.sum(), basis[chosen].astype(np.float64)
    ridge = np.diag([1e-9] + [LIGHT_RIDGE] * 3)
    solution = np.zeros((4, 3))
    for _ in range(3):
        size = np.linalg.norm(flat - x @ solution, axis=1) / (2 * OUTLIER)
        robust = w / (1 + size**2)
        weighted = x * robust[:, None]
        solution = np.linalg.solve(weighted.T @ x + ridge * robust.sum(), weighted.T @ flat)
    return solution.astype(np.float32)


def _accepted(log: np.ndarray, weight: np.ndarray, common: np.ndarray) -> np.ndarray:
    """How far each coarse sample [N,a,a] agrees with the common picture, 1 fully.

    Where most samples differ, as under a lip whose shadow moves, larger differences are accepted.
    """
    size = np.abs(log - common).max(-1)
    usual = weighted_median(size[..., None], weight)[None, ..., 0]
    scale = np.clip(1.5 * usual, OUTLIER, LARGEST_OUTLIER)
    agreed = np.where(weight > 0, np.exp(-0.5 * (size / scale) ** 2), 0.0).astype(np.float32)
    # Smoothed, but never raised: the edge of a hand is no more welcome than the hand.
    return np.stack([np.minimum(a, cv2.GaussianBlur(a, (0, 0), 1.5)) for a in agreed])


def _weighted_mean(
    colour: np.ndarray, weight: np.ndarray, accepted: np.ndarray, gains: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    side = weight.shape[-1]
    best = np.zeros((side, side), np.float32)
    for w, a in zip(weight, accepted, strict=True):
        best = np.maximum(best, w * _enlarge(a, side))
    total = np.full((side, side, 1), 1e-12, np.float32)
    mean = np.zeros((side, side, 3), np.float32)
    for picture, w, a, gain in zip(colour, weight, accepted, gains, strict=True):
        relative = w * _enlarge(a, side) / np.maximum(best, 1e-6)
        share = (relative**SELECTIVITY)[..., None]
        mean += share * srgb_to_linear(picture) * np.exp(_enlarge(gain, side))
        total += share
    return mean / total, best


def _shrink(image: np.ndarray) -> np.ndarray:
    rows, columns = image.shape[0] // COARSE, image.shape[1] // COARSE
    return cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA)


def _enlarge(image: np.ndarray, side: int) -> np.ndarray:
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_LINEAR)
