"""Stored samples to training crops, on the device: placed, put before other surroundings, occluded, photographed.

A sample's changes depend on the key and its number alone, not on the batch that it is in.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from flowface_jax.synthesis.image.filters import pixels, planes
from flowface_jax.synthesis.noise import worked_out
from flowface_jax.synthesis.randomness import random_key
from flowface_jax.training.augmentation.background import replace_background
from flowface_jax.training.augmentation.bending import bend_points, sample_bend
from flowface_jax.training.augmentation.colour import change_picture
from flowface_jax.training.augmentation.config import AugmentationConfig
from flowface_jax.training.augmentation.geometry import (
    place_box,
    place_points,
    plain_placement,
    read_crop,
    sample_placement,
)
from flowface_jax.training.augmentation.occlusion import occlude
from flowface_jax.training.batches import CropBatch
from flowface_jax.training.samples import SampleBatch


@functools.partial(jax.jit, static_argnames=("config", "size"))
def augment(
    key: jax.Array, batch: SampleBatch, config: AugmentationConfig, pictures: jax.Array | None, size: int
) -> CropBatch:
    """Crops of `size` px of B samples, changed at random; for use alone or inside jit, pmap and shard_map.

    key: of the run or the epoch; it is folded with each sample's `index`. pictures: [N,S,S,3] uint8 for backgrounds and
    occluders, see `synthesis.image.banks.load_background_bank`; None: made-up ones. Occluded points stay known.
    """

    def one(sample: SampleBatch) -> CropBatch:
        return _augmented(_pixel_key(jax.random.fold_in(key, sample.index)), sample, config, pictures, size)

    return _each(one, batch)


@functools.partial(jax.jit, static_argnames="size")
def plain_crops(batch: SampleBatch, size: int) -> CropBatch:
    """Crops of `size` px of B samples as they are cut after training, for evaluation."""

    def one(sample: SampleBatch) -> CropBatch:
        placement = plain_placement(sample.face_box)
        image, _, _ = read_crop(sample.image, sample.foreground, placement, size)
        return CropBatch(pixels(image), place_points(sample.points, placement, size), sample.known)

    return _each(one, batch)


@functools.partial(jax.jit, static_argnames="config")
def photometric(keys: jax.Array, images: jax.Array, config: AugmentationConfig) -> jax.Array:
    """Images [B,D,D,3] in [0,1] with the changes of colours and sharpness alone, as for crops that come rendered.

    keys: [B] typed keys (`jax.random.key`), one for each image.
    """
    return _each(lambda given: pixels(change_picture(_pixel_key(given[0]), planes(given[1]), config)), (keys, images))


def _augmented(
    key: jax.Array, sample: SampleBatch, config: AugmentationConfig, pictures: jax.Array | None, size: int
) -> CropBatch:
    """One sample's crop."""
    place_key, behind_key, before_key, camera_key = jax.random.split(key, 4)
    still = config.scale == 0 and config.shift == 0 and config.rotation == 0
    if still:
        placement = plain_placement(sample.face_box)
    else:
        drawn = functools.partial(sample_placement, place_key, sample.face_box, config)
        placement = worked_out(~jnp.isnan(sample.face_box[0]), drawn)  # not once more for every pixel
    bend = sample_bend(jax.random.fold_in(place_key, 1), config.bend) if config.bend else None
    image, foreground, inside = read_crop(sample.image, sample.foreground, placement, size, bend)
    if config.outside == "black":
        image = jnp.where(inside, image, 0.0)
    # Where nobody knows what is background, what lies beyond the picture is none either.
    known = (sample.foreground < 255).any()
    foreground = jnp.where(inside | ~known, foreground, 0.0)
    image = replace_background(behind_key, image, foreground, pictures, config)
    image = occlude(before_key, image, place_box(sample.face_box, placement, size), pictures, config)
    image = change_picture(camera_key, image, config)
    points = place_points(sample.points, placement, size)
    return CropBatch(pixels(image), points if bend is None else bend_points(bend, points, size), sample.known)


def _pixel_key(key: jax.Array) -> jax.Array:
    """A key of the hashed kind, drawn from any key: a crop takes a random word per value."""
    return random_key(jax.random.bits(key, (), jnp.uint32))


def _each(one: Callable, batch: object) -> object:
    """`one` for every row of the batch: in turn on a CPU, where changes that a sample is spared then cost nothing;
    all together elsewhere, where many small steps would.
    """
    return jax.lax.platform_dependent(
        batch, cpu=functools.partial(jax.lax.map, one), default=lambda batch: jax.vmap(one)(batch)
    )
