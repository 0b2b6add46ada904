"""New surroundings for heads whose outline is known: pictures of a bank, or made-up clouds of colour."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from flowface_jax.synthesis.image.backgrounds import build_background
from flowface_jax.synthesis.image.filters import REFERENCE_HEIGHT, blur, stage
from flowface_jax.synthesis.image.settings import sample_background
from flowface_jax.synthesis.noise import enlarge
from flowface_jax.synthesis.randomness import random_key
from flowface_jax.training.augmentation.config import AugmentationConfig
from flowface_jax.training.augmentation.geometry import read_layers

_SMALLEST_WINDOW = 0.35
"""Share of a picture's side that is shown at least."""
_GAIN_SPREAD = 0.3
"""Standard deviation of the logarithm of the picture's brightness."""
_WIDEST_SEAM = 2.0
"""Seams are cut off at so many of the feather's standard deviations."""


def replace_background(
    key: jax.Array, image: jax.Array, foreground: jax.Array, pictures: jax.Array | None, config: AugmentationConfig
) -> jax.Array:
    """Planes [3,D,D] with other surroundings, in a share `background_probability` of draws.

    foreground: [D,D] in [0,1], 1 the head; an image without background stays as it is. pictures: [N,S,S,3] uint8, see
    `synthesis.image.banks.load_background_bank` and `made_up_pictures`; None: clouds of colour. Old background does not
    shine through, nor along the seam.
    """
    if config.background_probability == 0:
        return image
    use_key, behind_key = jax.random.split(key)
    size = image.shape[-1]
    use = jax.random.bernoulli(use_key, config.background_probability) & (foreground < 1).any()

    def replaced(image: jax.Array) -> jax.Array:
        share = stage(lambda share: _feathered(share, config.feather * size / REFERENCE_HEIGHT), foreground)
        behind = clouds(behind_key, size) if pictures is None else cut_picture(behind_key, pictures, size)
        return jnp.minimum(share * image + (1.0 - share) * behind, 1.0)

    # Not `stage`: what does not depend on the image would be worked out also where it is not used.
    return jax.lax.cond(use, replaced, lambda image: image, image)


@functools.partial(jax.jit, static_argnames=("count", "side"))
def made_up_pictures(key: jax.Array, count: int, side: int = 256) -> jax.Array:
    """A bank [count,side,side,3] uint8 of rendered surroundings, for those who have no pictures: made once, used as
    `pictures`.
    """

    def one(key: jax.Array) -> jax.Array:
        light = jnp.clip(build_background(sample_background(key), side), 0.0, 1.0)
        curve = jnp.where(light < 0.0031308, 12.92 * light, 1.055 * jnp.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055)
        return jnp.round(255.0 * curve).astype(jnp.uint8)

    return jax.lax.map(one, jax.random.split(random_key(jax.random.bits(key, (), jnp.uint32)), count))


def cut_picture(key: jax.Array, pictures: jax.Array, size: int) -> jax.Array:
    """A window of a random picture of [N,S,S,3] uint8 as planes [3,size,size] in [0,1]: scaled, turned by quarters or
    mirrored, lighter or darker.
    """
    which, span_key, start_key, flip_key, gain_key = jax.random.split(key, 5)
    number, side = jax.random.randint(which, (), 0, pictures.shape[0]), pictures.shape[1]
    picture = jax.lax.dynamic_index_in_dim(pictures, number, 0, keepdims=False)
    span = side * jax.random.uniform(span_key, minval=_SMALLEST_WINDOW, maxval=1.0)
    start = (side - span) * jax.random.uniform(start_key, (2,))
    grid = (jnp.arange(size) + 0.5) / size
    flips = jax.random.bernoulli(flip_key, shape=(3,))
    right, down = (
        jnp.where(flip, 1.0 - grid, grid) * span + first for flip, first in zip(flips[:2], start, strict=True)
    )
    right, down = jnp.broadcast_to(right, (size, size)), jnp.broadcast_to(down[:, None], (size, size))
    right, down = jnp.where(flips[2], down, right), jnp.where(flips[2], right, down)
    layers = jnp.concatenate([picture, picture[..., :1]], axis=-1)
    gain = jnp.exp(_GAIN_SPREAD * jax.random.normal(gain_key))
    return jnp.clip(gain * read_layers(layers, right, down)[:3], 0.0, 1.0)


def clouds(key: jax.Array, size: int) -> jax.Array:
    """Soft random colours as planes [3,size,size] in [0,1], of large shapes with finer ones in them."""
    keys = jax.random.split(key, 4)
    total = jax.random.uniform(keys[0], (3, 1, 1)) + jnp.zeros((3, size, size))
    for cells, spread, key in ((4, 0.35, keys[1]), (12, 0.2, keys[2]), (48, 0.1, keys[3])):
        grid = jax.random.normal(key, (3, cells, cells)) * spread
        total = total + jnp.stack([enlarge(plane, size) for plane in grid])
    return jnp.clip(total, 0.0, 1.0)


def _feathered(share: jax.Array, sigma: float) -> jax.Array:
    """The share [D,D] of the head with a soft edge that begins where the head does and rises inwards."""
    radius = max(1, round(_WIDEST_SEAM * sigma))
    soft = blur(share, jnp.float32(sigma), radius)
    return jnp.clip(2.01 * soft - 1.005, 0.0, 1.0)  # rounding leaves sums of weights a little below 1
