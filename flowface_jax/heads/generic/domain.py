"""The disc on which the skin is drawn, and its warp into the unit square: the atlas.

A direction from the head's centre is projected stereographically from the middle of the neck's rim, so that the rim
becomes the circle and everything else its inside, then moved by a Möbius transformation that puts the face in the
middle. Both maps are conformal: triangles drawn well in the disc are well shaped on the head. A second, radial warp
gives the face the share of the square that it deserves, and three fields of magnification enlarge eyes, nose and lips.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flowface_jax.heads.generic import anatomy

Array = NDArray[np.float64]

NECK_AXIS = np.array([0.0, -162.0, -24.0]) / np.hypot(162.0, 24.0)
_RIM_DEGREES = 21.0
_FACE_POINT = np.array([0.0, 0.0, 104.0])
_RADIAL_GAIN = 6.0
_MARGIN = 0.005
_BEND = 0.6


def directions(points: Array) -> Array:
    """Unit directions [N,3] from the domain's centre to points [N,3] mm."""
    offset = points - np.asarray(anatomy.DOMAIN_CENTRE)
    return offset / np.linalg.norm(offset, axis=-1, keepdims=True)


def _stereographic(unit: Array) -> NDArray[np.complex128]:
    """From the neck's axis to the unit disc, x to the right and the face at the bottom."""
    up = -NECK_AXIS
    front = np.array([0.0, -up[2], up[1]])
    height = unit @ up
    plane = (unit[..., 0] - 1j * (unit @ front)) / (1.0 + height)
    return plane * np.tan(np.radians(_RIM_DEGREES) / 2)


def _face_shift() -> float:
    """Where the middle of the face lies on the disc's vertical axis before it is centred."""
    return float(_stereographic(directions(_FACE_POINT[None]))[0].imag)


def to_disc(points: Array) -> Array:
    """Conformal disc coordinates [N,2] of points [N,3] mm; the neck's rim is near radius 1."""
    plane = _stereographic(directions(points))
    shift = 1j * _face_shift()
    centred = (plane - shift) / (1.0 - np.conj(shift) * plane)
    return np.stack([centred.real, centred.imag], axis=-1)


def from_disc(disc: Array) -> Array:
    """The unit directions [N,3] of disc coordinates [N,2]; inverse of `to_disc`."""
    shift = 1j * _face_shift()
    centred = disc[..., 0] + 1j * disc[..., 1]
    plane = (centred + shift) / (1.0 + np.conj(shift) * centred) / np.tan(np.radians(_RIM_DEGREES) / 2)
    squared = np.abs(plane) ** 2
    up = -NECK_AXIS
    front = np.array([0.0, -up[2], up[1]])
    right = np.array([1.0, 0.0, 0.0])
    scale = 2.0 / (1.0 + squared)
    return (
        (scale * plane.real)[..., None] * right
        - (scale * plane.imag)[..., None] * front
        + ((1.0 - squared) / (1.0 + squared))[..., None] * up
    )


def _unbend(uv: Array) -> Array:
    """Level the line through the eyes, whose outer corners the projection lifts."""
    squared = np.sum(uv**2, axis=-1)
    drop = _BEND * uv[..., 0] ** 2 * np.clip(1.0 - squared, 0.0, None) ** 2
    drop = drop / (1.0 + np.exp(-uv[..., 1] / 0.1))
    return uv - np.stack([np.zeros_like(drop), drop], axis=-1)


def _magnify(uv: Array, centre: tuple[float, float], radii: tuple[float, float], gain: float) -> Array:
    """Enlarge the surroundings of a centre, leaving everything outside the ellipse where it is."""
    offset = uv - np.asarray(centre)
    inside = np.clip(1.0 - np.sum((offset / np.asarray(radii)) ** 2, axis=-1, keepdims=True), 0.0, None)
    return np.asarray(centre) + offset * (1.0 + gain * inside**2)


def to_atlas(disc: Array) -> Array:
    """Atlas coordinates [N,2] in the unit square of disc coordinates [N,2]."""
    radius = np.linalg.norm(disc, axis=-1, keepdims=True)
    safe = np.maximum(radius, 1e-9)
    uv = disc / safe * np.arctan(_RADIAL_GAIN * radius) / np.arctan(_RADIAL_GAIN)
    uv = _unbend(uv)
    for centre, radii, gain in _MAGNIFIERS:
        uv = _magnify(uv, centre, radii, gain)
    return 0.5 + (0.5 - _MARGIN) * _rounded_square(uv)


def _rounded_square(disc: Array) -> Array:
    """Blend the disc towards the square [-1,1]², fully at the rim's diagonals, not at all in the middle."""
    radius = np.linalg.norm(disc, axis=-1, keepdims=True)
    smooth_largest = (np.sum(np.abs(disc) ** 4, axis=-1, keepdims=True)) ** (1 / 4)
    stretch = np.where(radius > 1e-6, radius / np.maximum(smooth_largest, 1e-9), 1.0)
    amount = np.clip(radius, 0.0, 1.0) ** 3
    return disc * (1.0 + amount * (stretch - 1.0))


_MAGNIFIERS: tuple[tuple[tuple[float, float], tuple[float, float], float], ...] = (
    ((0.0, -0.05), (0.17, 0.2), 0.25),
    ((-0.217, 0.263), (0.21, 0.2), 0.55),
    ((0.217, 0.263), (0.21, 0.2), 0.55),
    ((-0.217, 0.263), (0.14, 0.12), 0.7),
    ((0.217, 0.263), (0.14, 0.12), 0.7),
    ((0.0, -0.325), (0.36, 0.2), 0.45),
)
