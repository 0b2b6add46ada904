"""Faces come out of the pictures upright, at the template's places, whatever the pose in the picture."""

import cv2
import numpy as np
import pytest

from flowface_jax.aligners.face_crops import LANDMARKS, MEDIAPIPE, TEMPLATE, crop_face, five_points
from flowface_jax.aligners.face_crops import similarity_to_template as solve
from flowface_jax.alignment.alignment import make_alignment
from flowface_jax.errors import InputError
from flowface_jax.heads.generic import generic_head


def _turned(points, degrees, scale, shift):
    angle = np.radians(degrees)
    rotation = np.asarray([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return scale * points @ rotation.T + shift


def _applied(matrix, points):
    return points @ matrix[:, :2].T + matrix[:, 2]


def _alignment(mean, point_set, std=None):
    mean = np.asarray(mean, np.float32)
    std = np.ones(mean.shape[:3], np.float32) if std is None else std
    return make_alignment(mean, std, np.ones(mean.shape[:2], bool), [[640, 480]] * len(mean), point_set)


@pytest.mark.parametrize("degrees, scale", [(0, 1.0), (33, 2.5), (-120, 0.3), (180, 7.0)])
def test_a_turned_template_is_turned_back_exactly(degrees, scale):
    points = _turned(TEMPLATE, degrees, scale, [300.0, -40.0])
    np.testing.assert_allclose(_applied(solve(points[None])[0], points), TEMPLATE, atol=1e-9)


def test_the_crop_does_not_depend_on_pose_and_size_of_a_noisy_face():
    face = TEMPLATE + np.random.default_rng(0).normal(0, 3, (5, 2))
    turned = _turned(face, 70, 4.0, [50.0, 90.0])
    np.testing.assert_allclose(
        _applied(solve(turned[None])[0], turned), _applied(solve(face[None])[0], face), atol=1e-9
    )


def test_no_other_similarity_is_closer_and_mirroring_is_not_allowed():
    rng = np.random.default_rng(1)
    for points in (TEMPLATE + rng.normal(0, 5, (5, 2)), TEMPLATE * [-1, 1]):
        matrix = solve(points[None])[0]
        assert np.linalg.det(matrix[:, :2]) > 0
        distance = lambda m, points=points: ((_applied(m, points) - TEMPLATE) ** 2).sum()
        for _ in range(20):
            a, b = rng.normal(0, 1e-3, 2)
            rotated = matrix + np.asarray([[a, -b, 0], [b, a, 0]])
            rotated[:, 2] += rng.normal(0, 1e-2, 2)
            assert distance(rotated) >= distance(matrix)


def test_coinciding_points_give_nan_and_no_warning():
    assert np.isnan(solve(np.full((1, 5, 2), 7.0))).all()


def test_a_crop_shows_each_point_at_its_place_and_black_beyond_the_picture():
    picture = np.zeros((200, 300, 3), np.uint8)
    # Pixel (column 90, row 60) has its centre at 90.5, 60.5.
    places = np.round(_turned(TEMPLATE, 0, 1.0, [52.0, 9.0]))
    for column, row in places.astype(int):
        cv2.circle(picture, (int(column), int(row)), 2, (255, 255, 255), -1)
    crop = crop_face(picture, places + 0.5)
    assert crop.shape == (112, 112, 3) and crop.dtype == np.uint8
    for x, y in TEMPLATE:
        window = crop[int(y) - 4 : int(y) + 6, int(x) - 4 : int(x) + 6, 0].astype(float)
        rows, columns = np.mgrid[int(y) - 4 : int(y) + 6, int(x) - 4 : int(x) + 6]
        centre = [(columns * window).sum() / window.sum(), (rows * window).sum() / window.sum()]
        np.testing.assert_allclose(centre, [x, y], atol=0.6)
    assert crop_face(np.full((50, 50, 3), 255, np.uint8), places + 500).max() == 0


def test_a_picture_twice_the_size_gives_the_same_crop():
    """Points are counted from the corner of the picture, so doubling both moves nothing, not half a pixel."""
    rows, columns = np.mgrid[0:160, 0:160]
    picture = (127 + 60 * np.sin(columns / 3) + 60 * np.sin(rows / 3)).astype(np.uint8)[..., None].repeat(3, -1)
    double = cv2.resize(picture, (320, 320), interpolation=cv2.INTER_LINEAR)
    small, large = crop_face(picture, 0.8 * TEMPLATE + 30), crop_face(double, 1.6 * TEMPLATE + 60)
    assert np.abs(small.astype(float) - large).mean() < 1
    shifted = crop_face(double, 1.6 * TEMPLATE + 60.5)
    assert np.abs(small.astype(float) - shifted).mean() > 3


@pytest.mark.parametrize("point_set, groups, count", [("landmarks", LANDMARKS, 68), ("mediapipe", MEDIAPIPE, 478)])
def test_each_point_is_the_mean_of_its_group(point_set, groups, count):
    mean = np.random.default_rng(0).uniform(0, 400, (2, 3, count, 2))
    points, seen = five_points(_alignment(mean, point_set))
    assert points.shape == (2, 3, 5, 2) and seen.all()
    for k, group in enumerate(groups):
        np.testing.assert_allclose(points[:, :, k], mean[:, :, list(group)].mean(2), rtol=1e-6)


def test_a_frame_with_an_unobserved_eye_is_not_used():
    mean = np.random.default_rng(0).uniform(0, 400, (1, 2, 68, 2))
    std = np.ones((1, 2, 68), np.float32)
    std[0, 1, 38], std[0, 0, 3] = np.inf, np.inf
    _, seen = five_points(_alignment(mean, "landmarks", std))
    np.testing.assert_array_equal(seen, [[True, False]])


def test_vertices_and_mediapipe_points_of_one_head_agree():
    """The same head, seen from the front: five points from all vertices, from the 68 and from MediaPipe's 478."""
    head = generic_head()
    template = np.asarray(head.template)
    image = lambda points: (np.asarray(points)[:, :2] * [1, -1] * 2000 + 320)[None, None]
    from_vertices, seen = five_points(_alignment(image(template), "vertices"), head)
    from_landmarks, _ = five_points(_alignment(image(head.landmarks.of(template)), "landmarks"))
    from_mediapipe, _ = five_points(_alignment(image(head.mediapipe.of(template)), "mediapipe"))
    assert seen.all()
    np.testing.assert_allclose(from_vertices, from_landmarks, atol=1e-2)
    # 8 mm at 2 px per mm.
    np.testing.assert_allclose(from_mediapipe, from_landmarks, atol=16)
    left_eye, right_eye, nose, left_mouth, right_mouth = from_vertices[0, 0]
    assert left_eye[0] < nose[0] < right_eye[0] and left_mouth[0] < right_mouth[0]
    assert left_eye[1] < nose[1] < left_mouth[1]


def test_points_that_cannot_be_found_are_refused():
    alignment = _alignment(np.zeros((1, 1, 10, 2)), "vertices")
    with pytest.raises(InputError, match="without its head"):
        five_points(alignment)
    with pytest.raises(InputError, match="use the head that the alignment was made for"):
        five_points(alignment, generic_head())
