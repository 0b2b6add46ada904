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
from flowface_jax.synthesis.randomness import random_key
from flowface_jax.synthesis.scene import Material


@functools.cache
def setting():
    head = generic_head()
    return head, make_hair_assets(head)


SEEDS = 5
KEYS = jnp.repeat(jax.random.split(random_key(0), SEEDS), len(STYLE_NAMES))
KINDS = jnp.tile(jnp.arange(len(STYLE_NAMES)), SEEDS)


@functools.cache
def grower():
    head, assets = setting()
    grow = lambda drawn: grow_hair(sample_hair(*drawn), assets, head.template)
    return jax.jit(lambda keys, kinds: jax.lax.map(grow, (keys, kinds)))


@functools.cache
def grown():
    """Hair of every style for several seeds, arrays [SEEDS,styles,…]."""
    parts = grower()(KEYS, KINDS)
    return jax.tree.map(lambda leaf: np.asarray(leaf).reshape(SEEDS, len(STYLE_NAMES), *leaf.shape[1:]), parts)


def test_roots_lie_on_the_scalp_of_the_built_in_head():
    head, assets = setting()
    roots = np.asarray(assets.roots.of(head.template))
    marks = np.asarray(head.landmarks.of(head.template))
    assert (roots[:, 1] > marks[8, 1]).all()
    front = roots[:, 2] > marks[0, 2] + 0.03
    assert (roots[front, 1] > marks[17:27, 1].max()).all()
    ears = np.asarray(head.regions["ears"])
    assert not ears[np.asarray(assets.roots.vertex_ids)].any()


@pytest.mark.minutes
def test_hair_of_all_styles_is_finite():
    hair = grown()
    for leaf in (hair.vertices, hair.normals, hair.tangents, hair.detail, hair.colour, hair.openness):
        assert np.isfinite(leaf).all()


@pytest.mark.minutes
@pytest.mark.parametrize("name", ["long", "bob", "wavy", "tail", "quiff", "sided"])
def test_hair_without_a_fringe_leaves_the_eyes_free(name):
    head, _ = setting()
    marks = np.asarray(head.landmarks.of(head.template))
    eyes = marks[36:48]
    for points in grown().vertices[:, STYLE_NAMES.index(name)]:
        inside = (
            (np.abs(points[:, 0]) < np.abs(eyes[:, 0]).max())
            & (points[:, 1] > eyes[:, 1].min() - 0.005)
            & (points[:, 1] < eyes[:, 1].max() + 0.005)
            & (points[:, 2] > eyes[:, 2].min())
        )
        assert not inside.any()


def test_bald_shows_no_triangle_and_keeps_its_shapes():
    hair = grown()
    extent = np.ptp(hair.vertices, axis=2).max(-1)
    bald = STYLE_NAMES.index("bald")
    assert (extent[:, bald] == 0).all() and (np.delete(extent, bald, axis=1) > 0.1).all()
    assert (hair.material == Material.HAIR).all()
    assert hair.triangles.shape[-2] <= 15000


def test_the_same_key_grows_the_same_hair():
    again = np.asarray(grower()(KEYS, KINDS).vertices)
    assert again.tobytes() == grown().vertices.tobytes()


def test_lashes_follow_the_lids():
    head, assets = setting()
    lashes = sample_lashes(random_key(0))
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
