"""Every pixel shows the triangle that a user expects, on every path, at every size, with bad input too."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial import Delaunay

from flowface_jax.errors import InputError
from flowface_jax.heads.generic import generic_head
from flowface_jax.synthesis.rasteriser import handlers, interpolate, rasterise
from flowface_jax.synthesis.rasteriser import native as native_kernels
from flowface_jax.synthesis.rasteriser import portable as portable_way

PATHS = pytest.mark.parametrize("portable", [False, True], ids=["native", "portable"])


@pytest.fixture(scope="module")
def head():
    """A turned head in the camera's frame: pixels [V,2], depth [V], triangles [T,3], size."""
    model = generic_head()
    angle = np.float32(0.5)
    turn = np.float32([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    camera = np.asarray(model.template) @ turn.T * np.float32([1, -1, -1]) + np.float32([0, 0, 0.7])
    return camera[:, :2] / camera[:, 2:] * 150 + 48, camera[:, 2], np.asarray(model.triangles), (96, 96)


def _drawn(pixels, triangles, size, depth=None, **options):
    """A small mesh, padded to one shape for all tests, so that they share their compilation."""
    pixels, depth = np.float32(pixels), np.float32(np.ones(len(pixels)) if depth is None else depth)
    spare_vertices, spare_triangles = max(0, 16 - len(pixels)), max(0, 16 - len(triangles))
    pixels = np.pad(pixels, ((0, spare_vertices), (0, 0)))
    depth = np.pad(depth, (0, spare_vertices))
    return rasterise(pixels, depth, np.pad(np.int32(triangles), ((0, spare_triangles), (0, 0))), size, **options)


def _cross(a, b):
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]


def test_the_native_kernels_are_in_use_here():
    assert all(native_kernels.available(name) for name in ("rasterise", "interpolate", "vertex_normals"))


@PATHS
def test_neighbouring_triangles_cover_each_pixel_exactly_once(portable):
    random = np.random.default_rng(0)
    # Points on pixel centres and on a coarse grid among them: edges then run exactly through centres.
    points = np.concatenate(
        [
            random.uniform(0, 40, (60, 2)),
            random.integers(0, 40, (60, 2)) + 0.5,
            random.integers(0, 80, (40, 2)) / 2,
            [[0, 0], [40, 0], [0, 40], [40, 40]],
        ]
    )
    points = np.unique(np.round(points * 256) / 256, axis=0)
    triangles = Delaunay(points).simplices
    flipped = random.random(len(triangles)) < 0.5
    triangles[flipped] = triangles[flipped][:, ::-1]
    one = jax.jit(jax.vmap(lambda t: _drawn_once(points, t, portable)))
    covered = np.asarray(one(jnp.asarray(triangles, jnp.int32)[:, None])).sum(0)
    assert (covered == 1).all()


def _drawn_once(points, triangles, portable):
    pixels, depth = jnp.asarray(points, jnp.float32), jnp.ones(len(points), jnp.float32)
    return rasterise(pixels, depth, triangles, (40, 40), only_portable=portable).seen.astype(jnp.int32)


def test_both_paths_see_the_same_head(head):
    pixels, depth, triangles, size = head
    one = rasterise(pixels, depth, triangles, size)
    other = rasterise(pixels, depth, triangles, size, only_portable=True)
    same = np.asarray(one.triangle == other.triangle)
    assert 0.2 < one.seen.mean() < 0.9
    # Depths that differ in the last bit may decide otherwise where surfaces cross.
    assert (~same).sum() <= 2
    np.testing.assert_allclose(one.barycentric[same], other.barycentric[same], atol=2e-6)
    np.testing.assert_allclose(one.depth[same], other.depth[same], rtol=1e-6)


def test_the_nearest_of_all_triangles_that_hold_the_pixel_wins(head):
    pixels, depth, triangles, size = head
    found = rasterise(pixels, depth, triangles, size)
    random = np.random.default_rng(3)
    for row, column in random.integers(12, 84, (40, 2)):
        corners = pixels[triangles].astype(np.float64) - [column + 0.5, row + 0.5]
        area = [_cross(corners[:, (k + 1) % 3], corners[:, (k + 2) % 3]) for k in range(3)]
        mix = np.stack(area, 1) / np.sum(area, axis=0)[:, None]
        z = np.where((mix > 0).all(1), 1 / (mix / depth[triangles]).sum(1), np.inf)
        edge = np.abs(mix).min(1)[z < np.inf]
        if np.isinf(z).all():
            assert found.triangle[row, column] == -1
        elif edge.min() > 1e-2:
            assert found.triangle[row, column] == z.argmin()
            assert found.depth[row, column] == pytest.approx(z.min(), rel=1e-3)


@PATHS
def test_attributes_are_mixed_in_space_and_not_in_the_picture(portable):
    # A wall that recedes: what lies on it is known from the ray through each pixel.
    corners = np.asarray([[-1, -1, 1.0], [1, -1, 3.0], [1, 1, 3.0], [-1, 1, 1.0]])
    size = 64
    pixels = corners[:, :2] / corners[:, 2:] * 30 + 32
    found = _drawn(pixels, [[0, 1, 2], [0, 2, 3]], (size, size), corners[:, 2], only_portable=portable)
    position = interpolate(found, np.int32([[0, 1, 2], [0, 2, 3]]), np.float32(corners), only_portable=portable)
    rows, columns = np.nonzero(np.asarray(found.seen))
    assert len(rows) > 1000
    slope = (columns + 0.5 - 32) / 30
    z = 2 / (1 - slope)
    np.testing.assert_allclose(np.asarray(found.depth)[rows, columns], z, rtol=3e-4)
    expected = np.stack([slope * z, (rows + 0.5 - 32) / 30 * z, z], axis=1)
    # Vertices are rounded to 1/256 px, which is a tenth of a millimetre here.
    np.testing.assert_allclose(np.asarray(position)[rows, columns], expected, atol=1e-3)
    np.testing.assert_allclose(np.asarray(found.barycentric).sum(-1)[rows, columns], 1, atol=1e-6)


@PATHS
def test_an_orthographic_picture_mixes_linearly_and_takes_any_depth(portable):
    found = _drawn(
        [[0, 0], [8, 0], [0, 8]], [[0, 1, 2]], (8, 8), [-2.0, 6.0, -2.0], orthographic=True, only_portable=portable
    )
    rows, columns = np.nonzero(np.asarray(found.seen))
    np.testing.assert_allclose(np.asarray(found.depth)[rows, columns], columns + 0.5 - 2, atol=1e-5)


@PATHS
def test_the_lower_index_wins_at_equal_depth(portable):
    found = _drawn([[0, 0], [8, 0], [0, 8]], [[0, 1, 2], [1, 2, 0], [0, 2, 1]], (8, 8), only_portable=portable)
    assert set(np.unique(found.triangle)) == {-1, 0}
    behind = _drawn(
        [[0, 0], [8, 0], [0, 8]] * 2, [[0, 1, 2], [3, 4, 5]], (8, 8), [2.0] * 3 + [1.0] * 3, only_portable=portable
    )
    assert set(np.unique(behind.triangle)) == {-1, 1}


@PATHS
def test_unusable_triangles_are_not_drawn_and_spoil_nothing(portable):
    good = [[1, 1], [7, 1], [1, 7]]
    bad = [[np.nan, 1], [1e30, -1e30], [np.inf, 2], [3, 3], [3, 3], [5, 5]]
    depth = [1.0] * 3 + [1, 1, 1, 1, -1, 0] + [np.nan, np.inf, 1]
    pixels = good + bad + good
    triangles = [[3, 0, 1], [4, 0, 1], [5, 0, 1], [6, 6, 0], [0, 0, 0], [6, 7, 1], [8, 0, 2], [9, 10, 11], [0, 10, 2]]
    triangles += [[0, 1, 99], [-1, 0, 1], [0, 1, 2]]
    found = _drawn(pixels, triangles, (8, 8), depth, only_portable=portable)
    assert set(np.unique(found.triangle)) == {-1, 11}
    assert np.isfinite(found.barycentric).all()
    assert np.isinf(np.asarray(found.depth)[np.asarray(found.triangle) < 0]).all()
    mixed = interpolate(found, np.int32(triangles), np.ones((len(pixels), 2), np.float32))
    np.testing.assert_allclose(mixed[..., 0], np.asarray(found.seen), atol=1e-6)


@PATHS
def test_a_surface_through_the_camera_ends_at_the_near_plane(portable):
    pixels, triangles = [[0, 0], [8, 0], [0, 8], [8, 8]], [[0, 1, 2], [1, 3, 2]]
    found = _drawn(pixels, triangles, (8, 8), [0.05, 0.2, 0.3, 0.4], near=0.1, only_portable=portable)
    assert set(np.unique(found.triangle)) == {-1, 1}


@PATHS
def test_turned_away_triangles_are_left_out_on_request(portable):
    # Counter-clockwise as seen, with rows growing downwards.
    pixels, triangles = [[0, 0], [0, 8], [8, 0], [8, 8]], [[0, 1, 2], [1, 2, 3]]
    assert set(np.unique(_drawn(pixels, triangles, (8, 8), cull=True, only_portable=portable).triangle)) == {-1, 0}
    assert set(np.unique(_drawn(pixels, triangles, (8, 8), only_portable=portable).triangle)) == {0, 1}


@PATHS
def test_a_triangle_far_larger_than_the_picture_is_cut_exactly(portable):
    far = 1_500_000.0
    found = _drawn([[-far, -far], [far, -far], [-far, far]], [[0, 1, 2]], (8, 8), only_portable=portable)
    # The long edge runs through the picture's corner, outside every pixel's centre.
    assert not found.seen.any()
    found = _drawn([[-far, -far], [far + 8, -far], [-far, far]], [[0, 1, 2]], (8, 8), only_portable=portable)
    row, column = np.indices((8, 8))
    across = (column + 0.5 + far) * 2 * far + (row + 0.5 + far) * (2 * far + 8) - (2 * far + 8) * 2 * far
    assert (np.asarray(found.seen) == (across < 0)).all() and 0 < found.seen.sum() < 64
    np.testing.assert_allclose(np.asarray(found.barycentric).sum(-1)[np.asarray(found.seen)], 1, atol=1e-5)


def test_pictures_of_one_pixel_and_of_eight_thousand():
    for portable in (False, True):
        one = _drawn([[0, 0], [1, 0], [0.5, 2]], [[0, 1, 2]], (1, 1), only_portable=portable)
        assert one.triangle.tolist() == [[0]]
    pixels = [[0, 0], [8192, 0], [8192, 1], [0, 1]]
    for size, turned in ((8192, 1), pixels), ((1, 8192), np.asarray(pixels)[:, ::-1]):
        wide = _drawn(turned, [[0, 1, 2], [0, 2, 3]], size)
        assert wide.triangle.shape == size[::-1]
        counts = np.bincount(np.asarray(wide.triangle).ravel() + 1, minlength=3)
        assert counts[0] == 0 and abs(int(counts[1]) - 4096) <= 1


def test_more_candidates_than_a_counter_holds_are_still_all_drawn(monkeypatch):
    # Whole-picture triangles whose numbers of pixels add up to more than the sum may hold.
    monkeypatch.setattr(portable_way, "_ROUND", 40_000)
    count = 30
    pixels = np.tile([[0, 0], [130, 0], [0, 130]], (count, 1))
    depth = np.repeat(np.linspace(2, 1, count), 3)
    # A size of its own: what is compiled for it belongs to this test.
    found = _drawn(pixels, np.arange(3 * count).reshape(-1, 3), (63, 65), depth, only_portable=True)
    assert (np.asarray(found.triangle) == count - 1).all()


@PATHS
def test_a_batch_is_its_pictures_one_by_one(head, portable):
    pixels, depth, triangles, size = head
    moved = np.stack([pixels, pixels * np.float32(0.5), pixels + 30])
    batch = rasterise(moved, depth, triangles, size, only_portable=portable)
    nested = jax.vmap(jax.vmap(lambda p, d: rasterise(p, d, triangles, size), (0, None)), (None, 0))
    nested = nested(moved, np.stack([depth, depth * 2]))
    values = interpolate(batch, triangles, moved, only_portable=portable)
    shared = interpolate(batch, triangles, pixels, only_portable=portable)
    for k in range(3):
        alone = rasterise(moved[k], depth, triangles, size, only_portable=portable)
        np.testing.assert_array_equal(batch.triangle[k], alone.triangle)
        np.testing.assert_allclose(batch.barycentric[k], alone.barycentric, atol=1e-6)
        assert (np.asarray(nested.triangle[0, k]) != np.asarray(alone.triangle)).sum() <= 2
        np.testing.assert_allclose(np.median(nested.depth[1, k]), np.median(alone.depth) * 2, rtol=1e-6)
        np.testing.assert_allclose(
            values[k], interpolate(alone, triangles, moved[k], only_portable=portable), rtol=1e-5, atol=1e-4
        )
        np.testing.assert_allclose(
            shared[k], interpolate(alone, triangles, pixels, only_portable=portable), rtol=1e-5, atol=1e-4
        )


def test_triangles_may_differ_over_a_batch():
    pixels, depth = jnp.asarray([[0, 0], [8, 0], [0, 8], [8, 8.0]]), jnp.ones(4)
    sets = jnp.asarray([[[0, 1, 2]], [[1, 3, 2]]])
    for portable in (False, True):
        seen = jax.vmap(lambda t: rasterise(pixels, depth, t, (8, 8), only_portable=portable).seen)(sets)  # noqa: B023
        assert (np.asarray(seen).sum(0) == 1).all()


def test_the_same_call_gives_the_same_bytes(head):
    pixels, depth, triangles, size = head
    one, other = (rasterise(pixels, depth, triangles, size) for _ in range(2))
    assert all(
        np.asarray(a).tobytes() == np.asarray(b).tobytes()
        for a, b in zip(*map(jax.tree.leaves, (one, other)), strict=True)
    )


def test_an_empty_mesh_gives_an_empty_picture():
    none = rasterise(np.zeros((2, 0, 2), np.float32), np.zeros((2, 0), np.float32), np.zeros((0, 3), np.int32), (4, 3))
    assert none.triangle.shape == (2, 3, 4) and (np.asarray(none.triangle) == -1).all()
    values = interpolate(none, np.zeros((0, 3), np.int32), np.zeros((0, 5), np.float32))
    assert values.shape == (2, 3, 4, 5)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (dict(size=(0, 4)), "size"),
        (dict(size=(4, 20000)), "size"),
        (dict(size=(4.5, 4)), "size"),
        (dict(size=4), "size"),
        (dict(pixels=np.zeros((3, 3))), "pixels"),
        (dict(depth=np.ones(4)), "depth"),
        (dict(depth=np.ones((2, 3)), pixels=np.zeros((5, 3, 2))), "batches"),
        (dict(triangles=np.zeros((1, 4), int)), "triangles"),
        (dict(triangles=np.zeros((1, 3))), "triangles"),
    ],
)
def test_wrong_shapes_and_sizes_are_refused_in_one_line(change, word):
    arguments = dict(pixels=np.zeros((3, 2)), depth=np.ones(3), triangles=np.zeros((1, 3), int), size=(4, 4)) | change
    with pytest.raises(InputError, match=word) as caught:
        rasterise(**arguments)
    assert "\n" not in str(caught.value)


def test_without_numba_the_picture_is_the_same_and_one_warning_says_so(monkeypatch):
    def broken(name):
        raise ImportError("No module named 'numba'")

    expected = _drawn([[0, 0], [7, 1], [1, 7]], [[0, 1, 2]], (8, 8)).triangle[:, :7]
    monkeypatch.setattr(handlers, "compile_handler", broken)
    for name in ("available", "_warn_once"):
        monkeypatch.setattr(native_kernels, name, functools.cache(getattr(native_kernels, name).__wrapped__))
    # A size of its own: what is compiled for it belongs to this test.
    with pytest.warns(RuntimeWarning, match="numba") as caught:
        found = _drawn([[0, 0], [7, 1], [1, 7]], [[0, 1, 2]], (7, 8))
        interpolate(found, np.int32([[0, 1, 2]]), np.ones((3, 1), np.float32))
    assert len([w for w in caught if w.category is RuntimeWarning]) == 1
    np.testing.assert_array_equal(found.triangle, expected)
