"""Which observed points tell of which part of the face, so that quality can be stated part by part."""

from __future__ import annotations

import numpy as np

from flowface_jax.heads.model import HeadModel, SurfacePoints
from flowface_jax.heads.registration import vertex_normals
from flowface_jax.pytrees import pytree_dataclass, static_field

REPORTED_REGIONS = (
    *("face", "forehead", "brows", "left_eye", "right_eye", "eyelids", "eyeballs", "nose", "cheeks"),
    *("mouth", "lips", "chin", "jaw", "left_ear", "right_ear"),
)
"""Regions of a head that quality is stated for, in this order, where the head names them. They may overlap."""

ALL = "all"
"""First of the reported regions: every point that counts."""

FEWEST_POINTS = 3
"""A region with fewer points is left out: their statistics would be those of single points."""

COUNTING_WEIGHT = 0.5
"""Points count whose λ is at least this share of the largest: the others (scalp, neck) hardly take part in the fit."""


@pytree_dataclass
class RegionPoints:
    """The points that count, and the R regions they lie in.

    chosen: [Q] int, points that count, of all P. normals: [Q,3] outward unit normals of the neutral head there, in the
    head's frame; zero where there is none. middle: [3] m, centre of the chosen points on the neutral head.
    members: [R,Q] float32, 1 where a point lies in a region. listed: [T] int, the members of all regions one region
    after the other, as places in `chosen`. starts: [R+1] where each region's members begin in `listed`.
    names: R region names, `ALL` first.
    """

    chosen: np.ndarray
    normals: np.ndarray
    middle: np.ndarray
    members: np.ndarray
    listed: np.ndarray
    starts: tuple[int, ...] = static_field()
    names: tuple[str, ...] = static_field()


def region_points(head: HeadModel, surface: SurfacePoints, point_weight: np.ndarray) -> RegionPoints:
    """The points [P] that count and their regions; a point lies where the corner lies that it is nearest to.

    point_weight: [P] λ of each point.
    """
    ids, barycentric = np.asarray(surface.vertex_ids), np.asarray(surface.barycentric)
    nearest = ids[np.arange(len(ids)), barycentric.argmax(1)]
    weight = np.asarray(point_weight)
    chosen = np.flatnonzero(weight >= COUNTING_WEIGHT * weight.max())
    names, rows = [ALL], [np.ones(len(chosen), bool)]
    for name in REPORTED_REGIONS:
        if name not in head.regions:
            continue
        inside = np.asarray(head.regions[name])[nearest[chosen]]
        if inside.sum() >= FEWEST_POINTS:
            names.append(name)
            rows.append(inside)
    template = np.asarray(head.template, np.float64)
    normals = vertex_normals(template, np.asarray(head.triangles))[nearest[chosen]]
    members = np.stack(rows)
    return RegionPoints(
        chosen=chosen.astype(np.int32),
        normals=np.nan_to_num(normals).astype(np.float32),
        middle=template[nearest[chosen]].mean(0).astype(np.float32),
        members=members.astype(np.float32),
        listed=np.concatenate([np.flatnonzero(row) for row in members]).astype(np.int32),
        starts=tuple(np.concatenate([[0], np.cumsum(members.sum(1))]).tolist()),
        names=tuple(names),
    )
