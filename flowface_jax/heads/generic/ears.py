"""The left auricle: concentric rings from its attachment out along the back, over the helix and in to the concha."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flowface_jax.heads.generic import anatomy
from flowface_jax.heads.generic.curves import closed_curve

Array = NDArray[np.float64]

COUNT = 30
"""Vertices of each ring."""

RING_COUNT = 11
"""Rings after the attachment, without the point in the ear canal."""


def _axes() -> tuple[Array, Array, Array]:
    """Backward-outward, upward and outward-forward unit vectors of the auricle's plane."""
    flare, tilt = np.radians(anatomy.EAR_FLARE_DEGREES), np.radians(anatomy.EAR_TILT_DEGREES)
    back = np.array([np.sin(flare), 0.0, -np.cos(flare)])
    normal = np.array([np.cos(flare), 0.0, np.sin(flare)])
    up = np.array([0.0, 1.0, 0.0])
    return np.cos(tilt) * back - np.sin(tilt) * up, np.cos(tilt) * up + np.sin(tilt) * back, normal


def _lift(plane: Array, height: Array | float) -> Array:
    """Positions [N,3] mm of points [N,2] mm in the auricle's plane, at a height (mm) above it."""
    back, up, normal = _axes()
    tall = np.broadcast_to(np.asarray(height, float), len(plane))
    return np.asarray(anatomy.EAR_ORIGIN) + plane[:, :1] * back + plane[:, 1:] * up + tall[:, None] * normal


def outline() -> Array:
    """The auricle's silhouette in its plane, [COUNT,2] mm, from the top of its attachment backwards and down."""
    return closed_curve(anatomy.EAR_OUTLINE, COUNT)


def attachment() -> Array:
    """Points [COUNT,3] mm near the head's surface where the auricle is attached, in the order of `outline`."""
    plane = outline()
    squeezed = np.column_stack([-5.0 + (plane[:, 0] + 1.5) * 0.64, 0.76 * plane[:, 1] + 0.5])
    tilt = np.radians(anatomy.EAR_TILT_DEGREES)
    back = np.cos(tilt) * squeezed[:, 0] + np.sin(tilt) * squeezed[:, 1]
    up = np.cos(tilt) * squeezed[:, 1] - np.sin(tilt) * squeezed[:, 0]
    return np.asarray(anatomy.EAR_ORIGIN) + np.column_stack([np.zeros(COUNT), up, -back])


def rings(attached: Array) -> list[Array]:
    """Rings [COUNT,3] mm after the attachment [COUNT,3] mm, ending with the single point [1,3] of the ear canal."""
    plane = outline()
    centre = np.asarray(anatomy.EAR_CENTRE)
    free = _smooth_step(plane[:, 0], 0.0, 12.0)
    lobe = _smooth_step(-plane[:, 1], 14.0, 24.0)
    tragus = (1.0 - free) * np.exp(-(((plane[:, 1] + 5.0) / 5.0) ** 2))
    back = 1.0 - np.exp(-np.square(np.clip(plane[:, 0], 0, None) / 14.0))

    def inset(scale: float) -> Array:
        return centre + (plane - centre) * scale

    rim = _lift(plane, 0.4)
    behind = _lift(inset(0.93), -2.2)
    middle = 0.5 * attached + 0.5 * _lift(inset(0.86), -4.0)
    wanted = [
        attached + (middle - attached) * (0.35 + 0.65 * free)[:, None],
        attached + (behind - attached) * (0.6 + 0.4 * free)[:, None],
        attached + (rim - attached) * (0.85 + 0.15 * free)[:, None],
        _lift(inset(0.95), 2.0 - 0.6 * lobe + 0.6 * free * (1 - lobe)),
        _lift(inset(0.87), 1.6 + 0.5 * free * (1 - lobe)),
        _lift(inset(0.79), -0.4 + 1.8 * lobe + 1.4 * (1 - free) + 2.0 * tragus),
        _lift(inset(0.69), 0.3 + 1.6 * back * (1 - lobe) + 1.0 * lobe + 1.2 * (1 - free) + 3.0 * tragus),
        _lift(inset(0.58), 1.0 + 1.6 * back * (1 - lobe) + 0.4 * lobe + 1.2 * (1 - free) + 3.4 * tragus),
        _lift(inset(0.49), -0.6 + 1.0 * back + 1.0 * (1 - free) + 2.6 * tragus),
        _lift(inset(0.35), -3.2 + 2.0 * lobe),
        _lift(inset(0.19), -4.5 + 2.0 * lobe),
    ]
    canal = _lift(np.array([[7.0, -2.0]]), -6.0)
    return [*wanted, canal]


def _smooth_step(value: Array, low: float, high: float) -> Array:
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)
