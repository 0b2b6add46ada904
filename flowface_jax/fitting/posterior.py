"""The Gaussian about a solution that the energy's curvature there describes (Laplace), in the solver's own unknowns.

The energy is read as a negative log-posterior: observations with independent errors of the stated σ/√λ, priors as they
stand. Robust kernels count with the weights they end with. Terms that the energy counts once per image although they
were drawn once, those on identity (see `FitConfig.identity_prior`), are put back to what they are: for an estimator
that is pulled n times too hard, the expected error is not the inverse curvature H⁻¹ but H⁻¹ + (n − 1) H⁻¹ N H⁻¹, N the
curvature of the terms counted n times. All of that happens on the border: the frames' part keeps its form.

    Σ(shared) = C        Σ(t, shared) = −V(t) C        Σ(t,t) = band⁻¹(t,t) + V(t) C V(t)ᵀ        V = band⁻¹ border
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.fitting.chain import ChainFactor, eliminate
from flowface_jax.fitting.normal_equations import FELT, NormalEquations
from flowface_jax.fitting.objective import Objective
from flowface_jax.fitting.parameters import Parameters
from flowface_jax.fitting.priors import add_shared_priors
from flowface_jax.fitting.selected_inverse import walk_back
from flowface_jax.pytrees import pytree_dataclass

UNFELT_VARIANCE = 1.0 / FELT
"""Variance, in the solver's units, given to an unknown that the energy does not feel."""

FIRST_DAMPING, MOST_DAMPING = 10.0, 1e5
"""In machine precisions: what is added to the band's unit diagonal so that its factor exists despite rounding, and the
most that is tried before giving up."""


@pytree_dataclass
class Posterior:
    """The covariance of all unknowns in factored form, d unknowns a frame and s shared ones (see `columns`).

    chain: the frames' factor, of the system in units of each unknown's own curvature. unit_rows [F,d], unit_shared [s]:
    these units in the solver's; 0 for unknowns that are held. root [s,s]: the border's covariance C is root rootᵀ, in
    the same units. held_rows [F,d]: bool, coefficients that are held at a limit of the head model, and take no part.
    """

    chain: ChainFactor
    unit_rows: jax.Array
    unit_shared: jax.Array
    root: jax.Array
    held_rows: jax.Array

    @property
    def shared_root(self) -> jax.Array:
        """The root [s,s] of the border's covariance in the solver's units."""
        return self.unit_shared[:, None] * self.root

    @property
    def shared(self) -> jax.Array:
        """The border's covariance C [s,s] in the solver's units."""
        with jax.default_matmul_precision("highest"):
            return self.shared_root @ self.shared_root.T


def posterior_of(parameters: Parameters, objective: Objective) -> Posterior:
    """The posterior at `parameters`, a minimum of the objective's energy.

    Costs about one iteration of the solver. Raises FloatingPointError where the curvature is not that of a minimum.
    """
    system, rows, shared, repeated = _curvature(parameters, objective)
    chain, complement, scale_rows, scale_shared = _factorised(system, rows.free, shared.free)
    unit_rows, unit_shared = _units(rows, scale_rows), _units(shared, scale_shared)
    unit_free = np.asarray(unit_shared, np.float64) * np.asarray(shared.free)
    per_image = np.asarray(repeated, np.float64) * np.outer(unit_free, unit_free)
    count = float(objective.problem.identity_scale)
    root = _root(np.asarray(complement, np.float64), (count - 1.0) * per_image, float(jnp.finfo(complement.dtype).eps))
    return Posterior(chain, unit_rows, unit_shared, jnp.asarray(root, complement.dtype), rows.held)


def frame_covariances(posterior: Posterior) -> tuple[jax.Array, jax.Array]:
    """Every frame's own covariance [F,d,d] and that with the border [F,d,s], in the solver's units."""
    return _frame_covariances(posterior)


@jax.jit
def _frame_covariances(posterior: Posterior) -> tuple[jax.Array, jax.Array]:
    shared_root = posterior.shared_root

    def visit(carry: None, inverse: jax.Array, through: jax.Array, unit: jax.Array) -> tuple[None, tuple]:
        own, rows = own_and_rows(posterior, inverse, through, unit)
        return carry, (own + rows @ rows.T, rows @ shared_root.T)

    return walk_back(posterior.chain, visit, None, posterior.unit_rows)[1]


def own_and_rows(
    posterior: Posterior, inverse: jax.Array, through: jax.Array, unit: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """What `walk_back` hands over, in the solver's units: the frame's covariance given the border [d,d], and rows [d,s]
    whose products with each other and with `shared_root` are the rest of its covariance.
    """
    return inverse * unit[:, None] * unit, -unit[:, None] * (through @ posterior.root)


@pytree_dataclass
class _Unknowns:
    """What takes part of a number of unknowns. held: bool, at a limit of the head model. felt: bool, by the energy.
    chosen, free: 0 or 1, asked to be solved for, and solved for.
    """

    held: jax.Array
    felt: jax.Array
    chosen: jax.Array
    free: jax.Array


@jax.jit
def _curvature(parameters: Parameters, objective: Objective) -> tuple[NormalEquations, _Unknowns, _Unknowns, jax.Array]:
    """The energy's curvature, what takes part of the frames' unknowns [F,d] and of the shared ones [s], and the
    curvature [s,s] of the terms that are counted once per image.
    """
    system = objective.normal_equations(parameters)

    def unknowns(diagonal: jax.Array, held: jax.Array, chosen: jax.Array | None) -> _Unknowns:
        felt = diagonal > FELT
        wanted = jnp.ones(felt.shape, system.border.dtype) if chosen is None else chosen.astype(system.border.dtype)
        return _Unknowns(held, felt, wanted, (felt & ~held) * wanted)

    held_rows, held_shared = objective.at_limit(parameters, system)
    rows = unknowns(jnp.diagonal(system.diagonal, axis1=1, axis2=2), held_rows, objective.free_rows)
    shared = unknowns(jnp.diagonal(system.shared), held_shared, objective.free_shared)
    return system, rows, shared, _counted_per_image(parameters, objective)


@jax.jit
def _units(unknowns: _Unknowns, scale: jax.Array) -> jax.Array:
    """The unit of each unknown in the solver's, 0 where it is held or not asked for."""
    felt = jnp.where(unknowns.felt, 1.0 / scale, np.sqrt(UNFELT_VARIANCE))
    return unknowns.chosen * jnp.where(unknowns.held, 0.0, felt)


@jax.jit
def _factor(
    system: NormalEquations, damping: jax.Array, free_rows: jax.Array, free_shared: jax.Array
) -> tuple[ChainFactor, jax.Array, jax.Array, jax.Array]:
    conditioned, scale_rows, scale_shared = system.conditioned(damping, free_rows, free_shared)
    undamped = conditioned.shared - damping * jnp.eye(conditioned.shared.shape[0], dtype=damping.dtype)
    chain, complement = eliminate(dataclasses.replace(conditioned, shared=undamped))
    return chain, complement, scale_rows, scale_shared


def _factorised(
    system: NormalEquations, free_rows: jax.Array, free_shared: jax.Array
) -> tuple[ChainFactor, jax.Array, jax.Array, jax.Array]:
    """The chain, the border's complement, and the scales, with as little damping as rounding allows."""
    precision = float(jnp.finfo(system.border.dtype).eps)
    damping = FIRST_DAMPING
    while damping <= MOST_DAMPING:
        result = _factor(system, jnp.asarray(damping * precision, system.border.dtype), free_rows, free_shared)
        if bool(jnp.isfinite(result[1]).all()) and bool(jnp.isfinite(result[0].lower).all()):
            return result
        damping *= 10.0
    raise FloatingPointError("the energy's curvature is not that of a minimum: no error bars can be stated")


def _root(complement: np.ndarray, repeated: np.ndarray, precision: float) -> np.ndarray:
    """A root [s,s] of the border's covariance from its inverse `complement` and the terms counted too often, float64.

    complement has entries of about one, rounded to `precision`: curvatures smaller than that are not known, and are
    taken as large as the rounding may make them.
    """
    if not len(complement):
        return complement
    values, vectors = np.linalg.eigh(0.5 * (complement + complement.T))
    inverse = (vectors / np.maximum(values, precision)) @ vectors.T
    covariance = inverse + inverse @ repeated @ inverse
    values, vectors = np.linalg.eigh(0.5 * (covariance + covariance.T))
    return vectors * np.sqrt(np.maximum(values, 0.0))


def _counted_per_image(parameters: Parameters, objective: Objective) -> jax.Array:
    """The curvature [s,s] of the terms that are counted once per image."""
    size = objective.columns.shared_size
    nothing, none = jnp.zeros((size, size)), jnp.zeros((size,))
    empty = NormalEquations(*4 * [jnp.zeros((0,))], shared=nothing, gradient_rows=none, gradient_shared=none)

    def shared(scale: jax.Array) -> jax.Array:
        problem = dataclasses.replace(objective.problem, identity_scale=scale)
        arguments = (problem, objective.weights, objective.focal_guess, objective.chart, objective.columns)
        with jax.default_matmul_precision("highest"):
            return add_shared_priors(empty, parameters, *arguments).shared

    count = objective.problem.identity_scale
    return shared(count) - shared(jnp.zeros_like(count))
