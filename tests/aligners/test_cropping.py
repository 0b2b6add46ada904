"""The crop that the network sees: which part of the image it is, and the way back."""

import cv2
import numpy as np
import pytest

from flowface_jax.aligners.cropping import Square, crop_image, face_square, to_image
from flowface_jax.errors import InputError
from tests.aligners.dots import draw_faces, points_of_face


def test_the_square_follows_the_integer_rule():
    """Centre at the integer midpoint, half the side int((max(w, h) // 2) · 1.2)."""
    assert face_square([10, 20, 61, 90]) == Square(35 - 42, 55 - 42, 84)
    assert face_square([-30, 5, 30, 16]) == Square(0 - 36, 10 - 36, 72)


@pytest.mark.parametrize("size", [48, 96, 200, 333])
def test_points_of_the_crop_lie_where_they_lie_in_the_image(size):
    """Shrinking by any factor, enlarging, and squares that reach beyond the image."""
    image = draw_faces([(70.3, 50.8, 60.0)])
    for square in (Square(20, -5, 104), Square(30, 10, 96), Square(-40, -60, 250)):
        crop = crop_image(image, square, size).astype(np.float64)
        assert crop.shape == (size, size, 3)
        places = np.arange(size) + 0.5
        total = crop.sum((0, 1))
        x, y = np.einsum("yxk,x->k", crop, places) / total, np.einsum("yxk,y->k", crop, places) / total
        found, std = to_image(square, size, np.stack([x, y], 1), np.full(3, 2.0))
        assert np.abs(found - points_of_face(70.3, 50.8, 30.0)).max() < 0.06 * max(1, square.side / size)
        assert np.allclose(std, 2.0 * square.side / size)


def test_shrinking_averages_and_does_not_alias():
    stripes = np.zeros((128, 128, 3), np.uint8)
    stripes[:, ::2] = 200
    assert np.abs(crop_image(stripes, Square(0, 0, 128), 32).astype(int) - 100).max() <= 1
    assert np.ptp(cv2.resize(stripes, (32, 32), interpolation=cv2.INTER_NEAREST)) == 0, "plain sampling would alias"


def test_what_lies_beyond_the_image_is_black():
    crop = crop_image(np.full((40, 40, 3), 255, np.uint8), Square(-20, 20, 40), 40)
    assert (crop[:20, 20:] == 255).all() and (crop[20:] == 0).all() and (crop[:, :20] == 0).all()


@pytest.mark.parametrize(
    "box", [[5, 5, 5, 9], [5, 5, 6, 6], [9, 9, 5, 5], [np.nan, 0, 5, 5], [0, 0, np.inf, 5], [1, 2, 3]]
)
def test_boxes_that_are_none_are_refused(box):
    with pytest.raises(InputError, match="face box: expected"):
        face_square(box)


def test_squares_without_a_pixel_of_the_image_are_refused():
    image = np.zeros((40, 60, 3), np.uint8)
    for square in (Square(60, 0, 20), Square(-20, 0, 20), Square(0, 40, 20), Square(0, -30, 20)):
        with pytest.raises(InputError, match="outside the image of 60 x 40 px"):
            crop_image(image, square, 32)
    with pytest.raises(InputError, match="out of proportion"):
        crop_image(image, Square(-500, -500, 1000), 32)
