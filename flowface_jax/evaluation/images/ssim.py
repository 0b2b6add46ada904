"""Structural similarity (Wang et al. 2004) and its multi-scale form (Wang et al. 2003).

Windows are Gaussian, 11 × 11 px with σ = 1.5 px, K1 = 0.01, K2 = 0.03, the range of values 1; windows that leave the
image do not count; colour channels are measured by themselves and averaged. Scales are halved by means of 2 × 2 px.
That is scikit-image's `structural_similarity` with Gaussian weights; torchmetrics counts windows over the edge too,
with the image mirrored there, which changes the third digit.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.evaluation.images.pairs import checked_pairs

WINDOW, SIGMA = 11, 1.5
STABILISERS = (0.01**2, 0.03**2)
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the five scales, the finest first (Wang et al. 2003)."""
SMALLEST_MULTI_SCALE = WINDOW * 2 ** (len(SCALE_WEIGHTS) - 1)
"""px: smaller images have no whole window at the coarsest scale."""
_AT_ONCE = 8


def ssim(images: np.ndarray, references: np.ndarray) -> np.ndarray:
    """SSIM [N] of images against references [N,H,W,3] (uint8, or floating in [0,1]); 1 for equal images.

    Raises InputError as `checked_pairs`, and for images smaller than a window (11 px).
    """
    return _batched(_single_scale, *checked_pairs(images, references, WINDOW))


def ms_ssim(images: np.ndarray, references: np.ndarray) -> np.ndarray:
    """MS-SSIM [N] of images against references [N,H,W,3] (uint8, or floating in [0,1]); 1 for equal images.

    Each scale's mean over pixels and channels, negative ones as 0, to the power of its weight. Raises InputError as
    `checked_pairs`, and for images smaller than 176 px.
    """
    return _batched(_multi_scale, *checked_pairs(images, references, SMALLEST_MULTI_SCALE))


def _batched(function: jax.stages.Wrapped, images: np.ndarray, references: np.ndarray) -> np.ndarray:
    parts = [
        np.asarray(function(images[first : first + _AT_ONCE], references[first : first + _AT_ONCE]), np.float64)
        for first in range(0, len(images), _AT_ONCE)
    ]
    return np.concatenate(parts)


@jax.jit
def _single_scale(images: jax.Array, references: jax.Array) -> jax.Array:
    similarity, _ = _means(images, references)
    return similarity


@jax.jit
def _multi_scale(images: jax.Array, references: jax.Array) -> jax.Array:
    result = jnp.ones(images.shape[0])
    for scale, weight in enumerate(SCALE_WEIGHTS):
        if scale:
            images, references = _halved(images), _halved(references)
        similarity, structure = _means(images, references)
        last = scale == len(SCALE_WEIGHTS) - 1
        result = result * jnp.maximum(similarity if last else structure, 0) ** weight
    return result


def _means(x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Means [N] over windows and channels of the similarity, and of its part without luminance."""
    # Variances are differences of large numbers: about the middle of the range they lose least.
    x, y = x - 0.5, y - 0.5
    mean_x, mean_y, square_x, square_y, product = _filtered(jnp.stack([x, y, x * x, y * y, x * y]))
    variances = square_x - mean_x**2 + square_y - mean_y**2
    covariance = product - mean_x * mean_y
    mean_x, mean_y = mean_x + 0.5, mean_y + 0.5
    luminance = (2 * mean_x * mean_y + STABILISERS[0]) / (mean_x**2 + mean_y**2 + STABILISERS[0])
    structure = (2 * covariance + STABILISERS[1]) / (variances + STABILISERS[1])
    return (luminance * structure).mean((1, 2, 3)), structure.mean((1, 2, 3))


def _filtered(values: jax.Array) -> jax.Array:
    """Gaussian-weighted means over all whole windows: [...,N,H,W,3] to [...,N,3,H−10,W−10]."""
    planes = jnp.moveaxis(values, -1, -3)
    flat = planes.reshape(-1, *planes.shape[-2:], 1)
    weights = jnp.asarray(_weights())
    # One plane at a time in each of two directions: much cheaper than one two-dimensional or grouped convolution.
    for shape in ((WINDOW, 1, 1, 1), (1, WINDOW, 1, 1)):
        flat = jax.lax.conv_general_dilated(
            flat,
            weights.reshape(shape),
            (1, 1),
            "VALID",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            precision="highest",
        )
    return flat.reshape(*planes.shape[:-2], *flat.shape[1:3])


@functools.cache
def _weights() -> tuple[float, ...]:
    places = np.arange(WINDOW) - WINDOW // 2
    weights = np.exp(-0.5 * (places / SIGMA) ** 2)
    return tuple((weights / weights.sum()).tolist())


def _halved(images: jax.Array) -> jax.Array:
    """Means of 2 × 2 px; an odd last row or column is left out."""
    n, height, width, channels = images.shape
    even = images[:, : height // 2 * 2, : width // 2 * 2]
    return even.reshape(n, height // 2, 2, width // 2, 2, channels).mean((2, 4))
