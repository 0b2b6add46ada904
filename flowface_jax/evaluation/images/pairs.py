"""Pairs of images as every image metric takes them."""

from __future__ import annotations

import numpy as np

from flowface_jax.errors import InputError


def checked_pairs(images: np.ndarray, references: np.ndarray, smallest: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Images and references [N,H,W,3] float32 in [0,1], from uint8 or floating values; [H,W,3] becomes N = 1.

    smallest: side in px. Raises InputError for different shapes, other types, NaN, values beyond [0,1], images that
    are too small, or none.
    """
    pairs = [_unit_range(one, name) for one, name in ((images, "images"), (references, "references"))]
    first, second = (one[None] if one.ndim == 3 else one for one in pairs)
    if first.shape != second.shape:
        raise InputError(
            f"expected images and references of one shape, found {list(first.shape)}, {list(second.shape)}"
        )
    if first.ndim != 4 or first.shape[-1] != 3 or not len(first):
        raise InputError(f"expected images [N,H,W,3], found {list(first.shape)}")
    if min(first.shape[1:3]) < smallest:
        raise InputError(f"expected images of {smallest} px or more for this measure, found {list(first.shape[1:3])}")
    return first, second


def _unit_range(images: np.ndarray, name: str) -> np.ndarray:
    images = np.asarray(images)
    if images.dtype == np.uint8:
        return images.astype(np.float32) / np.float32(255)
    if images.dtype.kind != "f":
        raise InputError(f"{name}: expected uint8, or floating values in [0,1], found {images.dtype}")
    if not images.size:
        raise InputError(f"{name}: expected at least one image, found none")
    low, high = float(images.min()), float(images.max())
    if not (low >= 0 and high <= 1):
        raise InputError(
            f"{name}: expected floating values in [0,1], found {low:.4g} to {high:.4g}; scale or clip, or give uint8"
        )
    return images.astype(np.float32)
