"""Each foreign convention is written out by hand once and must see a known point in the same pixel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from flowface_jax.cameras import conversion
from flowface_jax.errors import InputError

ROTATION = Rotation.from_rotvec([0.4, -0.7, 0.2]).as_matrix()
TRANSLATION = np.asarray([0.12, -0.31, 1.6])
FOCAL, CENTRE, SIZE = 870.0, np.asarray([301.5, 262.25]), np.asarray([640, 480])
POINT = np.asarray([0.07, -0.03, 0.09])


def our_pixel() -> np.ndarray:
    seen = ROTATION @ POINT + TRANSLATION
    return FOCAL * seen[:2] / seen[2] + CENTRE


rotations = st.tuples(*[st.floats(-2, 2)] * 3).map(lambda v: Rotation.from_rotvec(v).as_matrix())
vectors = st.tuples(*[st.floats(-3, 3)] * 3).map(np.asarray)


def test_opengl_camera_sees_the_point_in_the_same_pixel():
    pose = conversion.opengl_from_opencv(ROTATION, TRANSLATION)
    seen = np.linalg.inv(pose) @ [*POINT, 1.0]
    # OpenGL looks along −z with y up: depth is −z, rows grow downwards.
    assert seen[2] < 0
    pixel = [CENTRE[0] + FOCAL * seen[0] / -seen[2], CENTRE[1] - FOCAL * seen[1] / -seen[2]]
    np.testing.assert_allclose(pixel, our_pixel(), atol=1e-9)


def test_camera_to_world_puts_the_camera_at_its_centre():
    pose = conversion.camera_to_world(ROTATION, TRANSLATION)
    np.testing.assert_allclose(ROTATION @ pose[:3, 3] + TRANSLATION, 0, atol=1e-12)
    np.testing.assert_allclose(pose[:3, 2], ROTATION[2], atol=1e-12)


@pytest.mark.parametrize("size", [(640, 480), (480, 640)])
def test_pytorch3d_ndc_camera_sees_the_point_in_the_same_pixel(size):
    camera = conversion.pytorch3d_from_opencv(ROTATION, TRANSLATION, FOCAL, CENTRE, size)
    seen = POINT @ camera.rotation + camera.translation
    ndc = camera.focal * seen[:2] / seen[2] + camera.principal_point
    # NDC grows to the left and upwards; the shorter side is 2 long and the middle of the image is 0.
    pixel = np.asarray(size) / 2 - ndc * min(size) / 2
    np.testing.assert_allclose(pixel, our_pixel(), atol=1e-9)


def test_pytorch3d_screen_camera_sees_the_point_in_the_same_pixel():
    camera = conversion.pytorch3d_from_opencv(ROTATION, TRANSLATION, FOCAL, CENTRE, SIZE, in_ndc=False)
    seen = POINT @ camera.rotation + camera.translation
    # Screen coordinates grow to the right and downwards while the axes point left and up.
    pixel = camera.principal_point - camera.focal * seen[:2] / seen[2]
    np.testing.assert_allclose(pixel, our_pixel(), atol=1e-9)


def test_matrix_projects_to_the_same_pixel():
    seen = conversion.intrinsic_matrix(FOCAL, CENTRE) @ (ROTATION @ POINT + TRANSLATION)
    np.testing.assert_allclose(seen[:2] / seen[2], our_pixel(), atol=1e-9)


def test_quaternion_turns_the_point_by_the_hand_written_product():
    w, x, y, z = conversion.quaternion_from_rotation(ROTATION)
    axis = np.asarray([x, y, z])
    turned = POINT + 2 * np.cross(axis, np.cross(axis, POINT) + w * POINT)
    np.testing.assert_allclose(turned, ROTATION @ POINT, atol=1e-12)


def test_six_numbers_are_the_first_two_rows():
    rows = conversion.rows_6d_from_rotation(ROTATION)
    np.testing.assert_allclose([rows[:3] @ POINT, rows[3:] @ POINT], (ROTATION @ POINT)[:2], atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(rotation=rotations, translation=vectors)
def test_poses_come_back(rotation, translation):
    for there, back in (
        (conversion.opengl_from_opencv, conversion.opencv_from_opengl),
        (conversion.camera_to_world, conversion.opencv_from_camera_to_world),
    ):
        found_rotation, found_translation = back(there(rotation, translation))
        np.testing.assert_allclose(found_rotation, rotation, atol=1e-12)
        np.testing.assert_allclose(found_translation, translation, atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(rotation=rotations)
def test_rotation_forms_come_back(rotation):
    for there, back in (
        (conversion.quaternion_from_rotation, conversion.rotation_from_quaternion),
        (conversion.rows_6d_from_rotation, conversion.rotation_from_rows_6d),
    ):
        np.testing.assert_allclose(back(there(rotation)), rotation, atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(
    rotation=rotations,
    translation=vectors,
    focal=st.floats(100, 5000),
    size=st.tuples(st.integers(16, 4000), st.integers(16, 4000)),
    in_ndc=st.booleans(),
)
def test_pytorch3d_cameras_come_back(rotation, translation, focal, size, in_ndc):
    camera = conversion.pytorch3d_from_opencv(rotation, translation, focal, CENTRE, size, in_ndc)
    back = conversion.opencv_from_pytorch3d(camera, size, in_ndc)
    for found, expected in zip(back, (rotation, translation, (focal, focal), CENTRE), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_leading_axes_are_kept():
    rotation = np.tile(ROTATION, (4, 2, 1, 1))
    translation = np.tile(TRANSLATION, (4, 2, 1))
    assert conversion.opengl_from_opencv(rotation, translation).shape == (4, 2, 4, 4)
    assert conversion.quaternion_from_rotation(rotation).shape == (4, 2, 4)
    assert conversion.rotation_from_rows_6d(conversion.rows_6d_from_rotation(rotation)).shape == (4, 2, 3, 3)
    centre, size = np.tile(CENTRE, (4, 2, 1)), np.tile(SIZE, (4, 2, 1))
    camera = conversion.pytorch3d_from_opencv(rotation, translation, np.full((4, 2), FOCAL), centre, size)
    assert camera.focal.shape == (4, 2, 2)
    focal, back = conversion.from_intrinsic_matrix(conversion.intrinsic_matrix(np.full((4, 2), FOCAL), centre))
    np.testing.assert_array_equal(focal, FOCAL)
    np.testing.assert_array_equal(back, centre)


def test_scaled_rows_and_quaternions_are_normalised_and_degenerate_ones_refused():
    np.testing.assert_allclose(
        conversion.rotation_from_rows_6d(3 * conversion.rows_6d_from_rotation(ROTATION)), ROTATION, atol=1e-12
    )
    np.testing.assert_allclose(
        conversion.rotation_from_quaternion(-2 * conversion.quaternion_from_rotation(ROTATION)), ROTATION, atol=1e-12
    )
    with pytest.raises(InputError, match="parallel"):
        conversion.rotation_from_rows_6d(np.asarray([1.0, 0, 0, 2, 0, 0]))
    with pytest.raises(InputError, match="zero"):
        conversion.rotation_from_quaternion(np.zeros(4))
