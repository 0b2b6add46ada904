"""Glasses, headgear and clothes fit whoever wears them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.heads.generic import generic_head
from flowface_jax.heads.model import vertices
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


@functools.cache
def builder():
    head, assets = setting()

    @jax.jit
    def build(key, share):
        keys = jax.random.split(key, 4)
        posed = vertices(head, 0.8 * jax.random.normal(keys[0], (20,)), jnp.zeros(head.expression_size))
        eyewear = build_glasses(sample_glasses(keys[1], share), assets, posed)
        hat = build_hat(sample_hat(keys[2], share), assets, posed)
        return posed, eyewear, hat, build_clothes(sample_clothes(keys[3], share=share), assets, posed)

    return build


def test_everything_is_finite_for_many_seeds():
    for key in jax.random.split(jax.random.key(0), 200):
        _, eyewear, hat, clothes = builder()(key, 1.0)
        for part in (eyewear.frame, eyewear.lenses, hat, clothes):
            for leaf in (part.vertices, part.normals, part.colour, part.detail):
                assert np.isfinite(np.asarray(leaf)).all()


def test_glasses_rest_on_the_nose_with_lenses_before_the_eyes():
    head, _ = setting()
    for seed in range(20):
        posed, eyewear, _, _ = builder()(jax.random.key(seed), 1.0)
        marks = np.asarray(head.landmarks.of(posed))
        frame, lenses = np.asarray(eyewear.frame.vertices), np.asarray(eyewear.lenses.vertices)
        assert np.linalg.norm(frame[:, None] - np.linspace(marks[27], marks[28], 9), axis=-1).min() < 0.005
        middles = lenses.reshape(2, -1, 3).mean(1)
        eyes = np.stack([marks[42:48].mean(0), marks[36:42].mean(0)])
        assert (middles[:, 2] > marks[36:48, 2].max()).all()
        assert np.abs(middles[:, :2] - eyes[:, :2]).max() < 0.015


def test_clothes_surround_the_neck():
    head, _ = setting()
    posed, _, _, clothes = builder()(jax.random.key(3), 1.0)
    marks = np.asarray(head.landmarks.of(posed))
    points = np.asarray(clothes.vertices)
    near = points[(points[:, 1] < marks[8, 1]) & (points[:, 1] > marks[8, 1] - 0.15)]
    turn = np.degrees(np.arctan2(near[:, 0], near[:, 2]))
    assert np.histogram(turn, bins=12, range=(-180, 180))[0].all()


def test_absent_things_show_no_triangle():
    _, eyewear, hat, clothes = builder()(jax.random.key(0), 0.0)
    for part in (eyewear.frame, eyewear.lenses, hat, clothes):
        assert np.ptp(np.asarray(part.vertices), axis=0).max() == 0


def test_same_key_same_bytes_and_batches():
    first, second = (builder()(jax.random.key(9), 1.0)[2].vertices for _ in range(2))
    assert np.asarray(first).tobytes() == np.asarray(second).tobytes()
    _, assets = setting()
    head, keys = setting()[0], jax.random.split(jax.random.key(1), 2)
    worn = lambda key: build_glasses(sample_glasses(key), assets, head.template).frame.vertices
    batch = jax.jit(jax.vmap(worn))(keys)
    assert batch.shape[0] == 2 and not np.allclose(batch[0], batch[1])


def test_only_the_foot_of_the_neck_is_hidden_by_clothes():
    head, _ = setting()
    hidden = hidden_by_clothes(head)
    chin = np.asarray(head.landmarks.of(head.template))[8, 1]
    heights = np.asarray(head.template)[np.asarray(head.triangles)[hidden], 1]
    assert hidden.any() and heights.max() < chin + 0.01
