"""Lips, the mouth's cavity, teeth and tongue: the left half, as rows from the midline to the corner."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flowface_jax.heads.generic import anatomy
from flowface_jax.heads.generic.curves import open_curve

Array = NDArray[np.float64]

HALF = 13
"""Segments of each lip from the midline to the corner."""


@dataclass(frozen=True)
class LipRow:
    """A row of skin vertices along both lips.

    positions: [2·HALF+1,3] mm, from the upper midline over the corner to the lower midline.
    side: [2·HALF+1] +1 above the slit, -1 below, 0 at the corner.
    """

    positions: Array
    side: Array


def _row(upper: tuple[anatomy.Point, ...], lower: tuple[anatomy.Point, ...]) -> LipRow:
    above, below = open_curve(upper, HALF + 1), open_curve(lower, HALF + 1)
    side = np.concatenate([np.ones(HALF), [0.0], -np.ones(HALF)])
    return LipRow(np.concatenate([above, below[-2::-1]]), side)


def lip_rows() -> list[LipRow]:
    """Contact line, middle of the vermilion, vermilion border.

    Along the contact line both lips have vertices of their own in the same places: closed lips leave no slit.
    """
    contact = _row(anatomy.LIP_CONTACT, anatomy.LIP_CONTACT)
    middle = _row(anatomy.LIP_UPPER_MIDDLE, anatomy.LIP_LOWER_MIDDLE)
    border = _row(anatomy.LIP_UPPER_BORDER, anatomy.LIP_LOWER_BORDER)
    return [contact, middle, border]


def cavity_rows(contact: Array) -> list[Array]:
    """Rows behind the contact line [2·HALF+1,3] mm: wet lip, sulcus, palate and floor, back, throat (left open)."""
    turn = np.linspace(0.0, np.pi, len(contact))
    vertical = np.tanh(3.0 * np.cos(turn)) / np.tanh(3.0)
    middle = contact[:, 1]
    rows = []
    for narrow, height, depth in (
        (0.97, 1.2, 3.5),
        (1.06, 7.5, 7.5),
        (1.18, 13.0, 16.0),
        (1.1, 15.0, 38.0),
        (0.15, 0.05, 56.0),
    ):
        flatten = min(1.0, depth / 40.0)
        z = contact[:, 2] - depth * (1.0 - 0.5 * (contact[:, 0] / anatomy.LIP_CORNER_X) ** 2)
        z = (1 - flatten) * z + flatten * (contact[0, 2] - depth)
        rise = height * vertical * (1.0 - 0.8 * (contact[:, 0] / anatomy.LIP_CORNER_X) ** 2 * (depth < 5.0))
        rows.append(np.column_stack([contact[:, 0] * narrow, middle + rise, z]))
    return rows


TOOTH_COLUMNS = 9


def teeth(upper: bool) -> Array:
    """The left half of a row of teeth, [4,TOOTH_COLUMNS,3] mm: gum line in front, biting edge, gum line behind."""
    turn = np.linspace(0.0, 1.0, TOOTH_COLUMNS)
    half_width, front = (24.0, 88.0) if upper else (22.5, 85.5)
    x = half_width * np.sin(turn * np.pi / 2)
    z = front - 32.0 * (1.0 - np.cos(turn * np.pi / 2))
    edge, gum = (-38.8, -28.5) if upper else (-37.2, -46.5)
    inward = np.column_stack([-x / half_width, np.zeros_like(x), -np.cos(turn * np.pi / 2)])
    inward[0, 0] = 0.0
    rows = []
    for height, depth in ((gum, 0.0), (edge, 0.5), (edge, 2.5), (gum, 7.0)):
        rows.append(np.column_stack([x, np.full_like(x, height), z]) + depth * inward)
    return np.stack(rows)


TONGUE_ROWS = 8
TONGUE_COLUMNS = 7


def tongue() -> tuple[Array, Array]:
    """The left half of the tongue: its tip [3] mm, and rows [TONGUE_ROWS,TONGUE_COLUMNS,3] mm from tip to root.

    Columns run from the upper midline around the side to the lower midline.
    """
    tip = np.array([0.0, -42.0, 82.0])
    along = np.linspace(0.12, 1.0, TONGUE_ROWS)
    around = np.linspace(np.pi / 2, -np.pi / 2, TONGUE_COLUMNS)
    width = 16.5 * np.sqrt(1.0 - (1.0 - np.minimum(along / 0.55, 1.0)) ** 2) + 2.0 * along
    thickness = 5.5 * np.sqrt(1.0 - (1.0 - np.minimum(along / 0.6, 1.0)) ** 2)
    centre_y = tip[1] + 1.5 * np.sin(np.pi * along) - 6.0 * along**3
    rows = np.empty((TONGUE_ROWS, TONGUE_COLUMNS, 3))
    rows[..., 0] = width[:, None] * np.cos(around)
    rows[..., 1] = centre_y[:, None] + thickness[:, None] * np.sin(around)
    rows[..., 2] = (tip[2] - 48.0 * along)[:, None]
    rows[:, [0, -1], 0] = 0.0
    return tip, rows
