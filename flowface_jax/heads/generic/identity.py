"""How people differ: anthropometric deformations and a smooth residual, condensed to an orthogonal basis."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flowface_jax.heads.generic.anthropometry import deformations
from flowface_jax.heads.generic.carrying import carry_eyes, carry_mouth
from flowface_jax.heads.generic.fields import HeadFields

Array = NDArray[np.float64]

SIZE = 100

# The smooth residual: (length scale mm, standard deviation mm per coordinate, independent directions kept).
_RESIDUAL = ((40.0, 0.9, 24), (25.0, 0.8, 40), (16.0, 0.6, 64))
_INDUCING = 320
_OTHER_WEIGHT = 0.15
"""Weight of a vertex outside face and ears when the leading directions are chosen."""


def identity_basis(fields: HeadFields, focus: NDArray[np.bool_]) -> Array:
    """[V,3,SIZE] mm per standard deviation, columns orthogonal under the plain inner product of stacked vertices.

    focus: [V] vertices (face and ears) whose variance decides which directions are kept. The population is Gaussian:
    the sum of every anthropometric deformation times its standard deviation, and of a Gaussian-process residual. The
    SIZE leading principal directions under the weighted metric are kept, then rotated among themselves so that they are
    orthogonal without weights; the covariance they span is unchanged, and they are sorted by size.
    """
    shapes = carry_mouth(fields, np.concatenate([deformations(fields), _residual(fields)], axis=-1))
    columns = shapes.reshape(len(fields.points) * 3, -1)
    weight = np.repeat(np.where(focus, 1.0, _OTHER_WEIGHT), 3)[:, None]
    gram = columns.T @ (weight * columns)
    _, vectors = np.linalg.eigh(gram)
    kept = columns @ vectors[:, ::-1][:, :SIZE]
    _, rotation = np.linalg.eigh(kept.T @ kept)
    basis = _with_fixed_signs(kept @ rotation[:, ::-1])
    return basis.reshape(len(fields.points), 3, SIZE)


def _with_fixed_signs(basis: Array) -> Array:
    """Turn each column towards one fixed random direction: eigenvectors have no sign of their own.

    The largest entry would not do: on a symmetric head it is a tie between two sides, which rounding decides.
    """
    direction = np.random.default_rng(0).normal(size=len(basis))
    return basis * np.where(direction @ basis < 0, -1.0, 1.0)


def _residual(fields: HeadFields) -> Array:
    """Gaussian-process displacements [V,3,·] mm: leading eigenfunctions of squared-exponential kernels (Nyström)."""
    points = fields.points
    chosen = _spread(points, _INDUCING)
    among, across = _squared_distances(points[chosen], points[chosen]), _squared_distances(points, points[chosen])
    result = []
    for length, deviation, count in _RESIDUAL:
        values, vectors = np.linalg.eigh(np.exp(-0.5 * among / length**2) + 1e-6 * np.eye(len(chosen)))
        scaled = vectors[:, ::-1][:, :count] / np.sqrt(values[::-1][:count])
        functions = deviation * np.exp(-0.5 * across / length**2) @ scaled
        for axis in range(3):
            moved = np.zeros((len(points), 3, count))
            moved[:, axis] = functions
            result.append(moved)
    return carry_eyes(fields, np.concatenate(result, axis=-1))


def _squared_distances(a: Array, b: Array) -> Array:
    squared = np.sum(a**2, axis=1)[:, None] + np.sum(b**2, axis=1) - 2.0 * a @ b.T
    return np.clip(squared, 0.0, None)


def _spread(points: Array, count: int) -> NDArray[np.int64]:
    """Ids of well-spread points, by farthest-point sampling."""
    chosen = [int(points[:, 2].argmax())]
    distance = np.linalg.norm(points - points[chosen[0]], axis=1)
    while len(chosen) < count:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return np.array(chosen)
