"""Where a head is in a scan: the similarity between the head model's frame in metres and the scan's coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.heads.registration import similarity
from flowface_jax.training.registration.scans import Scan

_FEWEST = 4
_TYPICAL_MISS = 0.004
_ROUNDS = 12


@dataclass(frozen=True)
class Placement:
    """x_scan = scale · rotation · x_head + translation. scale: scan units per metre. rotation: [3,3]."""

    scale: float
    rotation: np.ndarray
    translation: np.ndarray

    def to_scan(self, points: np.ndarray) -> np.ndarray:
        """Points [N,3] m of the head's frame in the scan's coordinates."""
        return self.scale * points @ self.rotation.T + self.translation

    def to_head(self, points: np.ndarray) -> np.ndarray:
        """Points [N,3] of the scan in the head's frame, m."""
        return (points - self.translation) @ self.rotation / self.scale

    def place(self, scan: Scan) -> Scan:
        """The scan in the head's frame, m."""
        return scan.moved(self.to_head, self.rotation.T)

    def after(self, scale: float, rotation: np.ndarray, translation: np.ndarray) -> Placement:
        """The placement of a head that is itself moved in its frame by a similarity: to_scan(scale · R x + t)."""
        return Placement(self.scale * scale, self.rotation @ rotation, self.to_scan(translation[None])[0])


def place_by_points(
    head_points: np.ndarray, scan_points: np.ndarray, unit: float | None
) -> tuple[Placement, np.ndarray]:
    """The robust placement that takes head points [P,3] m to scan points [P,3] (NaN where unknown), and how far each
    misses [P] m.

    unit: metres per scan unit, or None to find the scale too. Raises InputError for fewer than four usable points.
    """
    usable = np.isfinite(scan_points).all(1)
    if usable.sum() < _FEWEST:
        raise InputError(f"expected at least {_FEWEST} landmarks on the scan, found {int(usable.sum())}")
    source, target = head_points[usable], scan_points[usable]
    weights = np.ones(len(source))
    for _ in range(_ROUNDS):
        scale, rotation, translation = similarity(source, target, weights)
        if unit is not None:
            share = weights / weights.sum()
            scale = 1 / unit
            translation = share @ target - scale * rotation @ (share @ source)
        found = np.linalg.norm(scale * source @ rotation.T + translation - target, axis=1) / scale
        weights = 1 / (1 + (found / max(_TYPICAL_MISS, float(np.median(found)))) ** 2)
    misses = np.full(len(usable), np.nan)
    misses[usable] = found
    return Placement(float(scale), rotation, translation), misses
