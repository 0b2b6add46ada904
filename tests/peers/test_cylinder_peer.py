"""A head unrolled onto a cylinder is what trimesh' rays meet, as in FaceScape's program (needs the `peers` extra)."""

from __future__ import annotations

import numpy as np
import pytest

from flowface_jax.evaluation.reconstruction.cylinder import HALF_HEIGHT, SIDE, cylinder_map
from tests.evaluation.reconstruction.faces import head, skin

trimesh = pytest.importorskip("trimesh", reason="trimesh is not installed: pip install flowface-jax[peers]")
pytest.importorskip("embreex", reason="trimesh' quick rays need embreex: pip install flowface-jax[peers]")


def test_radii_and_normals_are_those_of_the_last_hits():
    vertices, triangles, *_ = head()
    vertices, triangles = vertices - vertices.mean(0), skin(vertices, triangles)
    mesh = trimesh.Trimesh(vertices, triangles, process=False)
    rows = np.linspace(HALF_HEIGHT, -HALF_HEIGHT, SIDE)
    angles = 2 * np.pi * np.arange(SIDE) / (SIDE - 1)
    origins = np.zeros((SIDE, SIDE, 3))
    origins[..., 1] = rows[:, None]
    directions = np.stack([-np.sin(angles), 0 * angles, -np.cos(angles)], axis=1)
    directions = np.broadcast_to(directions, (SIDE, SIDE, 3))
    places, rays, hits = mesh.ray.intersects_location(
        origins.reshape(-1, 3), directions.reshape(-1, 3), multiple_hits=True
    )
    radius, normal = np.zeros(SIDE * SIDE), np.zeros((SIDE * SIDE, 3))
    for place, ray, hit in zip(places, rays, hits, strict=True):
        radius[ray], normal[ray] = np.hypot(place[0], place[2]), mesh.face_normals[hit]
    found = cylinder_map(vertices, triangles)
    radius = radius.reshape(SIDE, SIDE)
    # Rays that graze an edge, or pass between two triangles in single precision, may differ.
    assert ((radius != 0) == (found.radius != 0)).mean() > 0.999
    both = (radius != 0) & (found.radius != 0)
    assert (np.abs(radius - found.radius)[both] < 0.01).mean() > 0.99
    same = (np.abs(normal.reshape(SIDE, SIDE, 3) - found.normal)[both] < 1e-4).all(-1)
    assert same.mean() > 0.98
