"""The acceleration term's part of the normal equations: it couples each frame with the two after it."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from flowface_jax.fitting.columns import Columns
from flowface_jax.fitting.energy import EnergyWeights
from flowface_jax.fitting.movement import movement_split, moving_joints, select_movement
from flowface_jax.fitting.normal_equations import NormalEquations
from flowface_jax.fitting.parameters import UNITS, Chart, Parameters
from flowface_jax.fitting.point_columns import PointBases, pose, pose_columns
from flowface_jax.fitting.problem import FitProblem
from flowface_jax.pytrees import pytree_dataclass


@pytree_dataclass
class _Moving:
    """Temporal vertices of some frames, in the world: points [n,3,M], own [n,3,M,d] columns by the frame's unknowns,
    dense [n,3,M,b] by identity and shared movement, rotation [n,3,3] of the head (which turns the offsets).
    """

    points: jax.Array
    own: jax.Array
    dense: jax.Array
    rotation: jax.Array


@pytree_dataclass
class _Added:
    """What one chunk adds: to its frames' rows, and (shared, gradient_shared) to the border."""

    diagonal: jax.Array
    following: jax.Array
    second: jax.Array
    border: jax.Array
    gradient_rows: jax.Array
    shared: jax.Array
    gradient_shared: jax.Array


def add_temporal(
    system: NormalEquations,
    parameters: Parameters,
    problem: FitProblem,
    bases: PointBases,
    weights: EnergyWeights,
    chart: Chart,
    columns: Columns,
    chunk: int,
    first: jax.Array | int = 0,
) -> NormalEquations:
    """Add E_temp to a system whose rows start at frame `first`; `parameters` hold all frames.

    Accelerations count for the border with the frame at their centre.
    """
    frames = parameters.expression.shape[0]
    if frames < 3:
        return system
    stiffness = 2.0 * weights.temporal * problem.temporal_scale

    def one_chunk(start: jax.Array) -> _Added:
        # Two frames more on either side: an acceleration reaches that far from the frames it is felt by.
        wanted = start + jnp.arange(-2, chunk + 2)
        inside = jnp.clip(wanted, 0, frames - 1)
        counted = jnp.where((wanted >= 0) & (wanted < frames), problem.temporal_centre[inside], False)
        moving = _moving(parameters, inside, bases, chart, columns)
        return _chunk_terms(moving, counted.astype(moving.points.dtype), stiffness, bases, chart, columns)

    starts = first + chunk * jnp.arange(system.diagonal.shape[0] // chunk)
    shapes = jax.eval_shape(one_chunk, starts[0])
    zero = (jnp.zeros(shapes.shared.shape, shapes.shared.dtype), jnp.zeros_like(system.gradient_shared))

    def accumulate(sums: tuple[jax.Array, jax.Array], start: jax.Array) -> tuple[tuple, tuple]:
        added = one_chunk(start)
        rows = (added.diagonal, added.following, added.second, added.border, added.gradient_rows)
        return (sums[0] + added.shared, sums[1] + added.gradient_shared), rows

    (shared, gradient_shared), rows = jax.lax.scan(accumulate, zero, starts)
    names = ("diagonal", "following", "second", "border", "gradient_rows")
    summed = {
        name: getattr(system, name) + part.reshape(-1, *part.shape[2:]) for name, part in zip(names, rows, strict=True)
    }
    return dataclasses.replace(
        system, **summed, shared=system.shared + shared, gradient_shared=system.gradient_shared + gradient_shared
    )


def _moving(parameters: Parameters, frames: jax.Array, bases: PointBases, chart: Chart, columns: Columns) -> _Moving:
    active = moving_joints(chart)
    head = bases.temporal_head
    offsets = parameters.offsets[parameters.offsets.shape[0] - head.vertex_count :].T
    own, together = (jnp.asarray(part, jnp.int32) for part in movement_split(columns))
    has_identity = "identity" in dict(columns.shared)

    def one_frame(frame: jax.Array) -> _Moving:
        rotation = parameters.head_rotation[frame]
        posed = pose(head, parameters.identity, parameters.expression[frame], parameters.joint_rotations[frame], active)
        local = posed.points + offsets
        movement = select_movement(posed.expression, posed.joints, pose_columns(local, rotation), columns)
        identity = posed.identity if has_identity else posed.identity[..., :0]
        turned = jnp.einsum("ij,jvx->ivx", rotation, jnp.concatenate([movement, identity], axis=-1))
        movement, identity = turned[..., : movement.shape[-1]], turned[..., movement.shape[-1] :]
        return _Moving(
            points=rotation @ local + parameters.head_translation[frame][:, None],
            own=movement[..., own],
            dense=jnp.concatenate([identity, movement[..., together]], axis=-1),
            rotation=rotation,
        )

    return jax.vmap(one_frame)(frames)


def _chunk_terms(
    moving: _Moving, counted: jax.Array, stiffness: jax.Array, bases: PointBases, chart: Chart, columns: Columns
) -> _Added:
    """The blocks of the chunk's frames; counted [n]: whether each is the centre of an acceleration."""

    def accelerations(values: jax.Array) -> jax.Array:
        """Masked second differences about frames 1 … n−2."""
        weight = counted[1:-1].reshape(-1, *(1,) * (values.ndim - 1))
        return weight * (values[:-2] - 2.0 * values[1:-1] + values[2:])

    def felt(changes: jax.Array) -> jax.Array:
        """What the chunk's own frames feel of accelerations: their second difference again."""
        return changes[:-2] - 2.0 * changes[1:-1] + changes[2:]

    n = counted.shape[0]
    own = moving.own[2 : n - 2]
    before, centre, after = counted[1 : n - 3], counted[2 : n - 2], counted[3 : n - 1]
    points, dense = accelerations(moving.points), accelerations(moving.dense)
    turning = accelerations(moving.rotation)
    shared, gradient_shared, offset_border = _border_terms(points, dense, turning, own, felt, bases, chart)

    def with_later(gap: int) -> jax.Array:
        return jnp.einsum("tivx,tivy->txy", own, moving.own[2 + gap : n - 2 + gap])

    empty = columns.shared_size - dense.shape[-1] - offset_border.shape[-1]
    border = jnp.concatenate(
        [jnp.einsum("tivx,tivs->txs", own, felt(dense)), offset_border, jnp.zeros((*own.shape[::3], empty))], axis=-1
    )
    return _Added(
        diagonal=stiffness * (before + 4.0 * centre + after)[:, None, None] * with_later(0),
        following=stiffness * (-2.0 * (centre + after))[:, None, None] * with_later(1),
        second=stiffness * after[:, None, None] * with_later(2),
        border=stiffness * border,
        gradient_rows=stiffness * jnp.einsum("tivx,tiv->tx", own, felt(points)),
        shared=stiffness * jnp.pad(shared, ((0, empty), (0, empty))),
        gradient_shared=stiffness * jnp.pad(gradient_shared, (0, empty)),
    )


def _border_terms(
    points: jax.Array,
    dense: jax.Array,
    turning: jax.Array,
    own: jax.Array,
    felt: object,
    bases: PointBases,
    chart: Chart,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Curvature and gradient of identity, shared movement and offsets, and the frames' coupling to the offsets."""
    # The chunk's own centres; the two beside them only reach into it.
    inner_points, inner_dense, inner_turning = points[1:-1], dense[1:-1], turning[1:-1]
    curvature = jnp.einsum("tivx,tivy->xy", inner_dense, inner_dense)
    gradient = jnp.einsum("tiv,tivx->x", inner_points, inner_dense)
    count = chart.layout.offset_count
    if not count:
        return curvature, gradient, jnp.zeros((*own.shape[::3], 0), own.dtype)
    rows, slots, unit = bases.offset_temporal, bases.temporal_slots, UNITS["offsets"]

    def by_slot(values: jax.Array) -> jax.Array:
        """[...,r,3] → [...,3M]."""
        lead = values.shape[:-2]
        return jnp.zeros((*lead, count, 3), values.dtype).at[..., slots, :].add(values).reshape(*lead, 3 * count)

    among = unit**2 * jnp.einsum("tij,tik->jk", inner_turning, inner_turning)
    offset_curvature = jnp.zeros((count, count, 3, 3), own.dtype).at[slots, slots].add(among)
    offset_curvature = offset_curvature.transpose(0, 2, 1, 3).reshape(3 * count, 3 * count)
    mixed = by_slot(unit * jnp.einsum("tirx,tij->xrj", inner_dense[:, :, rows], inner_turning))
    offset_gradient = by_slot(unit * jnp.einsum("tir,tij->rj", inner_points[:, :, rows], inner_turning))
    border = by_slot(unit * jnp.einsum("tirx,tij->txrj", own[:, :, rows], felt(turning)))
    curvature = jnp.block([[curvature, mixed], [mixed.T, offset_curvature]])
    return curvature, jnp.concatenate([gradient, offset_gradient]), border
