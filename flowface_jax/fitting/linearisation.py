"""The normal equations of the whole energy, accumulated chunk of frames by chunk of frames; no Jacobian is ever stored.

Three tiers of work. Once per fit, on the host: `point_bases`. Once per accepted step: `linearise`, in which a frame
costs 2 · 3P · d · (d + S) multiplications for P points, d unknowns of the frame and S identity coefficients: the
cameras are collapsed first, and identity against identity is left to a single product at the end, because for points
that no joint moves only their information, summed over frames, matters. Once per damping: the solve, in `chain`.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from flowface_jax.fitting.border import PointSums, border_system, camera_selection, offset_columns
from flowface_jax.fitting.collapse import Collapsed, Views, collapse
from flowface_jax.fitting.columns import Columns
from flowface_jax.fitting.energy import EnergyWeights, head_vertices, observed_points
from flowface_jax.fitting.movement import movement_split, moving_joints, select_movement
from flowface_jax.fitting.normal_equations import NormalEquations
from flowface_jax.fitting.parameters import Chart, Parameters
from flowface_jax.fitting.point_columns import PointBases, corners_to_points, pose, pose_columns
from flowface_jax.fitting.problem import FitProblem
from flowface_jax.pytrees import pytree_dataclass

CHUNK_NUMBERS = 8_000_000
"""How many numbers the Jacobian of one chunk of frames may have (32 MB in float32)."""


@pytree_dataclass
class FrameBlocks:
    """What frames add to their own rows of the system: diagonal [F,d,d], border [F,d,s], gradient [F,d]."""

    diagonal: jax.Array
    border: jax.Array
    gradient: jax.Array


@pytree_dataclass
class Movement:
    """Columns of one frame's points in the head's frame by everything that may move within a frame, frame or shared.

    still [3,P,x] for points that no joint moves, and moved [3,m,x] with moved_identity [3,m,S] for the others.
    """

    still: jax.Array
    moved: jax.Array
    moved_identity: jax.Array


def chunk_frames(problem: FitProblem, columns: Columns, frames: int) -> int:
    """How many of `frames` are linearised at once: a divisor of theirs that keeps the Jacobian bounded."""
    width = columns.frame_size + 3 * problem.mean.shape[0] + 3
    limit = max(1, CHUNK_NUMBERS // max(1, 3 * problem.mean.shape[2] * width))
    return max(c for c in range(1, frames + 1) if frames % c == 0 and c <= limit)


def views_of(parameters: Parameters, problem: FitProblem, chart: Chart) -> Views:
    """The cameras for `collapse`."""
    moves = chart.layout.focal_moves_depth(parameters.focal.shape[0])
    return Views(
        rotation=parameters.camera_rotation,
        translation=parameters.camera_translation,
        focal=parameters.focal,
        principal_point=problem.principal_point,
        depth_moved=chart.depth if moves else jnp.zeros_like(chart.depth),
    )


def rows_of(parameters: Parameters, first: jax.Array, count: int) -> Parameters:
    """The parameters of `count` frames from `first`."""
    names = ("expression", "joint_rotations", "head_rotation", "head_translation")
    return dataclasses.replace(
        parameters, **{n: jax.lax.dynamic_slice_in_dim(getattr(parameters, n), first, count) for n in names}
    )


def linearise_alignment(
    parameters: Parameters,
    problem: FitProblem,
    bases: PointBases,
    weights: EnergyWeights,
    chart: Chart,
    columns: Columns,
    chunk: int,
    first: jax.Array | int = 0,
) -> NormalEquations:
    """Curvature and gradient of the alignment term at `parameters`, without band.

    `parameters` hold all frames; the observations of `problem` may be those of only some, from frame `first` on.
    """
    views = views_of(parameters, problem, chart)
    cameras_move = any(name.startswith(("camera", "log_focal")) for name, _ in columns.shared)

    def one_chunk(index: jax.Array) -> tuple[PointSums, FrameBlocks]:
        rows = rows_of(parameters, first + index * chunk, chunk)
        mean, inverse_std = (
            jax.lax.dynamic_slice_in_dim(values, index * chunk, chunk, axis=1)
            for values in (problem.mean, problem.inverse_std)
        )
        local = observed_points(problem, jnp.moveaxis(head_vertices(rows, problem), -1, 1))

        def one_frame(
            local: jax.Array, row: Parameters, mean: jax.Array, inverse_std: jax.Array
        ) -> tuple[PointSums, FrameBlocks]:
            collapsed = collapse(
                local, row.head_rotation, row.head_translation, views, mean, inverse_std, problem.point_weight,
                weights, cameras_move,
            )  # fmt: skip
            movement = _movement(local, row, bases, chart, columns)
            return _frame_terms(collapsed, movement, bases, columns, chart)

        axes = Parameters(None, 0, 0, 0, 0, None, None, None, None)
        added, blocks = jax.vmap(one_frame, in_axes=(0, axes, 1, 1))(local, rows, mean, inverse_std)
        return jax.tree.map(lambda part: part.sum(0), added), blocks

    start = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(one_chunk, jnp.zeros((), jnp.int32))[0])

    def accumulate(sums: PointSums, index: jax.Array) -> tuple[PointSums, FrameBlocks]:
        added, blocks = one_chunk(index)
        return jax.tree.map(jnp.add, sums, added), blocks

    sums, blocks = jax.lax.scan(accumulate, start, jnp.arange(problem.mean.shape[1] // chunk))
    blocks = jax.tree.map(lambda values: values.reshape(-1, *values.shape[2:]), blocks)
    shared, gradient_shared = border_system(sums, bases, chart, columns)
    nothing = jnp.zeros_like(blocks.diagonal)
    return NormalEquations(blocks.diagonal, nothing, nothing, blocks.border, shared, blocks.gradient, gradient_shared)


def _movement(local: jax.Array, row: Parameters, bases: PointBases, chart: Chart, columns: Columns) -> Movement:
    active = moving_joints(chart)
    posing = pose_columns(local, row.head_rotation)
    no_joints = jnp.zeros((3, local.shape[1], 3 * len(active)), local.dtype)
    still = select_movement(bases.expression, no_joints, posing, columns)
    if not len(bases.moved):
        none = jnp.zeros((3, 0, 0), local.dtype)
        return Movement(still, none, none)
    posed = pose(bases.moved_head, row.identity, row.expression, row.joint_rotations, active)
    posed = corners_to_points(posed, bases.moved_barycentric)
    moved = select_movement(posed.expression, posed.joints, posing[:, bases.moved], columns)
    return Movement(still, moved, posed.identity)


def _times(information: jax.Array, basis: jax.Array) -> jax.Array:
    """Information [3,3,n] times columns [3,n,x]: plain arithmetic, the products being only three wide."""
    return jnp.stack([sum(information[i, j, :, None] * basis[j] for j in range(3)) for i in range(3)])


def _frame_terms(
    collapsed: Collapsed, movement: Movement, bases: PointBases, columns: Columns, chart: Chart
) -> tuple[PointSums, FrameBlocks]:
    """One frame's blocks of the system, and what it adds to the sums over frames."""
    has_identity = "identity" in dict(columns.shared)
    identity = bases.identity if has_identity else bases.identity[..., :0]
    weighted = _times(collapsed.information * bases.still, movement.still)
    pulling = collapsed.gradient * bases.still
    own = jnp.einsum("ipx,ipz->xz", weighted, movement.still)
    with_identity = jnp.einsum("ipx,ips->xs", weighted, identity)
    gradient = jnp.einsum("ip,ipx->x", pulling, movement.still)
    flat_cross = collapsed.cross.reshape(-1, *collapsed.cross.shape[2:])
    with_cameras = jnp.einsum("ipx,aip->xa", movement.still, flat_cross * bases.still)
    size = identity.shape[-1]
    dense = jnp.zeros((size, size), own.dtype)
    dense_gradient, dense_cameras = jnp.zeros((size,), own.dtype), jnp.zeros((size, len(flat_cross)), own.dtype)
    moved_identity = jnp.zeros((3, 0, size), own.dtype)
    if len(bases.moved):
        turned = movement.moved_identity[..., :size]
        information, pull = collapsed.information[..., bases.moved], collapsed.gradient[:, bases.moved]
        weighted_moved, moved_identity = _times(information, movement.moved), _times(information, turned)
        own += jnp.einsum("ipx,ipz->xz", weighted_moved, movement.moved)
        with_identity += jnp.einsum("ipx,ips->xs", weighted_moved, turned)
        gradient += jnp.einsum("ip,ipx->x", pull, movement.moved)
        cross_moved = flat_cross[..., bases.moved]
        with_cameras += jnp.einsum("ipx,aip->xa", movement.moved, cross_moved)
        dense += jnp.einsum("ips,ipr->sr", moved_identity, turned)
        dense_gradient += jnp.einsum("ip,ips->s", pull, turned)
        dense_cameras += jnp.einsum("ips,aip->sa", turned, cross_moved)
        weighted = weighted.at[:, bases.moved].add(weighted_moved)
    rows, together = (jnp.asarray(part, jnp.int32) for part in movement_split(columns))
    with_offsets = offset_columns(weighted, bases, chart)
    selection = camera_selection(columns, collapsed.cross.shape[0])
    border = jnp.concatenate([with_identity, own[:, together], with_offsets, with_cameras @ selection], axis=1)
    offsets_move = chart.layout.offset_count > 0
    sums = PointSums(
        information=collapsed.information,
        gradient=collapsed.gradient,
        cross=collapsed.cross,
        curvature=collapsed.curvature,
        camera_gradient=collapsed.camera_gradient,
        dense=jnp.block([[dense, with_identity[together].T], [with_identity[together], own[together][:, together]]]),
        dense_gradient=jnp.concatenate([dense_gradient, gradient[together]]),
        dense_cameras=jnp.concatenate([dense_cameras, with_cameras[together]]),
        moved_identity=moved_identity if offsets_move else moved_identity[:, :0],
        shared_movement=weighted[..., together] if offsets_move else weighted[:, :0, together],
    )
    return sums, FrameBlocks(own[rows][:, rows], border[rows], gradient[rows])
