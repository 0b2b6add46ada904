"""The sources that a run's settings ask for."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.heads.model import HeadModel
from flowface_jax.synthesis.assets import make_render_assets
from flowface_jax.synthesis.crops import RealPictures
from flowface_jax.synthesis.image.banks import load_background_bank
from flowface_jax.synthesis.textures import load_texture_bank
from flowface_jax.training.archive import open_archive
from flowface_jax.training.augmentation import AugmentationConfig
from flowface_jax.training.config import TrainingConfig
from flowface_jax.training.devices import Share
from flowface_jax.training.mixture import FileBatches
from flowface_jax.training.sources import Source, Studio, joined, recorded_source, rendered_source

VALIDATION_FIRST = 1 << 31
"""Index of the first rendered crop of validation: far beyond those of training, so that none is in both."""


def make_sources(config: TrainingConfig, head: HeadModel, share: Share) -> tuple[Source, Source, int]:
    """What the run learns from, what it is judged by, and how many batches of that there are.

    Raises InputError where records are of another head or the batch cannot be shared.
    """
    data, run = config.data, config.run
    rendered = round(data.rendered_share * run.batch_size / share.total) * share.total
    if bool(data.records) == (rendered == run.batch_size):
        raise InputError(
            f"data.rendered_share: {data.rendered_share:g} of {run.batch_size} crops on {share.total} devices leaves "
            "none to read from records; use larger batches or a smaller share"
        )
    backgrounds = load_background_bank(data.backgrounds) if data.backgrounds else None
    studio = _studio(config, head, backgrounds) if rendered or not data.validation_records else None
    sources = []
    if rendered:
        epoch = math.ceil(data.rendered_crops / rendered) * rendered
        sources.append(_rendered(config, studio, share, rendered, epoch, config.augmentation))
    if rendered < run.batch_size:
        files = _files(data.records, data.weights_of_records, run.batch_size - rendered, run.seed, share, head)
        bank = None if backgrounds is None else jnp.asarray(backgrounds)
        sources.append(_recorded(config, head, share, files, config.augmentation, bank))
    source = sources[0] if len(sources) == 1 else joined(*sources)
    batches = math.ceil(data.validation_crops / run.batch_size)
    if not data.validation_records:
        epoch = batches * run.batch_size
        return source, _rendered(config, studio, share, run.batch_size, epoch, None, VALIDATION_FIRST), batches
    files = _files(data.validation_records, None, run.batch_size, 0, share, head)
    validation = _recorded(config, head, share, files, None, None)
    return source, validation, min(batches, max(1, files.epoch_samples // run.batch_size))


def _studio(config: TrainingConfig, head: HeadModel, backgrounds: np.ndarray | None) -> Studio:
    data = config.data
    albedo, confidence = load_texture_bank(data.skins, data.texture_side) if data.skins else (None, None)
    borrows = backgrounds is not None or albedo is not None
    real = RealPictures(backgrounds, albedo, confidence) if borrows else None
    return Studio(make_render_assets(head, texture_side=data.texture_side), real)


def _rendered(
    config: TrainingConfig,
    studio: Studio,
    share: Share,
    batch: int,
    epoch: int,
    augmentation: AugmentationConfig | None,
    first: int = 0,
) -> Source:
    size, seed, data = config.model.image_size, config.run.seed, config.data
    return rendered_source(studio, size, batch, seed, share, epoch, augmentation, data.supersampling, first)


def _recorded(
    config: TrainingConfig,
    head: HeadModel,
    share: Share,
    files: FileBatches,
    augmentation: AugmentationConfig | None,
    pictures: jax.Array | None,
) -> Source:
    size, batch, epoch = config.model.image_size, files.batch_size, files.epoch_samples
    return recorded_source(head, size, batch, share, epoch, files.batch, augmentation, pictures)


def _files(
    folders: Sequence[str], weights: Sequence[float] | None, batch: int, seed: int, share: Share, head: HeadModel
) -> FileBatches:
    """Batches from folders of records, this process' part of each. Raises InputError for records of another head."""
    archives = [open_archive(folder) for folder in folders]
    for archive in archives:
        if archive.head != head.name or archive.vertex_count != head.vertex_count:
            raise InputError(
                f"{archive.folder} holds samples of head '{archive.head}' ({archive.vertex_count} vertices), "
                f"expected '{head.name}' ({head.vertex_count}); prepare them with that head, or set data.head"
            )
    if share.first % share.count or share.total % share.count:
        raise InputError(f"expected processes with equal numbers of devices, found {share.count} of {share.total}")
    return FileBatches(archives, weights, batch, seed, share.first // share.count, share.total // share.count)
