"""The energy of stage 2 (equations 12 to 14), written once: every solver minimises this function."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from flowface_jax.fitting.config import FitConfig, Robust
from flowface_jax.fitting.parameters import Parameters
from flowface_jax.fitting.problem import FLAME_VERTICES, FitProblem
from flowface_jax.heads.model import vertices
from flowface_jax.pytrees import pytree_dataclass, static_field


@pytree_dataclass
class EnergyWeights:
    """The λ of equation 12 and the kernel on E_A, as scalars that may be traced and differentiated. Units as in
    FitConfig; only the kind of the kernel, and whether there is a focal prior, are static under jit.
    """

    prior: jax.Array
    temporal: jax.Array
    neutral: jax.Array
    offset: jax.Array
    robust_scale: jax.Array
    focal_prior_std: jax.Array
    robust: Robust = static_field()
    has_focal_prior: bool = static_field()

    @staticmethod
    def of(config: FitConfig) -> EnergyWeights:
        return EnergyWeights(
            prior=jnp.asarray(config.prior_weight),
            temporal=jnp.asarray(config.temporal_weight),
            neutral=jnp.asarray(config.neutral_weight),
            offset=jnp.asarray(config.offset_weight),
            robust_scale=jnp.asarray(config.robust_scale),
            focal_prior_std=jnp.asarray(config.focal_prior_std),
            robust=config.robust,
            has_focal_prior=config.focal_prior_std > 0,
        )


@pytree_dataclass
class EnergyTerms:
    """Each term of equation 12, weighted, as a scalar; `total` is their sum."""

    alignment: jax.Array
    prior: jax.Array
    temporal: jax.Array
    neutral: jax.Array
    offset: jax.Array
    focal: jax.Array

    @property
    def total(self) -> jax.Array:
        return self.alignment + self.prior + self.temporal + self.neutral + self.offset + self.focal


def energy(
    parameters: Parameters, problem: FitProblem, weights: EnergyWeights, focal_guess: jax.Array | None = None
) -> EnergyTerms:
    """All terms of the energy; focal_guess [C] px centres the weak focal prior (None: no such prior)."""
    local = head_vertices(parameters, problem)
    world = parameters.to_world(local)
    return EnergyTerms(
        alignment=alignment_term(parameters, problem, weights, world),
        prior=prior_term(parameters, problem, weights),
        temporal=temporal_term(problem, weights, world),
        neutral=neutral_term(parameters, problem, weights),
        offset=offset_term(parameters, problem, weights),
        focal=focal_term(parameters, problem, weights, focal_guess),
    )


def head_vertices(parameters: Parameters, problem: FitProblem) -> jax.Array:
    """The evaluated vertices in the head's frame, every frame: [F,N,3] m."""
    frozen = not parameters.joint_rotations.shape[1]
    posed = jax.vmap(vertices, in_axes=(None, None, 0, None if frozen else 0, None))
    joints = None if frozen else parameters.joint_rotations
    return posed(problem.head, parameters.identity, parameters.expression, joints, parameters.offsets)


def observed_points(problem: FitProblem, world: jax.Array) -> jax.Array:
    """The observed points of world-space vertices [F,3,N]: [F,3,P] m."""
    corners, count = problem.barycentric.shape
    if corners == 1:
        return world[..., :count]
    return sum(world[..., k * count : (k + 1) * count] * problem.barycentric[k] for k in range(corners))


def squared_distances(parameters: Parameters, problem: FitProblem, world: jax.Array) -> jax.Array:
    """‖x − μ‖² of every observation: [C,F,P] px²."""
    columns, rows = parameters.to_pixels(observed_points(problem, world), problem.principal_point)
    return (columns - problem.mean[..., 0]) ** 2 + (rows - problem.mean[..., 1]) ** 2


def alignment_term(parameters: Parameters, problem: FitProblem, weights: EnergyWeights, world: jax.Array) -> jax.Array:
    """E_A = Σ λ_i ρ(‖x − μ‖² / σ²) / 2 (equation 13; ρ is the identity for robust = "none")."""
    squared = squared_distances(parameters, problem, world) * problem.inverse_std**2
    scale = weights.robust_scale * problem.kernel_width
    return 0.5 * jnp.sum(problem.point_weight * robust_kernel(squared, weights.robust, scale))


def robust_kernel(squared: jax.Array, kind: Robust, scale: jax.Array) -> jax.Array:
    """ρ of a squared residual in units of σ²; every kind equals its argument near zero."""
    if kind == "none":
        return squared
    if kind == "huber":
        safe = jnp.maximum(squared, scale**2)
        return jnp.where(squared <= scale**2, squared, 2.0 * scale * jnp.sqrt(safe) - scale**2)
    return squared / (1.0 + squared / scale**2)


def prior_term(parameters: Parameters, problem: FitProblem, weights: EnergyWeights) -> jax.Array:
    """E_FLAME = λ (n ‖β‖² + ‖Φ‖²), n = problem.identity_scale, each Φ in the spread that the head model states."""
    expression = jnp.where(problem.real_frame[:, None], parameters.expression, 0.0) / problem.head.expression_std
    return weights.prior * (problem.identity_scale * jnp.sum(parameters.identity**2) + jnp.sum(expression**2))


def temporal_term(problem: FitProblem, weights: EnergyWeights, world: jax.Array) -> jax.Array:
    """E_temp = λ Σ ‖x_{t−1} − 2 x_t + x_{t+1}‖² (equation 14), on world vertices [F,3,N] sampled over the head; where
    frames are uneven in time, of the accelerations at their own times.
    """
    if world.shape[0] < 3:
        return jnp.zeros(())
    sampled = world[..., problem.barycentric.size :]
    return weights.temporal * problem.temporal_scale * jnp.sum(accelerations(problem, sampled) ** 2)


def accelerations(problem: FitProblem, positions: jax.Array) -> jax.Array:
    """Second differences over frames of positions [F,3,M] m, per usual interval²: [F-2,3,M]; zero where none counts."""
    before, centre, after = jnp.moveaxis(problem.temporal_stencil[1:-1, :, None, None], 1, 0)
    counted = before * positions[:-2] + centre * positions[1:-1] + after * positions[2:]
    # Padding may hold anything, which zero times is not zero.
    return jnp.where(centre != 0, counted, 0.0)


def neutral_term(parameters: Parameters, problem: FitProblem, weights: EnergyWeights) -> jax.Array:
    """E_MICA = λ n ‖M_neutral − M_MICA‖² over all vertices, offsets included, counted as if as many as FLAME's;
    n = problem.identity_scale, as for the identity prior.
    """
    if problem.neutral_residual.shape[0] == 0:
        return jnp.zeros(())
    size = parameters.identity.shape[0]
    with jax.default_matmul_precision("highest"):
        difference = problem.neutral_residual + problem.neutral_basis[..., :size] @ parameters.identity
    # A vertex that is evaluated several times has the same offset in each place, so setting is enough.
    difference = difference + jnp.zeros_like(difference).at[problem.vertex_ids].set(parameters.offsets)
    scale = problem.identity_scale * FLAME_VERTICES / difference.shape[0]
    return weights.neutral * scale * jnp.sum(difference**2)


def offset_term(parameters: Parameters, problem: FitProblem, weights: EnergyWeights) -> jax.Array:
    """E_deform = λ ‖δ_d‖², each vertex counted once however often it is evaluated."""
    return weights.offset * jnp.sum(problem.row_share[:, None] * parameters.offsets**2)


def focal_term(
    parameters: Parameters, problem: FitProblem, weights: EnergyWeights, focal_guess: jax.Array | None
) -> jax.Array:
    """The prior on log focal about focal_guess [C] px, weak unless more is known; zero where there is none."""
    if focal_guess is None or not weights.has_focal_prior:
        return jnp.zeros((), parameters.focal.dtype)
    squared = problem.focal_prior_weight * jnp.log(parameters.focal / focal_guess) ** 2
    return 0.5 * jnp.sum(squared) / weights.focal_prior_std**2
