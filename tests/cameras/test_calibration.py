"""From real cameras to ideal pinholes: points, images, selection and checks."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowface_jax.cameras import (
    distort_points,
    ideal_calibration,
    make_calibration,
    scale_lengths,
    select_cameras,
    undistort_image,
    undistort_maps,
    undistort_points,
)
from flowface_jax.errors import InputError

WIDTH, HEIGHT = 160, 120
NONE = [0.0] * 8
BARREL = [-0.35, 0.12, 1e-3, -2e-3, 0, 0, 0, 0]


def calibration(fx=150.0, fy=150.0, cx=81.3, cy=57.9, skew=0.0, distortion=NONE, count=1, **fields):
    return make_calibration(
        names=[f"cam{c}" for c in range(count)],
        intrinsics=[[[fx, skew, cx], [0, fy, cy], [0, 0, 1]]] * count,
        rotation=[np.eye(3)] * count,
        translation=[[0.0, 0.0, float(c)] for c in range(count)],
        image_size=[[WIDTH, HEIGHT]] * count,
        distortion=[distortion] * count,
        **fields,
    )


def smooth_image(xy: np.ndarray) -> np.ndarray:
    """A smooth scene as a function of continuous source pixels [...,2]."""
    return 100 + 40 * np.sin(xy[..., 0] / 9) + 40 * np.cos(xy[..., 1] / 7)


def pixel_centres() -> np.ndarray:
    columns, rows = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    return np.stack([columns, rows], axis=-1)


def test_ideal_focal_length_is_the_geometric_mean_and_the_principal_point_stays():
    cameras = calibration(fx=100.0, fy=144.0).cameras
    assert float(cameras.focal[0]) == pytest.approx(120.0)
    np.testing.assert_allclose(cameras.principal_point[0], [81.3, 57.9], rtol=1e-6)


def test_undistorted_observation_is_what_the_ideal_camera_projects():
    """The point of it all: K with distortion applied by hand, then undistorted, equals `Cameras.project`."""
    real = calibration(fx=140.0, fy=155.0, skew=0.7, distortion=BARREL)
    points = np.random.default_rng(0).uniform([-0.3, -0.25, 1.0], [0.3, 0.25, 1.4], (50, 3))
    observed, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), np.eye(3), np.asarray(BARREL))
    observed = observed[:, 0] @ real.intrinsics[0, :2, :2].T + real.intrinsics[0, :2, 2]
    ideal = np.asarray(real.cameras.project(points.astype(np.float32)))[0]
    np.testing.assert_allclose(undistort_points(real, "cam0", observed), ideal, atol=1e-3)


@settings(max_examples=40, deadline=None)
@given(
    fx=st.floats(100, 300),
    fy=st.floats(100, 300),
    skew=st.floats(-2, 2),
    k1=st.floats(-0.4, 0.6),
    k2=st.floats(-0.1, 0.2),
    p=st.tuples(st.floats(-3e-3, 3e-3), st.floats(-3e-3, 3e-3)),
)
def test_round_trip_stays_below_a_hundredth_of_a_pixel(fx, fy, skew, k1, k2, p):
    real = calibration(fx, fy, skew=skew, distortion=[k1, k2, *p, 0, 0, 0, 0])
    points = np.random.default_rng(1).uniform([30, 25], [WIDTH - 30, HEIGHT - 25], (60, 2))
    source = distort_points(real, 0, points)
    seen = np.isfinite(source).all(-1)
    assert seen.any()
    assert np.abs(undistort_points(real, 0, source[seen]) - points[seen]).max() < 0.01


def test_ideal_camera_changes_neither_points_nor_image():
    real = calibration()
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    points = np.asarray([[1.0, 2.0]])
    assert undistort_image(real, 0, image) is image
    assert undistort_points(real, 0, points) is points


def test_undistorted_image_shows_each_scene_point_where_the_points_say():
    """Half a pixel between OpenCV's pixel indices and our coordinates would show as a difference of about 2."""
    real = calibration(fx=150.0, fy=165.0, distortion=BARREL)
    image = smooth_image(pixel_centres()).astype(np.float32)
    expected = smooth_image(distort_points(real, 0, pixel_centres().reshape(-1, 2)).reshape(HEIGHT, WIDTH, 2))
    result = undistort_image(real, 0, image)
    inside = np.s_[12:-12, 12:-12]
    assert np.abs(result[inside] - expected[inside]).max() < 0.5


def test_two_focal_lengths_alone_are_undistorted_without_a_shift():
    """With the principal point in the middle, the image of a centred disc stays centred to a hundredth of a pixel."""
    real = calibration(fx=100.0, fy=144.0, cx=WIDTH / 2, cy=HEIGHT / 2)
    x, y = (pixel_centres() - (WIDTH / 2, HEIGHT / 2)).transpose(2, 0, 1)
    image = np.exp(-(x**2 + y**2) / 200).astype(np.float32)
    result = undistort_image(real, 0, image)
    centre = (result[..., None] * pixel_centres()).sum((0, 1)) / result.sum()
    np.testing.assert_allclose(centre, [WIDTH / 2, HEIGHT / 2], atol=0.01)


def test_maps_made_once_give_the_same_image_and_keep_type_and_channels():
    real = calibration(distortion=BARREL)
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    once = undistort_image(real, 0, image)
    again = undistort_image(real, 0, image, undistort_maps(real, 0))
    assert once.dtype == np.uint8 and once.shape == image.shape
    np.testing.assert_array_equal(once, again)


def test_what_lies_beyond_the_lens_models_range_is_black_not_a_ghost():
    real = calibration(fx=60.0, fy=60.0, distortion=[-0.5, 0, 0, 0, 0, 0, 0, 0])
    result = undistort_image(real, 0, np.full((HEIGHT, WIDTH), 255, np.uint8))
    assert result[0, 0] == 0 and result[HEIGHT // 2, WIDTH // 2] == 255


def test_image_of_another_size_is_refused():
    with pytest.raises(InputError, match="160 x 120"):
        undistort_image(calibration(), 0, np.zeros((HEIGHT, WIDTH + 1), np.uint8))


def test_points_of_wrong_shape_are_refused():
    with pytest.raises(InputError, match="shape"):
        undistort_points(calibration(distortion=BARREL), 0, np.zeros((3, 3)))


def test_selection_keeps_the_order_asked_for():
    real = replace(calibration(count=3), frame_ids=np.asarray([5, 6, 7]))
    chosen = select_cameras(real, ["cam2", "cam0"])
    assert chosen.names == ("cam2", "cam0")
    np.testing.assert_array_equal(chosen.frame_ids, [7, 5])
    np.testing.assert_array_equal(chosen.cameras.translation[:, 2], [2, 0])


@pytest.mark.parametrize("camera", ["cam9", 3, -1])
def test_camera_that_is_not_there_is_refused(camera):
    with pytest.raises(InputError, match="no camera"):
        calibration(count=3).index(camera)


def test_scaled_world_is_seen_in_the_same_pixels():
    real = calibration(length_scale_to_metres=None, count=2)
    scaled = scale_lengths(real, 0.25)
    point = np.asarray([0.1, -0.2, 2.0], np.float32)
    np.testing.assert_allclose(scaled.cameras.project(0.25 * point), real.cameras.project(point), atol=1e-3)
    assert scaled.length_scale_to_metres == 1.0
    with pytest.raises(InputError, match="scale"):
        scale_lengths(real, 0.0)


def test_rotations_rounded_in_a_file_become_exact_and_others_are_refused():
    c, s = np.cos(0.3), np.sin(0.3)
    rotation = np.asarray([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    fields = {
        "names": ["a"],
        "intrinsics": [[[100.0, 0, 50], [0, 100.0, 50], [0, 0, 1]]],
        "translation": [[0.0, 0, 0]],
        "image_size": [[100, 100]],
    }
    rounded = make_calibration(rotation=[np.round(rotation, 3)], **fields)
    found = np.asarray(rounded.cameras.rotation[0], np.float64)
    np.testing.assert_allclose(found @ found.T, np.eye(3), atol=1e-6)
    for wrong in (1.1 * rotation, np.diag([1.0, 1, -1]), np.full((3, 3), np.nan)):
        with pytest.raises(InputError, match="'a'.*rotation"):
            make_calibration(rotation=[wrong], **fields)


@pytest.mark.parametrize(
    ("intrinsics", "message"),
    [
        ([[0.0, 0, 50], [0, 100, 50], [0, 0, 1]], "positive"),
        ([[100.0, 0, np.nan], [0, 100, 50], [0, 0, 1]], "NaN"),
        ([[100.0, 0, 50], [3, 100, 50], [0, 0, 1]], "rows"),
        ([[100.0, 0, 50], [0, 100, 50], [0, 0, 2]], "rows"),
    ],
)
def test_unsound_intrinsics_are_refused(intrinsics, message):
    with pytest.raises(InputError, match=message):
        make_calibration(["a"], [intrinsics], [np.eye(3)], [[0, 0, 0]], [[100, 100]])


def test_names_must_differ():
    with pytest.raises(InputError, match="same name: a"):
        make_calibration(["a", "a"], [np.eye(3)] * 2, [np.eye(3)] * 2, [[0, 0, 0]] * 2, [[10, 10]] * 2)


def test_calibration_of_ideal_cameras_is_ideal():
    assert ideal_calibration(calibration(fx=100, fy=144, distortion=BARREL).cameras).is_ideal(0)
