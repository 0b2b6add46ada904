"""Distances to a surface are exact."""

from __future__ import annotations

import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.evaluation.reconstruction.surface import Surface, distances_to_surface
from flowface_jax.heads.atlas import closest_on_triangle
from tests.evaluation.reconstruction.faces import head, scanned


def _all_pairs(points, vertices, triangles):
    corners = vertices[triangles]
    n, t = len(points), len(triangles)
    _, squared = closest_on_triangle(np.repeat(points, t, axis=0), np.tile(corners, (n, 1, 1)))
    return np.sqrt(squared.reshape(n, t).min(1))


@pytest.mark.parametrize("count", [1, 3, 17, 200])
def test_of_triangles_of_all_sizes_the_nearest_is_found(count):
    draw = np.random.default_rng(count)
    sizes = 10 ** draw.uniform(-3, 0, count)
    corners = draw.uniform(-1, 1, (count, 1, 3)) + sizes[:, None, None] * draw.normal(size=(count, 3, 3))
    vertices, triangles = corners.reshape(-1, 3), np.arange(3 * count).reshape(-1, 3)
    points = draw.uniform(-2, 2, (100, 3))
    found = Surface(vertices, triangles).nearest(points)
    np.testing.assert_allclose(found.distance, _all_pairs(points, vertices, triangles), atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(found.point - points, axis=1), found.distance, atol=1e-12)
    on_it = distances_to_surface(found.point, vertices, triangles)
    np.testing.assert_allclose(on_it, 0, atol=1e-7)


def test_points_moved_off_a_head_are_as_far_as_they_were_moved():
    vertices, triangles, *_ = head()
    surface = Surface(vertices, triangles)
    places, chosen = scanned(vertices, triangles, 500)
    found = surface.nearest(places + 1e-3 * surface.normals[chosen])
    assert np.median(np.abs(found.distance - 1e-3)) < 1e-9
    assert (found.distance <= 1e-3 + 1e-9).all()


def test_triangles_without_area_are_their_edges():
    vertices = np.asarray([[0, 0, 0], [1, 0, 0], [2, 0, 0], [5, 5, 5]], float)
    surface = Surface(vertices, np.asarray([[0, 1, 2], [3, 3, 3]]))
    found = surface.nearest(np.asarray([[1.5, 2, 0], [5, 5, 6.0]]))
    np.testing.assert_allclose(found.distance, [2, 1])


def test_batches_change_nothing():
    vertices, triangles, *_ = head()
    points = np.random.default_rng(0).uniform(-150, 150, (40000, 3))
    surface = Surface(vertices, triangles)
    whole = surface.nearest(points).distance
    np.testing.assert_array_equal(whole[::4000], [surface.nearest(p[None]).distance[0] for p in points[::4000]])


@pytest.mark.parametrize(
    ("vertices", "triangles", "points", "message"),
    [
        (np.full((3, 3), np.nan), [[0, 1, 2]], np.zeros((1, 3)), "NaN"),
        (np.zeros((3, 3)), np.zeros((0, 3), int), np.zeros((1, 3)), "at least one triangle"),
        (np.zeros((3, 3)), [[0, 1, 3]], np.zeros((1, 3)), "0 to 2"),
        (np.zeros((3, 2)), [[0, 1, 2]], np.zeros((1, 3)), "vertices"),
        (np.eye(3), [[0, 1, 2]], np.full((2, 3), np.inf), "NaN or infinite"),
    ],
)
def test_wrong_inputs_are_named(vertices, triangles, points, message):
    with pytest.raises(InputError, match=message):
        Surface(vertices, np.asarray(triangles)).nearest(points)
