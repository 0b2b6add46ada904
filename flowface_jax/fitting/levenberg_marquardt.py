"""Levenberg-Marquardt: damped Gauss-Newton steps, each judged by how much of its promise the energy keeps.

Damping is relative to each unknown's own curvature (Marquardt) and follows the gain ratio (Nielsen): a step that keeps
its promise lowers it up to tenfold, steps that fail raise it ever faster. Limits of the head model are kept by an
active set: unknowns that would cross a limit stop at it, and the others are solved for again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.fitting.config import FitConfig
from flowface_jax.fitting.energy import EnergyWeights
from flowface_jax.fitting.normal_equations import NormalEquations
from flowface_jax.fitting.objective import Objective, make_objective
from flowface_jax.fitting.parameters import Chart, Parameters, assemble, initial_variables
from flowface_jax.fitting.problem import FitProblem
from flowface_jax.fitting.solution import Solution
from flowface_jax.pytrees import pytree_dataclass

FIRST_DAMPING = 1e-3
LARGEST_DAMPING = 1e9
LIMIT_ROUNDS = 4
"""How often a step is solved for again with the unknowns held that would have crossed a limit."""


@pytree_dataclass
class LevenbergState:
    """Where the solver is: parameters, their normal equations and energies [n]; damping and its growth on failure;
    iteration; history [max_iterations] of energies before each step; finished.
    """

    parameters: Parameters
    system: NormalEquations
    energies: jax.Array
    damping: jax.Array
    growth: jax.Array
    iteration: jax.Array
    history: jax.Array
    finished: jax.Array


def solve_levenberg_marquardt(
    problem: FitProblem,
    chart: Chart,
    config: FitConfig,
    focal_guess: jax.Array,
    progress: Callable[[int, float, float], None] | None = None,
    devices: Sequence[jax.Device] = (),
) -> Solution:
    """Minimise the energy from `chart.base`. progress: called with (iteration, energy, damping) after each one.
    devices: where the frames are spread; the default device if not several.
    """
    objective = make_objective(problem, chart, EnergyWeights.of(config), focal_guess, devices)
    state = minimise(objective, config, progress=progress)
    history = np.asarray(state.history)[: int(state.iteration)]
    return Solution(state.parameters, history, bool(state.finished), objective.terms(np.asarray(state.energies)))


def minimise(
    objective: Objective,
    config: FitConfig,
    negligible: float = 0.0,
    progress: Callable[[int, float, float], None] | None = None,
) -> LevenbergState:
    """Iterate from the chart's base until converged or at `config.max_iterations`.

    negligible: an energy so small that the tolerance is a fraction of it rather than of what is left.
    """
    state = start(objective, config.max_iterations)
    tolerance, negligible = jnp.asarray(config.energy_tolerance), jnp.asarray(negligible)
    while not bool(state.finished) and int(state.iteration) < config.max_iterations:
        state = _advance_jit(state, objective, tolerance, negligible)
        if progress is not None:
            progress(int(state.iteration), float(jnp.sum(state.energies)), float(state.damping))
    return state


@functools.partial(jax.jit, static_argnames=("limit",))
def start(objective: Objective, limit: int) -> LevenbergState:
    """The state before the first step, at the chart's base."""
    parameters = assemble(initial_variables(objective.chart), objective.chart)
    energies = objective.energies(parameters)
    return LevenbergState(
        parameters=parameters,
        system=objective.normal_equations(parameters),
        energies=energies,
        damping=jnp.asarray(FIRST_DAMPING, energies.dtype),
        growth=jnp.asarray(2.0, energies.dtype),
        iteration=jnp.zeros((), jnp.int32),
        history=jnp.full((limit,), jnp.nan, energies.dtype),
        finished=jnp.zeros((), bool),
    )


def advance(
    state: LevenbergState, objective: Objective, tolerance: jax.Array, negligible: jax.Array | float = 0.0
) -> LevenbergState:
    """One step tried: taken if it lowers the energy. Finished when a step, promised or taken, lowers it by less than
    `tolerance` of itself (or of a `negligible` energy), or when no step does at all.
    """
    rows, shared = _step(state, objective)
    candidate = objective.retract(state.parameters, rows, shared)
    energies = objective.energies(candidate)
    total = jnp.sum(state.energies)
    fallen = jnp.sum(state.energies - energies)
    curved_rows, curved_shared = state.system.times(rows, shared)
    promised = -jnp.vdot(rows, state.system.gradient_rows + 0.5 * curved_rows)
    promised = promised - jnp.vdot(shared, state.system.gradient_shared + 0.5 * curved_shared)
    # NaN compares false: a step that cannot be solved for, or that overflows, has failed.
    taken = fallen > 0.0
    kept = jnp.where(promised > 0, fallen / promised, 1.0)
    calmed = jnp.clip(1.0 - (2.0 * kept - 1.0) ** 3, 0.1, 2.0)
    damping = state.damping * jnp.where(taken, calmed, state.growth)
    least = 10.0 * jnp.finfo(damping.dtype).eps
    small = tolerance * jnp.maximum(total, negligible)
    converged = jnp.where(taken, fallen <= small, promised <= small)
    # A heavily damped step is small whatever is left to gain.
    converged = (converged & (state.damping <= FIRST_DAMPING)) | (damping > LARGEST_DAMPING)
    moved = jax.lax.cond(
        taken, lambda: (candidate, objective.normal_equations(candidate)), lambda: (state.parameters, state.system)
    )
    return LevenbergState(
        parameters=moved[0],
        system=moved[1],
        energies=jnp.where(taken, energies, state.energies),
        damping=jnp.maximum(damping, least),
        growth=jnp.where(taken, 2.0, 2.0 * state.growth),
        iteration=state.iteration + 1,
        history=state.history.at[state.iteration].set(total),
        finished=converged,
    )


_advance_jit = jax.jit(advance, donate_argnames=("state",))


def _step(state: LevenbergState, objective: Objective) -> tuple[jax.Array, jax.Array]:
    """The damped step, rows [F,d] and shared [s], that stays within the limits."""
    system = state.system
    low, high = objective.room(state.parameters)
    bounded = bool("expression" in objective.columns.frame_slices())
    stuck = objective.at_limit(state.parameters, system.gradient_rows)
    free_shared = jnp.ones_like(system.gradient_shared)
    if objective.free_rows is not None:
        stuck = stuck | ~objective.free_rows
    if objective.free_shared is not None:
        free_shared = objective.free_shared.astype(free_shared.dtype)

    def solved(held: jax.Array, at: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The step in which `held` unknowns [F,d] move by `at`."""
        pushed_rows, pushed_shared = system.times(at, jnp.zeros_like(system.gradient_shared))
        free = (~held).astype(at.dtype)
        conditioned, scale_rows, scale_shared = system.conditioned(state.damping, free, free_shared)
        rows, shared = objective.solve(
            conditioned,
            -free * (system.gradient_rows + pushed_rows) / scale_rows,
            -free_shared * (system.gradient_shared + pushed_shared) / scale_shared,
        )
        return jnp.where(held, at, rows / scale_rows), shared / scale_shared

    def unsettled(carry: tuple[jax.Array, ...]) -> jax.Array:
        rows, _, _, _, rounds = carry
        crosses = jnp.any((rows < low) | (rows > high)) if bounded else False
        return (rounds == 0) | ((rounds <= LIMIT_ROUNDS) & crosses)

    def again(carry: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        rows, _, held, at, rounds = carry
        crosses = (rows < low) | (rows > high)
        at = jnp.where(crosses, jnp.clip(rows, low, high), at)
        held = held | crosses
        rows, shared = solved(held, at)
        return rows, shared, held, at, rounds + 1

    nowhere = jnp.zeros_like(system.gradient_rows)
    carry = (nowhere, jnp.zeros_like(system.gradient_shared), stuck, nowhere, 0)
    rows, shared, *_ = jax.lax.while_loop(unsettled, again, carry)
    return jnp.clip(rows, low, high), shared
