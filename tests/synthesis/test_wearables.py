"""Glasses, headgear and clothes fit whoever wears them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.heads.generic import generic_head
from flowface_jax.heads.model import vertices
from flowface_jax.synthesis.randomness import random_key
from flowface_jax.synthesis.wearables import (
    build_clothes,
    build_glasses,
    build_hat,
    hidden_by_clothes,
    make_wearable_assets,
    sample_clothes,
    sample_glasses,
    sample_hat,
)


@functools.cache
def setting():
    head = generic_head()
    return head, make_wearable_assets(head)


KEYS = jax.random.split(random_key(0), 40)


@functools.cache
def builder():
    head, assets = setting()

    def build(key, share):
        keys = jax.random.split(key, 4)
        posed = vertices(head, 0.8 * jax.random.normal(keys[0], (20,)), jnp.zeros(head.expression_size))
        eyewear = build_glasses(sample_glasses(keys[1], share), assets, posed)
        hat = build_hat(sample_hat(keys[2], share), assets, posed)
        return posed, eyewear, hat, build_clothes(sample_clothes(keys[3], share=share), assets, posed)

    return jax.jit(lambda share: jax.lax.map(lambda key: build(key, share), KEYS))


@functools.cache
def dressed():
    """Many heads, vertices [N,V,3], with glasses, hat and clothes."""
    return jax.tree.map(np.asarray, builder()(1.0))


@pytest.mark.minutes
def test_everything_is_finite_for_many_seeds():
    _, eyewear, hat, clothes = dressed()
    for part in (eyewear.frame, eyewear.lenses, hat, clothes):
        for leaf in (part.vertices, part.normals, part.colour, part.detail):
            assert np.isfinite(leaf).all()


@pytest.mark.minutes
def test_glasses_rest_on_the_nose_with_lenses_before_the_eyes():
    head, _ = setting()
    posed, eyewear, _, _ = dressed()
    for person, frame, lenses in zip(posed, eyewear.frame.vertices, eyewear.lenses.vertices, strict=True):
        marks = np.asarray(head.landmarks.of(person))
        assert np.linalg.norm(frame[:, None] - np.linspace(marks[27], marks[28], 9), axis=-1).min() < 0.005
        middles = lenses.reshape(2, -1, 3).mean(1)
        eyes = np.stack([marks[42:48].mean(0), marks[36:42].mean(0)])
        assert (middles[:, 2] > marks[36:48, 2].max()).all()
        assert np.abs(middles[:, :2] - eyes[:, :2]).max() < 0.015


def test_clothes_surround_the_neck():
    head, _ = setting()
    posed, _, _, clothes = dressed()
    marks = np.asarray(head.landmarks.of(posed[3]))
    points = clothes.vertices[3]
    near = points[(points[:, 1] < marks[8, 1]) & (points[:, 1] > marks[8, 1] - 0.15)]
    turn = np.degrees(np.arctan2(near[:, 0], near[:, 2]))
    assert np.histogram(turn, bins=12, range=(-180, 180))[0].all()


def test_absent_things_show_no_triangle():
    _, eyewear, hat, clothes = builder()(0.0)
    for part in (eyewear.frame, eyewear.lenses, hat, clothes):
        assert np.ptp(np.asarray(part.vertices), axis=1).max() == 0


def test_the_same_keys_give_the_same_things_and_other_keys_others():
    first, again = jax.tree.leaves(dressed()), jax.tree.leaves(builder()(1.0))
    assert all(a.tobytes() == np.asarray(b).tobytes() for a, b in zip(first, again, strict=True))
    _, eyewear, hat, clothes = dressed()
    for part in (eyewear.frame, hat, clothes):
        assert len(np.unique(np.ptp(part.vertices, axis=1).round(6), axis=0)) > 0.7 * len(KEYS)


def test_only_the_foot_of_the_neck_is_hidden_by_clothes():
    head, _ = setting()
    hidden = hidden_by_clothes(head)
    chin = np.asarray(head.landmarks.of(head.template))[8, 1]
    heights = np.asarray(head.template)[np.asarray(head.triangles)[hidden], 1]
    assert hidden.any() and heights.max() < chin + 0.01
