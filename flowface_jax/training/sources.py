"""Where training crops come from: rendered on the device, read from records, or both in every batch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.heads.model import HeadModel
from flowface_jax.pytrees import pytree_dataclass
from flowface_jax.synthesis.assets import RenderAssets
from flowface_jax.synthesis.crops import RealPictures, crops
from flowface_jax.synthesis.render import Picture
from flowface_jax.training.augmentation import AugmentationConfig, augment, photometric, plain_crops
from flowface_jax.training.batches import CropBatch
from flowface_jax.training.devices import Share
from flowface_jax.training.samples import SampleBatch


@dataclasses.dataclass(frozen=True)
class Source:
    """Crops of one head, batch by batch, every batch a function of its step alone.

    head: whose vertices the points are. epoch_samples: crops until the collection repeats. constants: arrays that
    every device holds. inputs: step to arrays [count,…] of the host, one row for each of its devices; without work on
    the host where crops are rendered. prepare: (constants, one device's inputs, key) to that device's `CropBatch`, a
    pure function for use inside a compiled step.
    """

    head: HeadModel
    epoch_samples: int
    constants: Any
    inputs: Callable[[int], Any]
    prepare: Callable[[Any, Any, jax.Array], CropBatch]


@pytree_dataclass
class Studio:
    """What rendering needs, made once for all sources of a run. assets: the head, measured. real: what crops may borrow
    from real pictures, or None."""

    assets: RenderAssets
    real: RealPictures | None = None


def rendered_source(
    studio: Studio,
    size: int,
    batch_size: int,
    seed: int,
    share: Share,
    epoch_samples: int,
    augmentation: AugmentationConfig | None = None,
    supersampling: int = 1,
    first: int = 0,
) -> Source:
    """Pictures of made-up people, rendered where they are used.

    batch_size: crops of all devices together. epoch_samples: after so many crops the collection repeats; the
    augmentation (its colours only: the crop is rendered) does not. first: index of the collection's first crop.
    Raises InputError if the batch cannot be shared evenly.
    """
    own = own_size(batch_size, share)

    def inputs(step: int) -> np.ndarray:
        start = step * batch_size + (share.first + np.arange(share.count)) * own
        return (first + (start[:, None] + np.arange(own)) % epoch_samples).astype(np.uint32)

    def prepare(studio: Studio, indices: jax.Array, key: jax.Array) -> CropBatch:
        # Crops are consecutive: an epoch is a whole number of every device's batches.
        picture = crops(studio.assets, seed, indices[0], own, size, supersampling, studio.real)
        batch = crops_of(picture, studio.assets.head)
        if augmentation is None:
            return batch
        keys = jax.vmap(lambda index: jax.random.fold_in(key, index))(indices)
        return dataclasses.replace(batch, image=photometric(keys, batch.image, augmentation))

    if epoch_samples % batch_size:
        raise InputError(f"expected an epoch of whole batches of {batch_size} crops, found {epoch_samples} crops")
    return Source(studio.assets.head, epoch_samples, studio, inputs, prepare)


def crops_of(picture: Picture, head: HeadModel) -> CropBatch:
    """Rendered pictures (leaves [B,…]) of this head as a batch; every point is known, hidden or not."""
    truth = picture.truth
    face = jnp.asarray(head.regions["face"], jnp.float32)
    mean = (truth.vertex_depth * face).sum(-1, keepdims=True) / face.sum()
    depth = (truth.vertex_depth - mean) * truth.focal[:, None] / mean
    return CropBatch(picture.image, truth.vertices, jnp.ones(truth.vertices.shape[:2], bool), depth)


def recorded_source(
    head: HeadModel,
    size: int,
    batch_size: int,
    share: Share,
    epoch_samples: int,
    read: Callable[[int], SampleBatch],
    augmentation: AugmentationConfig | None = None,
    pictures: jax.Array | None = None,
) -> Source:
    """Samples from records, augmented on the device; without augmentation, the plain crop of each.

    read: step to this process' samples of that step, in the order of its devices. pictures: [N,S,S,3] uint8, for
    backgrounds and for what hides faces. Raises InputError if the batch cannot be shared evenly.
    """
    own = own_size(batch_size, share)

    def inputs(step: int) -> SampleBatch:
        return jax.tree.map(lambda leaf: np.asarray(leaf).reshape(share.count, own, *leaf.shape[1:]), read(step))

    def prepare(pictures: Any, samples: SampleBatch, key: jax.Array) -> CropBatch:
        if augmentation is None:
            return plain_crops(samples, size)
        return augment(key, samples, augmentation, pictures, size)

    return Source(head, epoch_samples, pictures, inputs, prepare)


def joined(first: Source, second: Source) -> Source:
    """Batches that hold those of both sources, one after the other. Raises InputError if their heads differ."""
    if first.head.name != second.head.name or first.head.vertex_count != second.head.vertex_count:
        raise InputError(
            f"expected sources of one head in a batch, found {first.head.name} ({first.head.vertex_count} vertices) "
            f"and {second.head.name} ({second.head.vertex_count})"
        )

    def prepare(constants: tuple[Any, Any], inputs: tuple[Any, Any], key: jax.Array) -> CropBatch:
        keys = jax.random.split(key)
        one = first.prepare(constants[0], inputs[0], keys[0])
        other = second.prepare(constants[1], inputs[1], keys[1])
        # Depth is known of rendered crops only; a batch has it for all or for none.
        if one.depth is None or other.depth is None:
            one, other = (dataclasses.replace(batch, depth=None) for batch in (one, other))
        return jax.tree.map(lambda a, b: jnp.concatenate([a, b]), one, other)

    return Source(
        first.head,
        first.epoch_samples + second.epoch_samples,
        (first.constants, second.constants),
        lambda step: (first.inputs(step), second.inputs(step)),
        prepare,
    )


def own_size(batch_size: int, share: Share) -> int:
    """Crops of one device. Raises InputError if the batch cannot be shared evenly."""
    if batch_size < share.total or batch_size % share.total:
        raise InputError(f"expected a batch that {share.total} devices share evenly, found {batch_size} crops")
    return batch_size // share.total
