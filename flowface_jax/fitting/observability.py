"""What the images cannot tell: how far the focal length is determined once everything else may move with it."""

from __future__ import annotations

import dataclasses

import numpy as np

from flowface_jax.fitting.bundle import BundleState, Freedom, shared_covariance
from flowface_jax.fitting.sparse import SparseObservations

INDEPENDENT_FRAMES = 4
INDEPENDENT_POINTS = 6
"""How much one camera's observations of one face are worth, however many frames and points there are.

What is wrong with an alignment is nearly the same in neighbouring points and in all frames. Chosen so that the focal
lengths which two different head models find in the same clip agree within the standard deviations stated for them.
"""

UNOBSERVABLE = 0.1
"""Relative standard deviation of a focal length above which it counts as not observed (depth is as uncertain)."""


def focal_standard_deviation(observations: SparseObservations, state: BundleState, freedom: Freedom) -> np.ndarray:
    """Relative standard deviation of each focal length [C] (0 where it is known), from the images and the head prior.

    Gauss-Newton posterior on a few well-spread frames with identity, expressions, poses and cameras free, without the
    weak focal prior, counting INDEPENDENT_POINTS an image.
    """
    cameras = len(state.focal)
    if not freedom.focal:
        return np.zeros(cameras)
    seen = observations.seen
    frames = seen[np.unique(np.linspace(0, len(seen) - 1, INDEPENDENT_FRAMES).round().astype(int))]
    few = observations.of_frames(frames)
    share = min(1.0, INDEPENDENT_POINTS / max(int((few.weights > 0).sum(-1).max()), 1))
    freedom = dataclasses.replace(freedom, identity_scale=min(freedom.identity_scale, float(len(frames) * cameras)))
    covariance = shared_covariance(few, state.of_frames(frames), freedom, share)
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
