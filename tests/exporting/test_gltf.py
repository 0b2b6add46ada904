"""GLB: what a viewer shows is the track, and the file is what the specification asks for."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess

import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.exporting import export
from flowface_jax.exporting.gltf.skeleton import influences
from tests.exporting.gltf_reader import Glb
from tests.exporting.performances import FRAMES, image_vertices, made_up_track, performance


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    return export(performance(), "glb", tmp_path_factory.mktemp("glb") / "head.glb")


def test_every_frame_lies_in_both_images_where_the_track_has_it(exported):
    glb, expected = Glb(exported.read_bytes()), image_vertices()
    for frame in range(FRAMES):
        shown = glb.skinned_vertices(frame)
        for camera in range(2):
            assert np.abs(glb.projected(camera, shown) - expected[camera, frame]).max() < 0.1


def test_joints_that_move_with_the_expression_are_where_ours_are(tmp_path):
    base = performance()
    moving = np.zeros((base.head.joint_count, 3, base.head.expression_size), np.float32)
    moving[1:, 2] = 0.004
    head = dataclasses.replace(base.head, joint_expression=moving)
    track = made_up_track(head, turning=head.joint_names[1:], joint_spread=0.3, offset_m=0.0)
    subject = dataclasses.replace(base, head=head, track=track)
    glb = Glb(export(subject, "glb", tmp_path / "head.glb").read_bytes())
    shown = glb.projected(1, glb.skinned_vertices(3))
    assert np.abs(shown - image_vertices(subject)[1, 3]).max() < 0.1


def test_offsets_on_vertices_that_joints_turn_are_told_of(exported, tmp_path):
    track = made_up_track(performance().head, turning=("neck",))
    subject = dataclasses.replace(performance(), track=track)
    glb = Glb(export(subject, "glb", tmp_path / "head.glb").read_bytes())
    [note] = glb.json["asset"]["extras"]["left_out"]
    assert "offsets turn with the joints" in note
    assert Glb(exported.read_bytes()).json["asset"]["extras"]["left_out"] == []


def test_shapes_have_the_heads_names_and_times_are_the_tracks(exported):
    glb, subject = Glb(exported.read_bytes()), performance()
    [mesh] = glb.json["meshes"]
    assert mesh["extras"]["targetNames"] == list(subject.head.expression_names)
    times = glb.array(glb.json["animations"][0]["samplers"][0]["input"])
    np.testing.assert_allclose(times, subject.track.frame_times, atol=1e-6)
    assert glb.json["asset"]["extras"]["frames_without_a_face"] == [9]


def test_a_single_frame_has_no_animation_and_shows_its_pose(tmp_path):
    subject, track = performance(), performance().track
    fields = ("expression", "joint_rotations", "head_rotation", "head_translation", "frame_times", "frame_ids")
    one = {name: getattr(track, name)[1:2] for name in fields}
    cut = {name: getattr(track, name)[:, 1:2] for name in ("observed", "residual_px", "residual_p90_px")}
    still = dataclasses.replace(subject, track=dataclasses.replace(track, **one, **cut))
    glb = Glb(export(still, "glb", tmp_path / "one.glb").read_bytes())
    assert "animations" not in glb.json
    shown = glb.projected(0, glb.skinned_vertices(0))
    assert np.abs(shown - image_vertices()[0, 1]).max() < 0.1


def test_the_same_track_gives_the_same_bytes(exported, tmp_path):
    assert export(performance(), "glb", tmp_path / "again.glb").read_bytes() == exported.read_bytes()


def test_a_texture_is_stored_and_other_files_are_refused(tmp_path):
    cv2 = pytest.importorskip("cv2")
    cv2.imwrite(str(tmp_path / "skin.png"), np.full((8, 8, 3), 90, np.uint8))
    file = export(performance(), "glb", tmp_path / "a.glb", {"texture": str(tmp_path / "skin.png")})
    glb = Glb(file.read_bytes())
    view = glb.json["bufferViews"][glb.json["images"][0]["bufferView"]]
    stored = glb.binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]
    assert stored == (tmp_path / "skin.png").read_bytes()
    (tmp_path / "skin.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(InputError, match=r"glb.texture: expected a PNG"):
        export(performance(), "glb", tmp_path / "b.glb", {"texture": str(tmp_path / "skin.jpg")})
    assert not (tmp_path / "b.glb").exists()


def test_more_than_four_joints_at_a_vertex_take_a_second_set():
    weights = np.asarray([[0.3, 0.1, 0.2, 0.15, 0.25], [1, 0, 0, 0, 0]], np.float64)
    sets = influences(weights)
    found = np.zeros_like(weights)
    for joints, amounts in sets:
        for vertex in range(2):
            np.add.at(found[vertex], joints[vertex], amounts[vertex])
    assert len(sets) == 2
    np.testing.assert_allclose(found, weights, atol=1e-7)


def test_khronos_validator_finds_no_error(exported):
    """NODE_PATH, or the folder that GLTF_VALIDATOR names, has to hold npm's `gltf-validator`."""
    node, folder = shutil.which("node"), os.environ.get("GLTF_VALIDATOR", "")
    script = (
        "const v=require('gltf-validator');const f=require('fs').readFileSync(process.argv[1]);"
        "v.validateBytes(new Uint8Array(f)).then(r=>console.log(JSON.stringify(r)))"
    )
    environment = os.environ | {"NODE_PATH": f"{folder}/node_modules" if folder else os.environ.get("NODE_PATH", "")}
    done = None
    if node:
        command = [node, "-e", script, str(exported)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    if done is None or "Cannot find module" in done.stderr:
        pytest.skip("npm's gltf-validator is not installed; name its folder in GLTF_VALIDATOR")
    report = json.loads(done.stdout)
    assert report["issues"]["numErrors"] == 0, report["issues"]["messages"][:5]
    assert report["issues"]["numWarnings"] == 0, report["issues"]["messages"][:5]


def test_times_that_stand_still_become_those_of_the_frames_numbers(tmp_path):
    times = np.asarray([0.0, 1 / 30, 1 / 30, 2 / 30])
    subject = dataclasses.replace(performance(), track=dataclasses.replace(performance().track, frame_times=times))
    glb = Glb(export(subject, "glb", tmp_path / "head.glb").read_bytes())
    written = glb.array(glb.json["animations"][0]["samplers"][0]["input"])
    np.testing.assert_allclose(np.diff(written), 1 / 30, atol=1e-6)
