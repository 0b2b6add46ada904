"""Fewer points for the fit than a dense alignment has: neighbours tell nearly the same, and cost as much again."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.spatial import cKDTree

from flowface_jax.alignment.alignment import Alignment
from flowface_jax.heads.model import HeadModel

OTHERS_SHARE = 0.1
"""Of the points kept, at most this share are such as hardly count (λ below half of the largest: scalp, neck)."""
NEIGHBOURS = 6
"""A point's spacing is its distance to the neighbour of this number: a vertex of a regular mesh has six."""


def thinned(alignment: Alignment, head: HeadModel, count: int) -> Alignment:
    """The alignment with at most `count` of its points, as dense as before where they are denser; count 0: all.

    Farthest-point sampling of the neutral head, in units of the points' own spacing, once among those that count (face
    and ears) and once among the others. Only vertices and surface points are thinned: landmarks are few and chosen, and
    so are points placed by hand, which come on top. The very same alignment comes back where nothing is to be left out.
    Raises InputError where it does not fit the head.
    """
    dense = alignment.point_set in ("vertices", "surface")
    found = alignment.point_count - alignment.placed
    if not dense or not 0 < count < found:
        return alignment
    surface = alignment.points_on(head)
    ids, barycentric = np.asarray(surface.vertex_ids), np.asarray(surface.barycentric)
    at_points = lambda values: np.einsum("pkd,pk->pd", np.asarray(values, np.float64)[ids], barycentric)
    weight = at_points(np.asarray(head.vertex_weights)[:, None])[:, 0]
    kept = _kept(at_points(head.template)[:found], weight[:found], count)
    kept = np.concatenate([kept, np.arange(found, alignment.point_count)])
    return dataclasses.replace(
        alignment,
        mean=alignment.mean[:, :, kept],
        std=alignment.std[:, :, kept],
        vertex_ids=ids[kept],
        barycentric=barycentric[kept],
        point_set="surface",
    )


def _kept(points: np.ndarray, weight: np.ndarray, count: int) -> np.ndarray:
    """Ascending indices of `count` of the points [P,3] whose λ are `weight` [P]."""
    counts = weight >= 0.5 * weight.max()
    focus, others = np.flatnonzero(counts), np.flatnonzero(~counts)
    few = min(len(others), int(OTHERS_SHARE * count))
    many = min(len(focus), count - few)
    return np.sort(np.concatenate([focus[_spread(points[focus], many)], others[_spread(points[others], few)]]))


def _spread(points: np.ndarray, count: int) -> np.ndarray:
    """Indices of `count` of the points [P,3], each time the one farthest from those chosen, in units of its spacing."""
    chosen = np.zeros(count, np.int64)
    if not 1 < count < len(points):
        return np.arange(len(points))[:count]
    nearest = cKDTree(points).query(points, k=min(len(points), NEIGHBOURS + 1))[0]
    spacing = np.maximum(nearest[:, -1], 1e-9)
    distance = np.linalg.norm(points - points[0], axis=1) / spacing
    for k in range(1, count):
        chosen[k] = int(np.argmax(distance))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[k]], axis=1) / spacing)
    return chosen
