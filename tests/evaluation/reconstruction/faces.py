"""Faces with known distances: the built-in head, moved and scanned."""

from __future__ import annotations

import functools

import numpy as np
from scipy.spatial.transform import Rotation

from flowface_jax.evaluation.reconstruction.key_points import head_key_points
from flowface_jax.heads.generic import generic_head


@functools.cache
def head():
    """The built-in head: vertices [V,3] mm, triangles [T,3], key points [7,3] mm, regions."""
    model = generic_head()
    vertices = np.asarray(model.template, np.float64)
    regions = {name: np.asarray(model.regions[name]) for name in ("face", "eyes", "nose", "mouth", "ears")}
    points = head_key_points(model)
    places = np.einsum("pkc,pk->pc", vertices[np.asarray(points.vertex_ids)], np.asarray(points.barycentric))
    return 1000 * vertices, np.asarray(model.triangles), 1000 * places, regions, points


def skin(vertices, triangles):
    """The head without what lies inside it: what a scanner sees."""
    model = generic_head()
    inner = [n for n in ("eyeballs", "teeth", "tongue", "mouth_interior", "nostrils") if n in model.regions]
    hidden = np.any([np.asarray(model.regions[name]) for name in inner], axis=0)
    return triangles[~hidden[triangles].any(1)]


def scanned(vertices, triangles, count, seed=0):
    """Points [count,3] drawn from the surface, and their triangles [count]."""
    draw = np.random.default_rng(seed)
    corners = vertices[triangles]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    chosen = draw.choice(len(triangles), count, p=area / area.sum())
    return np.einsum("nk,nkc->nc", draw.dirichlet([1, 1, 1], count), corners[chosen]), chosen


def moved(points, scale=1.0, degrees=(0, 0, 0), shift=(0, 0, 0)):
    """A similarity of points [...,3]."""
    return scale * points @ Rotation.from_euler("xyz", degrees, degrees=True).as_matrix().T + np.asarray(shift)
