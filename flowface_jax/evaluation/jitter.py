"""Jitter: how restless a track is in the image."""

from __future__ import annotations

import numpy as np

from flowface_jax.fitting.track import Track
from flowface_jax.heads.model import HeadModel


def jitter_px(track: Track, head: HeadModel, region: str = "face", camera: int = 0) -> float:
    """RMS second difference over time of the region's vertices in one camera's image, px.

    Counts frames whose two neighbours and themselves are observed; NaN where there are none. True motion is part of
    it, so compare tracks of one clip with each other, not clips.
    """
    wanted = np.asarray(head.regions[region])
    observed = np.asarray(track.observed).any(0)
    total, count = 0.0, 0
    window: list[np.ndarray] = []
    for f, world in enumerate(track.each_world_vertices(head)):
        window = [*window[-2:], np.asarray(track.cameras.project(world))[camera, wanted]]
        if len(window) == 3 and observed[f - 2 : f + 1].all():
            total += float(((window[0] - 2 * window[1] + window[2]) ** 2).sum(-1).mean())
            count += 1
    return float(np.sqrt(total / count)) if count else float("nan")
