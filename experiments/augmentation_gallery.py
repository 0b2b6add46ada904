"""Pictures of what augmentation makes of samples, one row of training crops for each.

    python experiments/augmentation_gallery.py --samples PREPARED --out output/augmentation.jpg
    python experiments/augmentation_gallery.py --preset paper --pictures DTD --set rotation=30 occlusion_probability=1

Samples come from a folder made by `flowface prepare`; without one, people are rendered as in a studio (minutes on a
CPU). The first of a row is the plain crop. Without `--pictures`, backgrounds and textures of occluders are made up.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
from pathlib import Path

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax import load_head
from flowface_jax.compilation import keep_compilations
from flowface_jax.conventions import BOX_MARGIN
from flowface_jax.heads.model import vertices
from flowface_jax.settings import settings_from
from flowface_jax.synthesis.assets import RenderAssets, make_render_assets
from flowface_jax.synthesis.crops import Sitting, sample_sitting, shot_of
from flowface_jax.synthesis.geometry import Shot
from flowface_jax.synthesis.image.banks import load_background_bank
from flowface_jax.synthesis.randomness import random_key
from flowface_jax.synthesis.render import Picture, render
from flowface_jax.synthesis.skin.texture import build_skin_texture
from flowface_jax.synthesis.truth import Segment
from flowface_jax.training.archive import open_archive
from flowface_jax.training.augmentation import (
    PRESETS,
    AugmentationConfig,
    augment,
    augmentation_preset,
    made_up_pictures,
    plain_crops,
)
from flowface_jax.training.samples import SampleBatch, SampleConfig, stack_samples
from flowface_jax.viewing.tiling import contact_sheet

STUDIO = (0.02, 0.02, 0.025)
"""Linear RGB of the backdrop."""
BANK_SIZE = 48
DOTTED = 40
"""Every so-manieth point is marked."""


def main() -> None:
    """Make the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=Path, help="a folder made by flowface prepare; without: rendered people")
    parser.add_argument("--head", default="generic", help="of the rendered people")
    parser.add_argument("--rows", type=int, default=6)
    parser.add_argument("--crops", type=int, default=8, help="columns, the plain crop included")
    parser.add_argument("--size", type=int, default=256, help="px of a crop")
    parser.add_argument("--shown", type=int, default=176, help="px of a crop on the sheet")
    parser.add_argument("--preset", choices=PRESETS, default="wild")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="settings of augmentation")
    parser.add_argument("--pictures", type=Path, help="a folder of pictures for backgrounds and occluders")
    parser.add_argument("--dots", action="store_true", help="mark points of the head")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("output/augmentation.jpg"))
    options = parser.parse_args()
    keep_compilations()
    preset, changes = augmentation_preset(options.preset), dict(pair.split("=", 1) for pair in options.set)
    picture = gallery(options, settings_from(AugmentationConfig, changes, "augmentation", preset))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(options.out), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])


def gallery(options: argparse.Namespace, config: AugmentationConfig) -> np.ndarray:
    """The sheet: one row per person."""
    key = jax.random.key(options.seed)
    pictures = (
        made_up_pictures(key, BANK_SIZE)
        if options.pictures is None
        else jnp.asarray(load_background_bank(options.pictures))
    )
    if options.samples is not None:
        samples = stored_samples(options.samples, options.seed, options.rows)
    else:
        samples = studio_samples(options.head, options.seed, options.rows, round(1.25 * options.size))
    marked = slice(None, None, DOTTED) if options.dots else slice(0)
    cells = []
    for person in range(options.rows):
        repeated = jax.tree.map(
            lambda values, person=person: np.repeat(values[person][None], options.crops, 0), samples
        )
        numbers = person * options.crops + np.arange(options.crops, dtype=np.uint32)
        repeated = dataclasses.replace(repeated, index=numbers)
        crops = augment(key, repeated, config, pictures, options.size)
        images, points = np.asarray(crops.image).copy(), np.asarray(crops.points).copy()
        plain = plain_crops(repeated, options.size)
        images[0], points[0] = plain.image[0], plain.points[0]
        cells += [_dotted(image, places[marked]) for image, places in zip(images, points, strict=True)]
    return contact_sheet(cells, columns=options.crops, cell_width=options.shown)


def stored_samples(folder: Path, seed: int, count: int) -> SampleBatch:
    """Random samples of a prepared folder."""
    archive = open_archive(folder)
    chosen = np.random.default_rng(seed).choice(len(archive), count, replace=count > len(archive))
    return stack_samples([archive[int(number)] for number in chosen], np.arange(count))


def studio_samples(head_name: str, seed: int, count: int, side: int) -> SampleBatch:
    """People before a dark backdrop, as in data sets: stored pictures of `side` px with their outline."""
    assets = make_render_assets(load_head(head_name))
    portraits = [_portrait(assets, random_key(seed), index, side) for index in range(count)]
    truth = jax.tree.map(lambda *values: np.stack(values), *(portrait.truth for portrait in portraits))
    images = np.stack([portrait.image for portrait in portraits])
    return SampleBatch(
        image=np.round(255 * np.clip(images, 0, 1)).astype(np.uint8),
        points=truth.vertices,
        known=np.ones(truth.vertices.shape[:2], bool),
        foreground=np.where(truth.segmentation != int(Segment.BACKGROUND), 255, 0).astype(np.uint8),
        face_box=truth.face_box,
        index=np.arange(count, dtype=np.uint32),
    )


def _portrait(assets: RenderAssets, key: jax.Array, index: int, side: int) -> Picture:
    sitting = _sample_sitting(jax.random.fold_in(key, index), assets)
    shot = _take_position(sitting, assets, side)
    skin = _build_skin_texture(sitting.appearance.skin, assets.skin)
    backdrop = jnp.broadcast_to(jnp.asarray(STUDIO), (side, side, 3))
    return _render(assets, sitting.appearance, skin, shot, sitting.noise_key, size=(side, side), behind=backdrop)


@functools.partial(jax.jit, static_argnames="side")
def _take_position(sitting: Sitting, assets: RenderAssets, side: int) -> Shot:
    """The crop's camera with a wider view, so that samples have their margin."""
    face = sitting.face
    posed = vertices(assets.head, face.identity, face.expression, face.joint_rotations)
    shot, _ = shot_of(sitting, posed, vertices(assets.head, face.identity, jnp.zeros(0)), assets, side)
    wider, middle = BOX_MARGIN / SampleConfig.margin, 0.5 * side
    return dataclasses.replace(
        shot, focal=wider * shot.focal, principal_point=middle + wider * (shot.principal_point - middle)
    )


_sample_sitting = jax.jit(sample_sitting)
_build_skin_texture = jax.jit(build_skin_texture)
_render = jax.jit(render, static_argnames=("size",))


def _dotted(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The crop as bytes, its points marked; the drawing library counts from the middle of the top-left pixel."""
    picture = np.round(255 * image).astype(np.uint8)
    for right, down in np.round(16 * (points - 0.5)).astype(int):
        cv2.circle(picture, (int(right), int(down)), 20, (0, 255, 60), -1, cv2.LINE_AA, 4)
    return picture


if __name__ == "__main__":
    main()
