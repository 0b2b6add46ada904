"""Levenberg-Marquardt: damped Gauss-Newton steps, each judged by how much of its promise the energy keeps.

Damping is relative to each unknown's own curvature (Marquardt) and follows the gain ratio (Nielsen): a step that keeps
its promise lowers it up to tenfold, steps that fail raise it ever faster. Limits of the head model are kept by an
active set: unknowns that would cross a limit stop at it, and the others are solved for again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.fitting.chain import factorise, solve
from flowface_jax.fitting.config import FitConfig
from flowface_jax.fitting.energy import EnergyWeights, energy
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
) -> Solution:
    """Minimise the energy from `chart.base`. progress: called with (iteration, energy, damping) after each one."""
    weights = EnergyWeights.of(config)
    objective = make_objective(problem, chart, weights, focal_guess)
    state = start(objective, config.max_iterations)
    tolerance = jnp.asarray(config.energy_tolerance)
    while not bool(state.finished):
        state = _advance_jit(state, objective, tolerance)
        if progress is not None:
            progress(int(state.iteration), float(jnp.sum(state.energies)), float(state.damping))
        if int(state.iteration) >= config.max_iterations:
            break
    terms = jax.jit(energy)(state.parameters, problem, weights, focal_guess)
    history = np.asarray(state.history)[: int(state.iteration)]
    return Solution(state.parameters, history, bool(state.finished), terms)


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


def advance(state: LevenbergState, objective: Objective, tolerance: jax.Array) -> LevenbergState:
    """One step tried: taken if it lowers the energy. Finished when a step, promised or taken, lowers it by less than
    `tolerance` of itself, or when no step does at all.
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
    small = tolerance * total
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
    stuck = ((low == 0) & (system.gradient_rows > 0)) | ((high == 0) & (system.gradient_rows < 0))
    free_shared = jnp.ones_like(system.gradient_shared)

    def solved(held: jax.Array, at: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The step in which `held` unknowns [F,d] move by `at`."""
        pushed_rows, pushed_shared = system.times(at, jnp.zeros_like(system.gradient_shared))
        free = (~held).astype(at.dtype)
        conditioned, scale_rows, scale_shared = system.conditioned(state.damping, free, free_shared)
        factor = factorise(conditioned)
        rows, shared = solve(
            factor,
            -free * (system.gradient_rows + pushed_rows) / scale_rows,
            -(system.gradient_shared + pushed_shared) / scale_shared,
        )
        return jnp.where(held, at, rows / scale_rows), shared / scale_shared

    nowhere = jnp.zeros_like(system.gradient_rows)
    rows, shared = solved(stuck, nowhere)
    if not bounded:
        return rows, shared

    def crossing(carry: tuple[jax.Array, ...]) -> jax.Array:
        rows, _, _, _, rounds = carry
        return (rounds < LIMIT_ROUNDS) & jnp.any((rows < low) | (rows > high))

    def again(carry: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        rows, _, held, at, rounds = carry
        crosses = (rows < low) | (rows > high)
        at = jnp.where(crosses, jnp.clip(rows, low, high), at)
        held = held | crosses
        rows, shared = solved(held, at)
        return rows, shared, held, at, rounds + 1

    rows, shared, *_ = jax.lax.while_loop(crossing, again, (rows, shared, stuck, nowhere, 0))
    return jnp.clip(rows, low, high), shared
