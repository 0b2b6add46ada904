"""From the chosen camera each mesh lies on its picture, in every arrangement of tracks."""

import numpy as np
import pytest

from flowface_jax.viewing.browser.placing import (
    Pose,
    angles_side_by_side,
    camera_pose,
    field_of_view,
    fitting_view,
    frustum_lines,
    picture_plane,
    turned,
)
from tests.viewing.browser.shows import shaped_head, two_camera_track


@pytest.mark.parametrize("camera", [0, 1])
@pytest.mark.parametrize("angle", [0.0, -0.4])
def test_a_vertex_and_its_pixel_are_in_one_line_with_the_eye(camera, angle):
    track = two_camera_track()
    world = np.asarray(track.world_vertices(shaped_head(), 1), np.float64)
    pixels = np.asarray(track.cameras.project(world), np.float64)[camera]
    scene = turned(angle).of(camera_pose(track.cameras, camera).of(world))
    plane = picture_plane(track.cameras, camera, 1.7)
    top_left, top_right, _, bottom_left = plane.corners()
    size = np.asarray(track.cameras.image_size, np.float64)[camera]
    across, down = (pixels / size).T
    on_plane = top_left + across[:, None] * (top_right - top_left) + down[:, None] * (bottom_left - top_left)
    on_plane = turned(angle).of(on_plane)
    directions = [points / np.linalg.norm(points, axis=-1, keepdims=True) for points in (scene, on_plane)]
    assert np.allclose(*directions, atol=1e-6)


def test_a_pose_there_and_back_is_none():
    pose = turned(0.7).then(Pose(np.eye(3), np.asarray([1.0, 2, 3])))
    points = np.random.default_rng(0).normal(size=(4, 3))
    assert np.allclose(pose.inverse().of(pose.of(points)), points)
    again = Pose.of_wxyz(np.asarray(pose.wxyz), pose.translation)
    assert np.allclose(again.of(points), pose.of(points))


def test_pictures_side_by_side_do_not_overlap_and_are_centred():
    angles = angles_side_by_side([0.4, 0.6])
    assert angles[1] - angles[0] >= 0.5
    assert angles[0] - 0.2 == pytest.approx(-(angles[1] + 0.3), abs=0.03)


def test_the_view_holds_the_picture_in_wide_and_narrow_windows():
    track = two_camera_track()
    horizontal, vertical = field_of_view(track.cameras, 1)
    corners = picture_plane(track.cameras, 1, 1.0).corners()
    for aspect in (0.4, 1.0, 3.0):
        upright = np.tan(fitting_view(horizontal, vertical, aspect) / 2)
        assert (np.abs(corners[:, 1]) <= upright + 1e-9).all()
        assert (np.abs(corners[:, 0]) <= upright * aspect + 1e-9).all()


def test_a_frustum_runs_from_the_centre_to_the_corners():
    plane = picture_plane(two_camera_track().cameras, 0, 2.0)
    lines = frustum_lines(plane)
    assert lines.shape == (8, 2, 3) and not lines[:4, 0].any()
    assert np.allclose(lines[:4, 1], plane.corners())
