"""COLMAP's text model."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from flowface_jax.cameras import undistort_points
from flowface_jax.cameras.readers.colmap import read_colmap
from flowface_jax.errors import InputError
from tests.cameras.readers.rig import POINTS, ROTATIONS, TRANSLATIONS, source_pixels

MODELS = {
    "SIMPLE_PINHOLE": ("900.5 320.0 240.25", 900.5, []),
    "PINHOLE": ("900.5 910.0 320.0 240.25", 910.0, []),
    "SIMPLE_RADIAL": ("900.5 320.0 240.25 0.07", 900.5, [0.07]),
    "RADIAL": ("900.5 320.0 240.25 0.07 -0.2", 900.5, [0.07, -0.2]),
    "OPENCV": ("900.5 910.0 320.0 240.25 0.07 -0.2 0.001 -0.002", 910.0, [0.07, -0.2, 0.001, -0.002]),
    "FULL_OPENCV": (
        "900.5 910.0 320.0 240.25 0.07 -0.2 0.001 -0.002 0.03 0.01 0.02 0.04",
        910.0,
        [0.07, -0.2, 0.001, -0.002, 0.03, 0.01, 0.02, 0.04],
    ),
}


def write_model(folder, model="OPENCV", parameters=None, names=("b.png", "a b.png", "c.png")):
    parameters = MODELS[model][0] if parameters is None else parameters
    (folder / "cameras.txt").write_text(f"# comment\n1 {model} 640 480 {parameters}\n")
    lines = ["# comment"]
    for c, name in enumerate(names):
        quaternion = Rotation.from_matrix(ROTATIONS[c]).as_quat(scalar_first=True)
        numbers = " ".join(repr(float(v)) for v in (*quaternion, *TRANSLATIONS[c]))
        # COLMAP writes a blank second line for an image without points.
        lines += [f"{c + 1} {numbers} 1 {name}", "" if c == 0 else "12.5 13.5 -1 14.0 15.0 7"]
    (folder / "images.txt").write_text("\n".join(lines) + "\n")
    return folder


@pytest.mark.parametrize("model", MODELS)
def test_points_land_where_the_model_puts_them(tmp_path, model):
    _, fy, lens = MODELS[model]
    calibration = read_colmap(write_model(tmp_path, model))
    # COLMAP's pixels are ours: the matrix is used as it stands in the file.
    k = [[900.5, 0, 320.0], [0, fy, 240.25], [0, 0, 1]]
    seen = source_pixels(ROTATIONS[0], TRANSLATIONS[0], k, lens + [0.0] * (8 - len(lens)))
    ideal = np.asarray(calibration.cameras.project(POINTS.astype(np.float32)))[calibration.index("b.png")]
    np.testing.assert_allclose(undistort_points(calibration, "b.png", seen), ideal, atol=0.002)


def test_images_are_cameras_in_the_order_of_their_names(tmp_path):
    calibration = read_colmap(write_model(tmp_path))
    assert calibration.names == ("a b.png", "b.png", "c.png")
    np.testing.assert_array_equal(calibration.frame_ids, [0, 1, 2])
    np.testing.assert_allclose(calibration.cameras.translation, TRANSLATIONS[[1, 0, 2]], rtol=1e-6)
    assert calibration.length_scale_to_metres is None


def test_either_file_names_the_model(tmp_path):
    write_model(tmp_path)
    assert read_colmap(tmp_path / "images.txt").count == read_colmap(tmp_path / "cameras.txt").count == 3


def test_other_camera_models_are_named(tmp_path):
    write_model(tmp_path, "OPENCV")
    (tmp_path / "cameras.txt").write_text("1 OPENCV_FISHEYE 640 480 1 1 1 1 0 0 0 0\n")
    with pytest.raises(InputError, match="line 1: camera model OPENCV_FISHEYE is not understood"):
        read_colmap(tmp_path)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("cameras.txt", "#\n1 PINHOLE 640 480 900 900 320\n", "cameras.txt, line 2: .*4 parameters of PINHOLE"),
        ("cameras.txt", "1 PINHOLE 640\n", "cameras.txt, line 1"),
        ("cameras.txt", "1 PINHOLE 640 480 900 nine 320 240\n", "cameras.txt, line 1"),
        ("images.txt", "1 1 0 0 0 0 0\n", "images.txt, line 1: expected id, quaternion"),
        ("images.txt", "1 1 0 0 0 0 0 1 8 a.png\n", "uses camera 8, which cameras.txt lacks"),
        ("images.txt", "1 2 0 0 0 0 0 1 1 a.png\n", "unit quaternion"),
        ("images.txt", "# nothing registered\n", "lists no image"),
    ],
)
def test_damaged_lines_are_named(tmp_path, file, text, message):
    write_model(tmp_path)
    (tmp_path / file).write_text(text)
    with pytest.raises(InputError, match=message):
        read_colmap(tmp_path)


def test_missing_and_binary_models_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such file: .*cameras.txt"):
        read_colmap(tmp_path)
    (tmp_path / "cameras.bin").write_bytes(b"\0")
    with pytest.raises(InputError, match="model_converter"):
        read_colmap(tmp_path)
