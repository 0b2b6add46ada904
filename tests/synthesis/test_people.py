"""Sampled people: varied, plausible, with lids and lips that do not pass through each other and eyes that look."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.heads.generic import generic_head
from flowface_jax.heads.model import vertices
from flowface_jax.synthesis.people import (
    Gaze,
    make_people_assets,
    pose_face,
    sample_face,
    sample_head_pose,
    sample_identity,
    torso_translation,
)
from flowface_jax.synthesis.people.eyes import LOOKING_AT_CAMERA
from flowface_jax.synthesis.randomness import random_key
from tests.fitting.small import small_head

COUNT = 1000


@pytest.fixture(scope="module")
def head():
    return generic_head()


@pytest.fixture(scope="module")
def assets(head):
    return make_people_assets(head)


@pytest.fixture(scope="module")
def faces(assets):
    keys = jax.random.split(random_key(0), COUNT)
    camera = jnp.asarray([0.1, 0.0, 1.0])
    return jax.jit(jax.vmap(lambda key: sample_face(key, assets, camera)))(keys)


@pytest.fixture(scope="module")
def pose(head, assets):
    """A function that gives the posed vertices [V,3] of a person with named shapes, a gaze and lids."""

    @jax.jit
    def posed(identity, expression, yaw, pitch, closure):
        look = Gaze(yaw, pitch, jnp.asarray(1e6))
        face = pose_face(identity, expression, look, jnp.full(2, closure), jnp.zeros(3), assets)
        return vertices(head, face.identity, face.expression, face.joint_rotations)

    def named(expression=None, gaze=(0.0, 0.0), closure=0.0, identity=None):
        values = np.zeros(head.expression_size, np.float32)
        for name, amount in (expression or {}).items():
            values[head.expression_names.index(name)] = amount
        identity = np.zeros(head.identity_size, np.float32) if identity is None else identity
        return np.asarray(posed(identity, values, *gaze, closure))

    return named


@pytest.fixture(scope="module")
def poses():
    return jax.jit(jax.vmap(sample_head_pose))(jax.random.split(random_key(3), 3000))


def _lid_gap(points):
    return np.mean([points[43] - points[47], points[44] - points[46]], axis=0)[1]


def test_identities_spread_wider_than_the_population_without_far_tails():
    draw = jax.jit(jax.vmap(lambda key: sample_identity(key, 100)))
    drawn = np.asarray(draw(jax.random.split(random_key(1), 500)))
    assert 1.05 < drawn.std() < 1.5
    assert np.abs(drawn).max() < 4.0


def test_every_shape_of_the_head_is_used_and_none_leaves_its_limits_but_blinks(head, assets, faces):
    expression = np.asarray(faces.expression)
    blink = np.asarray(assets.blink).any(0)
    assert (expression >= 0).all() and (expression[:, ~blink] <= 1.0001).all() and (expression[:, blink] <= 1.3).all()
    rare = expression.max(0) < 0.3
    assert not rare.any(), [name for name, r in zip(head.expression_names, rare, strict=True) if r]


def test_opposite_shapes_are_never_both_strong(head, faces):
    expression, names = np.asarray(faces.expression), head.expression_names
    for one, other in (("jawLeft", "jawRight"), ("mouthLeft", "mouthRight"), ("mouthPucker", "mouthSmileLeft")):
        both = np.minimum(expression[:, names.index(one)], expression[:, names.index(other)])
        assert both.max() < 0.5, (one, other)


def test_lips_do_not_pass_through_each_other(assets, faces):
    gap = assets.lips.of_person(faces.identity)[:, 0] + faces.expression @ assets.lips.expression[:, 0]
    assert float(gap.min()) > -1.5e-3


def test_a_blink_shuts_the_eyes_of_every_person_and_expression(head, faces, pose):
    for person, extra in enumerate(({}, {"eyeSquintLeft": 1.0}, {"eyeWideLeft": 1.0}, {"mouthSmileLeft": 1.0})):
        identity = np.asarray(faces.identity[person])
        shut, half = (
            _lid_gap(np.asarray(head.landmarks.of(pose(extra, closure=closure, identity=identity))))
            for closure in (1.0, 0.5)
        )
        assert abs(shut) < 7e-4
        assert half > 1.5e-3


def test_eyes_are_shut_or_shutting_in_about_a_sixth_of_the_faces(assets, faces):
    both = (np.asarray(faces.expression) @ np.asarray(assets.blink).T).min(1) > 0.3
    assert 0.1 < both.mean() < 0.25


def test_the_eyeballs_turn_by_the_gaze_that_was_asked_for(head, pose):
    rest = np.asarray(head.template)
    for yaw, pitch in ((0.3, 0.0), (-0.6, 0.0), (0.0, 0.3), (0.0, -0.45), (0.62, 0.2)):
        turned = pose(gaze=(yaw, pitch))
        for side in ("left", "right"):
            centre = np.asarray(head.joint_template)[head.joint_names.index(f"{side}_eye")]
            ball = np.flatnonzero(np.asarray(head.regions[f"{side}_eyeball"]))
            pupil = ball[rest[ball, 2].argmax()]
            before, after = rest[pupil] - centre, turned[pupil] - centre
            assert abs(np.arctan2(after[0], after[2]) - np.arctan2(before[0], before[2]) - yaw) < 0.06
            assert abs(np.arcsin(after[1] / np.linalg.norm(after)) - pitch - np.arctan2(before[1], before[2])) < 0.06


def test_lids_follow_the_gaze(head, pose):
    level, up, down = (
        np.asarray(head.landmarks.of(pose(gaze=(0.0, pitch))))[[43, 44], 1].mean() for pitch in (0.0, 0.4, -0.4)
    )
    assert up > level + 1e-3 and down < level - 2e-3


def test_the_share_that_can_looks_at_the_camera(faces):
    at_camera = np.isclose(np.asarray(faces.gaze.yaw), np.arctan2(0.1, 1.0))
    assert abs(at_camera.mean() - LOOKING_AT_CAMERA) < 0.06


def test_a_statistical_head_is_drawn_from_its_prior_with_jaw_and_eyes():
    small = make_people_assets(small_head())
    drawn = jax.jit(jax.vmap(lambda key: sample_face(key, small)))(jax.random.split(random_key(2), 400))
    std = np.asarray(drawn.expression).std(0)
    np.testing.assert_allclose(std, np.asarray(small.expression_std), rtol=0.25)
    joints = np.asarray(drawn.joint_rotations)
    assert (joints[:, :2] == 0).all() and joints[:, 2, 0].max() > 0.15 and (joints[:, 2, 0] >= 0).all()
    assert (joints[:, 3:].std(0)[:, :2] > 0.05).all()


def test_head_poses_reach_the_sides_but_crowd_at_the_front(poses):
    degrees = np.degrees(np.asarray(poses.angles))
    assert np.abs(degrees[:, 0]).max() > 80 and np.abs(degrees[:, 1:]).max(0).min() > 35
    assert (np.abs(degrees) <= [90.001, 45.001, 45.001]).all()
    assert np.median(np.abs(degrees[:, 0])) < 25


def test_head_and_torso_stay_joined_at_the_neck(assets, poses):
    shift, neck = jnp.asarray([0.1, -0.2, 0.7]), np.asarray(assets.neck)
    torso = jax.vmap(torso_translation, in_axes=(0, None, 0, None))(
        poses.rotation, shift, poses.torso_rotation, assets.neck
    )
    np.testing.assert_allclose(
        np.asarray(poses.rotation) @ neck + np.asarray(shift),
        np.asarray(poses.torso_rotation) @ neck + torso,
        atol=1e-6,
    )
