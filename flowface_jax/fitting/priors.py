"""What the priors add to the normal equations: they are quadratic, and only the shared ones couple unknowns."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from flowface_jax.fitting.columns import Columns
from flowface_jax.fitting.energy import EnergyWeights
from flowface_jax.fitting.normal_equations import NormalEquations
from flowface_jax.fitting.parameters import UNITS, Chart, Parameters
from flowface_jax.fitting.problem import FLAME_VERTICES, FitProblem


def add_expression_prior(
    system: NormalEquations,
    parameters: Parameters,
    problem: FitProblem,
    weights: EnergyWeights,
    columns: Columns,
    first: jax.Array | int = 0,
) -> NormalEquations:
    """Add E_FLAME of the expressions to the frames' own blocks, which start at frame `first`."""
    part = columns.frame_slices().get("expression")
    if part is None:
        return system
    count = system.diagonal.shape[0]
    expression, real = (
        jax.lax.dynamic_slice_in_dim(values, first, count) for values in (parameters.expression, problem.real_frame)
    )
    curvature = 2.0 * weights.prior * real[:, None] / problem.head.expression_std**2
    spread = jax.vmap(jnp.diag)(curvature)
    return dataclasses.replace(
        system,
        diagonal=system.diagonal.at[:, part, part].add(spread),
        gradient_rows=system.gradient_rows.at[:, part].add(curvature * expression),
    )


def add_shared_priors(
    system: NormalEquations,
    parameters: Parameters,
    problem: FitProblem,
    weights: EnergyWeights,
    focal_guess: jax.Array,
    chart: Chart,
    columns: Columns,
) -> NormalEquations:
    """Add what E_FLAME of the identity (and of a shared expression), E_MICA, E_deform and the focal prior say."""
    curvature, gradient = system.shared, system.gradient_shared
    slices = columns.shared_slices()
    if "identity" in slices:
        part, stiffness = slices["identity"], 2.0 * weights.prior * problem.identity_scale
        curvature = curvature.at[part, part].add(stiffness * jnp.eye(parameters.identity.shape[0]))
        gradient = gradient.at[part].add(stiffness * parameters.identity)
    if "expression" in slices:
        part = slices["expression"]
        stiffness = 2.0 * weights.prior * jnp.sum(problem.real_frame) / problem.head.expression_std**2
        curvature = curvature.at[part, part].add(jnp.diag(stiffness))
        gradient = gradient.at[part].add(stiffness * parameters.expression[0])
    if "offsets" in slices:
        part, stiffness = slices["offsets"], 2.0 * weights.offset * UNITS["offsets"]
        offsets = _offsets_by_slot(parameters, chart)
        curvature = curvature.at[part, part].add(stiffness * UNITS["offsets"] * jnp.eye(offsets.size))
        gradient = gradient.at[part].add(stiffness * offsets.reshape(-1))
    if "log_focal" in slices and weights.has_focal_prior:
        part = slices["log_focal"]
        stiffness = problem.focal_prior_weight / weights.focal_prior_std**2
        pull = stiffness * jnp.log(parameters.focal / focal_guess)
        if part.stop - part.start != pull.shape[0]:
            stiffness, pull = stiffness.sum(keepdims=True), pull.sum(keepdims=True)
        curvature = curvature.at[part, part].add(jnp.diag(stiffness))
        gradient = gradient.at[part].add(pull)
    system = dataclasses.replace(system, shared=curvature, gradient_shared=gradient)
    return _add_neutral(system, parameters, problem, weights, chart, columns)


def _add_neutral(
    system: NormalEquations,
    parameters: Parameters,
    problem: FitProblem,
    weights: EnergyWeights,
    chart: Chart,
    columns: Columns,
) -> NormalEquations:
    """E_MICA: identity and offsets against the given neutral head."""
    slices = columns.shared_slices()
    count = problem.neutral_residual.shape[0]
    if count == 0 or not {"identity", "offsets"} & set(slices):
        return system
    size = parameters.identity.shape[0]
    basis = problem.neutral_basis[..., :size]
    difference = problem.neutral_residual + basis @ parameters.identity
    difference = difference + jnp.zeros_like(difference).at[problem.vertex_ids].set(parameters.offsets)
    scale = 2.0 * weights.neutral * problem.identity_scale * FLAME_VERTICES / count
    curvature, gradient = system.shared, system.gradient_shared
    # Which vertex of the full head each offset moves.
    vertices = jnp.zeros((chart.layout.offset_count,), jnp.int32)
    vertices = vertices.at[chart.offset_slots].set(problem.vertex_ids[chart.offset_rows])
    if "identity" in slices:
        part = slices["identity"]
        curvature = curvature.at[part, part].add(scale * jnp.einsum("vis,vir->sr", basis, basis))
        gradient = gradient.at[part].add(scale * jnp.einsum("vi,vis->s", difference, basis))
    if "offsets" in slices:
        part = slices["offsets"]
        unit = UNITS["offsets"]
        curvature = curvature.at[part, part].add(scale * unit**2 * jnp.eye(part.stop - part.start))
        gradient = gradient.at[part].add(scale * unit * difference[vertices].reshape(-1))
        if "identity" in slices:
            mixed = scale * unit * basis[vertices].reshape(-1, size)
            curvature = curvature.at[part, slices["identity"]].add(mixed)
            curvature = curvature.at[slices["identity"], part].add(mixed.T)
    return dataclasses.replace(system, shared=curvature, gradient_shared=gradient)


def _offsets_by_slot(parameters: Parameters, chart: Chart) -> jax.Array:
    """The distinct offsets [M,3]."""
    empty = jnp.zeros((chart.layout.offset_count, 3), parameters.offsets.dtype)
    return empty.at[chart.offset_slots].set(parameters.offsets[chart.offset_rows])
