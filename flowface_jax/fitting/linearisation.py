"""The normal equations of the whole energy, accumulated chunk of frames by chunk of frames; no Jacobian is ever stored.

Three tiers of work. Once per fit, on the host: `point_bases`. Once per accepted step: `linearise_alignment` and
`add_temporal`, in which a frame costs about 2 · 3P · d · (d + S) operations for P points, d unknowns of the frame and S
identity coefficients: the cameras are collapsed first, and identity against identity is left to a single product at
the end, because for points that no joint moves only their information, summed over frames, matters. Once per damping:
the solve, in `chain`.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from flowface_jax.fitting.border import PointSums, border_system, camera_selection
from flowface_jax.fitting.collapse import Collapsed, Views, collapse
from flowface_jax.fitting.columns import Columns
from flowface_jax.fitting.energy import EnergyWeights, head_vertices, observed_points
from flowface_jax.fitting.movement import MovementTerms, add_terms, moved_terms, movement_split, still_terms
from flowface_jax.fitting.normal_equations import NormalEquations
from flowface_jax.fitting.parameters import Chart, Parameters
from flowface_jax.fitting.point_columns import PointBases
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


def rows_of(parameters: Parameters, first: jax.Array | int, count: int) -> Parameters:
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

    def collapsed_frame(
        local: jax.Array, rotation: jax.Array, translation: jax.Array, mean: jax.Array, inverse_std: jax.Array
    ) -> Collapsed:
        seen = (views, mean, inverse_std, problem.point_weight, problem.kernel_width, weights, cameras_move)
        return collapse(local, rotation, translation, *seen)

    def one_chunk(index: jax.Array) -> tuple[PointSums, FrameBlocks]:
        rows = rows_of(parameters, first + index * chunk, chunk)
        mean, inverse_std = (
            jax.lax.dynamic_slice_in_dim(values, index * chunk, chunk, axis=1)
            for values in (problem.mean, problem.inverse_std)
        )
        local = observed_points(problem, jnp.moveaxis(head_vertices(rows, problem), -1, 1))
        collapsed = jax.vmap(collapsed_frame, in_axes=(0, 0, 0, 1, 1))(
            local, rows.head_rotation, rows.head_translation, mean, inverse_std
        )
        terms = still_terms(collapsed, local, rows, bases, columns)
        if len(bases.moved):
            terms = add_terms(terms, moved_terms(collapsed, local, rows, bases, chart, columns))
        return _sums(collapsed, terms, columns), _blocks(terms, columns, collapsed.cross.shape[1])

    start = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(one_chunk, jnp.zeros((), jnp.int32))[0])

    def accumulate(sums: PointSums, index: jax.Array) -> tuple[PointSums, FrameBlocks]:
        added, blocks = one_chunk(index)
        return jax.tree.map(jnp.add, sums, added), blocks

    sums, blocks = jax.lax.scan(accumulate, start, jnp.arange(problem.mean.shape[1] // chunk))
    blocks = jax.tree.map(lambda values: values.reshape(problem.mean.shape[1], *values.shape[2:]), blocks)
    shared, gradient_shared = border_system(sums, bases, columns)
    nothing = jnp.zeros_like(blocks.diagonal)
    return NormalEquations(blocks.diagonal, nothing, nothing, blocks.border, shared, blocks.gradient, gradient_shared)


def _blocks(terms: MovementTerms, columns: Columns, cameras: int) -> FrameBlocks:
    """The frames' own rows of the system."""
    own, together = movement_split(columns)
    border = [
        terms.with_identity[:, own],
        terms.movement[:, own][:, :, together],
        terms.with_offsets[:, own],
        terms.with_cameras[:, own] @ camera_selection(columns, cameras),
    ]
    return FrameBlocks(terms.movement[:, own][:, :, own], jnp.concatenate(border, axis=2), terms.gradient[:, own])


def _sums(collapsed: Collapsed, terms: MovementTerms, columns: Columns) -> PointSums:
    """What the chunk adds to the sums over frames."""
    _, together = movement_split(columns)
    shared_identity = terms.with_identity[:, together].sum(0)
    shared_movement = terms.movement[:, together][:, :, together].sum(0)
    return PointSums(
        information=collapsed.information.sum(0),
        gradient=collapsed.gradient.sum(0),
        cross=collapsed.cross.sum(0),
        curvature=collapsed.curvature.sum(0),
        camera_gradient=collapsed.camera_gradient.sum(0),
        dense=jnp.block([[terms.identity, shared_identity.T], [shared_identity, shared_movement]]),
        dense_gradient=jnp.concatenate([terms.identity_gradient, terms.gradient[:, together].sum(0)]),
        dense_cameras=jnp.concatenate([terms.identity_cameras, terms.with_cameras[:, together].sum(0)]),
        dense_offsets=jnp.concatenate([terms.identity_offsets, terms.with_offsets[:, together].sum(0)]),
    )
