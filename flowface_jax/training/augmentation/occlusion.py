"""What comes before the face in training: random shapes after Voo et al. (2022), opaque ones and such that imitate
shadows, highlights and glass (paper, appendix D.2), hands and held things. Shapes and their drawing are those of
`synthesis.image`; how often, how large and how clear is the configuration's.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from flowface_jax.synthesis.image.filters import REFERENCE_HEIGHT, averaging_matrix, pixels, planes, separable
from flowface_jax.synthesis.image.obstacles import sample_curve, sample_sticks, sample_swatch
from flowface_jax.synthesis.image.occluders import SWATCH, Occluders, Shapes, apply_occluders
from flowface_jax.training.augmentation.config import AugmentationConfig

_SHAPES = 2
_TEXELS = 96
"""Across the texture of a shape: a picture of the bank keeps its pattern."""
_FROM_BANK = 0.7
"""Share of the opaque shapes that show a picture of the bank, where there is one."""
_THING = 0.4
"""Share of held things among hands and held things."""


def occlude(
    key: jax.Array, image: jax.Array, face_box: jax.Array, pictures: jax.Array | None, config: AugmentationConfig
) -> jax.Array:
    """Planes [3,D,D] in [0,1] behind what is drawn before the face, whose box is face_box [4] px.

    pictures: [N,S,S,3] uint8 to texture shapes with, or None.
    """
    if config.occlusion_probability == 0:
        return image
    use_key, occluder_key = jax.random.split(key)

    def hidden(image: jax.Array) -> jax.Array:
        occluders = sample_face_occluders(occluder_key, face_box, image.shape[-1] / REFERENCE_HEIGHT, pictures, config)
        # The square is close to light, in which things that are seen through add up.
        light, _ = apply_occluders(pixels(image * image), occluders)
        return jnp.sqrt(jnp.clip(planes(light), 0.0, 1.0))

    use = jax.random.bernoulli(use_key, config.occlusion_probability)
    return jax.lax.cond(use, hidden, lambda image: image, image)


def sample_face_occluders(
    key: jax.Array,
    face_box: jax.Array,
    scale: jax.Array | float,
    pictures: jax.Array | None,
    config: AugmentationConfig,
) -> Occluders:
    """Occluders about a face whose box is face_box [4] px: a hand or thing, or one or two shapes. scale: px per px of
    the configuration.
    """
    kind_key, thing_key, second_key, shape_key, stick_key = jax.random.split(key, 5)
    held = jax.random.bernoulli(kind_key, config.held_probability)
    thing = jax.random.bernoulli(thing_key, _THING)
    second = jax.random.bernoulli(second_key, config.second_shape_probability)
    shapes = jax.vmap(lambda key, present: _sample_shape(key, face_box, scale, present, pictures, config))(
        jax.random.split(shape_key, _SHAPES), jnp.stack([~held, ~held & second])
    )
    return Occluders(shapes, sample_sticks(stick_key, face_box, held & ~thing, held & thing))


def _sample_shape(
    key: jax.Array,
    face_box: jax.Array,
    scale: jax.Array | float,
    present: jax.Array,
    pictures: jax.Array | None,
    config: AugmentationConfig,
) -> Shapes:
    """A shape of 3 to 15 corners with its centre anywhere in the face box."""
    curve, place, size, clear, opacity, texture, soft = jax.random.split(key, 7)
    low, high = face_box[:2], face_box[2:]
    sides = jnp.sqrt(jnp.asarray([config.smallest_shape, config.largest_shape]) * jnp.prod(high - low))
    side = jax.random.uniform(size, minval=sides[0], maxval=sides[1])
    see_through = jax.random.bernoulli(clear, config.see_through_probability)
    share = jax.random.uniform(opacity, minval=config.lowest_opacity, maxval=config.highest_opacity)
    softness = scale * config.soft_edge * jax.random.uniform(soft)
    return Shapes(
        curve=sample_curve(curve),
        centre=low + jax.random.uniform(place, (2,)) * (high - low),
        radius=0.5 * side,
        opacity=jnp.where(see_through, share, 1.0) * present,
        swatch=_sample_texture(texture, see_through, pictures),
        softness=jnp.where(see_through, softness, 0.0),
    )


def _sample_texture(key: jax.Array, see_through: jax.Array, pictures: jax.Array | None) -> jax.Array:
    """A texture [T,T,3]: one of the bank, or made up; dark or bright where the shape is seen through."""
    made_key, use_key, which = jax.random.split(key, 3)
    made = sample_swatch(made_key, see_through)
    if pictures is None:
        return made
    enlarged = jnp.repeat(jnp.repeat(made, _TEXELS // SWATCH, 0), _TEXELS // SWATCH, 1)
    side = pictures.shape[1]
    picture = jax.lax.dynamic_index_in_dim(pictures, jax.random.randint(which, (), 0, pictures.shape[0]), 0, False)
    step = side / _TEXELS
    shrink = averaging_matrix((jnp.arange(_TEXELS) + 0.5) * step - 0.5, side, jnp.float32(0.4 * max(step, 1.0)))
    shrunk = pixels(separable(planes(picture).astype(jnp.float32) / 255.0, shrink, shrink))
    use = jax.random.bernoulli(use_key, _FROM_BANK) & ~see_through
    return jnp.where(use, shrunk * shrunk, enlarged)
