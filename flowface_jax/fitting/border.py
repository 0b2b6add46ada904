"""The border of the normal equations: identity, offsets and cameras, from sums over all frames."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.fitting.collapse import CAMERA_COLUMNS
from flowface_jax.fitting.columns import MOVEMENT, Columns
from flowface_jax.fitting.parameters import UNITS, Chart
from flowface_jax.fitting.point_columns import PointBases
from flowface_jax.pytrees import pytree_dataclass


@pytree_dataclass
class PointSums:
    """Sums over frames from which the border follows once at the end.

    information [3,3,P], gradient [3,P], cross [C,7,3,P], curvature [C,7,7] and camera_gradient [C,7]: see `Collapsed`.
    dense [n,n], dense_gradient [n] and dense_cameras [n,7C]: identity and shared movement, as far as it does not follow
    from those. moved_identity [3,m,S] and shared_movement [3,P,x]: information times these columns, for the offsets.
    """

    information: jax.Array
    gradient: jax.Array
    cross: jax.Array
    curvature: jax.Array
    camera_gradient: jax.Array
    dense: jax.Array
    dense_gradient: jax.Array
    dense_cameras: jax.Array
    moved_identity: jax.Array
    shared_movement: jax.Array


def border_system(sums: PointSums, bases: PointBases, chart: Chart, columns: Columns) -> tuple[jax.Array, jax.Array]:
    """Curvature [s,s] and gradient [s] of the alignment term by everything that the frames share."""
    size = sums.dense.shape[0] - _shared_movement_size(columns)
    identity = bases.identity[..., :size]
    information = sums.information * bases.still
    with_information = jnp.stack([sum(information[i, j, :, None] * identity[j] for j in range(3)) for i in range(3)])
    dense = sums.dense.at[:size, :size].add(jnp.einsum("ips,ipr->sr", with_information, identity))
    gradient = sums.dense_gradient.at[:size].add(jnp.einsum("ip,ips->s", sums.gradient * bases.still, identity))
    cross = sums.cross.reshape(-1, *sums.cross.shape[2:])
    to_cameras = sums.dense_cameras.at[:size].add(jnp.einsum("ips,aip->sa", identity, cross * bases.still))
    to_cameras = to_cameras @ camera_selection(columns, sums.cross.shape[0])
    pulled = with_information
    if sums.moved_identity.shape[1]:
        pulled = pulled.at[:, bases.moved].add(sums.moved_identity)
    pulled = jnp.concatenate([pulled, sums.shared_movement], axis=-1) if sums.shared_movement.shape[1] else pulled
    to_offsets = offset_columns(pulled, bases, chart)
    selected, selected_gradient = _cameras(sums, columns)
    offsets_to_cameras = offset_columns(jnp.moveaxis(cross, 0, -1), bases, chart).T @ camera_selection(
        columns, sums.cross.shape[0]
    )
    curvature = jnp.block(
        [
            [dense, to_offsets, to_cameras],
            [to_offsets.T, _offset_curvature(sums, bases, chart), offsets_to_cameras],
            [to_cameras.T, offsets_to_cameras.T, selected],
        ]
    )
    offset_gradient = offset_columns(sums.gradient[..., None], bases, chart)[0]
    return curvature, jnp.concatenate([gradient, offset_gradient, selected_gradient])


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


def offset_columns(values: jax.Array, bases: PointBases, chart: Chart) -> jax.Array:
    """Columns [3,P,x] in the head's frame as what they mean for the offsets: [x,3M]."""
    count = chart.layout.offset_count
    width = values.shape[-1]
    if not count:
        return jnp.zeros((width, 0), values.dtype)
    rows = jnp.moveaxis(values[:, bases.offset_points], 1, 0) * bases.offset_weights[:, None, None]
    gathered = jnp.zeros((count, 3, width), values.dtype).at[bases.offset_slots].add(rows)
    return UNITS["offsets"] * gathered.reshape(3 * count, width).T


def _offset_curvature(sums: PointSums, bases: PointBases, chart: Chart) -> jax.Array:
    """Offsets against offsets: the corners of one point with one another, [3M,3M]."""
    count = chart.layout.offset_count
    if not count:
        return jnp.zeros((0, 0), sums.information.dtype)
    first, second = bases.offset_pairs
    share = bases.offset_weights[first] * bases.offset_weights[second]
    blocks = jnp.moveaxis(sums.information[..., bases.offset_points[first]], -1, 0) * share[:, None, None]
    result = jnp.zeros((count, count, 3, 3), blocks.dtype)
    result = result.at[bases.offset_slots[first], bases.offset_slots[second]].add(blocks)
    return UNITS["offsets"] ** 2 * result.transpose(0, 2, 1, 3).reshape(3 * count, 3 * count)


def _cameras(sums: PointSums, columns: Columns) -> tuple[jax.Array, jax.Array]:
    """Cameras against themselves, and their gradient, in the border's columns."""
    cameras = sums.curvature.shape[0]
    selection = camera_selection(columns, cameras)
    same = jnp.eye(cameras, dtype=sums.curvature.dtype)
    size = cameras * CAMERA_COLUMNS
    full = jnp.einsum("cab,cd->cadb", sums.curvature, same).reshape(size, size)
    return selection.T @ full @ selection, sums.camera_gradient.reshape(-1) @ selection


def _shared_movement_size(columns: Columns) -> int:
    slices = columns.shared_slices()
    return sum(slices[name].stop - slices[name].start for name in MOVEMENT if name in slices)
