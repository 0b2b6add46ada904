"""ARKit curves: the CSV has Live Link Face's form, and curves and angles rebuild the track's mesh."""

from __future__ import annotations

import csv
import dataclasses
import json
import re

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from flowface_jax.errors import InputError
from flowface_jax.exporting import export
from flowface_jax.exporting.arkit import CURVES, timecode
from flowface_jax.exporting.performance import Performance
from flowface_jax.heads.model import vertices
from tests.exporting.flame_performances import flame_performance
from tests.exporting.performances import image_vertices, performance, projected


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return export(performance(), "arkit", tmp_path_factory.mktemp("arkit") / "out")


def _rows(folder):
    with (folder / "curves.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def _turn(axis, angle):
    """A right-handed turn about an axis, written out."""
    a, b = [(1, 2), (2, 0), (0, 1)][axis]
    matrix = np.eye(3)
    matrix[a, a] = matrix[b, b] = np.cos(angle)
    matrix[b, a], matrix[a, b] = np.sin(angle), -np.sin(angle)
    return matrix


def test_the_header_is_live_link_faces(folder):
    names = (folder / "curves.csv").read_text().splitlines()[0].split(",")
    assert len(names) == 63 and names[:4] == ["Timecode", "BlendShapeCount", "EyeBlinkLeft", "EyeLookDownLeft"]
    assert names[16:21] == ["JawForward", "JawRight", "JawLeft", "JawOpen", "MouthClose"]
    assert names[53:] == [
        *("TongueOut", "HeadYaw", "HeadPitch", "HeadRoll"),
        *("LeftEyeYaw", "LeftEyePitch", "LeftEyeRoll", "RightEyeYaw", "RightEyePitch", "RightEyeRoll"),
    ]
    assert len(set(CURVES)) == 52


def test_every_frame_is_a_row_and_the_json_marks_those_without_a_face(folder):
    rows, about = _rows(folder), json.loads((folder / "curves.json").read_text())
    assert len(rows) == 4 and {row["BlendShapeCount"] for row in rows} == {"61"}
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d:\d\d\.\d\d\d", row["Timecode"]) for row in rows)
    assert about["seen"] == [True, True, False, True] and about["frame_ids"] == [7, 8, 9, 10]


@pytest.mark.parametrize(
    ("seconds", "rate", "expected"),
    [(0.0, 30, "00:00:00:00.000"), (3661.5, 30, "01:01:01:15.000"), (2.99999, 30, "00:00:02:29.999"),
     (1.01, 25, "00:00:01:00.250"), (0.9999999, 29.97, "00:00:00:29.970")],
)  # fmt: skip
def test_timecodes_count_frames_within_the_second(seconds, rate, expected):
    assert timecode(seconds, rate) == expected


def test_curves_and_angles_rebuild_the_mesh_where_the_camera_sees_it(folder):
    subject, rows = performance(), _rows(folder)
    about, head = json.loads((folder / "curves.json").read_text()), performance().head
    cameras, expected = subject.track.cameras, image_vertices()
    for frame, row in enumerate(rows):
        coefficients = [float(row[name[0].upper() + name[1:]]) for name in head.expression_names]
        mesh = vertices(
            head,
            jnp.asarray(subject.track.identity),
            jnp.float32(coefficients),
            jnp.asarray(about["head_model"]["joint_rotations"][frame], jnp.float32),
            jnp.asarray(subject.track.offsets),
        )
        yaw, pitch, roll = (float(row[f"Head{turn}"]) for turn in ("Yaw", "Pitch", "Roll"))
        turned = np.asarray(mesh) @ (_turn(1, yaw) @ _turn(0, pitch) @ _turn(2, roll)).T + about["translation"][frame]
        seen = projected(turned * [1, -1, -1], np.asarray(cameras.focal)[0], np.asarray(cameras.principal_point)[0])
        assert np.abs(seen - expected[0, frame]).max() < 0.1


def test_eye_angles_turn_the_eyeballs_as_the_joints_do(tmp_path):
    track, head = performance().track, performance().head
    track = dataclasses.replace(track, expression=np.zeros_like(track.expression))
    subject = dataclasses.replace(performance(), track=track)
    rows = _rows(export(subject, "arkit", tmp_path / "out"))
    ball = np.asarray(head.regions["left_eyeball"])
    rest = np.asarray(subject.track.neutral_vertices(head))[ball]
    for frame, row in enumerate(rows):
        yaw, pitch, roll = (float(row[f"LeftEye{turn}"]) for turn in ("Yaw", "Pitch", "Roll"))
        turned = (rest - rest.mean(0)) @ (_turn(1, yaw) @ _turn(0, pitch) @ _turn(2, roll)).T
        posed = np.asarray(subject.track.local_vertices(head, frame))[ball]
        assert np.abs(turned - (posed - posed.mean(0))).max() < 1e-5


def test_a_turn_to_the_subjects_left_is_a_positive_yaw(tmp_path):
    track = performance().track
    facing = np.float32([[np.pi, 0, 0]] * track.frame_count)
    # About the world's y, which points down, a negative turn is to the left of who looks at the camera.
    left = np.asarray(_turn(1, -0.4) @ np.diag([1.0, -1.0, -1.0]))
    facing[1] = Rotation.from_matrix(left).as_rotvec()
    subject = dataclasses.replace(performance(), track=dataclasses.replace(track, head_rotation=facing))
    rows = _rows(export(subject, "arkit", tmp_path / "out"))
    nose = (
        np.asarray(subject.track.image_vertices(subject.head, 1))[0]
        - np.asarray(subject.track.image_vertices(subject.head, 0))[0]
    )
    tip = int(np.asarray(subject.head.template)[:, 2].argmax())
    assert float(rows[0]["HeadYaw"]) == pytest.approx(0, abs=1e-5)
    assert float(rows[1]["HeadYaw"]) == pytest.approx(0.4, abs=1e-5)
    assert nose[tip, 0] > 5  # the subject's left is on the right of the picture


def test_heads_without_arkits_names_are_refused_with_the_way_out(tmp_path):
    with pytest.raises(InputError, match="arkit holds ARKit's curves.*--retarget generic"):
        export(flame_performance(), "arkit", tmp_path / "out")


def test_halves_of_a_curve_are_joined_and_absent_ones_are_said(tmp_path, caplog):
    subject = performance()
    head = subject.head
    names = tuple("browInnerUpLeft" if name == "browInnerUp" else name for name in head.expression_names)
    names = tuple("browInnerUpRight" if name == "tongueOut" else name for name in names)
    halved = dataclasses.replace(head, expression_names=names)
    rows = _rows(export(Performance(subject.track, halved, (), "x"), "arkit", tmp_path / "out"))
    left, right = (subject.track.expression[:, names.index(f"browInnerUp{side}")] for side in ("Left", "Right"))
    np.testing.assert_allclose([float(row["BrowInnerUp"]) for row in rows], (left + right) / 2, atol=1e-6)
    assert {row["TongueOut"] for row in rows} == {"0.0000000"} and "has no tongueOut" in caplog.text
