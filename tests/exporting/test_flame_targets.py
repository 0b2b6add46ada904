"""INSTA, VHAP and metrical-tracker: what their own readers would project lies where the track has it."""

from __future__ import annotations

import dataclasses
import json

import cv2
import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.evaluation.readers import open_sequence
from flowface_jax.exporting import export
from flowface_jax.exporting import insta as insta_format
from flowface_jax.foreign import read_checkpoint
from flowface_jax.heads.obj import read_obj
from tests.exporting.flame_performances import (
    Clip,
    arrays,
    flame_head,
    flame_performance,
    matrices,
    posed,
    shaped,
)
from tests.exporting.performances import HEIGHT, WIDTH, image_vertices, performance, projected

CLIPS = (Clip(), Clip())
SEEN = (7, 8, 10)
"""Numbers in the clip of the frames that show a face."""


def _json(path):
    return json.loads(path.read_text())


def _picture(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


@pytest.mark.parametrize("target", ["insta", "vhap", "metrical-tracker", "cap4d", "vocaset"])
def test_other_heads_are_refused_in_one_line(tmp_path, target):
    with pytest.raises(InputError, match="the track's head is 'generic.*track the clip with a FLAME head"):
        export(performance(), target, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", ["insta", "vhap", "metrical-tracker", "cap4d"])
def test_pictures_need_the_clip(tmp_path, target):
    with pytest.raises(InputError, match="name the tracked clip with --video"):
        export(flame_performance(("left_eye",)), target, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_camera_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="insta.camera: expected 0 to 1"):
        export(flame_performance(), "insta", tmp_path / "out", {"camera": 2, "images": False})


@pytest.fixture(scope="module")
def insta(tmp_path_factory):
    subject = flame_performance(sources=CLIPS)
    settings = {"test_frames": 1, "split": "middle", "camera": 1}
    return export(subject, "insta", tmp_path_factory.mktemp("insta") / "out", settings)


def test_insta_meshes_lie_in_the_images_before_the_moving_camera(insta):
    lists = _json(insta / "transforms.json")
    expected = image_vertices(flame_performance())[1][[0, 1, 3]]
    assert [entry["file_path"] for entry in lists["frames"]] == [f"images/{n:05d}.png" for n in SEEN]
    for entry, flat in zip(lists["frames"], expected, strict=True):
        world_to_camera = np.linalg.inv(np.asarray(entry["transform_matrix"]))
        mesh = read_obj(insta / entry["mesh_path"]).vertices
        local = mesh @ world_to_camera[:3, :3].T + world_to_camera[:3, 3]
        assert lists["fl_x"] == lists["fl_y"]
        assert np.abs(projected(local, lists["fl_x"], (lists["cx"], lists["cy"])) - flat).max() < 0.1
    assert lists["fl_x"] == pytest.approx(0.5 * WIDTH / np.tan(np.deg2rad(lists["x_fov"]) / 2))
    assert lists["fl_y"] == pytest.approx(0.5 * HEIGHT / np.tan(lists["camera_angle_y"] / 2))


def test_insta_depth_is_the_meshs_in_millimetres_where_the_codes_are(insta):
    lists = _json(insta / "transforms.json")
    entry = lists["frames"][0]
    depth, codes = _picture(insta / entry["depth_path"]), _picture(insta / entry["seg_mask_path"])
    assert depth.dtype == np.uint16 and depth.shape == (HEIGHT, WIDTH) and codes.shape == (HEIGHT, WIDTH, 3)
    np.testing.assert_array_equal(depth > 0, codes[..., 2] > 0)
    # The point of the mesh nearest to the camera is what its pixel shows.
    world_to_camera = np.linalg.inv(np.asarray(entry["transform_matrix"]))
    local = read_obj(insta / entry["mesh_path"]).vertices @ world_to_camera[:3, :3].T + world_to_camera[:3, 3]
    nearest = local[local[:, 2].argmin()]
    column, row = projected(nearest, lists["fl_x"], (lists["cx"], lists["cy"])).astype(int)
    assert depth[row, column] == pytest.approx(1000 * nearest[2], abs=4)
    assert {110, 120, 130, 150, 250} & set(np.unique(codes[..., 2]))


def test_insta_splits_leave_nothing_in_two_places(insta):
    names = {part: {e["mesh_path"] for e in _json(insta / f"transforms_{part}.json")["frames"]}
             for part in ("train", "test", "val")}  # fmt: skip
    assert names["test"] == {"meshes/00008.obj"} == names["val"]
    assert names["train"] == {"meshes/00007.obj", "meshes/00010.obj"}


def test_insta_expressions_and_canonical_head(insta):
    subject = flame_performance()
    np.testing.assert_allclose(np.loadtxt(insta / "flame/exp/00010.txt"), subject.track.expression[3], atol=1e-7)
    opened = posed(
        shaped(subject.track.identity, np.zeros(1)),
        matrices([0] * 3, [0] * 3, [np.deg2rad(12), 0, 0], [0] * 3, [0] * 3),
    )
    np.testing.assert_allclose(read_obj(insta / "canonical.obj").vertices, opened + subject.track.offsets, atol=2e-6)


def test_insta_pictures_are_opaque_without_a_matte(insta):
    picture = _picture(insta / "images/00010.png")
    assert picture.shape == (HEIGHT, WIDTH, 4) and (picture[..., 3] == 255).all()
    assert picture[5, 5, :3].tolist() == [50, 100, 250] and picture[200, 200, 0] == 100
    assert _picture(insta / "background/00007.png")[200, 200].tolist() == [70, 70, 70]
    assert not (insta / "matted").exists()


def test_insta_takes_mattes_and_labels(tmp_path):
    for folder in ("mattes", "labels"):
        (tmp_path / folder).mkdir()
        for number in range(12):
            picture = np.zeros((HEIGHT, WIDTH), np.uint8)
            picture[100:200] = 255 if folder == "mattes" else 16
            picture[200:300] = 255 if folder == "mattes" else number
            cv2.imwrite(str(tmp_path / folder / f"{number:04d}.png"), picture)
    settings = {"matte": str(tmp_path / "mattes"), "labels": str(tmp_path / "labels"), "test_frames": 1}
    subject = flame_performance(cameras=1, sources=(Clip(),))
    out = export(subject, "insta", tmp_path / "out", settings)
    # Label 16 is cloth, which INSTA cuts away; 10 is the nose.
    assert _picture(out / "seg_mask/00010.png")[[150, 250], 9, 2].tolist() == [90, 150]
    assert _picture(out / "images/00010.png")[[50, 150, 250], 9, 3].tolist() == [0, 0, 255]
    assert _picture(out / "matted/00010.png")[[50, 150, 250], 9, 3].tolist() == [0, 255, 255]


def test_insta_asks_a_parser(tmp_path, monkeypatch):
    class Parser:
        def labels(self, image):
            assert image.shape == (HEIGHT, WIDTH, 3)
            return (image[..., 0] == 250).astype(np.uint8)

    monkeypatch.setattr(insta_format, "load_face_parser", lambda path: Parser())
    subject = flame_performance(cameras=1, sources=(Clip(),))
    out = export(subject, "insta", tmp_path / "out", {"parser": "79999_iter.pth"})
    codes = _picture(out / "seg_mask/00008.png")[..., 2]
    assert (codes[:20, :20] == 250).all() and codes.sum() == 250 * 400
    with pytest.raises(InputError, match="insta.parser: expected neither labels nor images=false"):
        export(subject, "insta", tmp_path / "other", {"parser": "79999_iter.pth", "images": False})


def test_a_matte_of_another_size_is_refused(tmp_path):
    (tmp_path / "mattes").mkdir()
    cv2.imwrite(str(tmp_path / "mattes/0.png"), np.zeros((10, 10), np.uint8))
    subject = flame_performance(cameras=1, sources=(Clip(),))
    with pytest.raises(InputError, match="is 10 x 10 px, the clip 640 x 480"):
        export(subject, "insta", tmp_path / "out", {"matte": str(tmp_path / "mattes")})


@pytest.mark.parametrize(
    ("split", "count", "expected"),
    [("last", 2000, range(1650, 2000)), ("last", 50, range(40, 50)), ("middle", 100, range(40, 60))],
)
def test_which_frames_insta_tests_with(split, count, expected):
    assert insta_format.split(count, insta_format.InstaSettings(split=split)) == expected


def test_insta_needs_frames_to_train_on(tmp_path):
    with pytest.raises(InputError, match="expected fewer than the 3 frames that show a face, found 3"):
        export(flame_performance(), "insta", tmp_path / "out", {"test_frames": 3, "images": False})


@pytest.fixture(scope="module")
def vhap(tmp_path_factory):
    return export(flame_performance(sources=CLIPS), "vhap", tmp_path_factory.mktemp("vhap") / "out")


def _vhap_mesh(folder, entry):
    """As VHAP poses it: offsets before posing, joints regressed with them, teeth beyond FLAME's vertices."""
    with np.load(folder / entry["flame_param_path"]) as values:
        values = {key: value.astype(np.float64) for key, value in values.items()}
    count = flame_head().vertex_count
    assert values["static_offset"].shape == (1, count + 120, 3) and not values["static_offset"][0, count:].any()
    assert values["shape"].shape == (300,) and values["expr"].shape == (1, 100)
    mesh = shaped(values["shape"], values["expr"][0]) + values["static_offset"][0, :count]
    mesh += values.get("dynamic_offset", np.zeros((1, count, 3)))[0, :count]
    turns = [values[key][0] for key in ("rotation", "neck_pose", "jaw_pose")]
    return posed(mesh, matrices(*turns, values["eyes_pose"][0, :3], values["eyes_pose"][0, 3:])) + values["translation"]


@pytest.mark.parametrize("turning", [("jaw", "left_eye", "right_eye"), ("root", "neck", "jaw", "left_eye")])
def test_vhap_meshes_lie_in_the_images(tmp_path, turning):
    subject = flame_performance(turning)
    folder = export(subject, "vhap", tmp_path / "out", {"images": False})
    lists, expected = _json(folder / "transforms.json"), image_vertices(subject)
    for entry in lists["frames"]:
        to_world = np.asarray(entry["transform_matrix"])
        to_world[:3, 1:3] *= -1
        back = np.linalg.inv(to_world)
        local = _vhap_mesh(folder, entry) @ back[:3, :3].T + back[:3, 3]
        flat = projected(local, entry["fl_x"], (entry["cx"], entry["cy"]))
        truth = expected[entry["camera_index"], entry["timestep_index_original"]]
        assert np.abs(flat - truth).max() < 0.1


def test_vhap_goes_through_our_own_reader(vhap):
    sequence = open_sequence(vhap, head=flame_head())
    expected = image_vertices(flame_performance())[:, [0, 1, 3]]
    for camera in range(2):
        seen = [np.asarray(sequence.cameras.project(mesh))[camera] for mesh in sequence.vertices]
        assert np.abs(np.stack(seen) - expected[camera]).max() < 0.1


def test_vhap_stands_in_the_origin_and_offsets_change_only_with_joints(tmp_path):
    subject = flame_performance(())
    folder = export(subject, "vhap", tmp_path / "out", {"images": False})
    files = sorted((folder / "flame_param").iterdir())
    assert [f.name for f in files] == ["00000.npz", "00001.npz", "00002.npz"]
    steps = [dict(np.load(file)) for file in files]
    np.testing.assert_allclose(np.mean([step["translation"] for step in steps], axis=0), 0, atol=1e-6)
    assert all("dynamic_offset" not in step for step in steps)
    rest = np.load(folder / "canonical_flame_param.npz")
    assert rest["jaw_pose"].tolist() == [[pytest.approx(0.3), 0, 0]] and not rest["rotation"].any()
    np.testing.assert_array_equal(rest["static_offset"], steps[0]["static_offset"])


def test_vhap_divides_time_for_testing_and_keeps_a_camera_for_validation(vhap):
    divided = {}
    for part in ("train", "val", "test"):
        frames = _json(vhap / f"transforms_{part}.json")["frames"]
        divided[part] = [(entry["timestep_index"], entry["camera_index"]) for entry in frames]
    # Of three time steps 70 % are for training, rounded up.
    assert divided == {"train": [(0, 0), (1, 0), (2, 0)], "val": [(0, 1), (1, 1), (2, 1)], "test": []}
    every = _json(vhap / "transforms.json")
    assert every["timestep_indices"] == [0, 1, 2] and every["camera_indices"] == [0, 1]
    assert [entry["timestep_id"] for entry in every["frames"][::2]] == ["00007", "00008", "00010"]
    assert _picture(vhap / every["frames"][-1]["file_path"])[200, 200].tolist() == [100, 100, 100]
    assert "fg_mask_path" not in every["frames"][0]


def test_vhap_lays_pictures_on_white_by_their_mattes(tmp_path):
    (tmp_path / "mattes").mkdir()
    for number in range(12):
        cv2.imwrite(str(tmp_path / f"mattes/{number}.png"), np.full((HEIGHT, WIDTH), 255 * (number == 10), np.uint8))
    subject = flame_performance(sources=CLIPS)
    mattes = f"{tmp_path / 'mattes'},{tmp_path / 'mattes'}"
    out = export(subject, "vhap", tmp_path / "out", {"mattes": mattes})
    entries = _json(out / "transforms.json")["frames"]
    assert _picture(out / entries[0]["file_path"])[200, 200].tolist() == [255, 255, 255]
    assert _picture(out / entries[-1]["file_path"])[200, 200].tolist() == [100, 100, 100]
    assert (_picture(out / entries[-1]["fg_mask_path"]) == 255).all()
    with pytest.raises(InputError, match="vhap.mattes: expected 2, one for each camera"):
        export(subject, "vhap", tmp_path / "other", {"mattes": str(tmp_path / "mattes")})


def test_vhap_says_what_gaussian_avatars_takes_for_granted(tmp_path, caplog):
    export(flame_performance((), "flame2023_no_jaw"), "vhap", tmp_path / "out", {"images": False})
    assert "flame2023.pkl, but the head is 'flame2023_no_jaw'" in caplog.text
    assert "principal point is 40.0 px away" not in caplog.text and "principal point is 20.0 px" in caplog.text


@pytest.fixture(scope="module")
def metrical(tmp_path_factory):
    folder = tmp_path_factory.mktemp("metrical") / "out"
    subject = flame_performance(("neck", "jaw", "left_eye", "right_eye"), sources=CLIPS)
    subject = dataclasses.replace(subject, track=dataclasses.replace(subject.track, offsets=0 * subject.track.offsets))
    return subject, export(subject, "metrical-tracker", folder, {"camera": 1})


def test_metrical_tracker_frames_project_by_either_of_their_cameras(metrical):
    subject, folder = metrical
    expected = image_vertices(subject)[1]
    files = sorted((folder / "checkpoint").iterdir())
    assert [file.name for file in files] == [f"{n:05d}.frame" for n in SEEN]
    for file, frame in zip(files, (0, 1, 3), strict=True):
        values = {key: value.astype(np.float64) for key, value in read_checkpoint(file).items()}
        six = lambda rows: np.stack([rows[:3], rows[3:], np.cross(rows[:3], rows[3:])])
        eyes = values["flame.eyes"][0]
        turns = [np.eye(3), six(values["flame.neck"][0]), six(values["flame.jaw"][0]), six(eyes[:6]), six(eyes[6:])]
        mesh = posed(shaped(values["flame.shape"][0], values["flame.exp"][0]), np.stack(turns))
        lens = values["opencv.K"][0]
        local = mesh @ values["opencv.R"][0].T + values["opencv.t"][0]
        assert np.abs((local / local[:, 2:] @ lens.T)[:, :2] - expected[frame]).max() < 0.1
        # PyTorch3D: row vectors; x to the left and y up; half the shorter side is 1.
        view = mesh @ six(values["camera.R"][0]) + values["camera.t"][0]
        ndc = values["camera.fl"][0] * view[:, :2] / view[:, 2:] + values["camera.pp"][0]
        height, width = values["img_size"]
        screen = np.array([width, height]) / 2 - ndc * min(height, width) / 2
        assert np.abs(screen - expected[frame]).max() < 0.1


def test_metrical_tracker_keeps_what_its_own_files_keep(metrical):
    _, folder = metrical
    found = {
        key: (value.shape, str(value.dtype))
        for key, value in read_checkpoint(folder / "checkpoint/00007.frame").items()
    }
    published = {
        "exp": (1, 100),
        "shape": (1, 300),
        "tex": (1, 140),
        "sh": (1, 9, 3),
        "eyes": (1, 12),
        "eyelids": (1, 2),
        "jaw": (1, 6),
    }
    for key, shape in published.items():
        assert found[f"flame.{key}"] == (shape, "float32")
    assert found["opencv.K"] == ((1, 3, 3), "float32") and found["camera.R"] == ((1, 6), "float32")
    assert found["img_size"] == ((2,), "int64")
    assert _picture(folder / "depth/00007.png").dtype == np.uint16
    assert _picture(folder / "input/00010.png")[200, 200].tolist() == [100, 100, 100]


@pytest.mark.parametrize("by_parameters", [True, False])
def test_metrical_tracker_goes_through_our_own_reader(metrical, by_parameters):
    subject, folder = metrical
    sequence = open_sequence(folder, head=flame_head() if by_parameters else None)
    expected = image_vertices(subject)[1][[0, 1, 3]]
    assert np.abs(sequence.projected().pixels - expected).max() < 0.1


def test_metrical_tracker_meshes_hold_the_offsets_that_its_parameters_cannot(tmp_path):
    subject = flame_performance(("root", "jaw"), cameras=1)
    folder = export(subject, "metrical-tracker", tmp_path / "out", {"images": False, "depth": False})
    sequence = open_sequence(folder)
    assert np.abs(sequence.projected().pixels - image_vertices(subject)[0][[0, 1, 3]]).max() < 0.1
    assert not (folder / "depth").exists() and len(arrays()["v_template"]) == sequence.vertices.shape[1]
