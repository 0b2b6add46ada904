"""Which vertex lies on the other side of a head."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from flowface_jax.errors import InputError
from flowface_jax.heads.model import HeadModel

TOLERANCE = 1e-4
"""Metres and atlas units: as far as a vertex may lie from another's mirror image."""


def mirrored_vertices(head: HeadModel) -> np.ndarray:
    """For every vertex [V] the one at its mirror image (x and u reversed), itself on the midline.

    Place and atlas are compared together: lips that meet share places, seams do not. Raises InputError for a head that
    is not symmetric.
    """
    place, uv = np.asarray(head.template, np.float64), np.asarray(head.uv, np.float64)
    own = np.concatenate([place, uv], axis=1)
    wanted = np.concatenate([place * (-1.0, 1.0, 1.0), uv * (-1.0, 1.0) + (1.0, 0.0)], axis=1)
    _, other = cKDTree(own).query(wanted)
    off = np.abs(own[other] - wanted).max(axis=1)
    if off.max() > TOLERANCE or not np.array_equal(other[other], np.arange(len(own))):
        raise InputError(
            f"{head.name}: expected a head that is its own mirror image, found vertex {int(off.argmax())} off by "
            f"{off.max():.2g}; use one that is symmetric, as the built-in head"
        )
    return other
