"""The acceleration term's part of the normal equations: it couples each frame with the two after it."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from flowface_jax.fitting.columns import Columns
from flowface_jax.fitting.energy import EnergyWeights
from flowface_jax.fitting.movement import moving_joints
from flowface_jax.fitting.normal_equations import NormalEquations
from flowface_jax.fitting.parameters import Chart, Parameters
from flowface_jax.fitting.point_columns import PointBases
from flowface_jax.fitting.problem import FitProblem
from flowface_jax.fitting.temporal_chunk import Motion, TemporalTerms, free_terms, rigid_terms
from flowface_jax.heads.model import vertices


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
    if frames < 3 or not bases.temporal_head.vertex_count:
        return system
    stiffness = 2.0 * weights.temporal * problem.temporal_scale

    def one_chunk(start: jax.Array) -> TemporalTerms:
        # Two frames more on either side: an acceleration reaches that far from the frames it is felt by.
        wanted = start + jnp.arange(-2, chunk + 2)
        inside = jnp.clip(wanted, 0, frames - 1)
        present = ((wanted >= 0) & (wanted < frames))[:, None]
        stencil = jnp.where(present, problem.temporal_stencil[inside], 0.0)
        motion = _motion(parameters, inside, stencil, bases, chart)
        kinds = ((bases.temporal_rigid, rigid_terms), (bases.temporal_other_rows, free_terms))
        terms = [of(motion, bases, chart, columns) for rows, of in kinds if len(rows)]
        return jax.tree.map(lambda *parts: stiffness * sum(parts), *terms)

    starts = first + chunk * jnp.arange(system.diagonal.shape[0] // chunk)
    zero = (jnp.zeros_like(system.shared), jnp.zeros_like(system.gradient_shared))

    def accumulate(sums: tuple[jax.Array, jax.Array], start: jax.Array) -> tuple[tuple, tuple]:
        added = one_chunk(start)
        rows = (added.diagonal, added.following, added.second, added.border, added.gradient_rows)
        return (sums[0] + added.shared, sums[1] + added.gradient_shared), rows

    (shared, gradient_shared), rows = jax.lax.scan(accumulate, zero, starts)
    names = ("diagonal", "following", "second", "border", "gradient_rows")
    summed = {
        name: getattr(system, name) + part.reshape(getattr(system, name).shape)
        for name, part in zip(names, rows, strict=True)
    }
    return dataclasses.replace(
        system, **summed, shared=system.shared + shared, gradient_shared=system.gradient_shared + gradient_shared
    )


def _motion(parameters: Parameters, frames: jax.Array, stencil: jax.Array, bases: PointBases, chart: Chart) -> Motion:
    """Positions of the temporal vertices in `frames` [n], and the acceleration about each [n,3]."""
    head = bases.temporal_head
    offsets = parameters.offsets[parameters.offsets.shape[0] - head.vertex_count :]
    joints = parameters.joint_rotations[frames]
    at_rest = not moving_joints(chart)
    posed = jax.vmap(vertices, in_axes=(None, None, 0, None if at_rest else 0, None))
    local = posed(head, parameters.identity, parameters.expression[frames], None if at_rest else joints, offsets)
    rotation, translation = parameters.head_rotation[frames], parameters.head_translation[frames]
    local = jnp.swapaxes(local, 1, 2)
    return Motion(
        local=local,
        world=rotation @ local + translation[:, :, None],
        rotation=rotation,
        identity=parameters.identity,
        expression=parameters.expression[frames],
        joint_rotations=joints,
        stencil=stencil.astype(local.dtype),
    )
