"""The peak signal-to-noise ratio."""

from __future__ import annotations

import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.evaluation.images.pairs import checked_pairs


def psnr(images: np.ndarray, references: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """PSNR [N] dB of images against references [N,H,W,3] (uint8, or floating in [0,1]); the peak is 1.

    Infinite for equal images: average what it is of images, not of pixels, with that in mind. mask: [N,H,W] bool,
    pixels that count. Raises InputError as `checked_pairs`, and for a mask of another shape or without pixels.
    """
    first, second = checked_pairs(images, references)
    squared = ((first.astype(np.float64) - second) ** 2).mean(-1)
    if mask is None:
        error = squared.mean((1, 2))
    else:
        mask = np.asarray(mask)
        mask = mask[None] if mask.ndim == 2 else mask
        if mask.shape != squared.shape or mask.dtype != bool:
            raise InputError(f"expected a mask {list(squared.shape)} bool, found {mask.dtype} {list(mask.shape)}")
        count = mask.sum((1, 2))
        if not count.all():
            raise InputError(f"the mask of image {int(count.argmin())} is empty; leave that image out")
        error = np.where(mask, squared, 0).sum((1, 2)) / count
    with np.errstate(divide="ignore"):
        return -10 * np.log10(error)
