"""All cameras' residuals of one point as one 3×3 information matrix and one 3-vector in the head's frame.

Whatever moves a point moves every camera's image of it, so the normal equations of everything but the cameras
themselves follow from these, and their cost does not depend on the number of cameras.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from flowface_jax.fitting.energy import EnergyWeights, robust_kernel
from flowface_jax.fitting.parameters import MINIMUM_DEPTH, UNITS
from flowface_jax.pytrees import pytree_dataclass

CAMERA_COLUMNS = 7
"""Unknowns of one camera before any is held: rotation, translation, log focal."""


@pytree_dataclass
class Views:
    """The cameras as one frame sees them: rotation [C,3,3] and translation [C,3], world-to-camera; focal [C] px,
    principal_point [C,2] px; depth_moved [C] m, how far the depth moves with log focal (see `assemble`).
    """

    rotation: jax.Array
    translation: jax.Array
    focal: jax.Array
    principal_point: jax.Array
    depth_moved: jax.Array


@pytree_dataclass
class Collapsed:
    """One frame's alignment term about its points [P]: information [3,3,P] and gradient [3,P] in the head's frame.

    With free cameras also cross [C,7,3,P], their coupling to the points, curvature [C,7,7] and camera_gradient [C,7];
    else these have no rows.
    """

    information: jax.Array
    gradient: jax.Array
    cross: jax.Array
    curvature: jax.Array
    camera_gradient: jax.Array


def collapse(
    local: jax.Array,
    head_rotation: jax.Array,
    head_translation: jax.Array,
    views: Views,
    mean: jax.Array,
    inverse_std: jax.Array,
    point_weight: jax.Array,
    kernel_width: jax.Array,
    weights: EnergyWeights,
    cameras_move: bool,
) -> Collapsed:
    """Collapse one frame: points local [3,P] m in the head's frame, mean [C,P,2] px, inverse_std [C,P], λ [P],
    kernel_width [P].
    """
    rotation = views.rotation @ head_rotation
    translation = views.rotation @ head_translation + views.translation
    camera = jnp.einsum("cij,jp->cip", rotation, local) + translation[:, :, None]
    depth = jnp.maximum(camera[:, 2], MINIMUM_DEPTH)
    in_front = (camera[:, 2] > MINIMUM_DEPTH).astype(depth.dtype)
    plane = camera[:, :2] / depth[:, None]
    focal = views.focal[:, None, None]
    residual = focal * plane + views.principal_point[:, :, None] - jnp.moveaxis(mean, -1, 1)
    # Rows [C,2,3,P] of the image's derivative by a move in the camera's frame: the third column only in front.
    scale = (views.focal[:, None] / depth)[:, None, None]
    identity = jnp.broadcast_to(
        jnp.eye(2, dtype=depth.dtype)[None, :, :, None], (*plane.shape[:1], 2, 2, depth.shape[1])
    )
    in_camera = scale * jnp.concatenate([identity, -(plane * in_front[:, None])[:, :, None]], axis=2)
    in_head = _through(in_camera, rotation)
    curvature = _curvature(residual, inverse_std, point_weight, weights.robust_scale * kernel_width, weights)
    weighted = curvature[:, None] * residual
    information = _outer_sum(in_head, curvature)
    gradient = jnp.sum(_sum_rows(weighted, in_head), axis=0)
    if not cameras_move:
        none = jnp.zeros((0, CAMERA_COLUMNS), local.dtype)
        return Collapsed(information, gradient, none[:, :, None, None], none[:, :, None], none)
    columns = _camera_columns(camera, plane, in_camera, views)
    scaled = curvature[:, None, None] * columns
    return Collapsed(
        information=information,
        gradient=gradient,
        cross=jnp.einsum("ckap,ckbp->cabp", scaled, in_head),
        curvature=jnp.einsum("ckap,ckbp->cab", scaled, columns),
        camera_gradient=jnp.einsum("ckp,ckap->ca", weighted, columns),
    )


def _curvature(
    residual: jax.Array, inverse_std: jax.Array, point_weight: jax.Array, scale: jax.Array, weights: EnergyWeights
) -> jax.Array:
    """The energy's gradient by a residual [C,2,P] over that residual, [C,P] in 1/px².

    Taken for its second derivative too (iteratively reweighted least squares): where a robust kernel bends down this
    bounds it from above, so that the quadratic model never promises more than a long step can keep.
    """
    information = inverse_std**2
    squared = jnp.sum(residual**2, axis=1) * information
    kernel = lambda q: robust_kernel(q, weights.robust, scale)
    slope = jax.jvp(kernel, (squared,), (jnp.ones_like(squared),))[1]
    return point_weight * information * slope


def _through(rows: jax.Array, rotation: jax.Array) -> jax.Array:
    """Rows [C,2,3,P] times matrices [C,3,3], summed by hand: products this small are faster as plain arithmetic."""
    return sum(rows[:, :, k, None] * rotation[:, None, k, :, None] for k in range(3))


def _sum_rows(residual: jax.Array, rows: jax.Array) -> jax.Array:
    """Σ over the two image coordinates of residual [C,2,P] times rows [C,2,n,P]: [C,n,P]."""
    return residual[:, 0, None] * rows[:, 0] + residual[:, 1, None] * rows[:, 1]


def _outer_sum(rows: jax.Array, weight: jax.Array) -> jax.Array:
    """Σ over cameras and coordinates of weight [C,P] · row rowᵀ for rows [C,2,3,P]: [3,3,P]."""
    outer = rows[:, 0, :, None] * rows[:, 0, None] + rows[:, 1, :, None] * rows[:, 1, None]
    return jnp.sum(weight[:, None, None] * outer, axis=0)


def _camera_columns(camera: jax.Array, plane: jax.Array, in_camera: jax.Array, views: Views) -> jax.Array:
    """The image's derivatives [C,2,7,P] by each camera's own rotation, translation and log focal."""
    arm = (camera - views.translation[:, :, None])[:, None]
    turning = jnp.cross(jnp.broadcast_to(arm, in_camera.shape), in_camera, axis=2)
    shifting = UNITS["camera_translation"] * in_camera
    moved = views.depth_moved[:, None, None] * in_camera[:, :, 2]
    zooming = views.focal[:, None, None] * plane + moved
    return jnp.concatenate([turning, shifting, zooming[:, :, None]], axis=2)
