"""The cameras of CAP4D's fit.npz."""

import numpy as np
import pytest

from flowface_jax.cameras.readers.cap4d import read_cap4d_cameras
from flowface_jax.errors import InputError
from flowface_jax.storage import write_npz
from tests.cameras.readers.rig import POINTS, ROTATIONS, TRANSLATIONS, source_pixels


def fit(count=3) -> dict:
    extrinsics = np.tile(np.eye(4, dtype=np.float32), (count, 1, 1))
    extrinsics[:, :3, :3], extrinsics[:, :3, 3] = ROTATIONS[:count], TRANSLATIONS[:count]
    column = np.ones((count, 1), np.float32)
    return {
        "fx": 900 * column,
        "fy": 900 * column,
        "cx": 320 * column,
        "cy": 240 * column,
        "extr": extrinsics,
        "resolutions": np.tile([480, 640], (count, 1)),
        "camera_order": np.asarray(["cam0", "cam1", "cam2"][:count]),
        "shape": np.zeros(150),
    }


def test_points_land_where_the_matrices_put_them(tmp_path):
    write_npz(tmp_path / "fit.npz", fit())
    calibration = read_cap4d_cameras(tmp_path)
    ideal = np.asarray(calibration.cameras.project(POINTS.astype(np.float32)))
    k = [[900, 0, 320], [0, 900, 240], [0, 0, 1]]
    for c in range(3):
        np.testing.assert_allclose(source_pixels(ROTATIONS[c], TRANSLATIONS[c], k), ideal[c], atol=0.005)
    np.testing.assert_array_equal(calibration.cameras.image_size, [[640, 480]] * 3)
    assert calibration.names == ("cam0", "cam1", "cam2")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("fx", None, "lacks fx"),
        ("fx", np.ones((2, 1)), "fx: expected"),
        ("extr", np.eye(4), "expected 'extr' of shape"),
        ("extr", np.full((3, 4, 4), np.nan), "finite numbers"),
        ("resolutions", np.ones(3), "expected 'resolutions' of shape"),
        ("cy", np.asarray(["a", "b", "c"]), "'cy' is not an array of numbers"),
    ],
)
def test_damaged_arrays_are_named(tmp_path, key, value, message):
    arrays = fit() | {key: value}
    if value is None:
        del arrays[key]
    write_npz(tmp_path / "fit.npz", arrays)
    with pytest.raises(InputError, match=message):
        read_cap4d_cameras(tmp_path / "fit.npz")
