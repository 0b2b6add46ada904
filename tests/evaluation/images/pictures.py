"""Pictures with structure, and worse copies of them."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter


def picture(size=192, seed=0, count=1):
    """Coloured blobs [count,size,size,3] float32 in [0,1]."""
    noise = np.random.default_rng(seed).normal(size=(count, size, size, 3))
    smooth = sum(gaussian_filter(noise, (0, s, s, 0), mode="wrap") * s for s in (1, 4, 16))
    low, high = smooth.min(), smooth.max()
    return ((smooth - low) / (high - low)).astype(np.float32)


def noisy(images, amount=0.05, seed=1):
    worse = images + np.random.default_rng(seed).normal(0, amount, images.shape)
    return np.clip(worse, 0, 1).astype(np.float32)


def blurred(images, sigma=1.5):
    return np.clip(gaussian_filter(images, (0, sigma, sigma, 0)), 0, 1).astype(np.float32)
