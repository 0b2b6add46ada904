"""Point location: exact nearest points on meshes, and atlas coordinates back to the surface."""

import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.heads.atlas import closest_points, locate


def _mesh(rng: np.random.Generator, count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Unconnected random triangles of sizes from millimetres to decimetres."""
    sizes = 10 ** rng.uniform(-3, -1, count)
    corners = rng.uniform(-0.2, 0.2, (count, 1, 3)) + sizes[:, None, None] * rng.normal(size=(count, 3, 3))
    return corners.reshape(-1, 3), np.arange(3 * count).reshape(-1, 3)


def _sampled_distance(points: np.ndarray, vertices: np.ndarray, triangles: np.ndarray, n: int = 60) -> np.ndarray:
    """Distance [N,T] to the nearest of a fine grid of samples of each triangle: an upper bound, nearly exact."""
    a, b = np.meshgrid(np.linspace(0, 1, n), np.linspace(0, 1, n))
    inside = a + b <= 1 + 1e-9
    weights = np.stack([1 - a - b, a, b], -1)[inside]
    samples = np.einsum("sk,tkc->tsc", weights, vertices[triangles])
    return np.linalg.norm(points[:, None, None] - samples[None], axis=-1).min(-1)


def _place(found, vertices: np.ndarray) -> np.ndarray:
    return np.einsum("pkc,pk->pc", vertices[found.vertex_ids], found.barycentric)


def test_closest_points_are_the_nearest_of_all_triangles() -> None:
    rng = np.random.default_rng(0)
    vertices, triangles = _mesh(rng)
    points = rng.uniform(-0.4, 0.4, (40, 3))
    found, distance = closest_points(points, vertices, triangles)
    brute = _sampled_distance(points, vertices, triangles).min(1)
    assert (distance <= brute + 1e-9).all()
    assert (brute - distance < 0.004).all()
    np.testing.assert_allclose(np.linalg.norm(_place(found, vertices) - points, axis=1), distance, atol=1e-6)
    assert (found.barycentric >= -1e-6).all()


def test_a_large_far_centred_triangle_beats_many_small_near_centred_ones() -> None:
    small = np.random.default_rng(1).uniform(-0.01, 0.01, (300, 3)) + [0, 0, 0.05]
    large = np.asarray([[-1.0, -1.0, 0.0], [9.0, -1.0, 0.0], [-1.0, 9.0, 0.0]])
    vertices = np.concatenate([small, large])
    triangles = np.arange(303).reshape(-1, 3)
    found, distance = closest_points(np.zeros((1, 3)), vertices, triangles)
    assert set(found.vertex_ids[0].tolist()) == {300, 301, 302}
    assert distance[0] == pytest.approx(0, abs=1e-9)


def test_normals_and_reach_restrict_what_counts() -> None:
    front = np.asarray([[0, 0, 0], [1, 0, 0], [0, 1, 0]], float)
    vertices = np.concatenate([front, front[[0, 2, 1]] + [0, 0, 0.1]])
    triangles = np.asarray([[0, 1, 2], [3, 4, 5]])
    point, up, down = np.asarray([[0.2, 0.2, 0.08]]), np.asarray([[0, 0, 1.0]]), np.asarray([[0, 0, -1.0]])
    assert closest_points(point, vertices, triangles)[1][0] == pytest.approx(0.02)
    assert closest_points(point, vertices, triangles, up)[1][0] == pytest.approx(0.08)
    assert closest_points(point, vertices, triangles, down)[1][0] == pytest.approx(0.02)
    assert np.isinf(closest_points(point, vertices, triangles, up, max_distance=0.05)[1][0])


def test_degenerate_triangles_are_lines_and_points_not_nan() -> None:
    vertices = np.asarray([[0, 0, 0], [1, 0, 0], [0.5, 0, 0], [5, 5, 5]], float)
    triangles = np.asarray([[0, 1, 2], [3, 3, 3]])
    found, distance = closest_points(np.asarray([[0.3, 0.4, 0], [5, 5, 6]]), vertices, triangles)
    np.testing.assert_allclose(distance, [0.4, 1.0], atol=1e-9)
    assert np.isfinite(found.barycentric).all()


def _grid(n: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """The unit square with a square hole in its middle."""
    u, v = np.meshgrid(np.linspace(0, 1, n + 1), np.linspace(0, 1, n + 1))
    uv = np.stack([u.ravel(), v.ravel()], 1)
    cells = [(i, j) for i in range(n) for j in range(n) if not (4 <= i < 8 and 4 <= j < 8)]
    triangles = []
    for i, j in cells:
        a = i * (n + 1) + j
        triangles += [[a, a + 1, a + n + 2], [a, a + n + 2, a + n + 1]]
    return uv, np.asarray(triangles)


def test_locate_inverts_interpolation() -> None:
    uv, triangles = _grid()
    rng = np.random.default_rng(2)
    chosen, weights = triangles[rng.integers(len(triangles), size=500)], rng.dirichlet(np.ones(3), 500)
    query = np.einsum("pkd,pk->pd", uv[chosen], weights)
    found = locate(uv, triangles, query)
    np.testing.assert_allclose(np.einsum("pkd,pk->pd", uv[found.vertex_ids], found.barycentric), query, atol=1e-6)
    np.testing.assert_array_equal(np.sort(found.vertex_ids, 1), np.sort(chosen, 1))


def test_locate_takes_holes_and_the_outside_to_the_nearest_edge() -> None:
    uv, triangles = _grid()
    found = locate(uv, triangles, np.asarray([[2.0, 0.3], [-1.0, -1.0], [0.4, 0.5]]))
    place = np.einsum("pkd,pk->pd", uv[found.vertex_ids], found.barycentric)
    np.testing.assert_allclose(place, [[1.0, 0.3], [0.0, 0.0], [1 / 3, 0.5]], atol=1e-6)


@pytest.mark.parametrize("broken", ["nan", "no triangles", "wrong id", "flat"])
def test_unusable_meshes_are_refused(broken: str) -> None:
    vertices, triangles, points = np.eye(3), np.asarray([[0, 1, 2]]), np.zeros((2, 3))
    if broken == "nan":
        vertices = vertices * np.nan
    elif broken == "no triangles":
        triangles = np.zeros((0, 3), int)
    elif broken == "wrong id":
        triangles = triangles + 1
    else:
        points = points[:, :2]
    with pytest.raises(InputError):
        closest_points(points, vertices, triangles)
