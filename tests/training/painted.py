"""An archive of painted heads: flat pictures of the built-in head, coloured by its atlas, at random places."""

from collections import Counter
from pathlib import Path

import cv2
import numpy as np

from flowface_jax.heads.generic import generic_head
from flowface_jax.training.archive import ArchiveKind, open_writer
from flowface_jax.training.samples import Sample


def painted_sample(random: np.random.Generator, side: int, number: int) -> Sample:
    """The head from the front, shifted, turned and scaled; the face is coloured by its atlas."""
    head = generic_head()
    angle, scale = random.normal(0, 0.2), random.uniform(0.9, 1.1)
    turn = np.asarray([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    flat = np.asarray(head.template)[:, :2] * [1, -1] @ turn.T * scale
    face = np.asarray(head.regions["face"])
    extent = np.ptp(flat[face], axis=0).max()
    centre = flat[face].mean(0)
    points = ((flat - centre) / extent * side / 1.8 + side / 2 + random.normal(0, side / 40, 2)).astype(np.float32)
    image = np.full((side, side, 3), random.integers(0, 255, 3), np.uint8)
    foreground = np.zeros((side, side), np.uint8)
    triangles = np.asarray(head.triangles)
    triangles = triangles[face[triangles].all(1)]
    order = np.argsort(np.asarray(head.template)[triangles, 2].mean(1))
    colours = np.concatenate([np.asarray(head.uv)[triangles].mean(1) * 255, np.full((len(triangles), 1), 128)], axis=1)
    for triangle in order:
        corners = np.round(points[triangles[triangle]]).astype(np.int32)
        cv2.fillConvexPoly(image, corners, colours[triangle].tolist())
        cv2.fillConvexPoly(foreground, corners, 255)
    box = np.concatenate([points[face].min(0), points[face].max(0)]).astype(np.float32)
    known = np.ones(len(points), bool)
    return Sample(image, points, known, foreground, box, head.name, {"dataset": "painted", "frame": str(number)})


def painted_archive(folder: Path, count: int, side: int = 96, seed: int = 0) -> Path:
    """A finished archive of so many samples."""
    random = np.random.default_rng(seed)
    samples = [painted_sample(random, side, number) for number in range(count)]
    kind = ArchiveKind("painted", samples[0].head, len(samples[0].points), side, {"seed": seed})
    writer = open_writer(folder, kind, 1)
    writer.write_shard(0, samples, Counter())
    writer.finish()
    return folder
