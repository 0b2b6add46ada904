"""Render training crops once and keep them as samples of the built-in head's vertices, whichever head is rendered.

    python experiments/bundled/captures.py --out runs/captures/generic_0 --skins runs/textures \
        --backgrounds runs/backgrounds --crops 4096 --seed 1

With --head PATH another head is rendered, and every vertex of the built-in head is where that head has the same point
of the atlas. Interrupted runs go on when called again.
"""

from __future__ import annotations

import argparse
import functools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np

from flowface_jax.compilation import keep_compilations
from flowface_jax.heads.atlas import locate
from flowface_jax.heads.generic import generic_head
from flowface_jax.heads.model import HeadModel, SurfacePoints
from flowface_jax.heads.source import load_head
from flowface_jax.reporting import Bar, TerminalReporter
from flowface_jax.synthesis.assets import make_render_assets
from flowface_jax.synthesis.crops import RealPictures, crops
from flowface_jax.synthesis.image.banks import load_background_bank
from flowface_jax.synthesis.materials.surfaces import triangle_materials
from flowface_jax.synthesis.scene import Material
from flowface_jax.synthesis.textures import load_texture_bank
from flowface_jax.training.archive import ArchiveKind, open_writer
from flowface_jax.training.samples import Sample, SampleConfig

SHARD, BATCH = 256, 4
FEWEST_IDENTITIES, FEWEST_EXPRESSIONS = 10, 30
"""A checkout that lacks most of its shapes would teach one face with one expression."""


def main() -> None:
    """Render what is missing of the folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the samples")
    parser.add_argument("--head", default="generic", help="head that is rendered")
    parser.add_argument("--crops", type=int, default=4096, help=f"how many, rounded up to {SHARD}")
    parser.add_argument("--first", type=int, default=0, help="number of the first crop of the endless collection")
    parser.add_argument("--seed", type=int, default=1, help="seed of everything random")
    parser.add_argument("--side", type=int, default=256, help="px of a stored crop")
    parser.add_argument("--skins", type=Path, default=None, help="folder of textures of real people")
    parser.add_argument("--backgrounds", type=Path, default=None, help="folder of pictures")
    parser.add_argument("--texture-side", type=int, default=256, help="texels of skin")
    options = parser.parse_args()
    keep_compilations()
    rendered, target = load_head(options.head), generic_head()
    if rendered.identity_size < FEWEST_IDENTITIES or rendered.expression_size < FEWEST_EXPRESSIONS:
        parser.error(
            f"--head {options.head}: expected at least {FEWEST_IDENTITIES} components of identity and "
            f"{FEWEST_EXPRESSIONS} of expression to learn from, found {rendered.identity_size} and "
            f"{rendered.expression_size}; name the whole model"
        )
    shards = -(-options.crops // SHARD)
    chosen = ("head", "first", "seed", "side", "skins", "backgrounds", "texture_side")
    settings = {name: str(getattr(options, name)) for name in chosen} | {"margin": SampleConfig.margin}
    kind = ArchiveKind("rendered", target.name, target.vertex_count, options.side, settings)
    writer = open_writer(options.out, kind, shards)
    render = functools.partial(
        crops,
        make_render_assets(rendered, texture_side=options.texture_side),
        options.seed,
        count=BATCH,
        size=options.side,
        real=_real(options),
        margin=SampleConfig.margin,
    )
    points = None if rendered.name == target.name else same_points(rendered, target)
    bar = TerminalReporter().bar("render", shards * SHARD, "crop")
    for shard in writer.missing():
        first = options.first + shard * SHARD
        writer.write_shard(shard, _samples(render, rendered, target, points, first, bar, shard * SHARD), Counter())
    bar.close()
    writer.finish()


def same_points(rendered: HeadModel, target: HeadModel) -> tuple[SurfacePoints, np.ndarray]:
    """The points of `rendered` that lie where the vertices of `target` do in the atlas, skin on skin and eyeball on
    eyeball, and [V] bool where there are such: not inside the mouth, which heads are free to fill as they like.
    """
    material, ours = triangle_materials(rendered)[0], triangle_materials(target)[0]
    ids = np.zeros((target.vertex_count, 3), np.int32)
    barycentric = np.zeros((target.vertex_count, 3), np.float32)
    known = np.zeros(target.vertex_count, bool)
    for kind in (Material.EYE, Material.SKIN):
        vertices = np.unique(np.asarray(target.triangles)[np.asarray(ours) == kind])
        triangles = np.asarray(rendered.triangles)[np.asarray(material) == kind]
        found = locate(np.asarray(rendered.uv), triangles, np.asarray(target.uv)[vertices])
        ids[vertices], barycentric[vertices], known[vertices] = found.vertex_ids, found.barycentric, True
    return SurfacePoints(ids, barycentric), known


def _real(options: argparse.Namespace) -> RealPictures:
    albedo, confidence = (None, None)
    if options.skins:
        albedo, confidence = load_texture_bank(options.skins, options.texture_side)
    backgrounds = load_background_bank(options.backgrounds) if options.backgrounds else None
    return jax.device_put(RealPictures(backgrounds, albedo, confidence))


def _samples(
    render: functools.partial,
    rendered: HeadModel,
    target: HeadModel,
    points: tuple[SurfacePoints, np.ndarray] | None,
    first: int,
    bar: Bar,
    done: int,
) -> Iterator[Sample]:
    face = np.asarray(target.regions["face"])
    known = np.ones(target.vertex_count, bool)
    for start in range(0, SHARD, BATCH):
        picture = jax.device_get(render(first + start))
        images = np.rint(picture.image * 255.0).astype(np.uint8)
        for row in range(BATCH):
            pixels = picture.truth.vertices[row]
            if points is not None:
                pixels, known = np.asarray(points[0].of(pixels)), points[1]
            box = np.concatenate([pixels[face].min(0), pixels[face].max(0)])
            source = {"dataset": "rendered", "head": rendered.name, "crop": str(first + start + row)}
            mask = np.full(images.shape[1:3], 255, np.uint8)
            pixels, box = pixels.astype(np.float32), box.astype(np.float32)
            yield Sample(images[row], pixels, known, mask, box, target.name, source)
        bar.advance_to(done + start + BATCH)


if __name__ == "__main__":
    main()
