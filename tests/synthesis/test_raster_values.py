"""Values at pixels: gradients are those of the surface, textures and normals what they should be."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.synthesis.randomness import random_key
from flowface_jax.synthesis.rasteriser import (
    barycentrics,
    depth_map,
    interpolate,
    normal_map,
    project,
    rasterise,
    sample_texture,
    vertex_normals,
    visible_vertices,
)
from tests.viewing.shapes import sphere

PATHS = pytest.mark.parametrize("portable", [False, True], ids=["native", "portable"])
FOCAL, MIDDLE, SIZE = 60.0, (16.0, 16.0), (32, 32)


@pytest.fixture(scope="module")
def ball():
    vertices, triangles = sphere(rings=7, segments=10, radius=0.2)
    return jnp.asarray(vertices, jnp.float32), triangles


def test_barycentrics_from_the_vertices_are_the_rasterisers(ball):
    vertices, triangles = ball
    pixels, depth = project(vertices, FOCAL, MIDDLE)
    for orthographic in (False, True):
        found = rasterise(pixels, depth, triangles, SIZE, orthographic=orthographic)
        smooth = barycentrics(found, pixels, depth, triangles, orthographic=orthographic)
        # The rasteriser rounds to 1/256 px; triangles here are a few pixels large.
        assert np.quantile(np.abs(smooth.barycentric - found.barycentric), 0.95) < 5e-3
        seen = np.asarray(found.seen)
        np.testing.assert_allclose(smooth.depth[seen], found.depth[seen], atol=2e-3)
        assert np.isinf(np.asarray(smooth.depth)[~seen]).all()


@pytest.mark.parametrize(("portable", "orthographic"), [(False, False), (True, False), (False, True)])
def test_gradients_of_attributes_in_the_vertices_are_finite_differences(ball, portable, orthographic):
    vertices, triangles = ball
    pixels, depth = project(vertices, FOCAL, MIDDLE)
    found = rasterise(pixels, depth, triangles, SIZE, orthographic=orthographic, cull=True)
    random = np.random.default_rng(0)
    weights = jnp.asarray(random.normal(size=(*found.triangle.shape, 2)), jnp.float32)
    attributes = jnp.asarray(random.normal(size=(len(vertices), 2)), jnp.float32)

    def value(vertices, attributes):
        pixels, depth = project(vertices, FOCAL, MIDDLE)
        moved = barycentrics(found, pixels, depth, triangles, orthographic=orthographic)
        mixed = interpolate(moved, triangles, attributes, only_portable=portable)
        return (mixed * weights).sum() + jnp.where(found.seen, moved.depth, 0.0).sum()

    by_vertex, by_attribute = jax.jit(jax.grad(value, argnums=(0, 1)))(vertices, attributes)
    assert np.isfinite(by_vertex).all() and np.abs(by_vertex).max() > 0
    direct = jax.jit(value)
    for k in range(4):
        direction = jnp.asarray(np.random.default_rng(k).normal(size=vertices.shape), jnp.float32)
        step = 1e-4
        slope = (direct(vertices + step * direction, attributes) - direct(vertices - step * direction, attributes)) / (
            2 * step
        )
        assert float((by_vertex * direction).sum()) == pytest.approx(float(slope), rel=2e-2, abs=2.0)
    direction = jnp.asarray(random.normal(size=attributes.shape), jnp.float32)
    slope = (direct(vertices, attributes + direction) - direct(vertices, attributes - direction)) / 2
    assert float((by_attribute * direction).sum()) == pytest.approx(float(slope), rel=1e-3, abs=1e-2)


def test_gradients_pass_through_a_whole_rendering_under_vmap(ball):
    vertices, triangles = ball

    def brightness(vertices):
        pixels, depth = project(vertices, FOCAL, MIDDLE)
        found = barycentrics(rasterise(pixels, depth, triangles, SIZE), pixels, depth, triangles)
        return interpolate(found, triangles, vertex_normals(vertices, triangles))[..., 2].sum()

    batch = jnp.stack([vertices, vertices + 0.01])
    gradients = jax.jit(jax.vmap(jax.grad(brightness)))(batch)
    assert np.isfinite(gradients).all() and (np.abs(gradients).max((1, 2)) > 0).all()
    np.testing.assert_allclose(gradients[1], jax.grad(brightness)(batch[1]), rtol=1e-3, atol=1e-3)


def test_a_texture_is_bilinear_upright_and_clamped():
    rows, columns = np.indices((6, 9))
    texture = np.float32(np.stack([columns, rows, columns * rows], axis=-1))
    u, v = np.random.default_rng(0).uniform(0.15, 0.85, (2, 5, 4))
    found = np.asarray(sample_texture(texture, np.float32(np.stack([u, v], -1))))
    x, y = u * 9 - 0.5, (1 - v) * 6 - 0.5
    np.testing.assert_allclose(found, np.stack([x, y, x * y], axis=-1), rtol=1e-4, atol=1e-4)
    corners = sample_texture(texture, jnp.asarray([[-1, 2], [0, 1], [3, -3], [np.nan, 0]]))
    np.testing.assert_array_equal(corners[:3], [[0, 0, 0], [0, 0, 0], [8, 5, 40]])
    assert np.isnan(corners[3]).all()
    tiny = sample_texture(texture[:1, :1] + 3, jnp.asarray([0.3, 0.9]))
    assert tiny.shape == (3,) and tiny[0] == 3


def test_gradients_of_a_texture_in_its_texels_and_places_are_finite_differences():
    keys = jax.random.split(random_key(0), 4)
    texture, uv = jax.random.normal(keys[0], (32, 24, 5)), jax.random.uniform(keys[1], (40, 2), minval=0.1, maxval=0.9)
    value = jax.jit(lambda texture, uv: (sample_texture(texture, uv) ** 2).sum())
    by_texel = jax.jit(jax.grad(value))(texture, uv)
    texels, step = jax.random.normal(keys[2], texture.shape), 1e-2
    slope = (value(texture + step * texels, uv) - value(texture - step * texels, uv)) / (2 * step)
    assert float((by_texel * texels).sum()) == pytest.approx(float(slope), rel=1e-2, abs=0.5)
    # Between texel centres the value is a polynomial of the place.
    uv = (jnp.floor(uv * 20) + 0.75) / jnp.asarray([24, 32])
    by_place, step = jax.jit(jax.grad(value, argnums=1))(texture, uv), 2e-4
    places = jax.random.normal(keys[3], uv.shape)
    slope = (value(texture, uv + step * places) - value(texture, uv - step * places)) / (2 * step)
    assert float((by_place * places).sum()) == pytest.approx(float(slope), rel=2e-2, abs=5.0)


@PATHS
def test_normals_point_out_of_a_ball(ball, portable):
    vertices, triangles = ball
    fine, fine_triangles = sphere(rings=24, segments=48, radius=0.2)
    normals = vertex_normals(jnp.asarray(fine), fine_triangles, only_portable=portable)
    outward = (fine - [0, 0, 1]) / 0.2
    inner = slice(48, -48)
    assert ((np.asarray(normals) * outward).sum(-1)[inner] > 0.995).all()
    np.testing.assert_allclose(np.linalg.norm(normals, axis=-1), 1, atol=1e-5)
    both = vertex_normals(jnp.stack([vertices, -vertices]), triangles, only_portable=portable)
    np.testing.assert_allclose(both[1], vertex_normals(-vertices, triangles, only_portable=portable), atol=1e-6)


@PATHS
def test_vertices_without_triangles_have_no_normal_and_no_gradient(portable):
    vertices = jnp.asarray([[0, 0, 0], [1, 0, 0], [0, 1, 0], [5, 5, 5.0]])
    triangles = np.int32([[0, 1, 2], [0, 0, 1]])
    normals = vertex_normals(vertices, triangles, only_portable=portable)
    np.testing.assert_array_equal(normals, [[0, 0, 1]] * 3 + [[0, 0, 0]])
    gradient = jax.grad(lambda v: vertex_normals(v, triangles, only_portable=portable)[:, 0].sum())(vertices)
    assert np.isfinite(gradient).all() and (np.asarray(gradient)[3] == 0).all()
    assert np.abs(gradient).max() > 0.1


def test_depth_and_normal_pictures_of_a_ball():
    vertices, triangles = sphere(rings=48, segments=96, radius=0.2)
    depth = np.asarray(depth_map(vertices, triangles, 200.0, (32, 32), (64, 64)))
    normal = np.asarray(normal_map(vertices, triangles, 200.0, (32, 32), (64, 64)))
    seen = np.isfinite(depth)
    rows, columns = np.nonzero(seen)
    ray = np.stack([(columns + 0.5 - 32) / 200, (rows + 0.5 - 32) / 200, np.ones(len(rows))], axis=1)
    position = ray * depth[seen][:, None]
    outward = (position - [0, 0, 1]) / 0.2
    np.testing.assert_allclose(np.linalg.norm(outward, axis=1), 1, atol=0.02)
    assert ((outward * normal[seen]).sum(1) > 0.99).mean() > 0.97
    assert (normal[~seen] == 0).all() and depth[32, 32] == pytest.approx(0.8, abs=2e-3)


def test_visible_vertices_are_those_of_the_near_side_inside_the_picture():
    near, triangles = sphere(rings=24, segments=48, radius=0.1, centre=(0, 0, 0.7))
    hidden, _ = sphere(rings=24, segments=48, radius=0.1, centre=(0, 0, 1.4))
    cut, _ = sphere(rings=24, segments=48, radius=0.1, centre=(0.36, 0, 1.4))
    vertices = np.float32(np.concatenate([near, hidden, cut]))
    every = np.concatenate([triangles + k * len(near) for k in range(3)]).astype(np.int32)
    pixels, depth = project(vertices, 250.0, (64, 64))
    found = rasterise(pixels, depth, every, (128, 128))
    seen = np.asarray(visible_vertices(found, pixels, depth, every))
    towards = -(vertices * (vertices - np.repeat([[0, 0, 0.7], [0, 0, 1.4], [0.36, 0, 1.4]], len(near), 0))).sum(1)
    towards /= np.linalg.norm(vertices, axis=1) * 0.1
    inside = ((np.asarray(pixels) > 0) & (np.asarray(pixels) < 128)).all(1)
    first, second, third = (np.arange(len(vertices)) // len(near) == k for k in range(3))
    assert seen[first & (towards > 0.15)].all() and not seen[first & (towards < -0.15)].any()
    assert not seen[second].any()
    assert 0 < (third & inside).sum() < third.sum()
    assert seen[third & inside & (towards > 0.2)].all() and not seen[third & ~inside].any()


@pytest.mark.parametrize(
    "call",
    [
        lambda: sample_texture(jnp.zeros((4, 4)), jnp.zeros(2)),
        lambda: sample_texture(jnp.zeros((4, 4, 1)), jnp.zeros(3)),
        lambda: vertex_normals(jnp.zeros((4, 2)), np.zeros((1, 3), int)),
        lambda: project(jnp.zeros((4, 2)), 1.0, (0, 0)),
        lambda: interpolate(
            rasterise(np.zeros((3, 2)), np.ones(3), np.zeros((1, 3), int), (2, 2)), np.zeros((1, 3), int), np.zeros(3)
        ),
    ],
)
def test_wrong_shapes_are_refused_in_one_line(call):
    with pytest.raises(InputError, match="expected") as caught:
        call()
    assert "\n" not in str(caught.value)
