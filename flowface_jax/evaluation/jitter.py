"""Jitter: how restless a track or any mesh in motion is, in the image or in space."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from flowface_jax.conventions import METRES_TO_MILLIMETRES
from flowface_jax.errors import InputError
from flowface_jax.evaluation.mesh_sequence import MeshSequence
from flowface_jax.fitting.track import Track
from flowface_jax.heads.model import HeadModel


def second_difference(frames: Iterable[np.ndarray], valid: np.ndarray) -> float:
    """RMS length of x[t−1] − 2 x[t] + x[t+1] over points and times, in the unit of frames ([P,D] each, one at a time).

    valid: [F] bool. Counts times whose two neighbours and themselves are valid; NaN where there are none. True motion
    is part of it, so compare tracks of one clip with each other, not clips.
    """
    total, count = 0.0, 0
    window: list[np.ndarray] = []
    for f, points in enumerate(frames):
        window = [*window[-2:], np.asarray(points)]
        if len(window) == 3 and valid[f - 2 : f + 1].all():
            total += float(((window[0] - 2 * window[1] + window[2]) ** 2).sum(-1).mean())
            count += 1
    return float(np.sqrt(total / count)) if count else float("nan")


def jitter(sequence: MeshSequence, region: str | None = None, camera: int | None = 0) -> float:
    """`second_difference` of a sequence's vertices: px in a camera's image, or mm in space where `camera` is None.

    region: whose vertices; None: all. Raises InputError for a region or camera that the sequence does not have.
    """
    wanted = np.ones(sequence.vertices.shape[1], bool)
    if region is not None:
        if region not in sequence.regions:
            known = ", ".join(sequence.regions) or "none"
            raise InputError(f"{sequence.name or 'the sequence'}: expected a region of {known}, found '{region}'")
        wanted = np.asarray(sequence.regions[region])
    if not wanted.any():
        raise InputError(f"region '{region}' is empty: it holds no vertex; choose another")
    valid = np.asarray(sequence.valid)
    if camera is None:
        return METRES_TO_MILLIMETRES * second_difference(sequence.vertices[:, wanted].astype(np.float64), valid)
    return second_difference(sequence.projected(camera).pixels[:, wanted].astype(np.float64), valid)


def jitter_px(track: Track, head: HeadModel, region: str = "face", camera: int = 0) -> float:
    """`jitter` of a track in one camera's image, px, without holding all its vertices at once."""
    wanted = np.asarray(head.regions[region])
    seen = (np.asarray(track.cameras.project(world))[camera, wanted] for world in track.each_world_vertices(head))
    return second_difference(seen, np.asarray(track.observed).any(0))
