"""FaceScape's params.json and the way to the TU space."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from flowface_jax.cameras import undistort_points
from flowface_jax.cameras.readers.facescape import read_facescape
from flowface_jax.errors import InputError
from flowface_jax.storage import write_json
from tests.cameras.readers.rig import POINTS, ROTATIONS, TRANSLATIONS, source_pixels

K = np.asarray([[2400.0, 0, 640.3], [0, 2410.0, 481.7], [0, 0, 1]])
LENS = [0.05, -0.1, 1e-3, -1e-3, 0.02]
SCALE = 873.2
TO_TU = np.concatenate([Rotation.from_rotvec([0.3, 3.0, 0.1]).as_matrix(), [[12.0], [-7.0], [31.0]]], axis=1)


def params(views=(0, 2, 7), invalid=(), square=3) -> dict:
    record = {}
    for c, n in enumerate(views):
        matrix = np.eye(square)
        matrix[:3, :3] = K
        record |= {
            f"{n}_K": matrix,
            f"{n}_Rt": np.concatenate([ROTATIONS[c], TRANSLATIONS[c][:, None]], axis=1),
            f"{n}_distortion": LENS,
            f"{n}_width": 1280,
            f"{n}_height": 960,
            f"{n}_valid": n not in invalid,
            f"{n}_matches": 10,
            f"{n}_sn": "x",
            f"{n}_ori": 0,
        }
    return record


def folder(tmp_path, record, identity="122", expression="1_neutral"):
    write_json(tmp_path / identity / expression / "params.json", record)
    write_json(tmp_path / "Rt_scale_dict.json", {"122": {"1": [SCALE, TO_TU]}})
    return tmp_path / identity / expression / "params.json"


@pytest.mark.parametrize("square", [3, 4])
def test_points_land_where_opencv_sees_them_plus_half_a_pixel(tmp_path, square):
    rig = read_facescape(folder(tmp_path, params(square=square)))
    assert rig.length_scale_to_metres is None
    for c in range(3):
        seen = source_pixels(ROTATIONS[c], TRANSLATIONS[c], K, [*LENS, 0, 0, 0]) + 0.5
        ideal = np.asarray(rig.cameras.project(POINTS.astype(np.float32)))[c]
        np.testing.assert_allclose(undistort_points(rig, c, seen), ideal, atol=0.005)


def test_mesh_moved_to_the_tu_space_in_metres_is_seen_in_the_same_pixels(tmp_path):
    path = folder(tmp_path, params())
    plain = read_facescape(path)
    rig = read_facescape(path, rt_scale_dict=tmp_path / "Rt_scale_dict.json")
    moved = ((SCALE * POINTS) @ TO_TU[:, :3].T + TO_TU[:, 3]) / 1000
    np.testing.assert_allclose(
        rig.cameras.project(moved.astype(np.float32)), plain.cameras.project(POINTS.astype(np.float32)), atol=0.005
    )
    assert rig.length_scale_to_metres == 1.0


def test_depths_in_the_tu_space_are_metres(tmp_path):
    """A camera 1.1 units in front of the origin of a world of 873.2 mm per unit is 0.96 m away."""
    rig = read_facescape(folder(tmp_path, params()), rt_scale_dict=tmp_path / "Rt_scale_dict.json")
    origin = (TO_TU[:, 3] / 1000).astype(np.float32)
    depth = np.asarray(rig.cameras.to_camera(origin))[0, 2]
    assert depth == pytest.approx(1.1 * SCALE / 1000, rel=1e-5)


def test_invalid_views_are_left_out(tmp_path):
    rig = read_facescape(folder(tmp_path, params(invalid=(2,))).parent)
    assert rig.names == ("0", "7")
    np.testing.assert_allclose(rig.cameras.translation[1], TRANSLATIONS[2], rtol=1e-6)
    with pytest.raises(InputError, match="every view is marked invalid"):
        read_facescape(folder(tmp_path, params(invalid=(0, 2, 7))))


def test_identity_and_expression_can_be_given(tmp_path):
    path = folder(tmp_path, params(), identity="someone")
    dictionary = tmp_path / "Rt_scale_dict.json"
    assert read_facescape(path, dictionary, identity=122, expression=1).count == 3
    with pytest.raises(InputError, match="no identity 'someone'"):
        read_facescape(path, dictionary)
    with pytest.raises(InputError, match="expression '5'"):
        read_facescape(path, dictionary, identity=122, expression=5)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("2_Rt", None, "view 2 lacks '2_Rt'"),
        ("2_K", [[1.0, 2.0]], "2_K"),
        ("2_distortion", [0.1, 0.2], "2_distortion"),
        ("2_width", "wide", "2_width"),
        ("2_Rt", [[1, 0, 0, np.nan]] * 3, "2_Rt"),
    ],
)
def test_damaged_records_name_the_key(tmp_path, key, value, message):
    record = params() | {key: value}
    if value is None:
        del record[key]
    with pytest.raises(InputError, match=message):
        read_facescape(folder(tmp_path, record))


def test_other_json_is_refused(tmp_path):
    for content in ({}, [1, 2]):
        write_json(tmp_path / "params.json", content)
        with pytest.raises(InputError, match="params.json"):
            read_facescape(tmp_path / "params.json")
