"""Directions in which short hairs grow over the face, and streaks along them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from flowface_jax.synthesis.skin.anatomy import FaceMap, rise

Array = NDArray[np.float64]


def growth_directions(face: FaceMap, brow_along: Array, brow_across: Array, brow_tangent: Array) -> Array:
    """The unit direction [A,A,3] of short hairs: brows outwards and together, beard down, scalp away from the crown.

    brow_along: [A,A] 0 at the inner end, 1 at the outer. brow_across: [A,A] mm above the brow's middle line.
    brow_tangent: [A,A,3] unit, outwards along the brow.
    """
    x, y, _ = np.moveaxis(face.place, -1, 0)
    up = np.array([0.0, 1.0, 0.0])
    lift = np.interp(brow_along, [0.0, 0.12, 0.35, 0.7, 1.0], [1.7, 0.9, 0.35, 0.05, -0.1]) - 0.13 * brow_across
    brow = brow_tangent + lift[..., None] * up
    sideways = np.sign(x) * np.interp(np.abs(x), [0, 20, 60], [0.1, 0.55, 0.1])
    beard = np.stack([sideways, -np.ones_like(x), np.full_like(x, 0.25)], -1)
    scalp = face.place - np.array([0.0, 118.0, -30.0])
    scalp = scalp + np.array([0.0, -20.0, 25.0]) * rise(y, 60, 110)[..., None]
    above = rise(y, 25.0, 45.0)[..., None]
    field = _unit(beard) * (1 - above) + _unit(scalp) * above
    near_brow = rise(np.abs(brow_across), 14.0, 9.0)[..., None]
    return _unit(field * (1 - near_brow) + _unit(brow) * near_brow)


def streaks(face: FaceMap, directions: Array, length: float, seeds: tuple[int, ...]) -> Array:
    """Noise [K,A,A] smeared along `directions` [A,A,3] over `length` mm, one picture per seed.

    Values are spread evenly over [0,1]: the share of texels above 1 - d is d.
    """
    flow = _in_atlas(face, directions)
    pace = np.linalg.norm(np.einsum("ijct,ijt->ijc", face.metric, flow), axis=-1)
    reach = np.clip(length / np.maximum(pace, 1e-6) / 2, 1.5, face.side / 64).astype(np.float32)
    return np.stack([_ranked(_smeared(flow, reach, seed)) for seed in seeds])


def _in_atlas(face: FaceMap, directions: Array) -> Array:
    """Unit directions [A,A,2] in texels (column, row) of directions in space [A,A,3]."""
    metric = face.metric
    square = np.einsum("ijca,ijcb->ijab", metric, metric)
    square += 1e-3 * np.trace(square, axis1=-2, axis2=-1)[..., None, None] * np.eye(2) + 1e-12 * np.eye(2)
    flow = np.linalg.solve(square, np.einsum("ijca,ijc->ija", metric, directions)[..., None])[..., 0]
    return _unit(flow)


def _smeared(flow: Array, reach: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """White noise [A,A] averaged along the flow, `reach` texels to either side (line integral convolution)."""
    side = flow.shape[0]
    noise = np.random.default_rng(seed).normal(size=(side, side)).astype(np.float32)
    columns, rows = np.meshgrid(np.arange(side, dtype=np.float32), np.arange(side, dtype=np.float32))
    field = flow.astype(np.float32)
    total = noise.copy()
    for sign in (1.0, -1.0):
        x, y = columns.copy(), rows.copy()
        for step in range(1, int(np.ceil(reach.max())) + 1):
            direction = cv2.remap(field, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            x, y = x + sign * direction[..., 0], y + sign * direction[..., 1]
            weight = np.clip(reach - step + 1, 0, 1)
            total += weight * cv2.remap(noise, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return total / np.sqrt(1 + 2 * reach)


def _ranked(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same picture with its values replaced by their rank, 0 to 1."""
    order = np.argsort(values, axis=None, kind="stable")
    ranks = np.empty(values.size, np.float32)
    ranks[order] = (np.arange(values.size) + 0.5) / values.size
    return ranks.reshape(values.shape)


def _unit(vectors: Array) -> Array:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
