"""Points placed by hand: what a file may say, what is refused, and what the alignment is with them."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from flowface_jax.alignment.alignment import Alignment, make_alignment
from flowface_jax.alignment.cap4d import read_cap4d_alignment, write_cap4d_alignment
from flowface_jax.alignment.key_points import (
    KeyPoint,
    read_key_points,
    surface_point,
    with_key_points,
    without_key_points,
)
from flowface_jax.errors import InputError
from flowface_jax.fitting.thinning import thinned
from flowface_jax.heads.generic import generic_head


@pytest.fixture(scope="module")
def head():
    return generic_head()


def _alignment(head, cameras=2, frames=3, point_set="vertices"):
    count = {"vertices": head.vertex_count, "mediapipe": 478, "landmarks": 68}[point_set]
    names = [f"cam{c}" for c in range(cameras)]
    shape = (cameras, frames, count)
    valid = np.ones(shape[:2], bool)
    valid[0, 1] = False
    mean = np.random.default_rng(0).uniform(0, 90, (*shape, 2))
    return make_alignment(
        mean, np.ones(shape), valid, [[100, 90]] * cameras, point_set, camera_names=names, frame_ids=10 + np.arange(3)
    )


def test_csv_and_json_say_the_same(tmp_path):
    (tmp_path / "points.csv").write_text(
        "\ufeffcamera, frame, point, x, y, sigma\n# the tip, by eye\ncam1,12,nose tip,3.5,4,0.5\n\n,11,vertex:7,1,2,\n",
        encoding="utf-8",
    )
    rows = [
        {"camera": "cam1", "frame": 12, "point": "nose tip", "x": 3.5, "y": 4, "sigma": 0.5},
        {"frame": 11, "point": "vertex:7", "x": 1, "y": 2, "sigma": None},
    ]
    (tmp_path / "points.json").write_text(json.dumps(rows))
    for name in ("points.csv", "points.json"):
        first, second = (dataclasses.replace(point, where="") for point in read_key_points(tmp_path / name))
        assert first == KeyPoint(12, "nose tip", 3.5, 4.0, 0.5, "cam1", "")
        assert second == KeyPoint(11, "vertex:7", 1.0, 2.0, 1.0, "", "")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.csv", "", "found nothing"),
        ("p.csv", "frame,point,x\n1,chin,2\n", "expected a first line with camera,frame,point,x,y,sigma"),
        ("p.csv", "frame,point,x,y\n", "holds no key point"),
        ("p.csv", "frame,point,x,y\n1,chin,2,3\none,chin,2,3\n", r"line 3: frame, x, y and sigma must be numbers"),
        ("p.csv", "frame,point,x,y\n1,chin,,3\n", "line 2: x is missing"),
        ("p.csv", "frame,point,x,y\n1,chin,nan,3\n", "line 2: expected finite x and y"),
        ("p.csv", "frame,point,x,y,sigma\n1,chin,1,3,0\n", "sigma above 0"),
        ("p.csv", "frame,point,x,y,sgima\n1,chin,1,3,1\n", "unknown field 'sgima'"),
        ("p.json", "{", "not valid JSON"),
        ("p.json", '{"frame": 1}', "expected a list of objects"),
        ("p.json", "[" * 100000, "not valid JSON"),
        ("p.json", '[{"frame": 1.5, "point": "chin", "x": 1, "y": 2}]', "entry 0: frame"),
    ],
)
def test_files_that_cannot_be_used_get_one_line(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_key_points(tmp_path / name)
    assert "\n" not in str(caught.value) and name in str(caught.value)


@pytest.mark.parametrize("name", ["nose tip", "Nose_Tip", "nose-tip", "landmark:30"])
def test_a_landmark_has_its_name_and_its_number(head, name):
    ids, weights = surface_point(name, head)
    assert (ids == np.asarray(head.landmarks.vertex_ids[30])).all()
    assert np.allclose(weights, head.landmarks.barycentric[30])


def test_vertices_and_places_within_triangles_are_named(head):
    assert surface_point("vertex:5", head)[0].tolist() == [5, 5, 5]
    ids, weights = surface_point("surface:1/2/3:0.2/0.3/0.5", head)
    assert ids.tolist() == [1, 2, 3] and np.allclose(weights, [0.2, 0.3, 0.5])
    assert (surface_point("mediapipe:1", head)[0] == np.asarray(head.mediapipe.vertex_ids[1])).all()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nosetip", "unknown point 'nosetip'; expected .* nose tip"),
        ("landmark:68", "expected 0 to 67"),
        ("mediapipe:-1", "expected 0 to 477"),
        ("vertex:99999999", "expected 0 to"),
        ("surface:1/2:0.5/0.5", "three vertices"),
        ("surface:1/2/3:0.5/0.5/0.5", "sum to 1"),
        ("surface:1/2/99999999:0.2/0.3/0.5", "has the vertices"),
    ],
)
def test_points_that_the_head_does_not_have_are_refused(head, name, message):
    with pytest.raises(InputError, match=message):
        surface_point(name, head, "points.csv, line 4")


@pytest.mark.parametrize("point_set", ["vertices", "mediapipe", "landmarks"])
def test_they_are_the_last_points_and_make_an_image_valid(head, point_set):
    before = _alignment(head, point_set=point_set)
    points = [KeyPoint(11, "nose tip", 7, 8, 0.5, "cam0"), KeyPoint(12, "nose tip", 9, 9, 1, "cam1")]
    after = with_key_points(before, head, [*points, KeyPoint(12, "vertex:3", 1, 2, 1, "cam1")])
    assert after.placed == 2 and after.point_count == before.point_count + 2
    assert after.mean[0, 1, -2].tolist() == [7, 8] and after.std[0, 1, -2] == 0.5
    assert np.isfinite(after.std[..., -2:]).sum() == 3
    assert after.valid[0, 1] and np.isinf(after.std[0, 1, :-2]).all()
    surface = after.points_on(head)
    assert surface.vertex_ids.shape == (after.point_count, 3)
    assert (np.asarray(surface.vertex_ids[-2]) == np.asarray(head.landmarks.vertex_ids[30])).all()
    back = without_key_points(after)
    assert (back.mean == before.mean).all() and (back.valid == before.valid).all() and back.placed == 0


def test_placing_again_replaces_and_a_file_keeps_them(head, tmp_path):
    once = with_key_points(_alignment(head), head, [KeyPoint(10, "chin", 1, 2, 1, "cam0")])
    again = with_key_points(once, head, [KeyPoint(12, "nose tip", 3, 4, 1, "cam1")])
    assert again.placed == 1 and again.mean[1, 2, -1].tolist() == [3, 4]
    again.save(tmp_path / "alignment.npz")
    read = Alignment.load(tmp_path / "alignment.npz")
    assert read.placed == 1 and (read.std == again.std).all()
    assert (np.asarray(read.points_on(head).vertex_ids) == np.asarray(again.points_on(head).vertex_ids)).all()


def test_thinning_and_other_programs_leave_them_out_of_account(head, tmp_path):
    before = _alignment(head)
    after = with_key_points(before, head, [KeyPoint(10, "chin", 1, 2, 1, "cam0")])
    thin, plain = thinned(after, head, 100), thinned(before, head, 100)
    assert thin.placed == 1 and thin.point_count == plain.point_count + 1
    assert (thin.vertex_ids[:-1] == plain.vertex_ids).all()
    assert (thin.vertex_ids[-1] == np.asarray(head.landmarks.vertex_ids[8])).all()
    write_cap4d_alignment(after, tmp_path / "cap4d.npz")
    assert read_cap4d_alignment(tmp_path / "cap4d.npz").point_count == head.vertex_count


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([KeyPoint(9, "chin", 1, 2, 1, "cam0")], "no frame 9; the frames are 10 to 12"),
        ([KeyPoint(10, "chin", 1, 2, 1, "cam7")], "no camera 'cam7'; there are cam0, cam1"),
        ([KeyPoint(10, "chin", 1, 2)], "expected a camera"),
        ([KeyPoint(10, "chin", 1, 2, 1, "cam0"), KeyPoint(10, "chin", 3, 2, 1, "cam0")], "placed twice in frame 10"),
    ],
)
def test_what_is_not_there_is_refused(head, points, message):
    with pytest.raises(InputError, match=message):
        with_key_points(_alignment(head), head, points)
