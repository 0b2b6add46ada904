"""Data sets in their released layouts: every vertex lands where OpenCV sees it, and what is missing is left out."""

import json

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from flowface_jax.cameras.calibration import ideal_calibration
from flowface_jax.cameras.model import make_cameras
from flowface_jax.errors import InputError
from flowface_jax.exporting.ply import write_ply
from flowface_jax.training.datasets import Problems, ReaderSettings, open_dataset
from flowface_jax.training.datasets.frontal import face_frame, is_within, view_angles
from flowface_jax.training.datasets.multiface import obj_is_posed, open_capture
from flowface_jax.training.labelling import label, photographed
from flowface_jax.training.samples import Refusal, SampleConfig
from tests.training import replicas
from tests.training.replicas import head, marks

CONFIG = SampleConfig(side=320)


def views_of(reader):
    """All views, and what was left out."""
    problems = Problems("test")
    return [view for unit in reader.units() for view in reader.views(unit, problems)], problems.counts


def key(source):
    return "/".join(source[name] for name in ("subject", "sequence", "view", "frame"))


def whole_square(truth, model, side):
    """The truth in px of the sample: the square of 1.8 face boxes, worked out by hand."""
    face = truth[np.asarray(model.regions["face"])]
    low, high = face.min(0), face.max(0)
    edge = round(1.8 * (high - low).max())
    corner = np.rint((low + high) / 2 - edge / 2)
    return (truth - corner) * side / edge


def dot_offsets(sample):
    """How far the light dots of the picture are from the sample's points, px."""
    weight = np.clip(sample.image.astype(float).min(-1) - 120, 0, None)
    y, x = np.mgrid[: sample.side, : sample.side] + 0.5
    offsets = []
    for point in sample.points[marks()]:
        near = weight * (np.hypot(x - point[0], y - point[1]) < 5)
        offsets.append(np.hypot((x * near).sum() / near.sum() - point[0], (y * near).sum() / near.sum() - point[1]))
    return np.asarray(offsets)


def check(replica, views, model, tolerance):
    for view in views:
        sample = label(view, model, CONFIG)
        expected = whole_square(replica.truth[key(view.source)], model, CONFIG.side)
        np.testing.assert_allclose(sample.points[sample.known], expected[sample.known], atol=tolerance)
        assert sample.known.all()
        assert dot_offsets(sample).max() < 0.35


def test_facescape_vertices_land_where_opencv_sees_them_through_the_lens(tmp_path):
    replica = replicas.facescape(tmp_path)
    views, left_out = views_of(open_dataset("facescape", replica.root, head(), None, replica.registrations))
    assert [view.source["view"] for view in views] == 2 * list(replicas.FACESCAPE_USABLE)
    assert [view.source["sequence"] for view in views[::3]] == ["1_neutral", "10_dimpler"]
    assert left_out == {"view beyond the limits": 4, "photograph missing": 2}
    check(replica, views, head(), 0.02)


def test_the_foreground_is_the_scan_and_nothing_beyond_the_photograph(tmp_path):
    replica = replicas.facescape(tmp_path, expressions=("1_neutral",))
    views, _ = views_of(open_dataset("facescape", replica.root, head(), None, replica.registrations))
    for view in views:
        sample = label(view, head(), CONFIG)
        assert set(np.unique(sample.foreground)) == {0, 255}
        hull = np.zeros_like(sample.foreground)
        cv2.fillConvexPoly(hull, cv2.convexHull(np.round(sample.points).astype(np.int32)), 255)
        inside = sample.foreground > 0
        assert not (inside & (cv2.dilate(hull, np.ones((3, 3))) == 0)).any()
        assert inside.sum() > 0.8 * (hull > 0).sum()


def test_without_a_scan_the_foreground_is_unknown(tmp_path):
    replica = replicas.facescape(tmp_path, expressions=("1_neutral",))
    (replica.root / "MESH" / "7" / "1_neutral.ply").write_bytes(b"ply\nrubbish")
    views, left_out = views_of(open_dataset("facescape", replica.root, head(), None, replica.registrations))
    assert left_out["scan missing or damaged, foreground unknown"] == 1
    assert all((label(view, head(), CONFIG).foreground == 255).all() for view in views)


def test_a_scan_in_other_coordinates_than_its_registration_is_refused(tmp_path):
    """It would declare the face itself to be background."""
    replica = replicas.facescape(tmp_path, expressions=("1_neutral",))
    write_ply(replica.root / "MESH" / "7" / "1_neutral.ply", np.asarray(head().template) + 5, head().triangles)
    views, _ = views_of(open_dataset("facescape", replica.root, head(), None, replica.registrations))
    assert {label(view, head(), CONFIG) for view in views} == {Refusal("the scan is not where the face is")}


def test_what_is_missing_or_damaged_is_counted_and_not_fatal(tmp_path):
    replica = replicas.facescape(tmp_path, subjects=("7", "8"))
    images = replica.root / "IMGS"
    (images / "7" / "1_neutral" / "0.jpg").write_bytes(b"no picture")
    replicas.write_image(images / "7" / "1_neutral" / "1.jpg", np.zeros((20, 30, 3), np.uint8))
    (images / "7" / "10_dimpler" / "params.json").write_text("{")
    (replica.registrations / "8" / "1_neutral.ply").unlink()
    (replica.registrations / "8" / "10_dimpler.ply").write_bytes(b"")
    views, left_out = views_of(open_dataset("facescape", replica.root, head(), None, replica.registrations))
    assert [view.source["view"] for view in views] == ["2"]
    for reason in (
        "photograph damaged",
        "photograph of another size than calibrated",
        "no usable calibration",
        "registration missing",
        "registration damaged",
    ):
        assert left_out[reason] == 1, reason


def test_famos_colour_views_of_every_tenth_frame(tmp_path):
    replica = replicas.famos(tmp_path)
    views, left_out = views_of(open_dataset("famos", replica.root, head(), ReaderSettings()))
    assert [key(view.source) for view in views] == [f"FaceTalk_1/anger/{view}/000001" for view in ("00_C", "01_C")]
    # Of the frames on disk (1, 5, 9, …) 1 and 13 are ten apart; 13 has no mesh. The third camera is behind the head.
    assert left_out == {"registration missing": 1, "view beyond the limits": 1}
    check(replica, views, head(), 0.02)
    sample = label(views[0], head(), CONFIG)
    assert (sample.foreground == 255).mean() < 0.8 and (sample.foreground == 255).any()


def test_famos_meshes_that_are_not_in_metres_are_left_out(tmp_path):
    replica = replicas.famos(tmp_path, frames=[1])
    path = replica.root / "registrations" / "FaceTalk_1" / "anger" / "anger.000001.ply"
    write_ply(path, 1000 * np.asarray(head().template), head().triangles)
    views, left_out = views_of(open_dataset("famos", replica.root, head(), ReaderSettings()))
    assert not views and left_out == {"registration is not in metres": 1}


def test_famos_follows_its_own_split(tmp_path):
    replica = replicas.famos(tmp_path, subjects=("a", "b", "c"), frames=[1])
    for split, subject in (("train", "a"), ("val", "b")):
        (replica.root / f"list_{split}.json").write_text(json.dumps([[subject, "anger", 1]]))
    for split, subjects in (("train", ["a"]), ("val", ["b"]), ("all", ["a", "b", "c"])):
        reader = open_dataset("famos", replica.root, head(), ReaderSettings(split=split))
        assert [unit.subject for unit in reader.units()] == subjects


def test_stirling_pictures_show_the_texture_where_the_vertices_are(tmp_path):
    replica = replicas.stirling(tmp_path)
    settings = ReaderSettings(synthetic_views=3, seed=5)
    views, left_out = views_of(open_dataset("stirling", replica.root, head(), settings, replica.registrations))
    assert len(views) == 3 and not left_out
    uv = np.asarray(head().uv)
    for view in views:
        sample = label(view, head(), SampleConfig(side=512))
        assert sample.points[np.asarray(head().regions["face"])].min() > 0
        # On the surface that is seen, red and green are the vertex's own texture coordinates.
        x, y = (np.clip(sample.points[:, axis].astype(int), 0, 511) for axis in range(2))
        seen = sample.image[y, x].astype(float)
        error = np.abs(seen[:, :2] - (40 + 200 * uv)).max(1)
        skin = np.asarray(head().regions["face"]) & ~np.asarray(head().regions["mouth_interior"])
        assert (error[skin] < 6).mean() > 0.3
        assert (seen[skin, 2] > 100).mean() > 0.95


def test_stirling_views_are_random_but_repeatable(tmp_path):
    replica = replicas.stirling(tmp_path)
    make = lambda seed: views_of(
        open_dataset(
            "stirling", replica.root, head(), ReaderSettings(synthetic_views=2, seed=seed), replica.registrations
        )
    )[0]
    first, again, other = make(1), make(1), make(2)
    assert all((a.image == b.image).all() for a, b in zip(first, again, strict=True))
    assert (first[0].image != first[1].image).any() and (first[0].image != other[0].image).any()
    focal = [float(view.calibration.cameras.focal[0]) for view in (*first, *other)]
    assert len(set(focal)) == 4


def test_a_scan_that_is_inside_out_looks_the_same(tmp_path):
    replica = replicas.stirling(tmp_path)
    settings = ReaderSettings(synthetic_views=1)
    image = views_of(open_dataset("stirling", replica.root, head(), settings, replica.registrations))[0][0].image
    path = replica.root / "scans" / "F1001_N.obj"
    turned = lambda line: " ".join(["f", *reversed(line.split()[1:])]) if line.startswith("f ") else line
    path.write_text("\n".join(turned(line) for line in path.read_text().splitlines()))
    again = views_of(open_dataset("stirling", replica.root, head(), settings, replica.registrations))[0][0].image
    assert np.abs(image.astype(int) - again).mean() < 0.05


def test_multiface_meshes_are_posed_into_the_world(tmp_path):
    replica = replicas.multiface(tmp_path)
    model = replicas.multiface_head()
    views, left_out = views_of(open_dataset("multiface", replica.root, model, ReaderSettings(every=2)))
    assert [view.source["view"] for view in views] == ["400002", "400067"]
    assert left_out == {"camera is not calibrated": 2, "photograph missing": 2}
    check(replica, views, model, 0.02)


@pytest.mark.parametrize("posed", [True, False])
def test_whether_an_obj_of_multiface_is_posed_is_found_by_its_numbers(tmp_path, posed):
    capture = open_capture(replicas.multiface(tmp_path, frames=("000102",), posed_obj=posed).root)
    assert obj_is_posed(capture, "EXP_ROM", "000102") is posed
    path = capture.mesh_path("EXP_ROM", "000102", ".obj")
    path.write_text(path.read_text().replace("v ", "v 1", 1))
    with pytest.raises(InputError, match="agrees neither"):
        obj_is_posed(capture, "EXP_ROM", "000102")


def test_angles_are_counted_from_the_direction_in_which_the_face_looks():
    turn = Rotation.from_euler("zxy", [40, -120, 75], degrees=True).as_matrix()
    world = 250.0 * np.asarray(head().template, np.float64) @ turn.T + [3, -8, 1]
    frame = face_frame(world, head())
    assert abs(frame.scale / 250 - 1) < 1e-5
    np.testing.assert_allclose(frame.rotation, turn, atol=1e-5)
    for direction, angles in (((0, 0, 1), (0, 0)), ((1, 0, 1), (45, 0)), ((-1, 0, 0), (-90, 0)), ((0, 1, 1), (0, 45))):
        found = view_angles(frame.centre + 900 * turn @ np.asarray(direction, float), frame)
        np.testing.assert_allclose(found, angles, atol=1e-3)
    behind = frame.centre + 900 * turn @ np.asarray([0.0, 0.0, -1.0])
    assert abs(abs(view_angles(behind, frame)[0]) - 180) < 1e-3 and not is_within(behind, frame, 90, 45)


def test_vertices_behind_the_camera_are_unknown():
    cameras = make_cameras([100.0], [[50, 50]], [np.eye(3)], [[0, 0, 0]], [[100, 100]])
    pixels, depth = photographed(ideal_calibration(cameras), 0, np.asarray([[0.1, 0.2, 2.0], [0.1, 0.2, -2.0]]))
    np.testing.assert_allclose(pixels[0], [55, 60], atol=1e-6)
    assert np.isnan(pixels[1]).all() and depth.tolist() == [2.0, -2.0]


def test_splits_share_no_subject_and_miss_none(tmp_path):
    subjects = tuple(map(str, range(1, 40)))
    for subject in subjects:
        folder = tmp_path / "fs" / "IMGS" / subject / "1_neutral"
        folder.mkdir(parents=True)
        (folder / "params.json").touch()
    units = {
        split: {
            u.subject
            for u in open_dataset("facescape", tmp_path / "fs", head(), ReaderSettings(split=split), tmp_path).units()
        }
        for split in ("train", "val", "all")
    }
    assert units["train"] | units["val"] == units["all"] == set(subjects)
    assert not units["train"] & units["val"] and 1 <= len(units["val"]) <= 14


def test_wrong_layouts_say_what_was_expected(tmp_path):
    (tmp_path / "empty").mkdir()
    for name, match in (
        ("facescape", "params.json"),
        ("famos", "images_4"),
        ("stirling", "no scan"),
        ("multiface", "7306"),
        ("other", "expected one of"),
    ):
        registrations = tmp_path if name in ("facescape", "stirling") else None
        with pytest.raises(InputError, match=match):
            open_dataset(name, tmp_path / "empty", head(), None, registrations)
    with pytest.raises(InputError, match="no folder"):
        open_dataset("famos", tmp_path / "nowhere", head())
    with pytest.raises(InputError, match="--registrations"):
        open_dataset("stirling", tmp_path, head())


def test_meshes_of_another_topology_end_the_job(tmp_path):
    replica = replicas.facescape(tmp_path, expressions=("1_neutral",))
    write_ply(replica.registrations / "7" / "1_neutral.ply", np.zeros((10, 3)), np.zeros((1, 3), int))
    reader = open_dataset("facescape", replica.root, head(), None, replica.registrations)
    with pytest.raises(InputError, match="10 vertices, but the head 'generic' has 4933"):
        views_of(reader)
