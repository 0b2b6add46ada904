"""The few observations that initialisation looks at: points spread over the head, taken some frames at a time."""

from __future__ import annotations

import dataclasses

import numpy as np

from flowface_jax.alignment.alignment import Alignment
from flowface_jax.fitting.bundle import BundleObservations

CHUNK_FRAMES = 64
"""Frames whose observations are held in float64 at once."""


@dataclasses.dataclass(frozen=True)
class SparseObservations:
    """An alignment at its chosen points, without a copy of it.

    common: BundleObservations of no frame at all. alignment: whose frames it is. chosen: [P] of its points.
    point_weight: [P] λ. weight: [C,F] 1/px², sum of all points' weights in each image, 0 where nothing is observed.
    """

    common: BundleObservations
    alignment: Alignment
    chosen: np.ndarray
    point_weight: np.ndarray
    weight: np.ndarray

    @property
    def seen(self) -> np.ndarray:
        """Frames [n] in which any camera observes any of the points."""
        return np.flatnonzero((self.weight > 0).any(0))

    def of_frames(self, frames: np.ndarray) -> BundleObservations:
        """The observations of some frames, in float64."""
        pixels = self.alignment.mean[:, frames][:, :, self.chosen].astype(np.float64)
        return dataclasses.replace(self.common, pixels=pixels, weights=self._weights(frames))

    def _weights(self, frames: np.ndarray) -> np.ndarray:
        std = self.alignment.std[:, frames][:, :, self.chosen].astype(np.float64)
        observed = np.isfinite(std) & self.alignment.valid[:, frames, None]
        return np.where(observed, self.point_weight / np.where(observed, std, 1.0) ** 2, 0.0)


def sparse_observations(
    alignment: Alignment, common: BundleObservations, chosen: np.ndarray, point_weight: np.ndarray
) -> SparseObservations:
    """The observations of the `chosen` points of every frame; fields as in SparseObservations."""
    without = SparseObservations(common, alignment, chosen, point_weight, np.zeros(alignment.valid.shape))
    for frames in chunks(np.arange(alignment.frame_count)):
        without.weight[:, frames] = without._weights(frames).sum(-1)
    return without


def chunks(frames: np.ndarray) -> list[np.ndarray]:
    """`frames` [n] in parts of bounded memory."""
    return [frames[start : start + CHUNK_FRAMES] for start in range(0, len(frames), CHUNK_FRAMES)]
