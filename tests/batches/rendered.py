"""A small film of rendered heads: two people side by side, a cut, and one of them elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from flowface_jax.demo import film
from flowface_jax.heads.generic import generic_head
from flowface_jax.reporting import SilentReporter
from flowface_jax.synthesis.sequences import make_performance
from flowface_jax.viewing.video_writer import write_video

FRAMES, SIDE = 16, 200


def write_two_scenes(path: Path) -> Path:
    """FRAMES frames of two people, then as many of the first alone before another background; 25 a second."""
    left, right = (_pictures(seed) for seed in (7, 11))
    together = [np.concatenate(pair, axis=1) for pair in zip(left, right, strict=True)]
    alone = [np.concatenate([np.full_like(picture, (40, 90, 150)), picture], axis=1) for picture in left]
    write_video(path, [*together, *alone], 25.0, quality=16)
    return path


def _pictures(seed: int) -> list[np.ndarray]:
    head = generic_head()
    performance = make_performance(head, seed, FRAMES, 1)
    pictures = film(performance, head, seed, range(FRAMES), SIDE, SilentReporter())
    return [views[0] for views in pictures.values()]
