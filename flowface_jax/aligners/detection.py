"""What every face detector takes and gives, whichever network is behind it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from flowface_jax.errors import InputError

Detector = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""A picture [H,W,3] RGB uint8 to the boxes [N,4] (left, top, right, bottom) px, float64, of its faces and scores [N] in
[0, 1], best first. Boxes may reach beyond the picture, but none lies outside it or is empty."""


def check_image(image: np.ndarray) -> None:
    """Raise InputError unless the picture is [H,W,3] uint8 with at least one pixel."""
    shape, kind = getattr(image, "shape", None), getattr(image, "dtype", type(image).__name__)
    if shape is None or len(shape) != 3 or shape[2] != 3 or 0 in shape or kind != np.uint8:
        found = kind if shape is None else f"{list(shape)} {kind}"
        raise InputError(f"expected a picture [height, width, 3] RGB uint8, found {found}; read files with read_image")


def touching(boxes: np.ndarray, width: int, height: int) -> np.ndarray:
    """Which boxes [N,4] px have an area and share some of it with a picture of that size: [N] bool."""
    inside = np.clip(boxes, 0, [width, height, width, height])
    return (inside[:, 2:] > inside[:, :2]).all(axis=1)
