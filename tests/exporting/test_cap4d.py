"""CAP4D's folder: posed as CAP4D poses it, the head lies where the track has it."""

from __future__ import annotations

import dataclasses
import json

import cv2
import numpy as np
import pytest

from flowface_jax.alignment.cap4d import UNOBSERVED_STD, read_cap4d_alignment, read_cap4d_crop_boxes
from flowface_jax.errors import InputError
from flowface_jax.evaluation.readers import open_sequence
from flowface_jax.exporting import export
from tests.exporting.flame_performances import Clip, arrays, flame_head, flame_performance, matrices, skinned
from tests.exporting.performances import image_vertices, projected

NO_JAW = "flame2023_no_jaw"
BOTH = ("left_eye", "right_eye")


def _subject(turning=(), sources=(), offset=0.0, **changes):
    """Both eyes turn alike, as in CAP4D; without offsets its head can be the tracked one."""
    subject = flame_performance(turning, NO_JAW, sources, **changes)
    joints = np.array(subject.track.joint_rotations)
    joints[:, 4] = joints[:, 3]
    coefficients = {"identity": np.array(subject.track.identity), "expression": np.array(subject.track.expression)}
    coefficients["identity"][150:] = 0
    coefficients["expression"][:, 64:] = 0
    track = dataclasses.replace(
        subject.track, joint_rotations=joints, offsets=offset * subject.track.offsets, **coefficients
    )
    return dataclasses.replace(subject, track=track)


def _cap4d_mesh(fit, frame, blink=None):
    """As flowface/flame/flame.py and cap4d/flame/flame.py do: joints not chained, the identity taken off twice."""
    made = arrays()
    directions = np.array(made["shapedirs"][..., 300:365])
    directions[..., -1] = 0 if blink is None else blink
    mesh = made["v_template"] + made["shapedirs"][..., :150] @ fit["shape"] + directions @ fit["expr"][frame]
    rest = np.zeros(3)
    neck, jaw = (fit[key][frame] if key in fit else rest for key in ("neck_rot", "jaw_rot"))
    turns = matrices(neck, rest, jaw, fit["eye_rot"][frame], fit["eye_rot"][frame])
    feature = turns[[0, 2, 3, 4]] - 2 * np.eye(3)
    places = made["J_regressor"] @ mesh
    local = skinned(mesh + made["posedirs"] @ feature.reshape(-1), places, turns, chained=False)
    return local @ matrices(fit["rot"][frame])[0].T + fit["tra"][frame]


def _seen_by(fit, camera, world):
    turned = world * [1, -1, -1]
    local = turned @ fit["extr"][camera, :3, :3].T + fit["extr"][camera, :3, 3]
    return projected(local, fit["fx"][camera], (fit["cx"][camera, 0], fit["cy"][camera, 0]))


def _fit(folder):
    with np.load(folder / "fit.npz") as values:
        return {key: value.astype(np.float64) if value.dtype.kind == "f" else value for key, value in values.items()}


def test_the_head_posed_as_cap4d_does_lies_in_the_images(tmp_path):
    subject = _subject(BOTH)
    fit = _fit(export(subject, "cap4d", tmp_path / "out", {"images": False}))
    expected = image_vertices(subject)
    assert fit["shape"].shape == (150,) and fit["expr"].shape == (4, 65) and not fit["expr"][:, -1].any()
    for frame in range(4):
        for camera in range(2):
            assert np.abs(_seen_by(fit, camera, _cap4d_mesh(fit, frame)) - expected[camera, frame]).max() < 0.1
    np.testing.assert_array_equal(fit["valid_mask"], subject.track.observed)
    assert fit["resolutions"].tolist() == [[480, 640]] * 2 and fit["camera_order"].tolist() == ["front", "left side"]


def test_our_own_reader_gives_the_tracked_head_back(tmp_path):
    subject = _subject(BOTH)
    sequence = open_sequence(export(subject, "cap4d", tmp_path / "out", {"images": False}), head=flame_head(NO_JAW))
    seen = np.stack([np.asarray(sequence.cameras.project(mesh)) for mesh in sequence.vertices], axis=1)
    assert np.abs(seen - image_vertices(subject)).max() < 0.1
    assert sequence.frames_per_second == pytest.approx(30) and sequence.valid.tolist() == [True, True, False, True]


def test_a_turned_neck_turns_the_head_and_leaves_the_trunk(tmp_path):
    subject = _subject(("neck",))
    fit = _fit(export(subject, "cap4d", tmp_path / "out", {"images": False}))
    # Vertices that the neck carries lie where FLAME has them, but for the correctives of the two slots of the neck.
    carried = arrays()["weights"][:, 0] < 0.02
    mesh = np.stack([_cap4d_mesh(fit, frame) for frame in range(4)])
    for frame in (0, 3):
        world = np.asarray(subject.track.world_vertices(subject.head, frame)) * [1, -1, -1]
        apart = np.linalg.norm(mesh[frame] - world, axis=1)[carried]
        assert np.median(apart) < 0.0003 and np.abs(subject.track.joint_rotations[frame, 1]).max() > 0.03


def test_the_blink_takes_what_it_can(tmp_path):
    draw = np.random.default_rng(5)
    blink = 0.004 * draw.normal(size=(flame_head().vertex_count, 3))
    np.save(tmp_path / "blink_blendshape.npy", blink)
    subject = _subject()
    # Everyone's head moves by half a blink: that is what offsets of this size look like.
    track = dataclasses.replace(subject.track, offsets=np.float32(0.5 * blink))
    settings = {"images": False, "blink": str(tmp_path / "blink_blendshape.npy")}
    fit = _fit(export(dataclasses.replace(subject, track=track), "cap4d", tmp_path / "out", settings))
    expected = np.asarray(track.image_vertices(subject.head, 1))[0]
    assert np.abs(_seen_by(fit, 0, _cap4d_mesh(fit, 1, blink)) - expected).max() < 0.1


def test_what_cap4d_cannot_show_is_said(tmp_path, caplog):
    export(_subject(offset=30.0), "cap4d", tmp_path / "out", {"images": False})
    assert "CAP4D's head is up to" in caplog.text
    caplog.clear()
    export(_subject(), "cap4d", tmp_path / "other", {"images": False})
    assert caplog.text == ""


def test_a_turning_jaw_needs_the_model_with_a_jaw(tmp_path):
    subject = _subject(("jaw",))
    with pytest.raises(InputError, match="flame2023_no_jaw.pkl, but the track turns the jaw"):
        export(subject, "cap4d", tmp_path / "out", {"images": False})
    fit = _fit(export(subject, "cap4d", tmp_path / "out", {"images": False, "jaw": True}))
    expected = image_vertices(subject)
    assert np.abs(_seen_by(fit, 1, _cap4d_mesh(fit, 3)) - expected[1, 3]).max() < 0.1


def test_the_alignment_is_the_tracks_with_its_residuals(tmp_path):
    subject = _subject(BOTH)
    folder = export(subject, "cap4d", tmp_path / "out", {"images": False})
    alignment = read_cap4d_alignment(folder / "alignment.npz")
    seen = np.asarray(subject.track.observed)
    np.testing.assert_allclose(alignment.mean[seen], image_vertices(subject)[seen], atol=1e-3)
    np.testing.assert_array_equal(alignment.valid, seen)
    assert (alignment.std[seen] == 1).all()
    boxes = read_cap4d_crop_boxes(folder / "alignment.npz")
    flat = image_vertices(subject)[0, 0]
    sides = boxes[0, 0, 2:] - boxes[0, 0, :2]
    assert sides[0] == sides[1] == pytest.approx(1.2 * np.ptp(flat, axis=0).max(), abs=4)
    assert not boxes[0, 2].any()


def test_the_gaze_is_where_cap4d_would_turn_the_eyes_to(tmp_path):
    subject = _subject(BOTH)
    folder = export(subject, "cap4d", tmp_path / "out", {"images": False})
    fit = _fit(folder)
    with np.load(folder / "alignment.npz") as values:
        yaw, pitch = values["gaze"][1, 3].astype(np.float64)
        spread = values["gaze_confidences"]
    # compute_eyeball_rotation: from the camera's frame with y up to the head's; there −z is turned onto it.
    direction = np.array([np.sin(yaw) * np.cos(pitch), -np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
    looked = matrices(fit["rot"][3])[0].T @ (np.diag([1.0, -1, -1]) @ (fit["extr"][1, :3, :3].T @ direction))
    np.testing.assert_allclose(looked, -matrices(fit["eye_rot"][3])[0][:, 2], atol=1e-5)
    np.testing.assert_allclose(spread[:, [0, 1, 3]], 0.1, atol=1e-6)
    assert (spread[:, 2] == np.float32(UNOBSERVED_STD)).all()


def test_pictures_mattes_and_references(tmp_path):
    folder = export(_subject(sources=(Clip(), Clip())), "cap4d", tmp_path / "out", {"references": 3})
    pictures = sorted((folder / "images" / "left side").iterdir())
    assert [file.name for file in pictures] == ["0000.png", "0001.png", "0002.png", "0003.png"]
    assert cv2.imread(str(pictures[3]))[200, 200].tolist() == [100, 100, 100]
    assert (cv2.imread(str(folder / "bg/front/0003.png"), cv2.IMREAD_UNCHANGED) == 255).all()
    assert json.loads((folder / "reference_images.json").read_text()) == [["front", 0], ["front", 1], ["left side", 3]]
    with np.load(folder / "cam_static.npz") as camera:
        assert camera["extr"].shape == (4, 4, 4) and camera["resolution"].tolist() == [480, 640]
        np.testing.assert_allclose(camera["fx"], 900)


def test_another_alignment_can_be_given(tmp_path):
    first = export(_subject(), "cap4d", tmp_path / "first", {"images": False})
    given = {"images": False, "alignment": str(first / "alignment.npz")}
    second = export(_subject(), "cap4d", tmp_path / "second", given)
    with np.load(first / "alignment.npz") as one, np.load(second / "alignment.npz") as other:
        np.testing.assert_array_equal(one["vertex_coords"], other["vertex_coords"])
    shorter = _subject(cameras=1)
    with pytest.raises(InputError, match=r"cap4d.alignment: expected \[1, 4, 197\] cameras, frames and vertices"):
        export(shorter, "cap4d", tmp_path / "third", given)
