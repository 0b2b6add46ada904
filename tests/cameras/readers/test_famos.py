"""FaMoS's Tsai cameras."""

import numpy as np
import pytest

from flowface_jax.cameras import undistort_points
from flowface_jax.cameras.readers.famos import read_famos, tsai_to_opencv
from flowface_jax.errors import InputError
from tests.cameras.readers.rig import POINTS, ROTATIONS, TRANSLATIONS

F, K1, K2 = 25.0, 4e-4, -1e-6
PIXEL = (0.0055, 0.0056)
CENTRE = (598.4, 812.9)
SIZE = (1200, 1600)


def tka_text(c: int, size=SIZE, k1=K1, k2=K2) -> str:
    position = -ROTATIONS[c].T @ (1000 * TRANSLATIONS[c])
    rows = [" ".join(f"{v:.10f}" for v in row) + " " for row in ROTATIONS[c]]
    fields = [f"X: {position[0]}", f"Y: {position[1]}", f"Z: {position[2]}", f"f: {F}", f"K: {k1}", f"K2: {k2}", "S: 1"]
    fields += [f"x: {PIXEL[0]}", f"y: {PIXEL[1]}", f"a: {CENTRE[0]}", f"b: {CENTRE[1]}", f"is: {size[0]} {size[1]}"]
    return "\n".join(["M:", *rows, *fields, "c: 0.0", ""])


@pytest.fixture
def folder(tmp_path):
    for c, name in enumerate(("00_A", "00_C", "01_C")):
        (tmp_path / f"{name}.tka").write_text(tka_text(c, size=SIZE if c < 2 else SIZE[::-1]))
    return tmp_path


def tsai_pixels(c: int) -> np.ndarray:
    """Tsai's forward model by hand: the sensor point r_d with r_u = r_d (1 + K r_d² + K2 r_d⁴), by bisection, mm."""
    seen = POINTS @ ROTATIONS[c].T + TRANSLATIONS[c]
    undistorted = F * seen[:, :2] / seen[:, 2:]
    radius = np.linalg.norm(undistorted, axis=1)
    low, high = np.zeros(len(radius)), 2 * radius
    for _ in range(80):
        middle = (low + high) / 2
        smaller = middle * (1 + K1 * middle**2 + K2 * middle**4) < radius
        low, high = np.where(smaller, middle, low), np.where(smaller, high, middle)
    distorted = undistorted * (low / radius)[:, None]
    return distorted / PIXEL + CENTRE


def test_points_land_where_tsais_model_puts_them(folder):
    rig = read_famos(folder)
    assert rig.names == ("00_A", "00_C", "01_C") and rig.length_scale_to_metres == 1.0
    ideal = np.asarray(rig.cameras.project(POINTS.astype(np.float32)))
    for c in range(2):
        # 0.05 px: what is left of inverting Tsai's polynomial by two coefficients.
        np.testing.assert_allclose(undistort_points(rig, c, tsai_pixels(c)), ideal[c], atol=0.05)


def test_ignoring_the_lens_would_be_seen(folder):
    ideal = np.asarray(read_famos(folder).cameras.project(POINTS.astype(np.float32)))
    assert np.abs(tsai_pixels(0) - ideal[0]).max() > 1.0


def test_quartered_images(folder):
    full, quarter = read_famos(folder), read_famos(folder, image_scale=0.25)
    np.testing.assert_allclose(quarter.intrinsics[:, :2], full.intrinsics[:, :2] / 4)
    np.testing.assert_array_equal(quarter.cameras.image_size, np.asarray(full.cameras.image_size) // 4)
    np.testing.assert_array_equal(quarter.distortion, full.distortion)


def test_turned_view_sees_the_points_in_the_turned_image(folder):
    """Counter-clockwise by 90°: what was at (x, y) is at (y, width − x)."""
    plain, turned = read_famos(folder), read_famos(folder, turn_to="portrait")
    np.testing.assert_array_equal(turned.cameras.image_size, [SIZE] * 3)
    before = np.asarray(plain.cameras.project(POINTS.astype(np.float32)))
    after = np.asarray(turned.cameras.project(POINTS.astype(np.float32)))
    np.testing.assert_array_equal(after[:2], before[:2])
    width = SIZE[1]
    np.testing.assert_allclose(after[2], np.stack([before[2, :, 1], width - before[2, :, 0]], axis=-1), atol=0.01)
    source = np.asarray([[900.0, 300.0]])
    moved = undistort_points(turned, 2, np.asarray([[300.0, width - 900.0]]))
    straight = undistort_points(plain, 2, source)
    np.testing.assert_allclose(moved, [[straight[0, 1], width - straight[0, 0]]], atol=1e-4)


def test_turned_image_is_what_numpy_turns(folder):
    """The pixel whose centre is (x, y) lies, in np.rot90's image, where the turned camera expects it."""
    image = np.zeros((5, 8))
    image[1, 6] = 1
    row, column = np.argwhere(np.rot90(image))[0]
    assert (column + 0.5, row + 0.5) == (1.5, 8 - 6.5)


def test_views_are_chosen_by_name_and_one_file_is_enough(folder):
    assert read_famos(folder, names=["01_C", "00_C"]).names == ("01_C", "00_C")
    assert read_famos(folder / "00_C.tka").names == ("00_C",)
    with pytest.raises(InputError, match="no view 09_C"):
        read_famos(folder, names=["09_C"])


def test_inverted_polynomial_is_close_over_the_whole_range():
    k, k2, largest = 0.25, 0.05, 0.4
    k1_k2 = tsai_to_opencv(k, k2, largest)
    distorted = np.linspace(0, largest, 50)
    undistorted = distorted * (1 + k * distorted**2 + k2 * distorted**4)
    again = undistorted * (1 + k1_k2[0] * undistorted**2 + k1_k2[1] * undistorted**4)
    assert np.abs(again - distorted).max() < 1e-4


@pytest.mark.parametrize(
    ("line", "text", "message"),
    [
        (2, "0 1", r"00_A.tka, line 3: expected row 2 of the rotation \(3 numbers\)"),
        (7, "f: long", "line 8: expected the focal length"),
        (15, "is: 1200", "line 16: expected the image width and height"),
        (11, "x: 0", "must be positive"),
    ],
)
def test_damaged_line_is_named(folder, line, text, message):
    lines = (folder / "00_A.tka").read_text().splitlines()
    lines[line] = text
    (folder / "00_A.tka").write_text("\n".join(lines))
    with pytest.raises(InputError, match=message):
        read_famos(folder)


def test_truncated_file_and_empty_folder_and_wrong_options(folder, tmp_path_factory):
    with pytest.raises(InputError, match="turn_to"):
        read_famos(folder, turn_to="sideways")
    with pytest.raises(InputError, match="image_scale"):
        read_famos(folder, image_scale=0)
    lines = (folder / "00_A.tka").read_text().splitlines()[:10]
    (folder / "00_A.tka").write_text("\n".join(lines))
    with pytest.raises(InputError, match="ends at line 10"):
        read_famos(folder)
    with pytest.raises(InputError, match="holds no .tka"):
        read_famos(tmp_path_factory.mktemp("empty"))
