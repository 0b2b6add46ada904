"""The pinhole: what `Cameras` projects, stores and refuses."""

import jax
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from flowface_jax.cameras import Cameras, make_cameras
from flowface_jax.errors import InputError
from flowface_jax.storage import read_json, write_json


def two_cameras() -> Cameras:
    return make_cameras(
        focal=[1200.0, 900.5],
        principal_point=[[320.0, 240.0], [511.3, 380.7]],
        rotation=Rotation.from_rotvec([[0.0, 0.0, 0.0], [0.3, -0.8, 0.1]]).as_matrix(),
        translation=[[0.0, 0.0, 1.0], [0.1, -0.2, 1.3]],
        image_size=[[640, 480], [1024, 768]],
        names=["front", "left"],
    )


def test_projection_is_the_plain_pinhole_formula():
    cameras = two_cameras()
    world = np.random.default_rng(0).normal(0, 0.1, (7, 5, 3))
    pixels = np.asarray(cameras.project(world.astype(np.float32)))
    assert pixels.shape == (2, 7, 5, 2)
    for c in range(2):
        seen = world @ np.asarray(cameras.rotation[c], np.float64).T + np.asarray(cameras.translation[c])
        expected = cameras.focal[c] * seen[..., :2] / seen[..., 2:] + cameras.principal_point[c]
        np.testing.assert_allclose(pixels[c], expected, atol=2e-3)


def test_point_right_and_below_the_axis_lands_right_and_below_the_principal_point():
    pixel = np.asarray(two_cameras().project(np.asarray([0.01, 0.02, 0.0], np.float32)))[0]
    np.testing.assert_allclose(pixel, [320 + 12, 240 + 24], atol=1e-3)


def test_centre_is_the_point_that_the_camera_sees_at_its_origin():
    cameras = two_cameras()
    centres = cameras.centres()
    for c in range(2):
        np.testing.assert_allclose(cameras.to_camera(centres[c])[c], 0, atol=1e-6)
    np.testing.assert_allclose(centres[0], [0, 0, -1], atol=1e-7)


def test_json_brings_back_every_bit(tmp_path):
    cameras = two_cameras()
    cameras.save(tmp_path / "cameras.json")
    back = Cameras.load(tmp_path / "cameras.json")
    assert back.names == cameras.names
    for before, after in zip(jax.tree.leaves(cameras), jax.tree.leaves(back), strict=True):
        assert before.dtype == after.dtype
        np.testing.assert_array_equal(before, after)


def test_file_states_its_conventions(tmp_path):
    two_cameras().save(tmp_path / "cameras.json")
    assert "OpenCV" in read_json(tmp_path / "cameras.json", "cameras")["conventions"]["camera_axes"]


def test_cameras_are_a_pytree_whose_names_are_structure():
    cameras = two_cameras()
    assert jax.tree.map(lambda leaf: leaf, cameras).names == cameras.names
    assert len(jax.tree.leaves(cameras)) == 5


GOOD = {
    "focal": [1000.0],
    "principal_point": [[320.0, 240.0]],
    "rotation": [np.eye(3)],
    "translation": [[0.0, 0.0, 1.0]],
    "image_size": [[640, 480]],
}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("focal", [], "at least one camera"),
        ("focal", [-1.0], "positive"),
        ("focal", [np.nan], "positive"),
        ("principal_point", [320.0, 240.0], "shape"),
        ("principal_point", [[np.inf, 240.0]], "NaN or infinity"),
        ("rotation", [np.diag([1, 1, -1.0])], "rotation"),
        ("rotation", [2 * np.eye(3)], "rotation"),
        ("translation", [[0.0, np.nan, 1.0]], "NaN or infinity"),
        ("image_size", [[0, 480]], "between 1 and"),
        ("image_size", [[99999999999, 480]], "between 1 and"),
        ("image_size", [[np.nan, 480]], "NaN or infinity"),
        ("translation", [[0.0, "far", 1.0]], "not an array of numbers"),
        ("translation", [[0.0, 1e60, 1.0]], "NaN or infinity"),
        ("names", ["a", "b"], "names"),
    ],
)
def test_unsound_values_are_refused(field, value, message):
    with pytest.raises(InputError, match=message):
        make_cameras(**{**GOOD, field: value})


def test_incomplete_record_names_the_file(tmp_path):
    path = tmp_path / "cameras.json"
    two_cameras().save(path)
    value = read_json(path, "cameras")
    del value["cameras"][1]["focal_px"]
    write_json(path, value)
    with pytest.raises(InputError, match="cameras.json.*focal_px"):
        Cameras.load(path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": "flowface-cameras/1"}', '{"format": "other"}'])
def test_other_json_is_refused(tmp_path, content):
    path = tmp_path / "cameras.json"
    path.write_text(content)
    with pytest.raises(InputError, match="cameras.json"):
        Cameras.load(path)
