"""The temporal Gaussian filter by which methods for single images are given a temporal prior (paper, section 4)."""

from __future__ import annotations

import dataclasses

import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.evaluation.mesh_sequence import MeshSequence, Projected

STD_FRAMES = 1.0
"""Standard deviation of the filter, frames. The paper does not state its own."""
_REACH = 4.0
"""Standard deviations at which the filter ends."""


def gaussian_filtered(values: np.ndarray, valid: np.ndarray, std_frames: float = STD_FRAMES) -> np.ndarray:
    """Values [F,...] smoothed over time: the Gaussian-weighted mean of the valid frames around each valid frame.

    valid: [F] bool; other frames take no part and stay as they are. std_frames: standard deviation, frames; 0 changes
    nothing. At the ends, and beside invalid frames, the weights of the frames that are there are scaled to sum 1, so
    that what rests stays where it is. Returns the values' own floating type. Raises InputError for wrong shapes, a
    negative std, and valid frames that are not finite.
    """
    values, valid = np.asarray(values), np.asarray(valid)
    if valid.shape != values.shape[:1] or valid.dtype != bool:
        raise InputError(f"expected values [F,...] and valid [F] bool, found {values.shape} and {valid.shape}")
    if not std_frames >= 0 or not np.isfinite(std_frames):
        raise InputError(f"temporal filter: expected a standard deviation of 0 frames or more, found {std_frames}")
    if not np.isfinite(values[valid]).all():
        raise InputError("temporal filter: a valid frame is not finite; mark such frames as invalid")
    if std_frames == 0 or not valid.any():
        return values.copy()
    frames = np.flatnonzero(valid)
    result = values.copy()
    for frame in frames:
        near = frames[np.abs(frames - frame) <= _REACH * std_frames]
        weights = np.exp(-0.5 * ((near - frame) / std_frames) ** 2)
        result[frame] = np.tensordot(weights / weights.sum(), values[near].astype(np.float64), 1)
    return result


def filter_projected(projected: Projected, valid: np.ndarray, std_frames: float = STD_FRAMES) -> Projected:
    """Pixels and depth of a projected mesh after the filter: what the paper does to single-image methods."""
    pixels = gaussian_filtered(projected.pixels, valid, std_frames)
    return Projected(pixels, gaussian_filtered(projected.depth, valid, std_frames), projected.size)


def filter_sequence(sequence: MeshSequence, std_frames: float = STD_FRAMES) -> MeshSequence:
    """The sequence with its vertices, and what other cameras show of them, after the filter."""
    seen = None if sequence.seen is None else filter_projected(sequence.seen, sequence.valid, std_frames)
    vertices = gaussian_filtered(sequence.vertices, sequence.valid, std_frames)
    return dataclasses.replace(sequence, vertices=vertices, seen=seen)
