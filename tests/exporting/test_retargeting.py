"""Retargeting: the same head in space on another head model, its likeness, openings and limits kept."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.cli import main
from flowface_jax.errors import InputError
from flowface_jax.exporting import export, open_performance
from flowface_jax.exporting.performance import Performance
from flowface_jax.exporting.retargeting import RetargetSettings, retarget, same_expressions
from flowface_jax.exporting.surface_transfer import surface_transfer
from flowface_jax.fitting.track import Track
from flowface_jax.heads.generic import generic_head
from tests.exporting.flame_performances import flame_head, flame_performance
from tests.exporting.performances import image_vertices, performance


@functools.cache
def other_head():
    """The built-in head as another model would be: other triangles, another origin, size, bases and limits."""
    head = generic_head()
    rng = np.random.default_rng(3)
    mixing = np.linalg.qr(rng.normal(size=(head.identity_size, head.identity_size)))[0].astype(np.float32)
    order = rng.permutation(head.vertex_count)
    place = np.argsort(order).astype(np.int32)
    rows = lambda values: jnp.asarray(np.asarray(values)[order])
    size, move = 1.02, np.float32([0.0, 0.03, -0.05])
    return dataclasses.replace(
        head,
        template=rows(head.template) * size + move,
        identity_basis=rows(head.identity_basis) * size @ mixing,
        expression_basis=rows(head.expression_basis)[..., ::-1] * size,
        expression_names=head.expression_names[::-1],
        expression_std=head.expression_std[::-1],
        expression_limits=head.expression_limits[::-1],
        joint_template=head.joint_template * size + move,
        joint_identity=head.joint_identity * size @ mixing,
        joint_expression=head.joint_expression[..., ::-1] * size,
        pose_correctives=rows(head.pose_correctives),
        skinning_weights=rows(head.skinning_weights),
        triangles=jnp.asarray(place[np.asarray(head.triangles)]),
        uv=rows(head.uv),
        vertex_weights=rows(head.vertex_weights),
        landmarks=dataclasses.replace(head.landmarks, vertex_ids=jnp.asarray(place[head.landmarks.vertex_ids])),
        mediapipe=dataclasses.replace(head.mediapipe, vertex_ids=jnp.asarray(place[head.mediapipe.vertex_ids])),
        regions={name: rows(mask) for name, mask in head.regions.items()},
        name="other",
    ), order


@functools.cache
def still_eyed():
    """The made-up performance with joints at rest: the other head has no need of them."""
    subject = performance()
    joints = np.zeros_like(subject.track.joint_rotations)
    return dataclasses.replace(subject, track=dataclasses.replace(subject.track, joint_rotations=joints))


@functools.cache
def moved():
    return retarget(still_eyed(), other_head()[0])


def test_the_head_stays_where_it_was_in_every_image():
    result, (_, order) = moved(), other_head()
    apart = np.linalg.norm(image_vertices(result) - image_vertices(still_eyed())[:, :, order], axis=-1)
    face = np.asarray(result.head.regions["face"])
    # A pixel is 0.8 mm here.
    assert np.median(apart[..., face]) < 0.1 and np.quantile(apart[..., face], 0.9) < 0.6


def test_expressions_of_the_same_name_keep_their_values():
    before, after = still_eyed(), moved()
    for name in ("jawOpen", "mouthSmileLeft", "eyeBlinkRight", "browDownLeft"):
        was = before.track.expression[:, before.head.expression_names.index(name)]
        now = after.track.expression[:, after.head.expression_names.index(name)]
        np.testing.assert_allclose(now, was, atol=0.1)
    limits = np.asarray(after.head.expression_limits)
    assert (after.track.expression >= limits[:, 0]).all() and (after.track.expression <= limits[:, 1]).all()


def test_what_the_neutral_cannot_reach_is_kept_as_offsets():
    without = retarget(still_eyed(), other_head()[0], RetargetSettings(offsets=False))
    order, nose = other_head()[1], np.asarray(other_head()[0].regions["nose"])
    errors = []
    for result in (moved(), without):
        own = np.asarray(result.track.world_vertices(result.head, 0))
        errors.append(
            np.linalg.norm(own - np.asarray(still_eyed().track.world_vertices(generic_head(), 0))[order], axis=1)
        )
    assert not without.track.offsets.any() and moved().track.offsets.any()
    assert errors[0][nose].mean() < 0.6 * errors[1][nose].mean()


def test_onto_its_own_head_nothing_changes():
    subject = still_eyed()
    result = retarget(subject, generic_head())
    assert result.track.summary["retargeted"]["p90_mm"] < 0.05
    np.testing.assert_allclose(image_vertices(result), image_vertices(subject), atol=0.05)


def test_flame_without_a_jaw_onto_flame_with_one(tmp_path):
    """The meshes are the same, and a head that has a jaw joint besides can do what one without it does: what is left
    is the priors' pull.
    """
    subject = flame_performance(turning=(), name="flame2023_no_jaw")
    result = retarget(subject, flame_head("flame2023"))
    apart = np.linalg.norm(image_vertices(result) - image_vertices(subject), axis=-1)
    assert np.median(apart) < 0.03 and apart.max() < 0.2
    assert export(result, "vhap", tmp_path / "out", {"images": False}).is_dir()


def test_joints_turn_where_the_new_head_has_them():
    subject = flame_performance(turning=("jaw",))
    result = retarget(subject, flame_head("flame2023_no_jaw"))
    jaw = subject.head.joint_names.index("jaw")
    np.testing.assert_allclose(result.track.joint_rotations[:, jaw], subject.track.joint_rotations[:, jaw], atol=0.05)


def test_the_record_says_where_it_comes_from_and_marks_stay():
    result = moved()
    summary = result.track.summary
    assert summary["head"]["name"] == "other" and summary["retargeted"]["from"]["name"] == "generic"
    assert 0 < summary["retargeted"]["median_mm"] < 1 and result.track.uncertainty is None
    np.testing.assert_array_equal(result.track.observed, still_eyed().track.observed)
    np.testing.assert_array_equal(result.track.frame_ids, still_eyed().track.frame_ids)


def test_the_same_input_gives_the_same_bytes():
    again = retarget(still_eyed(), other_head()[0])
    for first, second in zip(jax.tree.leaves(moved().track), jax.tree.leaves(again.track), strict=True):
        np.testing.assert_array_equal(np.asarray(first), np.asarray(second))


def test_only_what_both_heads_have_corresponds():
    found = surface_transfer(generic_head(), other_head()[0])
    regions = other_head()[0].regions
    for inner in ("teeth", "tongue", "mouth_interior"):
        only = np.asarray(regions[inner]) & ~np.asarray(regions["face"])
        assert not only[found.vertex_ids].any()
    assert np.median(found.confidence) > 0.99


def test_heads_that_share_no_atlas_are_refused():
    alone = dataclasses.replace(other_head()[0], uv=other_head()[0].uv + 5.0)
    with pytest.raises(InputError, match="lie on head 'generic' in the atlas; load both heads with their 68 landmarks"):
        retarget(performance(), alone)


def test_names_decide_which_coefficients_are_the_same():
    matrix = same_expressions(("jawOpen", "browInnerUp", "cheekPuffLeft", "cheekPuffRight"),
                              ("cheekPuff", "browInnerUpLeft", "jawOpen", "tongueOut"))  # fmt: skip
    np.testing.assert_array_equal(matrix, [[0, 0, 0.5, 0.5], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]])
    assert not same_expressions(("expression_0", "jawOpen"), ("expression_0",)).any()


def test_the_command_retargets_and_other_commands_read_it(tmp_path, capsys):
    performance().track.save(tmp_path / "track")
    arguments = ["export", str(tmp_path / "track"), "--to", "track", "--retarget", "generic", "--out"]
    assert main.main([*arguments, str(tmp_path / "out"), "--set", "retarget.offsets=false"]) == 0
    assert "retargeted to generic: face and ears" in capsys.readouterr().err
    result = open_performance(tmp_path / "out", generic_head())
    assert isinstance(result, Performance) and not Track.load(tmp_path / "out").offsets.any()
    assert main.main([*arguments[:4], "--out", str(tmp_path / "b"), "--set", "retarget.offsets=false"]) != 0
    assert "needs --retarget HEAD" in capsys.readouterr().err
