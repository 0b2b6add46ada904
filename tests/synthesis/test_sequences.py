"""Performances: lively, alike for one seed, joined at the neck, and the same scene for rigs that are carried."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.heads.generic import generic_head
from flowface_jax.synthesis.people import make_people_assets
from flowface_jax.synthesis.people.acting import act
from flowface_jax.synthesis.sequences import make_motion, make_performance, observe
from tests.fitting.small import small_head

FRAMES = 240


@pytest.fixture(scope="module")
def head():
    return generic_head()


@pytest.fixture(scope="module")
def motion(head):
    return make_motion(head, 7, FRAMES, 5)


def _curve(head, motion, name):
    return motion.expression[:, head.expression_names.index(name)]


def test_the_same_seed_gives_the_same_motion_and_another_seed_another():
    small = small_head()
    first, again, other = (make_motion(small, seed, 10, 2) for seed in (3, 3, 4))
    for field in dataclasses.fields(first):
        if field.name not in ("cameras", "frame_rate"):
            np.testing.assert_array_equal(getattr(first, field.name), getattr(again, field.name))
    assert np.abs(first.expression - other.expression).max() > 0.1


def test_people_blink_every_few_seconds_with_lids_that_meet(head, motion):
    shut = _curve(head, motion, "eyeBlinkLeft") > 0.8
    blinks = np.flatnonzero(np.diff(shut.astype(int)) == 1)
    assert 1 <= len(blinks) <= 12


def test_lids_close_within_a_sixth_of_a_second():
    acting = act(make_people_assets(small_head()), 2000, 200.0, np.random.default_rng(0))
    closure = acting.closure[:, 0]
    shut = np.flatnonzero((closure[1:] >= 0.999) & (closure[:-1] < 0.999))
    for at in shut[:4]:
        opened = np.flatnonzero(closure[:at] < 0.02)[-1]
        assert 0.05 < (at - opened) / 200.0 < 0.17


def test_the_mouth_speaks_and_eyes_and_head_move(head, motion):
    assert np.ptp(_curve(head, motion, "jawOpen")) > 0.15
    gaze = motion.expression[:, [i for i, name in enumerate(head.expression_names) if name.startswith("eyeLook")]]
    assert np.abs(np.diff(gaze, axis=0)).max() > 0.1
    angle = np.degrees(np.arccos(np.clip(motion.head_rotation[:, 2, 2], -1, 1)))
    assert angle.max() > 15
    step = np.degrees(np.linalg.norm(np.diff(motion.head_rotation, axis=0), axis=(1, 2)) / np.sqrt(2))
    assert step.max() < 8


def test_the_torso_follows_in_part_and_stays_joined(head, motion):
    neck = np.asarray(make_people_assets(head).neck, np.float64)
    top = motion.head_rotation @ neck + motion.head_translation
    np.testing.assert_allclose(motion.torso_rotation @ neck + motion.torso_translation, top, atol=1e-9)
    assert motion.torso_rotation[:, 0, 2].std() < motion.head_rotation[:, 0, 2].std()


def test_every_camera_of_the_rig_sees_the_face(head, motion):
    pixels = np.asarray(motion.cameras.project(jnp.asarray(motion.head_translation + [0, 0, 0.05], jnp.float32)))
    assert motion.cameras.count == 5
    assert ((pixels > 100) & (pixels < 924)).all()


@pytest.mark.parametrize("camera_motion", ["handheld", "orbit"])
def test_a_carried_rig_sees_the_same_performance_from_elsewhere(camera_motion):
    small = small_head()
    still, carried = (make_motion(small, 5, 60, 1, camera_motion=kind) for kind in ("still", camera_motion))
    back = np.swapaxes(carried.room_rotation, 1, 2)
    np.testing.assert_allclose(back @ carried.head_rotation, still.head_rotation, atol=1e-9)
    shift = carried.head_translation - carried.room_translation
    np.testing.assert_allclose((back @ shift[..., None])[..., 0], still.head_translation, atol=1e-9)
    turned = np.degrees(np.arccos(np.clip((np.trace(carried.room_rotation, axis1=1, axis2=2) - 1) / 2, -1, 1)))
    assert turned.max() > (20 if camera_motion == "orbit" else 0.5)
    pixels = np.asarray(carried.cameras.project(jnp.asarray(carried.head_translation, jnp.float32)))
    assert ((pixels > 100) & (pixels < 924)).all()


def test_observations_carry_the_frame_rate_and_the_noise_that_was_asked_for():
    small = small_head()
    performance = make_performance(small, 1, 10, 2)  # as many frames as above: compiled once
    seen = observe(performance, small, 2, noise_px=0.5)
    exact = np.asarray(performance.cameras.project(jnp.asarray(performance.world)))
    normalised = (seen.mean - exact) / seen.std[..., None]
    assert 0.9 < normalised.std() < 1.1
    np.testing.assert_allclose(np.diff(seen.frame_times), 1 / 30)
