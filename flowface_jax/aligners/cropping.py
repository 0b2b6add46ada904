"""The square crop of a face that the network sees, and the way back from crop to image."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from flowface_jax.conventions import BOX_MARGIN
from flowface_jax.errors import InputError

FILLING = (0, 0, 0)
"""RGB of what the crop shows beyond the image."""
LARGEST_SIDE = 2.0
"""Times the image's longer side: a larger square shows mostly what is beyond the image."""


@dataclass(frozen=True)
class Square:
    """The part of an image that a crop shows: left and top edge and side, whole px; it may reach beyond the image."""

    left: int
    top: int
    side: int

    @property
    def box(self) -> np.ndarray:
        """[4] (left, top, right, bottom) px, float64."""
        return np.asarray([self.left, self.top, self.left + self.side, self.top + self.side], np.float64)


def face_square(box: np.ndarray) -> Square:
    """The square around a face box [4] (left, top, right, bottom) px, enlarged by a fifth (CAP4D's integer rule).

    Edges are rounded to whole px; the centre is their integer midpoint and half the side int(max(w, h) // 2 · 1.2).
    Raises InputError for NaN, infinity, and boxes less than 2 px wide and high.
    """
    box = np.asarray(box, np.float64)
    if box.shape != (4,) or not np.isfinite(box).all():
        raise InputError(f"face box: expected four finite numbers (left, top, right, bottom), found {box.tolist()}")
    left, top, right, bottom = (int(edge) for edge in np.rint(box))
    half = int((max(right - left, bottom - top) // 2) * BOX_MARGIN)
    if right <= left or bottom <= top or half < 1:
        raise InputError(f"face box: expected right > left and bottom > top by 2 px or more, found {box.tolist()}")
    return Square((left + right) // 2 - half, (top + bottom) // 2 - half, 2 * half)


def check_square(square: Square, width: int, height: int) -> None:
    """Raise InputError where the square shares no pixel with an image of that size, or is out of proportion to it."""
    if square.side > LARGEST_SIDE * max(width, height):
        raise InputError(f"a crop of {square.side} px a side is out of proportion to an image of {width} x {height} px")
    right, bottom = square.left + square.side, square.top + square.side
    if square.left >= width or square.top >= height or right <= 0 or bottom <= 0:
        raise InputError(
            f"the crop ({square.left}, {square.top}) to ({right}, {bottom}) px lies outside the image of "
            f"{width} x {height} px; expected a face in it"
        )


def crop_image(image: np.ndarray, square: Square, size: int) -> np.ndarray:
    """What the square shows of an image [H,W,3] uint8, as [size,size,3]; black beyond the image.

    Shrinking averages over areas, so that nothing aliases; enlarging is bilinear. Both keep the edges of the square at
    the edges of the crop. Raises InputError where the square lies outside the image or is out of proportion to it.
    """
    height, width = image.shape[:2]
    check_square(square, width, height)
    right, bottom = square.left + square.side, square.top + square.side
    inside = image[max(square.top, 0) : bottom, max(square.left, 0) : right]
    beyond = (max(-square.top, 0), max(bottom - height, 0), max(-square.left, 0), max(right - width, 0))
    if any(beyond):
        inside = cv2.copyMakeBorder(inside, *beyond, cv2.BORDER_CONSTANT, value=FILLING)
    if square.side == size:
        return np.ascontiguousarray(inside)
    method = cv2.INTER_AREA if square.side > size else cv2.INTER_LINEAR
    return cv2.resize(inside, (size, size), interpolation=method)


def to_image(square: Square, size: int, mean: np.ndarray, std: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means [...,2] and standard deviations [...] in px of a crop of `size`, as px of the image; float32.

    Both use continuous coordinates, where the centre of the top-left pixel is (0.5, 0.5).
    """
    scale = square.side / size
    mean = np.asarray(mean, np.float64) * scale + [square.left, square.top]
    return mean.astype(np.float32), (np.asarray(std, np.float64) * scale).astype(np.float32)
