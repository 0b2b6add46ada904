"""What the images cannot tell: how far the focal length is determined once everything else may move with it."""

from __future__ import annotations

import numpy as np

from flowface_jax.fitting.bundle import BundleObservations, BundleState, Freedom, shared_covariance

MAXIMUM_FRAMES = 12
UNOBSERVABLE = 0.08
"""Relative standard deviation of a focal length above which it counts as not observed (depth is as uncertain)."""


def focal_standard_deviation(observations: BundleObservations, state: BundleState, freedom: Freedom) -> np.ndarray:
    """Relative standard deviation of each focal length [C] (0 where it is known), from the images and the head prior.

    Gauss-Newton posterior on a dozen well-spread frames with identity, expressions, poses and cameras free and without
    the weak focal prior. More frames of one face add little: what is wrong with them is wrong in all alike.
    """
    cameras = len(state.focal)
    if not freedom.focal:
        return np.zeros(cameras)
    seen = np.flatnonzero((observations.weights > 0).any(axis=(0, 2)))
    frames = seen[np.unique(np.linspace(0, len(seen) - 1, MAXIMUM_FRAMES).round().astype(int))]
    covariance = shared_covariance(observations.of_frames(frames), state.of_frames(frames), freedom)
    first = len(state.identity) if freedom.identity else 0
    count = 1 if freedom.shared_focal else cameras
    variance = np.diag(covariance)[first : first + count]
    return np.broadcast_to(np.sqrt(np.maximum(variance, 0.0)), (cameras,)).copy()


def focal_note(std: np.ndarray, names: tuple[str, ...]) -> str | None:
    """A sentence for the track when a focal length cannot be told from the images, else None."""
    poor = [f"{name} (± {100 * s:.0f} %)" for name, s in zip(names, std, strict=True) if s > UNOBSERVABLE]
    if not poor:
        return None
    return (
        f"The focal length cannot be observed well for {', '.join(poor)}: it trades against the head's distance, so "
        "depth along the viewing direction is uncertain by the same factor. Give --focal or --cameras if it is known."
    )
