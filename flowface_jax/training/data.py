"""The sources that a run's settings ask for."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax.numpy as jnp

from flowface_jax.errors import InputError
from flowface_jax.heads.model import HeadModel
from flowface_jax.synthesis.crops import RealPictures
from flowface_jax.synthesis.image.banks import load_background_bank
from flowface_jax.synthesis.textures import load_texture_bank
from flowface_jax.training.archive import open_archive
from flowface_jax.training.config import TrainingConfig
from flowface_jax.training.devices import Share
from flowface_jax.training.mixture import FileBatches
from flowface_jax.training.sources import Source, joined, recorded_source, rendered_source

VALIDATION_FIRST = 1 << 31
"""Index of the first rendered crop of validation: far beyond those of training, so that none is in both."""


def training_source(config: TrainingConfig, head: HeadModel, share: Share) -> Source:
    """What the run learns from. Raises InputError where records are of another head or the batch cannot be shared."""
    data, run, size = config.data, config.run, config.model.image_size
    rendered = round(data.rendered_share * run.batch_size / share.total) * share.total
    if data.records and rendered == run.batch_size or not data.records and rendered < run.batch_size:
        raise InputError(
            f"data.rendered_share: {data.rendered_share:g} of {run.batch_size} crops on {share.total} devices leaves "
            "none to read from records; use larger batches or a smaller share"
        )
    sources = []
    pictures = load_background_bank(data.backgrounds) if data.backgrounds else None
    if rendered:
        epoch = math.ceil(data.rendered_crops / rendered) * rendered
        sources.append(_rendered(config, head, share, rendered, epoch, 0, True))
    if rendered < run.batch_size:
        files = _files(data.records, data.weights_of_records, run.batch_size - rendered, run.seed, share, head)
        bank = None if pictures is None else jnp.asarray(pictures)
        sources.append(
            recorded_source(
                head,
                size,
                run.batch_size - rendered,
                share,
                files.epoch_samples,
                files.batch,
                config.augmentation,
                bank,
            )
        )
    return sources[0] if len(sources) == 1 else joined(*sources)


def validation_source(config: TrainingConfig, head: HeadModel, share: Share) -> tuple[Source, int]:
    """What the run is judged by, without augmentation, and how many batches of it there are."""
    data, run = config.data, config.run
    batches = math.ceil(data.validation_crops / run.batch_size)
    if not data.validation_records:
        first = VALIDATION_FIRST
        return _rendered(config, head, share, run.batch_size, batches * run.batch_size, first, False), batches
    files = _files(data.validation_records, None, run.batch_size, 0, share, head)
    source = recorded_source(head, config.model.image_size, run.batch_size, share, files.epoch_samples, files.batch)
    return source, min(batches, max(1, files.epoch_samples // run.batch_size))


def _rendered(
    config: TrainingConfig, head: HeadModel, share: Share, batch: int, epoch: int, first: int, augmented: bool
) -> Source:
    data = config.data
    real = None
    if data.backgrounds or data.skins:
        albedo, confidence = load_texture_bank(data.skins, data.texture_side) if data.skins else (None, None)
        backgrounds = load_background_bank(data.backgrounds) if data.backgrounds else None
        real = RealPictures(backgrounds, albedo, confidence)
    return rendered_source(
        head,
        config.model.image_size,
        batch,
        config.run.seed,
        share,
        epoch,
        config.augmentation if augmented else None,
        real,
        data.supersampling,
        data.texture_side,
        first,
    )


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
