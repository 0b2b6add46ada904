"""The skin's shape: thin-plate interpolation of the anatomical points over directions from the head's centre."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import RBFInterpolator

from flowface_jax.heads.generic import anatomy, domain
from flowface_jax.heads.generic.curves import open_curve

Array = NDArray[np.float64]

_SMOOTHING = 1e-3
_CURVE_POINTS = 3


def lip_contact_height(x: Array) -> Array:
    """Height (mm) of the line between the closed lips at distance x from the midline."""
    contact = np.asarray(anatomy.LIP_CONTACT)
    return np.interp(np.abs(x), contact[:, 0], contact[:, 1])


def open_lips(points: ArrayLike, side: ArrayLike | None = None, column: ArrayLike | None = None) -> Array:
    """Move points [N,3] mm around the closed lips to where they are drawn: with the slit opened to a lens.

    side: [N] +1 above the slit, -1 below, given for rows of the lips, which are also spread on a smooth front so that
    the rolls of the vermilion do not overlap in the atlas; by default decided by height. column: [N] distance from the
    midline of the contact vertex that a vertex of a lip row belongs to, so that rows keep their order at the corner.
    """
    given = np.array(points, float)
    if side is not None:
        given[:, 2] = 99.0 - 14.0 * (given[:, 0] / anatomy.LIP_CORNER_X) ** 2
    above = given[:, 1] - lip_contact_height(given[:, 0])
    sign = np.where(above >= 0, 1.0, -1.0) if side is None else np.broadcast_to(np.asarray(side, float), above.shape)
    across = given[:, 0] if column is None else np.asarray(column, float)
    lens = np.clip(1.0 - (across / anatomy.LIP_CORNER_X) ** 2, 0.0, None)
    front = np.clip((given[:, 2] - 40.0) / 30.0, 0.0, 1.0)
    shift = anatomy.LIP_DOMAIN_OPENING * lens * np.exp(-np.abs(above) / 14.0) * sign * front
    return given + np.column_stack([np.zeros_like(shift), shift, np.zeros_like(shift)])


def anatomical_points() -> Array:
    """Every point of the tables and points along their curves, [N,3] mm, left half and midline."""
    named = (
        anatomy.MIDLINE
        | anatomy.FOREHEAD
        | anatomy.ORBIT_AND_CHEEK
        | anatomy.LOWER_FACE
        | anatomy.NOSE
        | anatomy.SKULL_AND_NECK
    )
    points = [np.array(list(named.values()), float)]
    for names in anatomy.CURVES:
        ends = [named[name] for name in names]
        between = open_curve(ends, _CURVE_POINTS * (len(ends) - 1) + 1)
        apart = np.linalg.norm(between[:, None] - points[0], axis=2).min(axis=1) > 2.5
        points.append(between[apart & (between[:, 0] > 1.0)])
    return np.concatenate(points)


def skin(loop_disc: Array, loop_positions: Array) -> Callable[[Array], Array]:
    """The map from disc coordinates [N,2] to skin positions [N,3] mm.

    loop_disc: [L,2], loop_positions: [L,3] mm: points of lids, lips and nostrils that the skin passes through.
    """
    points = anatomical_points()
    disc = np.concatenate([domain.to_disc(open_lips(points)), loop_disc])
    positions = np.concatenate([points, loop_positions])
    sided = disc[:, 0] > 1e-9
    mirror = np.array([-1.0, 1.0])
    disc = np.concatenate([disc, disc[sided] * mirror])
    positions = np.concatenate([positions, positions[sided] * np.array([-1.0, 1.0, 1.0])])
    spline = RBFInterpolator(
        domain.from_disc(disc), positions, kernel="thin_plate_spline", degree=1, smoothing=_SMOOTHING
    )
    return lambda query: spline(domain.from_disc(query))
