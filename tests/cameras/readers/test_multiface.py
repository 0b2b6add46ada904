"""Multiface's KRT file."""

import numpy as np
import pytest

from flowface_jax.cameras import undistort_points
from flowface_jax.cameras.readers.multiface import read_multiface
from flowface_jax.errors import InputError
from tests.cameras.readers.rig import POINTS, ROTATIONS, TRANSLATIONS, source_pixels

K = np.asarray([[7695.25, 0, 819.05], [0, 7693.5, 962.58], [0, 0, 1]])
LENS = [0.1, -0.2, 1e-3, 2e-3, 0.05]


def krt_text(names=("400002", "400067"), lens=(0.0, 0.0, 0.0, 0.0, 0.0)) -> str:
    lines = []
    for c, name in enumerate(names):
        pose = np.concatenate([ROTATIONS[c], 1000 * TRANSLATIONS[c][:, None]], axis=1)
        lines += [name, *(" ".join(map(repr, map(float, row))) for row in K)]
        lines += [" ".join(map(str, lens)), *(" ".join(map(repr, map(float, row))) for row in pose), ""]
    return "\n".join(lines)


def write(tmp_path, text):
    path = tmp_path / "KRT"
    path.write_text(text)
    return path


def test_points_land_where_opencv_sees_them_plus_half_a_pixel(tmp_path):
    rig = read_multiface(write(tmp_path, krt_text(lens=LENS)))
    assert rig.names == ("400002", "400067") and rig.length_scale_to_metres == 1.0
    for c in range(2):
        seen = source_pixels(ROTATIONS[c], TRANSLATIONS[c], K, [*LENS, 0, 0, 0]) + 0.5
        ideal = np.asarray(rig.cameras.project(POINTS.astype(np.float32)))[c]
        np.testing.assert_allclose(undistort_points(rig, c, seen), ideal, atol=0.01)


def test_millimetres_become_metres_and_the_published_image_size_is_taken(tmp_path):
    cameras = read_multiface(write(tmp_path, krt_text())).cameras
    np.testing.assert_allclose(cameras.translation, TRANSLATIONS[:2], atol=1e-6)
    np.testing.assert_array_equal(cameras.image_size, [[1334, 2048]] * 2)


def test_halved_images_halve_the_intrinsics(tmp_path):
    rig = read_multiface(write(tmp_path, krt_text()), image_size=(667, 1024))
    np.testing.assert_allclose(rig.intrinsics[0, 0], [K[0, 0] / 2, 0, (K[0, 2] + 0.5) / 2])
    np.testing.assert_allclose(rig.intrinsics[0, 1], [0, K[1, 1] / 2, (K[1, 2] + 0.5) / 2])


def test_cameras_are_chosen_by_name(tmp_path):
    path = write(tmp_path, krt_text())
    assert read_multiface(path, names=["400067"]).names == ("400067",)
    assert read_multiface(tmp_path).count == 2
    with pytest.raises(InputError, match="no camera '1'"):
        read_multiface(path, names=["1"])


@pytest.mark.parametrize("kept", [1, 4, 5, 7, 13, 16])
def test_truncated_file_names_the_line_where_it_ends(tmp_path, kept):
    lines = krt_text().splitlines()[:kept]
    with pytest.raises(InputError, match=f"ends at line {kept}: .* on line {kept + 1}"):
        read_multiface(write(tmp_path, "\n".join(lines)))


def test_damaged_line_is_named(tmp_path):
    lines = krt_text().splitlines()
    lines[10] = "7695.25 zero 819.05"
    with pytest.raises(InputError, match="KRT, line 11: expected row 1 of K of '400067'.*zero"):
        read_multiface(write(tmp_path, "\n".join(lines)))


def test_mirrored_rotation_names_file_and_camera(tmp_path):
    lines = krt_text().splitlines()
    lines[5] = "1 0 0 0"
    with pytest.raises(InputError, match="KRT: camera '400002'.*rotation"):
        read_multiface(write(tmp_path, "\n".join(lines)))


def test_empty_or_binary_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="empty"):
        read_multiface(write(tmp_path, "\n\n"))
    (tmp_path / "KRT").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(InputError, match="not a text file"):
        read_multiface(tmp_path / "KRT")
