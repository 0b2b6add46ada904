"""The paper's solver: AdamW at 1e-2, halved after 30 steps without progress, until converged; one compiled loop."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax

from flowface_jax.fitting.config import FitConfig
from flowface_jax.fitting.energy import EnergyWeights, energy
from flowface_jax.fitting.parameters import Chart, Variables, assemble, initial_variables
from flowface_jax.fitting.problem import FitProblem
from flowface_jax.fitting.solution import Solution, Watcher
from flowface_jax.pytrees import pytree_dataclass

STEPS_PER_REPORT = 50


@pytree_dataclass
class AdamState:
    """The loop's carry: variables, optimiser state, step count, [max_steps] energies so far."""

    variables: Variables
    optimizer: optax.OptState
    step: jax.Array
    history: jax.Array


def solve_adamw(
    problem: FitProblem,
    chart: Chart,
    config: FitConfig,
    focal_guess: jax.Array,
    progress: Callable[[int, float, float], None] | None = None,
    watch: Watcher | None = None,
) -> Solution:
    """Minimise the energy from `chart.base`. progress: called with (step, energy, step scale) every few dozen steps, as
    `watch` is.
    """
    weights = EnergyWeights.of(config)
    # A copy, because the loop takes over the memory of its state.
    variables = jax.tree.map(jnp.copy, initial_variables(chart))
    state = AdamState(
        variables=variables,
        optimizer=_optimizer(config).init(variables),
        step=jnp.zeros((), jnp.int32),
        history=jnp.full((config.max_steps,), jnp.nan),
    )
    solver = dataclasses.replace(config, **_NOT_SOLVER_FIELDS)
    while True:
        state = _advance(state, problem, chart, focal_guess, weights, solver)
        step, scale = int(state.step), float(_scale(state))
        if progress is not None:
            progress(step, float(state.history[max(step - 1, 0)]), scale)
        if watch is not None:
            energies = np.asarray(state.history)[:step]
            watch(lambda state=state, energies=energies: (_assembled(state.variables, chart), energies))
        if step >= config.max_steps or scale <= config.smallest_scale:
            break
    history = np.asarray(state.history)[:step]
    parameters = _assembled(state.variables, chart)
    terms = jax.jit(energy)(parameters, problem, weights, focal_guess)
    return Solution(parameters, history, scale <= config.smallest_scale, terms)


_assembled = jax.jit(assemble)

# The compiled loop depends on the solver's fields alone; the rest is reset so that it does not recompile.
_NOT_SOLVER_FIELDS = {
    field.name: field.default
    for field in dataclasses.fields(FitConfig)
    if field.name
    not in {
        "learning_rate",
        "weight_decay",
        "patience",
        "plateau_tolerance",
        "smallest_scale",
        "max_steps",
    }
}


def _optimizer(config: FitConfig) -> optax.GradientTransformationExtraArgs:
    return optax.chain(
        optax.adamw(config.learning_rate, weight_decay=config.weight_decay),
        optax.contrib.reduce_on_plateau(factor=0.5, patience=config.patience, rtol=config.plateau_tolerance),
    )


def _scale(state: AdamState) -> jax.Array:
    return optax.tree.get(state.optimizer, "scale")


@functools.partial(jax.jit, static_argnames=("config",), donate_argnames=("state",))
def _advance(
    state: AdamState,
    problem: FitProblem,
    chart: Chart,
    focal_guess: jax.Array,
    weights: EnergyWeights,
    config: FitConfig,
) -> AdamState:
    """Up to STEPS_PER_REPORT steps on the device; stops early at convergence or at max_steps."""
    optimizer = _optimizer(config)
    limits = problem.head.expression_limits
    last = jnp.minimum(state.step + STEPS_PER_REPORT, config.max_steps)

    def objective(variables: Variables) -> jax.Array:
        return energy(assemble(variables, chart), problem, weights, focal_guess).total

    def one_step(state: AdamState) -> AdamState:
        value, gradient = jax.value_and_grad(objective)(state.variables)
        updates, moments = optimizer.update(gradient, state.optimizer, state.variables, value=value)
        variables = optax.apply_updates(state.variables, updates)
        if "expression" in variables:
            variables["expression"] = jnp.clip(variables["expression"], limits[:, 0], limits[:, 1])
        return AdamState(variables, moments, state.step + 1, state.history.at[state.step].set(value))

    def unfinished(state: AdamState) -> jax.Array:
        return (state.step < last) & (_scale(state) > config.smallest_scale)

    return jax.lax.while_loop(unfinished, one_step, state)
