"""The energy as a vector of residuals whose half square it is: what general least-squares solvers ask for."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from flowface_jax.fitting.energy import EnergyWeights, accelerations, head_vertices, observed_points
from flowface_jax.fitting.parameters import Chart, Parameters, Variables, assemble
from flowface_jax.fitting.problem import FLAME_VERTICES, FitProblem

Residuals = dict[str, jax.Array]


def residuals(
    variables: Variables, problem: FitProblem, chart: Chart, weights: EnergyWeights, focal_guess: jax.Array
) -> Residuals:
    """Every term's residuals. A robust kernel shortens each observation's residual to the root of ρ."""
    parameters = assemble(variables, chart)
    world = parameters.to_world(head_vertices(parameters, problem))
    result = {"alignment": _alignment(parameters, problem, weights, world)}
    result["identity"] = jnp.sqrt(2.0 * weights.prior * problem.identity_scale) * parameters.identity
    spread = jnp.where(problem.real_frame[:, None], parameters.expression, 0.0) / problem.head.expression_std
    result["expression"] = jnp.sqrt(2.0 * weights.prior) * spread
    if len(world) >= 3:
        sampled = world[..., problem.barycentric.size :]
        counted = accelerations(problem, sampled)
        result["temporal"] = jnp.sqrt(2.0 * weights.temporal * problem.temporal_scale) * counted
    if "offsets" in variables:
        result["offset"] = jnp.sqrt(2.0 * weights.offset * problem.row_share)[:, None] * parameters.offsets
    if problem.neutral_residual.shape[0]:
        result["neutral"] = _neutral(parameters, problem, weights)
    if weights.has_focal_prior:
        result["focal"] = jnp.log(parameters.focal / focal_guess) / weights.focal_prior_std
    return result


def _alignment(parameters: Parameters, problem: FitProblem, weights: EnergyWeights, world: jax.Array) -> jax.Array:
    columns, rows = parameters.to_pixels(observed_points(problem, world), problem.principal_point)
    off = jnp.stack([columns - problem.mean[..., 0], rows - problem.mean[..., 1]]) * problem.inverse_std
    squared = jnp.sum(off**2, axis=0)
    if weights.robust == "geman_mcclure":
        off = off / jnp.sqrt(1.0 + squared / weights.robust_scale**2)
    elif weights.robust == "huber":
        # √(2cr − c²) / r beyond c.
        safe = jnp.sqrt(jnp.maximum(squared, weights.robust_scale**2))
        off = off * jnp.sqrt(2.0 * weights.robust_scale * safe - weights.robust_scale**2) / safe
    return off * jnp.sqrt(problem.point_weight)


def _neutral(parameters: Parameters, problem: FitProblem, weights: EnergyWeights) -> jax.Array:
    size = parameters.identity.shape[0]
    with jax.default_matmul_precision("highest"):
        difference = problem.neutral_residual + problem.neutral_basis[..., :size] @ parameters.identity
    difference = difference + jnp.zeros_like(difference).at[problem.vertex_ids].set(parameters.offsets)
    scale = problem.identity_scale * FLAME_VERTICES / difference.shape[0]
    return jnp.sqrt(2.0 * weights.neutral * scale) * difference
