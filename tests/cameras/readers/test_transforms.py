"""transforms.json of instant-ngp, nerfstudio, VHAP and INSTA."""

import math

import cv2
import numpy as np
import pytest

from flowface_jax.cameras import undistort_points
from flowface_jax.cameras.readers.transforms import read_transforms
from flowface_jax.errors import InputError
from flowface_jax.storage import write_json
from tests.cameras.readers.rig import POINTS, ROTATIONS, TRANSLATIONS, source_pixels

SHARED = {"w": 640, "h": 480, "fl_x": 900.0, "fl_y": 905.0, "cx": 321.0, "cy": 239.0, "k1": 0.05, "p2": 0.001}


def world_from_camera(c: int, opengl: bool = True) -> np.ndarray:
    """Camera-to-world written out: columns are the camera's right, up (or down) and backward (or forward)."""
    pose = np.eye(4)
    right, down, forward = ROTATIONS[c]
    pose[:3, :3] = np.stack([right, -down, -forward] if opengl else [right, down, forward], axis=1)
    pose[:3, 3] = -ROTATIONS[c].T @ TRANSLATIONS[c]
    return pose


def write(tmp_path, top=SHARED, extra=({}, {}, {}), opengl=True):
    frames = [
        {"file_path": f"images/{c}.png", "transform_matrix": world_from_camera(c, opengl), **extra[c]} for c in range(3)
    ]
    write_json(tmp_path / "transforms.json", {**top, "frames": frames})
    return tmp_path / "transforms.json"


def test_points_land_where_the_file_puts_them(tmp_path):
    calibration = read_transforms(write(tmp_path))
    k = [[900, 0, 321], [0, 905, 239], [0, 0, 1]]
    ideal = np.asarray(calibration.cameras.project(POINTS.astype(np.float32)))
    for c in range(3):
        seen = source_pixels(ROTATIONS[c], TRANSLATIONS[c], k, [0.05, 0, 0, 0.001, 0, 0, 0, 0])
        np.testing.assert_allclose(undistort_points(calibration, f"images/{c}.png", seen), ideal[c], atol=0.002)
    assert calibration.length_scale_to_metres is None


def test_intrinsics_of_a_frame_overrule_the_shared_ones(tmp_path):
    path = write(tmp_path, extra=({}, {"fl_x": 500.0, "w": 700, "k1": 0.0}, {}))
    calibration = read_transforms(path)
    np.testing.assert_array_equal(calibration.intrinsics[:, 0, 0], [900, 500, 900])
    np.testing.assert_array_equal(calibration.cameras.image_size[:, 0], [640, 700, 640])
    np.testing.assert_array_equal(calibration.distortion[:, 0], [0.05, 0, 0.05])


def test_angle_of_view_stands_in_for_the_focal_length(tmp_path):
    calibration = read_transforms(write(tmp_path, {"camera_angle_x": 2 * math.atan(0.4), "w": 640, "h": 480}))
    np.testing.assert_allclose(calibration.intrinsics[0], [[800, 0, 320], [0, 800, 240], [0, 0, 1]])


def test_image_size_comes_from_the_caller_or_the_images(tmp_path):
    path = write(tmp_path, {"camera_angle_x": 0.7})
    with pytest.raises(InputError, match="pass image_size"):
        read_transforms(path)
    np.testing.assert_array_equal(read_transforms(path, image_size=(30, 20)).cameras.image_size, [[30, 20]] * 3)
    (tmp_path / "images").mkdir()
    for c in range(3):
        cv2.imwrite(str(tmp_path / "images" / f"{c}.png"), np.zeros((24, 36, 3), np.uint8))
    np.testing.assert_array_equal(read_transforms(path).cameras.image_size, [[36, 24]] * 3)


def test_insta_files_hold_opencv_axes(tmp_path):
    extra = [{"exp_path": f"flame/exp/{c}.txt"} for c in range(3)]
    calibration = read_transforms(write(tmp_path, extra=extra, opengl=False))
    np.testing.assert_allclose(calibration.cameras.rotation, ROTATIONS, atol=1e-6)
    np.testing.assert_allclose(calibration.cameras.translation, TRANSLATIONS, atol=1e-6)
    assert calibration.source == "insta" and calibration.length_scale_to_metres == 1.0


def test_axes_can_be_overruled(tmp_path):
    calibration = read_transforms(write(tmp_path, opengl=False), camera_axes="opencv")
    np.testing.assert_allclose(calibration.cameras.rotation, ROTATIONS, atol=1e-6)
    with pytest.raises(InputError, match="camera_axes"):
        read_transforms(tmp_path, camera_axes="blender")


def test_vhap_frames_know_their_time_step(tmp_path):
    extra = [{"timestep_index": c + 4, "flame_param_path": "flame_param/0.npz"} for c in range(3)]
    calibration = read_transforms(write(tmp_path, extra=extra))
    np.testing.assert_array_equal(calibration.frame_ids, [4, 5, 6])
    assert calibration.source == "vhap"


def test_given_length_scale_makes_metres(tmp_path):
    path = write(tmp_path)
    np.testing.assert_allclose(
        read_transforms(path, length_scale_to_metres=0.5).cameras.translation, TRANSLATIONS / 2, atol=1e-6
    )
    with pytest.raises(InputError, match="length_scale_to_metres"):
        read_transforms(path, length_scale_to_metres=-1)


@pytest.mark.parametrize(
    ("top", "extra", "message"),
    [
        ({"w": 6, "h": 4}, {}, "frame 0 has neither fl_x nor camera_angle_x"),
        (SHARED, {"camera_model": "OPENCV_FISHEYE"}, "frame 1: camera model OPENCV_FISHEYE"),
        (SHARED, {"transform_matrix": [[1, 0], [0, 1]]}, "frame 1: expected 'transform_matrix'"),
        (SHARED, {"transform_matrix": (2 * np.eye(4))}, "transforms.json: camera 'images/1.png'.*rotation"),
        (SHARED, {"fl_x": "wide"}, "frame 1: 'fl_x' is not"),
        (SHARED, {"file_path": "images/0.png"}, "same name: images/0.png"),
        (SHARED, {"k4": 0.1}, "frame 1: k4 is not understood"),
        ({"w": 6, "h": 4, "camera_angle_x": 4.0}, {}, "camera_angle_x must lie between"),
    ],
)
def test_damaged_frames_are_named(tmp_path, top, extra, message):
    with pytest.raises(InputError, match=message):
        read_transforms(write(tmp_path, top, ({}, extra, {})))


def test_missing_matrix_and_missing_frames(tmp_path):
    write_json(tmp_path / "transforms.json", {**SHARED, "frames": [{"file_path": "a.png"}]})
    with pytest.raises(InputError, match="frame 0 lacks 'transform_matrix'"):
        read_transforms(tmp_path)
    write_json(tmp_path / "transforms.json", {**SHARED, "frames": []})
    with pytest.raises(InputError, match="frames"):
        read_transforms(tmp_path)
