"""Every measure on values and files whose score is known."""

from __future__ import annotations

import dataclasses
import json

import cv2
import numpy as np
import pytest

from flowface_jax.alignment.alignment import Alignment
from flowface_jax.errors import InputError
from flowface_jax.evaluation.mesh_sequence import Projected
from flowface_jax.evaluation.reconstruction.chamfer import ChamferConfig
from flowface_jax.evaluation.reconstruction.facescape import PUPIL_DISTANCE
from flowface_jax.evaluation.reconstruction.now_files import Prediction, obj_bytes, read_image_list, write_submission
from flowface_jax.evaluation.scoring import (
    Reading,
    Resampling,
    key_points_of,
    open_all,
    read_regions,
    score_avatar,
    score_chamfer,
    score_facescape,
    score_jitter,
    score_lips,
    score_nme,
    score_now,
    score_ssme,
)
from flowface_jax.evaluation.scoring.pictures import PictureChoice, check_choice, motion_pictures
from flowface_jax.evaluation.ssme import REGIONS, SsmeConfig
from flowface_jax.heads.generic import generic_head
from tests.evaluation.plain_faces import COUNT, FOCAL, FRAMES, KEY_POINTS, SIZE, cameras, face, write_face
from tests.evaluation.reconstruction.faces import head, skin
from tests.synthesis.domes import dome_head

SHORT = SsmeConfig(longest_window=5)


def _value(scored, column, row=0):
    names = [one.name for one in scored.table.columns]
    return scored.table.rows[row].values[names.index(column)]


def test_a_drift_of_half_a_pixel_a_frame_is_its_mean_over_the_windows():
    scored = score_ssme({"still": face(), "drifting": face(0.5)}, face(), config=SHORT)
    assert [row.name for row in scored.table.rows] == ["still", "drifting"]
    assert _value(scored, "SSME face") == pytest.approx(0, abs=1e-4)
    assert _value(scored, "SSME face", 1) == pytest.approx(0.5 * 3, rel=1e-3)
    assert _value(scored, "SSME mouth", 1) == pytest.approx(1.5, rel=1e-3)
    assert set(scored.results) == {"still", "drifting"}
    short = score_ssme({"drifting": face(0.5)}, face())
    assert _value(short, "SSME face") == pytest.approx(0.5 * FRAMES / 2, rel=1e-3)
    assert any("too short" in note for note in short.table.notes)


def test_what_is_not_covered_has_no_number_and_lost_frames_are_counted():
    valid = np.arange(FRAMES) >= 3
    lower = face(vertices=face().vertices + np.float32([0, -0.15, 0]), valid=valid)
    scored = score_ssme({"cut": lower}, face(), config=SHORT)
    assert _value(scored, "SSME mouth") is None and _value(scored, "SSME face") == pytest.approx(0, abs=1e-4)
    assert _value(scored, "lost frames") == pytest.approx(25)


def test_a_track_of_one_camera_is_compared_in_the_camera_it_was_made_from():
    truth = face(cameras=cameras(2))
    seen = dataclasses.replace(cameras(2), **{
        name: np.asarray(getattr(cameras(2), name))[1:]
        for name in ("focal", "principal_point", "rotation", "translation", "image_size")
    }, names=("camera_1",))  # fmt: skip
    scored = score_ssme({"one": face(0.5, cameras=seen)}, truth, camera=1, config=SHORT)
    assert _value(scored, "SSME face") == pytest.approx(0.25 * 3, rel=1e-3)


def test_a_camera_without_perspective_is_recognised_by_its_depth():
    truth = face()
    flat = Projected(truth.projected().pixels, -truth.projected().depth, SIZE)
    scored = score_ssme({"flat": face(cameras=None, seen=flat)}, truth, config=SHORT)
    assert _value(scored, "SSME face") == pytest.approx(0, abs=1e-3)


def test_intervals_hold_the_value_and_depend_on_the_seed_alone():
    arguments = ({"shaken": face(noise=0.002, frames=40)}, face(frames=40))
    one, same, other = (score_ssme(*arguments, config=SHORT, resampling=Resampling(200, seed)) for seed in (1, 1, 2))
    wide = one.with_ends
    names = [column.name for column in wide.columns]
    low, value, high = (wide.rows[0].values[names.index(f"SSME face{end}")] for end in (" low", "", " high"))
    assert low < value < high and value == _value(one, "SSME face")
    assert one.with_ends == same.with_ends and one.with_ends != other.with_ends
    assert any("blocks of 2 frame" in note for note in wide.notes)
    assert any(note.startswith("shaken: SSME face") for note in one.table.notes)
    with pytest.raises(InputError, match="samples above 0"):
        Resampling(0)


def test_predictions_are_smoothed_and_the_truth_is_not(tmp_path):
    path = write_face(tmp_path / "shaken.npz", noise=0.002, frames=40)
    reading = Reading(cameras=cameras())
    shaken = open_all({"a": path}, path, reading, reading)
    smooth = open_all({"a": path}, path, dataclasses.replace(reading, smoothing_frames=2.0), reading)
    px = [score_jitter({"p": p["a"], "t": t}) for p, t in (shaken, smooth)]
    assert _value(px[0], "jitter") == _value(px[0], "jitter", 1) == _value(px[1], "jitter", 1)
    assert _value(px[1], "jitter") < 0.1 * _value(px[0], "jitter")


def test_jitter_is_stated_where_it_has_a_place():
    shaken = face(noise=0.001, frames=400)
    scored = score_jitter({"shaken": shaken, "space": face(cameras=None)}, resampling=Resampling(50))
    # 1, -2 and 1 times independent noise.
    assert _value(scored, "jitter in space") == pytest.approx(np.sqrt(6 * 3), rel=0.05)
    assert _value(scored, "jitter", 1) is None and _value(scored, "jitter in space", 1) == pytest.approx(0, abs=1e-3)
    names = [column.name for column in scored.with_ends.columns]
    low, high = (scored.with_ends.rows[0].values[names.index(f"jitter {end}")] for end in ("low", "high"))
    assert low < _value(scored, "jitter") < high
    with pytest.raises(InputError, match="gaps: expected three frames"):
        score_jitter({"gaps": face(valid=np.arange(FRAMES) % 3 != 0)})


def test_chamfer_distances_are_blind_to_rigid_motion_and_see_depth():
    bent = face()
    bent.vertices[:, 14] += np.float32([0, 0, -0.03])
    moved = dataclasses.replace(bent, vertices=bent.vertices[..., [1, 0, 2]] * np.float32([-1, 1, 1]) + 0.05)
    flat = dataclasses.replace(face(), vertices=face().vertices + np.float32(0.1))
    points = key_points_of(bent, Reading(), KEY_POINTS)
    scored = score_chamfer({"moved": moved, "flat": flat}, bent, {"moved": points, "flat": points}, points)
    assert _value(scored, "CD face") == pytest.approx(0, abs=1e-3)
    assert 0.1 < _value(scored, "CD face", 1) < 3


def test_key_points_are_numbers_a_file_or_those_of_the_head(tmp_path):
    sequence = face()
    numbers = np.asarray([int(word) for word in KEY_POINTS.split(",")])
    stated = np.asarray(key_points_of(sequence, Reading(), KEY_POINTS).vertex_ids)[:, 0]
    (tmp_path / "points.txt").write_text(KEY_POINTS.replace(",", "\n"))
    listed = np.asarray(key_points_of(sequence, Reading(), tmp_path / "points.txt").vertex_ids)[:, 0]
    assert stated.tolist() == listed.tolist() == numbers.tolist()
    np.save(tmp_path / "places.npy", 1000 * sequence.vertices[0, numbers])
    places = key_points_of(sequence, Reading(unit="mm"), tmp_path / "places.npy")
    np.testing.assert_allclose(places, sequence.vertices[0, numbers], atol=1e-5)
    with pytest.raises(InputError, match="--key-points"):
        key_points_of(sequence, Reading())
    # Beside predictions of another head the built-in one's meshes are known all the same.
    ours = face(vertices=np.zeros((1, generic_head().vertex_count, 3), np.float32))
    assert key_points_of(ours, Reading(head=dome_head())).count == 7


def test_regions_come_from_masks_or_numbers_and_may_not_be_empty(tmp_path):
    np.savez(tmp_path / "masks.npz", face=np.ones(COUNT, bool), nose=np.arange(20))
    regions = read_regions(tmp_path / "masks.npz", COUNT)
    assert regions["face"].all() and regions["nose"].sum() == 20
    bare = face(regions={})
    scored = score_ssme({"p": face(0.5)}, bare, config=SHORT, regions=regions)
    assert _value(scored, "SSME nose") == pytest.approx(1.5, rel=1e-3)
    with pytest.raises(InputError, match="--regions"):
        score_ssme({"p": face()}, bare, config=SHORT)
    nothing = np.zeros(COUNT, bool)
    with pytest.raises(InputError, match="'face' is empty"):
        score_ssme({"p": face()}, bare, config=SHORT, regions={"face": nothing, "nose": ~nothing})
    partly = face(regions={"face": ~nothing, "ears": nothing})
    assert [c.name for c in score_ssme({"p": face()}, partly, config=SHORT).table.columns] == [
        "SSME face",
        "lost frames",
    ]
    np.savez(tmp_path / "masks.npz", face=np.asarray([COUNT]))
    with pytest.raises(InputError, match="vertices 0 to 35"):
        read_regions(tmp_path / "masks.npz", COUNT)


def test_meshes_of_a_named_head_get_its_regions_and_key_points(tmp_path):
    vertices, triangles, *_ = head()
    for name, size in (("truth", 1.0), ("larger", 1.03)):
        np.savez(tmp_path / f"{name}.npz", vertices=np.stack([size * vertices] * 2), triangles=triangles)
    reading = Reading(head="generic", unit="mm")
    predictions, truth = open_all({"a": tmp_path / "larger.npz"}, tmp_path / "truth.npz", reading, reading)
    points = key_points_of(truth, reading)
    scored, scaled = (
        score_chamfer(predictions, truth, {"a": points}, points, ChamferConfig(with_scale=with_scale, stride=2))
        for with_scale in (False, True)
    )
    assert [column.name for column in scored.table.columns][:5] == [f"CD {region}" for region in REGIONS]
    assert _value(scored, "CD face") > 0.3 and _value(scaled, "CD face") < 0.01


def test_points_are_compared_whatever_they_lie_in(tmp_path):
    truth = face()
    pixels = truth.projected().pixels
    np.save(tmp_path / "off.npy", pixels + np.float32([4, 0]))
    known = np.ones(pixels.shape[:2], bool)
    known[3] = False
    np.savez(tmp_path / "some.npz", points=pixels, known=known)
    empty = np.zeros((0, 3))
    arrays = (pixels[None], np.where(known, 1, np.inf)[None], np.ones((1, FRAMES), bool), np.asarray([SIZE]))
    times = (np.arange(FRAMES) / 25, np.arange(FRAMES))
    Alignment(*arrays, empty.astype(int), empty, *times, "vertices", ("a",), "test").save(tmp_path / "alignment.npz")
    predictions = {"off": tmp_path / "off.npy", "some": tmp_path / "some.npz", "aligned": tmp_path / "alignment.npz"}
    scored = score_nme(predictions, truth, limit=0.05)
    # 4 px of a side of 40.
    assert _value(scored, "NME") == pytest.approx(10, rel=1e-4) and _value(scored, "failures") == 100
    assert _value(scored, "NME", 1) == pytest.approx(0, abs=1e-4)
    assert _value(scored, "missing", 1) == pytest.approx(100 / FRAMES)
    assert _value(scored, "NME", 2) == pytest.approx(0, abs=1e-4)
    mouth = score_nme({"off": tmp_path / "off.npy"}, truth, region="mouth", normalisation="box diagonal")
    assert "12 points" in mouth.table.notes[0]
    np.save(tmp_path / "few.npy", pixels[:, :7])
    with pytest.raises(InputError, match="few: expected points"):
        score_nme({"few": tmp_path / "few.npy"}, truth)


def test_pictures_a_level_apart_have_the_psnr_of_it(tmp_path):
    for name, level in (("truth", 100), ("ours", 110)):
        (tmp_path / name).mkdir()
        for n in range(3):
            cv2.imwrite(str(tmp_path / name / f"{n}.png"), np.full((40, 48, 3), level, np.uint8))
    scored = score_avatar({"ours": tmp_path / "ours", "same": tmp_path / "truth"}, tmp_path / "truth")
    assert _value(scored, "PSNR") == pytest.approx(20 * np.log10(255 / 10), abs=1e-4)
    assert _value(scored, "PSNR", 1) is None and _value(scored, "SSIM", 1) == pytest.approx(1)
    assert _value(scored, "MS-SSIM") is None and _value(scored, "LPIPS") is None
    assert {note.split()[0] for note in scored.table.notes} == {"means", "LPIPS", "MS-SSIM", "PSNR"}
    (tmp_path / "ours" / "2.png").unlink()
    with pytest.raises(InputError, match="ours: .*found fewer"):
        score_avatar({"ours": tmp_path / "ours"}, tmp_path / "truth")
    cv2.imwrite(str(tmp_path / "ours" / "0.png"), np.zeros((41, 48, 3), np.uint8))
    with pytest.raises(InputError, match="truth's size"):
        score_avatar({"ours": tmp_path / "ours"}, tmp_path / "truth")


def test_speech_is_read_from_folders_of_arrays(tmp_path):
    draw = np.random.default_rng(0)
    ids = {"lips": np.arange(20), "upper": np.arange(60, 100)}
    for name in ("truth", "ours"):
        (tmp_path / name).mkdir()
    for sequence in ("a", "b"):
        truth = draw.uniform(-0.1, 0.1, (1, 120, 3)) + draw.normal(0, 0.002, (6, 120, 3))
        np.save(tmp_path / "truth" / f"{sequence}.npy", truth.reshape(6, -1))
        ours = truth.copy()
        ours[:, 7] += [0.003, 0.004, 0]
        np.save(tmp_path / "ours" / f"{sequence}.npy", ours.reshape(6, -1))
    for name, numbers in ids.items():
        (tmp_path / f"{name}.txt").write_text(" ".join(map(str, numbers)))
    np.save(tmp_path / "neutral.npy", np.zeros((120, 3)))
    scored = score_lips(
        {"ours": tmp_path / "ours"}, tmp_path / "truth", lips=tmp_path / "lips.txt",
        upper_face=tmp_path / "upper.txt", template=tmp_path / "neutral.npy", resampling=Resampling(20),
    )  # fmt: skip
    assert _value(scored, "LVE") == pytest.approx(2.5, rel=1e-4)
    assert _value(scored, "largest") == pytest.approx(5, rel=1e-4)
    assert _value(scored, "FDD") == pytest.approx(0, abs=1e-9)
    assert "2 sequences" in scored.table.notes[0] and any("drawing sequences" in note for note in scored.table.notes)
    (tmp_path / "ours" / "b.npy").unlink()
    with pytest.raises(InputError, match="'b' first"):
        score_lips({"ours": tmp_path / "ours"}, tmp_path / "truth", lips=tmp_path / "lips.txt")
    with pytest.raises(InputError, match="both or neither"):
        score_lips({"ours": tmp_path / "ours"}, tmp_path / "truth", upper_face=tmp_path / "upper.txt")


def test_lips_of_a_mesh_with_regions_are_known_by_name():
    scored = score_lips({"same": face()}, face())
    assert _value(scored, "LVE") == 0 and "lips, 6 vertices" in scored.table.notes[0]
    with pytest.raises(InputError, match="brows.lips"):
        score_lips({"same": face()}, face(), lips="brows+lips")


def test_a_now_submission_has_a_row_with_its_images(tmp_path):
    vertices, triangles, places, *_ = head()
    for subject in ("A_1", "B_2"):
        for part in ("scans", "scans_lmks_onlypp"):
            (tmp_path / "data" / part / subject).mkdir(parents=True)
        scan = tmp_path / "data" / "scans" / subject / "scan.obj"
        scan.write_bytes(obj_bytes(vertices[np.unique(skin(vertices, triangles))[::2]], np.asarray([[0, 1, 2]])))
        points = "".join(f'<point x="{x}" y="{y}" z="{z}"/>\n' for x, y, z in places)
        (tmp_path / "data" / "scans_lmks_onlypp" / subject / "scan.pp").write_text(points)
    listed = ["A_1/selfie/IMG_1.jpg", "B_2/multiview_neutral/IMG_2.jpg", "B_2/selfie/IMG_3.jpg"]
    (tmp_path / "data" / "imagepathsvalidation.txt").write_text("\n".join(listed))
    images = read_image_list(tmp_path / "data" / "imagepathsvalidation.txt")
    bump = np.where(np.arange(len(vertices))[:, None] % 3, 0, [0, 0, 1.0])
    made = {images[0]: vertices, images[1]: vertices + bump}
    write_submission(tmp_path / "out", images[:2], lambda i: Prediction(made[i], skin(vertices, triangles), places))
    scored = score_now(
        {"ours": tmp_path / "out"}, tmp_path / "data", by_challenge=True, resampling=Resampling(40)
    )  # fmt: skip
    assert (_value(scored, "images"), _value(scored, "missing")) == (2, 1)
    assert _value(scored, "median selfie") < 0.05 < _value(scored, "median multiview_neutral")
    names = [column.name for column in scored.with_ends.columns]
    low, high = (scored.with_ends.rows[0].values[names.index(f"median {end}")] for end in ("low", "high"))
    assert low <= _value(scored, "median") + 0.005 and _value(scored, "median") <= high + 0.005
    assert any("drawing subjects" in note for note in scored.table.notes)


def test_facescape_folders_are_scored_in_the_named_unit(tmp_path):
    vertices, triangles, *_ = head()
    vertices, triangles = vertices - vertices.mean(0), skin(vertices, triangles)
    predef, flip = tmp_path / "code" / "predef", np.diag([1.0, -1.0, -1.0])
    predef.mkdir(parents=True)
    for folder in ("data/lab_gt_mesh", "data/lab_cam", "ours"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "data" / "lab_gt_mesh" / "00.obj").write_bytes(obj_bytes(vertices / PUPIL_DISTANCE, triangles))
    pose = np.concatenate([flip, [[0], [0], [1500 / PUPIL_DISTANCE]]], axis=1)
    lens = [[1200, 0, 128], [0, 1200, 128], [0, 0, 1]]
    (tmp_path / "data" / "lab_cam" / "00_0_00.json").write_text(json.dumps([lens, pose.tolist()]))
    np.save(predef / "lab_head_centers.npy", np.tile([0, 0, 1500.0], (3, 1)))
    np.save(predef / "lab_rotations.npy", np.tile(flip, (11, 1, 1)))
    placed = (vertices @ flip.T + [0, 0, 1500]) / 10
    (tmp_path / "ours" / "00_0_00.obj").write_bytes(obj_bytes(placed, triangles))
    scored = score_facescape({"ours": tmp_path / "ours"}, tmp_path, reading=Reading(unit="cm"))
    assert _value(scored, "CD") < 0.01 and _value(scored, "completeness") == pytest.approx(100)
    assert _value(scored, "missing") == pytest.approx(100 * 659 / 660)
    with pytest.raises(InputError, match="found none of 660"):
        score_facescape({"nothing": predef}, tmp_path)


def test_pictures_of_the_motion_are_named_and_show_where_it_is_worst():
    pytest.importorskip("matplotlib")
    truth = face(frames=16)
    jumping = face(frames=16)
    jumping.vertices[9:] += np.float32([3 / FOCAL, 0, 0])
    predictions = {"a b": face(frames=16), "jump": jumping}
    scored = score_ssme(predictions, truth, config=SHORT)
    pictures = motion_pictures(scored.results, predictions, truth, truth.regions, choice=PictureChoice(window=1))
    assert set(pictures) == {"curve_face.png", "curve_mouth.png", "error_a_b.png", "error_jump.png", "trajectories.png"}
    assert pictures["error_jump.png"].shape == (*SIZE[::-1], 3)
    middle = [pictures[name][SIZE[1] // 2, SIZE[0] // 2].astype(int) for name in ("error_jump.png", "error_a_b.png")]
    assert middle[0][0] > middle[0][2] and middle[1][0] < middle[1][2]
    for choice, expected in (
        (PictureChoice(frame=15), "frame of 0 to 14"),
        (PictureChoice(frame=10, window=6), "window of 1 to 5"),
        (PictureChoice(pixel=(64, 0)), "pixel of 64x48"),
    ):
        with pytest.raises(InputError, match=expected):
            check_choice(choice, truth)
