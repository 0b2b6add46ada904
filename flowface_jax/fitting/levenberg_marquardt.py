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
from flowface_jax.fitting.solution import Solution, Watcher
from flowface_jax.pytrees import pytree_dataclass

FIRST_DAMPING = 1e-3
LARGEST_DAMPING = 1e9
LIMIT_ROUNDS = 1
"""How often a step is solved for again with the unknowns held that would have crossed a limit."""


@pytree_dataclass
class LevenbergState:
    """Where the solver is: parameters, their normal equations and energies [n]; damping and its growth on failure;
    fallen, by how much the last step that was taken lowered the energy; iteration; history [max_iterations] of
    energies before each step; finished.
    """

    parameters: Parameters
    system: NormalEquations
    energies: jax.Array
    damping: jax.Array
    growth: jax.Array
    fallen: jax.Array
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
    watch: Watcher | None = None,
) -> Solution:
    """Minimise the energy from `chart.base`. progress: called with (iteration, energy, damping) after each one.
    devices: where the frames are spread; the default device if not several. watch: called before each one.
    """
    objective = make_objective(problem, chart, EnergyWeights.of(config), focal_guess, devices)
    state = minimise(objective, config, progress=progress, watch=watch)
    history = np.asarray(state.history)[: int(state.iteration)]
    return Solution(state.parameters, history, bool(state.finished), objective.terms(np.asarray(state.energies)))


def minimise(
    objective: Objective,
    config: FitConfig,
    negligible: float = 0.0,
    progress: Callable[[int, float, float], None] | None = None,
    watch: Watcher | None = None,
) -> LevenbergState:
    """Iterate from the chart's base until converged or at `config.max_iterations`.

    negligible: an energy so small that the tolerance is a fraction of it rather than of what is left.
    """
    state = start(objective, config.max_iterations)
    tolerance, negligible = jnp.asarray(config.energy_tolerance), jnp.asarray(negligible)
    while not bool(state.finished) and int(state.iteration) < config.max_iterations:
        if watch is not None:
            watch(_so_far(state))
        state = _advance_jit(state, objective, tolerance, negligible)
        if progress is not None:
            progress(int(state.iteration), float(jnp.sum(state.energies)), float(state.damping))
    return state


def _so_far(state: LevenbergState) -> Callable[[], tuple[Parameters, np.ndarray]]:
    return lambda: (state.parameters, np.asarray(state.history)[: int(state.iteration)])


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
        fallen=jnp.asarray(jnp.inf, energies.dtype),
        iteration=jnp.zeros((), jnp.int32),
        history=jnp.full((limit,), jnp.nan, energies.dtype),
        finished=jnp.zeros((), bool),
    )


def advance(
    state: LevenbergState, objective: Objective, tolerance: jax.Array, negligible: jax.Array | float = 0.0
) -> LevenbergState:
    """One step tried: taken if it lowers the energy. Finished when less than `tolerance` of it (or of a `negligible`
    energy) is left to gain, as far as the steps show, or when no step lowers it at all.
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
    # What is left to gain if steps go on shrinking as the last one did.
    left = jnp.where(state.fallen > fallen, fallen**2 / (state.fallen - fallen), fallen)
    converged = jnp.where(taken, jnp.maximum(fallen, left) <= small, promised <= small)
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
        fallen=jnp.where(taken, fallen, state.fallen),
        iteration=state.iteration + 1,
        history=state.history.at[state.iteration].set(total),
        finished=converged,
    )


_advance_jit = jax.jit(advance, donate_argnames=("state",))


Step = tuple[jax.Array, jax.Array]
"""Rows [F,d] and shared [s]."""


def _step(state: LevenbergState, objective: Objective) -> Step:
    """The damped step that stays within the limits."""
    system, parameters = state.system, state.parameters
    gradient: Step = (system.gradient_rows, system.gradient_shared)
    room: tuple[Step, Step] = tuple(zip(objective.room(parameters), objective.room_shared(parameters), strict=True))
    low, high = room
    masks = (objective.free_rows, objective.free_shared)
    stuck: Step = tuple(
        held if free is None else held | ~free
        for held, free in zip(objective.at_limit(parameters, system), masks, strict=True)
    )

    def solved(held: Step, at: Step) -> Step:
        """The step in which `held` unknowns move by `at`."""
        pushed = system.times(*at)
        free = tuple((~part).astype(at[0].dtype) for part in held)
        conditioned, *scales = system.conditioned(state.damping, *free)
        right = (-f * (g + p) / scale for f, g, p, scale in zip(free, gradient, pushed, scales, strict=True))
        found = objective.solve(conditioned, *right)
        return tuple(jnp.where(h, a, x / scale) for h, a, x, scale in zip(held, at, found, scales, strict=True))

    def crossing(step: Step) -> Step:
        return tuple((x < lo) | (x > hi) for x, lo, hi in zip(step, low, high, strict=True))

    def unsettled(carry: tuple[Step, Step, Step, jax.Array]) -> jax.Array:
        step, _, _, rounds = carry
        crosses = jnp.any(crossing(step)[0]) | jnp.any(crossing(step)[1])
        return (rounds == 0) | ((rounds <= LIMIT_ROUNDS) & crosses)

    def again(carry: tuple[Step, Step, Step, jax.Array]) -> tuple[Step, Step, Step, jax.Array]:
        step, held, at, rounds = carry
        crosses = crossing(step)
        bounds = zip(crosses, step, low, high, at, strict=True)
        at = tuple(jnp.where(c, jnp.clip(x, lo, hi), a) for c, x, lo, hi, a in bounds)
        held = tuple(h | c for h, c in zip(held, crosses, strict=True))
        return solved(held, at), held, at, rounds + 1

    nowhere: Step = jax.tree.map(jnp.zeros_like, gradient)
    step, *_ = jax.lax.while_loop(unsettled, again, (nowhere, stuck, nowhere, jnp.zeros((), jnp.int32)))
    return tuple(jnp.clip(x, lo, hi) for x, lo, hi in zip(step, low, high, strict=True))
