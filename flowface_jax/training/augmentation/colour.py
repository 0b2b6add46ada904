"""What a camera does to colours and sharpness; nothing moves. Pictures are planes [3,D,D] in [0,1], sRGB."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.synthesis.image.filters import LUMA, REFERENCE_HEIGHT, stage
from flowface_jax.synthesis.image.jpeg import BLOCK, compress_cut
from flowface_jax.synthesis.image.photography import defocus, enlarge
from flowface_jax.training.augmentation.config import AugmentationConfig

_BEST_QUALITY = 95.0
_DARKEST = 1e-3
"""Below this the gamma curve is a line, so that it stays finite."""


def change_picture(key: jax.Array, image: jax.Array, config: AugmentationConfig) -> jax.Array:
    """Blur, noise, colours, compression and lost resolution, each in its share of draws, in a camera's order."""
    keys = jax.random.split(key, 5)
    image = _blurred(keys[0], image, config)
    image = _noisy(keys[1], image, config)
    image = _coloured(keys[2], image, config)
    image = _compressed(keys[3], image, config)
    return _coarsened(keys[4], image, config)


def _blurred(key: jax.Array, image: jax.Array, config: AugmentationConfig) -> jax.Array:
    if config.blur_probability == 0:
        return image
    use, amount = jax.random.split(key)
    sigma = config.blur * jax.random.uniform(amount) * image.shape[-1] / REFERENCE_HEIGHT
    return stage(
        lambda image: jnp.clip(defocus(image, sigma), 0.0, 1.0),
        image,
        jax.random.bernoulli(use, config.blur_probability),
    )


def _noisy(key: jax.Array, image: jax.Array, config: AugmentationConfig) -> jax.Array:
    if config.noise_probability == 0:
        return image
    use, amount, pattern = jax.random.split(key, 3)
    sigma = config.noise * jax.random.uniform(amount) ** 2
    return stage(
        lambda image: jnp.clip(image + sigma * gaussian_noise(pattern, image.shape), 0.0, 1.0),
        image,
        jax.random.bernoulli(use, config.noise_probability),
    )


def gaussian_noise(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Noise of mean 0 and deviation 1: sums of the four bytes of a random word, which are nearly Gaussian up to three
    deviations and far cheaper than exact draws.
    """
    words = jax.random.bits(key, shape, jnp.uint32)
    # Two bytes at a time.
    pairs = (words & 0x00FF00FF) + ((words >> 8) & 0x00FF00FF)
    total = (pairs & 0xFFFF) + (pairs >> 16)
    return (total.astype(jnp.float32) - 510.0) * np.float32(1.0 / np.sqrt(4 * (256**2 - 1) / 12))


def _coloured(key: jax.Array, image: jax.Array, config: AugmentationConfig) -> jax.Array:
    """The colour shift and grey: a curve, then one matrix and one offset for all of the rest."""
    if config.colour_probability == 0 and config.grey_probability == 0:
        return image
    use_key, grey_key, curve_key, matrix_key = jax.random.split(key, 4)
    use = jax.random.bernoulli(use_key, config.colour_probability)
    grey = jax.random.bernoulli(grey_key, config.grey_probability)
    exponent = jnp.exp(config.gamma * jax.random.uniform(curve_key, minval=-1.0, maxval=1.0))

    def bent(image: jax.Array) -> jax.Array:
        return jnp.minimum(image / _DARKEST, 1.0) * jnp.exp(exponent * jnp.log(jnp.maximum(image, _DARKEST)))

    matrix, contrast = sample_colour_matrix(matrix_key, config)
    matrix, contrast = jnp.where(use, matrix, jnp.eye(3)), jnp.where(use, contrast, 1.0)
    matrix = jnp.where(grey, jnp.broadcast_to(jnp.asarray(LUMA) @ matrix, (3, 3)), matrix)

    def mixed(image: jax.Array) -> jax.Array:
        middle = (1.0 - contrast) * (jnp.asarray(LUMA) @ (matrix @ image.mean((1, 2))))
        mix = stage(lambda mix: mix, jnp.concatenate([contrast * matrix, jnp.full((3, 1), middle)], axis=1))
        total = mix[:, 3, None, None] + sum(mix[:, k, None, None] * image[k] for k in range(3))
        return jnp.clip(total, 0.0, 1.0)

    if config.gamma > 0:
        image = stage(bent, image, use)
    return stage(mixed, image, use | grey)


def sample_colour_matrix(key: jax.Array, config: AugmentationConfig) -> tuple[jax.Array, jax.Array]:
    """White balance and brightness, then hue, then saturation as a matrix [3,3], and the contrast []."""
    draws = jax.random.uniform(key, (6,), minval=-1.0, maxval=1.0)
    warmth, tint = config.white_balance * draws[0], 0.5 * config.white_balance * draws[1]
    gains = jnp.exp(config.brightness * draws[2] + jnp.stack([warmth - 0.5 * tint, tint, -warmth - 0.5 * tint]))
    turn = _about_grey(jnp.radians(config.hue) * draws[3])
    saturation = 1.0 + config.saturation * draws[4]
    saturate = saturation * jnp.eye(3) + (1.0 - saturation) * jnp.asarray(LUMA)
    with jax.default_matmul_precision("highest"):
        return saturate @ turn * gains, 1.0 + config.contrast * draws[5]


def _about_grey(angle: jax.Array) -> jax.Array:
    """The rotation [3,3] of colours by angle rad about the axis of grey ones, which stay."""
    third = jnp.full((3, 3), 1.0 / 3.0)
    cross = jnp.asarray([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / jnp.sqrt(3.0)
    return third + jnp.cos(angle) * (jnp.eye(3) - third) + jnp.sin(angle) * cross


def _compressed(key: jax.Array, image: jax.Array, config: AugmentationConfig) -> jax.Array:
    if config.compression_probability == 0:
        return image
    use, amount, phase_key = jax.random.split(key, 3)
    quality = jax.random.uniform(amount, minval=config.lowest_quality, maxval=_BEST_QUALITY)
    phase = jax.random.randint(phase_key, (2,), 0, BLOCK)
    return stage(
        lambda image: compress_cut(image, quality, phase),
        image,
        jax.random.bernoulli(use, config.compression_probability),
    )


def _coarsened(key: jax.Array, image: jax.Array, config: AugmentationConfig) -> jax.Array:
    if config.coarse_probability == 0:
        return image
    use, amount = jax.random.split(key)
    share = jax.random.uniform(amount, minval=config.coarsest, maxval=1.0)
    return stage(
        lambda image: jnp.clip(enlarge(image, share), 0.0, 1.0),
        image,
        jax.random.bernoulli(use, config.coarse_probability),
    )
