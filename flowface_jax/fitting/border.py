"""The border of the normal equations: identity, offsets and cameras, from sums over all frames."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.fitting.collapse import CAMERA_COLUMNS
from flowface_jax.fitting.columns import MOVEMENT, Columns
from flowface_jax.fitting.parameters import UNITS
from flowface_jax.fitting.point_columns import PointBases
from flowface_jax.pytrees import pytree_dataclass


@pytree_dataclass
class PointSums:
    """Sums over frames from which the border follows once at the end.

    information [3,3,P], gradient [3,P], cross [C,7,3,P], curvature [C,7,7] and camera_gradient [C,7]: see `Collapsed`.
    dense [n,n], dense_gradient [n], dense_cameras [n,7C] and dense_offsets [n,3M]: identity and shared movement, as far
    as it does not follow from those.
    """

    information: jax.Array
    gradient: jax.Array
    cross: jax.Array
    curvature: jax.Array
    camera_gradient: jax.Array
    dense: jax.Array
    dense_gradient: jax.Array
    dense_cameras: jax.Array
    dense_offsets: jax.Array


def border_system(sums: PointSums, bases: PointBases, columns: Columns) -> tuple[jax.Array, jax.Array]:
    """Curvature [s,s] and gradient [s] of the alignment term by everything that the frames share."""
    size = sums.dense.shape[0] - _shared_movement_size(columns)
    identity = bases.identity[:size].reshape(size, 3 * bases.identity.shape[2])
    information = sums.information * bases.still
    weighted = sum(information[None, :, j, :] * bases.identity[:size, j, None, :] for j in range(3))
    dense = sums.dense.at[:size, :size].add(weighted.reshape(identity.shape) @ identity.T)
    gradient = sums.dense_gradient.at[:size].add(identity @ (sums.gradient * bases.still).reshape(-1))
    cameras = sums.cross.shape[0]
    cross = sums.cross.reshape(cameras * CAMERA_COLUMNS, *sums.cross.shape[2:])
    flat_cross = (cross * bases.still).reshape(len(cross), identity.shape[1])
    selection = camera_selection(columns, cameras)
    to_cameras = sums.dense_cameras.at[:size].add(identity @ flat_cross.T) @ selection
    where = (bases.offset_points, bases.offset_weights)
    to_offsets = sums.dense_offsets.at[:size].add(offset_columns(weighted, *where))
    cameras_to_offsets = selection.T @ offset_columns(cross, *where)
    same = jnp.eye(cameras, dtype=sums.curvature.dtype)
    among_cameras = jnp.einsum("cab,cd->cadb", sums.curvature, same).reshape(2 * (cameras * CAMERA_COLUMNS,))
    curvature = jnp.block(
        [
            [dense, to_offsets, to_cameras],
            [to_offsets.T, _offset_curvature(sums, bases), cameras_to_offsets.T],
            [to_cameras.T, cameras_to_offsets, selection.T @ among_cameras @ selection],
        ]
    )
    offset_gradient = offset_columns(sums.gradient[None], *where)[0]
    camera_gradient = sums.camera_gradient.reshape(-1) @ selection
    return curvature, jnp.concatenate([gradient, offset_gradient, camera_gradient])


def camera_selection(columns: Columns, cameras: int) -> np.ndarray:
    """Which of all cameras' 7 unknowns each [7C] stand in the border's last columns: 0 or 1, [7C,n].

    The first camera's pose is the gauge and does not; a focal length that all share is one column.
    """
    shapes = dict(columns.shared)
    chosen = []
    for name, first in (("camera_rotation", 0), ("camera_translation", 3), ("log_focal", 6)):
        if name not in shapes:
            continue
        width = 1 if name == "log_focal" else 3
        count = shapes[name][0]
        part = np.zeros((cameras, CAMERA_COLUMNS, count, width), np.float32)
        for camera in range(cameras):
            column = (camera if count == cameras else 0) if name == "log_focal" else camera - 1
            if column >= 0:
                part[camera, first : first + width, column] = np.eye(width)
        chosen.append(part.reshape(cameras * CAMERA_COLUMNS, count * width))
    return np.concatenate(chosen, axis=1) if chosen else np.zeros((cameras * CAMERA_COLUMNS, 0), np.float32)


def offset_columns(values: jax.Array, points: jax.Array, weights: jax.Array) -> jax.Array:
    """Columns [...,x,3,P] in the head's frame as what they mean for the offsets [...,x,3M]: each offset moves the
    points [M,q] by these weights [M,q].
    """
    gathered = jnp.sum(values[..., points] * weights, axis=-1)
    return UNITS["offsets"] * jnp.swapaxes(gathered, -1, -2).reshape(*values.shape[:-2], 3 * len(points))


def _offset_curvature(sums: PointSums, bases: PointBases) -> jax.Array:
    """Offsets against offsets: the corners of one point with one another, [3M,3M]."""
    count = len(bases.offset_points)
    blocks = jnp.moveaxis(sums.information[..., bases.pair_points], -1, 0) * bases.pair_weights[:, None, None]
    result = jnp.zeros((count, count, 3, 3), blocks.dtype).at[bases.pair_slots[0], bases.pair_slots[1]].add(blocks)
    return UNITS["offsets"] ** 2 * result.transpose(0, 2, 1, 3).reshape(3 * count, 3 * count)


def _shared_movement_size(columns: Columns) -> int:
    slices = columns.shared_slices()
    return sum(slices[name].stop - slices[name].start for name in MOVEMENT if name in slices)
