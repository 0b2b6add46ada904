"""Distances to a surface are those of trimesh and Open3D (need the `peers` extra)."""

from __future__ import annotations

import numpy as np
import pytest

from flowface_jax.evaluation.reconstruction.surface import Surface
from tests.evaluation.reconstruction.faces import head, scanned

COUNT = 2000


def _points():
    vertices, triangles, *_ = head()
    near = scanned(vertices, triangles, COUNT)[0]
    draw = np.random.default_rng(0)
    return np.concatenate([near + draw.normal(0, 2, near.shape), draw.uniform(-300, 300, near.shape)])


def test_trimesh_finds_the_same_distances():
    trimesh = pytest.importorskip("trimesh", reason="trimesh is not installed: pip install flowface-jax[peers]")
    pytest.importorskip("rtree", reason="trimesh' queries need rtree: pip install flowface-jax[peers]")
    vertices, triangles, *_ = head()
    points = _points()
    mesh = trimesh.Trimesh(vertices, triangles, process=False)
    places, distances, _ = trimesh.proximity.closest_point(mesh, points)
    found = Surface(vertices, triangles).nearest(points)
    np.testing.assert_allclose(found.distance, distances, atol=1e-6)
    np.testing.assert_allclose(found.point, places, atol=1e-4)


def test_open3d_finds_the_same_distances():
    open3d = pytest.importorskip("open3d", exc_type=ImportError, reason="Open3D is not installed")
    vertices, triangles, *_ = head()
    points = _points()
    scene = open3d.t.geometry.RaycastingScene()
    scene.add_triangles(np.ascontiguousarray(vertices, np.float32), np.ascontiguousarray(triangles, np.uint32))
    distances = scene.compute_distance(np.ascontiguousarray(points, np.float32)).numpy()
    # Open3D computes in single precision.
    np.testing.assert_allclose(Surface(vertices, triangles).nearest(points).distance, distances, atol=2e-3)
