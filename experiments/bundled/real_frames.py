"""Samples of real frames, and with --mirrored of their mirror images, labelled by the tracks that were fitted to them.

python experiments/bundled/real_frames.py --clips CLIPS --names d0 d3 d12 d13 d18 --tracks runs/tracks --out runs/real
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from flowface_jax.aligners import open_frames
from flowface_jax.fitting.track import Track
from flowface_jax.heads.generic import generic_head
from flowface_jax.heads.model import HeadModel
from flowface_jax.heads.symmetry import mirrored_vertices
from flowface_jax.training.archive import ArchiveKind, open_writer
from flowface_jax.training.samples import Refusal, Sample, SampleConfig, cut_sample, mirrored_sample


def main() -> None:
    """Write a shard for each clip, or two: its frames, and their mirror images."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=Path, required=True, help="folder with .mp4 files")
    parser.add_argument("--names", nargs="+", required=True, help="clips that may be used, by stem")
    parser.add_argument("--tracks", type=Path, required=True, help="folder with a track of each clip, built-in head")
    parser.add_argument("--out", type=Path, required=True, help="folder of the samples")
    parser.add_argument("--every", type=int, default=2, help="frames from one to the next that is used")
    parser.add_argument("--side", type=int, default=256, help="px of a stored crop")
    parser.add_argument("--mirrored", action="store_true", help="every frame's mirror image too")
    options = parser.parse_args()
    head, config = generic_head(), SampleConfig(side=options.side)
    mirror = mirrored_vertices(head)
    settings = {"names": options.names, "every": options.every, "margin": config.margin}
    if options.mirrored:
        settings["mirrored"] = True
    kind = ArchiveKind("real", head.name, head.vertex_count, options.side, settings)
    images_of_each = 2 if options.mirrored else 1
    writer = open_writer(options.out, kind, images_of_each * len(options.names))
    for shard in writer.missing():
        refused: Counter[str] = Counter()
        clip, reversed_too = divmod(shard, images_of_each)
        samples = _samples(options, options.names[clip], head, config, refused)
        if reversed_too:
            samples = (mirrored_sample(sample, mirror) for sample in samples)
        writer.write_shard(shard, samples, refused)
    writer.finish()


def _samples(
    options: argparse.Namespace, name: str, head: HeadModel, config: SampleConfig, refused: Counter[str]
) -> Iterator[Sample]:
    track = Track.load(options.tracks / name)
    face, known = np.asarray(head.regions["face"]), np.ones(head.vertex_count, bool)
    frames = zip(open_frames(options.clips / f"{name}.mp4"), track.each_world_vertices(head), strict=True)
    for number, (frame, world) in enumerate(frames):
        if number % options.every or not track.observed[0, number]:
            continue
        points = np.asarray(track.cameras.project(world))[0]
        source = {"dataset": "clips", "subject": name, "frame": str(number)}
        sample = cut_sample(frame.image, points, known, None, face, head.name, source, config)
        if isinstance(sample, Refusal):
            refused[sample.reason] += 1
        else:
            yield sample


if __name__ == "__main__":
    main()
