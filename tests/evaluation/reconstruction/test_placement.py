"""Laying meshes on points."""

from __future__ import annotations

import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.evaluation.geometry import Similarity
from flowface_jax.evaluation.reconstruction.placement import procrustes, refine_placement
from flowface_jax.evaluation.reconstruction.surface import Surface
from tests.evaluation.reconstruction.faces import head, moved, scanned


def test_procrustes_finds_the_similarity_and_permits_reflections_only_if_told():
    points = np.random.default_rng(0).normal(size=(7, 3))
    there = moved(points, 2.5, (20, -30, 70), (1, 2, 3))
    found = procrustes(points, there)
    assert found.scale == pytest.approx(2.5)
    np.testing.assert_allclose(found.apply(points), there, atol=1e-12)
    assert procrustes(points, there, with_scale=False).scale == 1
    mirrored = there * [-1, 1, 1]
    assert np.linalg.det(procrustes(points, mirrored, reflection=True).rotation) == pytest.approx(-1)
    np.testing.assert_allclose(procrustes(points, mirrored, reflection=True).apply(points), mirrored, atol=1e-12)
    assert np.linalg.det(procrustes(points, mirrored).rotation) == pytest.approx(1)


@pytest.mark.parametrize("with_scale", [False, True])
def test_a_mesh_slides_back_onto_the_points_drawn_from_it(with_scale):
    vertices, triangles, *_ = head()
    points = moved(scanned(vertices, triangles, 3000)[0], 1.0, (0, 30, 10), (50, -20, 400))
    surface = Surface(vertices, triangles)
    rough = Similarity(1.06 if with_scale else 1.0, *_pose((3, 26, 12), (54, -25, 396)))
    found = refine_placement(points, surface, rough, with_scale)
    assert found.converged and found.distances.max() < 1e-3
    assert found.similarity.scale == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(found.similarity.translation, (50, -20, 400), atol=1e-2)


def test_it_ends_where_no_small_change_lowers_the_sum_of_squares():
    vertices, triangles, *_ = head()
    draw = np.random.default_rng(1)
    points = scanned(vertices, triangles, 1500)[0] + draw.normal(0, 3, (1500, 3))
    surface = Surface(vertices, triangles)
    found = refine_placement(points, surface, Similarity(1.0, np.eye(3), np.zeros(3)), True)
    cost = (found.distances**2).sum()
    for _ in range(12):
        turn, shift = draw.normal(0, 0.05, 3), draw.normal(0, 0.05, 3)
        near = found.similarity
        other = Similarity(
            near.scale * (1 + draw.normal(0, 5e-4)), _pose(turn, shift)[0] @ near.rotation, near.translation + shift
        )
        local = (points - other.translation) @ other.rotation / other.scale
        assert ((other.scale * surface.nearest(local).distance) ** 2).sum() > cost


def test_what_a_flat_surface_leaves_open_stays_where_it_was():
    vertices = np.asarray([[-100, -100, 0], [100, -100, 0], [100, 100, 0], [-100, 100, 0]], float)
    surface = Surface(vertices, np.asarray([[0, 1, 2], [0, 2, 3]]))
    points = np.random.default_rng(0).uniform(-20, 20, (50, 3)) * [1, 1, 0] + [5, 6, 7]
    found = refine_placement(points, surface, Similarity(1.0, np.eye(3), np.zeros(3)), False)
    assert found.distances.max() < 1e-6
    np.testing.assert_allclose(found.similarity.translation, [0, 0, 7], atol=1e-4)


def test_too_few_points_are_named():
    surface = Surface(np.eye(3), np.asarray([[0, 1, 2]]))
    with pytest.raises(InputError, match="7 points"):
        refine_placement(np.zeros((3, 3)), surface, Similarity(1.0, np.eye(3), np.zeros(3)), False)
    with pytest.raises(InputError, match="key points"):
        procrustes(np.zeros((2, 3)), np.zeros((2, 3)))
    with pytest.raises(InputError, match="different places"):
        procrustes(np.zeros((7, 3)), np.ones((7, 3)))


def _pose(degrees, shift):
    return moved(np.eye(3), degrees=degrees).T, np.asarray(shift, float)
