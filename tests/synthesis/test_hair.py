"""Hair and lashes: rooted in the scalp, clear of the eyes, finite, repeatable, gone when absent."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.heads.generic import generic_head
from flowface_jax.synthesis.hair import (
    STYLE_NAMES,
    grow_hair,
    grow_lashes,
    make_hair_assets,
    sample_hair,
    sample_lashes,
)
from flowface_jax.synthesis.scene import Material


@functools.cache
def setting():
    head = generic_head()
    return head, make_hair_assets(head)


@functools.cache
def grower():
    head, assets = setting()

    def grow(key, kind):
        style = sample_hair(key, kind)
        return style, grow_hair(style, assets, head.template)

    return jax.jit(grow)


def test_roots_lie_on_the_scalp_of_the_built_in_head():
    head, assets = setting()
    roots = np.asarray(assets.roots.of(head.template))
    marks = np.asarray(head.landmarks.of(head.template))
    assert (roots[:, 1] > marks[8, 1]).all()
    front = roots[:, 2] > marks[0, 2] + 0.03
    assert (roots[front, 1] > marks[17:27, 1].max()).all()
    ears = np.asarray(head.regions["ears"])
    assert not ears[np.asarray(assets.roots.vertex_ids)].any()


def test_hair_of_many_seeds_is_finite():
    grow = grower()

    @jax.jit
    def check(keys):
        def one(key):
            _, part = grow(key, jax.random.randint(key, (), 0, len(STYLE_NAMES)))
            leaves = (part.vertices, part.normals, part.tangents, part.detail, part.colour, part.openness[:, None])
            return jnp.all(jnp.stack([jnp.isfinite(leaf).all() for leaf in leaves]))

        return jax.lax.map(one, keys)

    assert bool(check(jax.random.split(jax.random.key(0), 200)).all())


@pytest.mark.parametrize("name", ["long", "bob", "wavy", "tail", "quiff", "sided"])
def test_hair_without_a_fringe_leaves_the_eyes_free(name):
    head, _ = setting()
    marks = np.asarray(head.landmarks.of(head.template))
    eyes = marks[36:48]
    for seed in range(3):
        _, part = grower()(jax.random.key(seed), STYLE_NAMES.index(name))
        points = np.asarray(part.vertices)
        inside = (
            (np.abs(points[:, 0]) < np.abs(eyes[:, 0]).max())
            & (points[:, 1] > eyes[:, 1].min() - 0.005)
            & (points[:, 1] < eyes[:, 1].max() + 0.005)
            & (points[:, 2] > eyes[:, 2].min())
        )
        assert not inside.any()


def test_bald_shows_no_triangle_and_keeps_its_shapes():
    _, bald = grower()(jax.random.key(1), STYLE_NAMES.index("bald"))
    _, full = grower()(jax.random.key(1), STYLE_NAMES.index("long"))
    assert bald.vertices.shape == full.vertices.shape
    assert np.ptp(np.asarray(bald.vertices), axis=0).max() == 0
    assert (np.asarray(full.material) == Material.HAIR).all()
    assert len(full.triangles) <= 15000


def test_same_key_same_bytes():
    first, second = (grower()(jax.random.key(5), 3)[1] for _ in range(2))
    assert np.asarray(first.vertices).tobytes() == np.asarray(second.vertices).tobytes()


def test_lashes_follow_the_lids():
    head, assets = setting()
    lashes = sample_lashes(jax.random.key(0))
    grow = jax.jit(grow_lashes)
    part = grow(lashes, assets.landmarks, head.template)
    eyes = np.asarray(head.landmarks.of(head.template))[36:48]
    distance = np.linalg.norm(np.asarray(part.vertices)[:, None] - eyes, axis=-1).min(1)
    assert distance.max() < 0.025
    moved = grow(lashes, assets.landmarks, head.template + 0.01)
    np.testing.assert_allclose(moved.vertices, part.vertices + 0.01, atol=1e-5)


def test_an_unknown_size_is_refused():
    with pytest.raises(InputError, match="hair size"):
        make_hair_assets(setting()[0], "huge")
