"""Fewer points for the fit than a dense alignment has: neighbours tell nearly the same, and cost as much again."""

from __future__ import annotations

import dataclasses

import numpy as np

from flowface_jax.alignment.alignment import Alignment
from flowface_jax.heads.model import HeadModel

OTHERS_SHARE = 0.1
"""Of the points kept, at most this share are such as hardly count (λ below half of the largest: scalp, neck)."""


def thinned(alignment: Alignment, head: HeadModel, count: int) -> Alignment:
    """The alignment with at most `count` of its points, as dense as before where they are denser; count 0: all.

    Every k-th point is kept, in order, of those that count (face and ears), and of the others. Only vertices and surface
    points are thinned: landmarks are few and chosen. The very same alignment comes back where nothing is to be left
    out. Raises InputError where the alignment does not fit the head.
    """
    dense = alignment.point_set in ("vertices", "surface")
    if not dense or not 0 < count < alignment.point_count:
        return alignment
    surface = alignment.points_on(head)
    ids, barycentric = np.asarray(surface.vertex_ids), np.asarray(surface.barycentric)
    kept = _kept((np.asarray(head.vertex_weights)[ids] * barycentric).sum(1), count)
    return dataclasses.replace(
        alignment,
        mean=alignment.mean[:, :, kept],
        std=alignment.std[:, :, kept],
        vertex_ids=ids[kept],
        barycentric=barycentric[kept],
        point_set="surface",
    )


def _kept(weight: np.ndarray, count: int) -> np.ndarray:
    """Ascending indices of `count` of the points whose λ are `weight` [P]."""
    counts = weight >= 0.5 * weight.max()
    focus, others = np.flatnonzero(counts), np.flatnonzero(~counts)
    few = min(len(others), int(OTHERS_SHARE * count))
    many = min(len(focus), count - few)
    return np.sort(np.concatenate([_every(focus, many), _every(others, few)]))


def _every(values: np.ndarray, count: int) -> np.ndarray:
    """`count` of the values, evenly spread over their order."""
    return values[np.arange(count) * len(values) // max(count, 1)]
