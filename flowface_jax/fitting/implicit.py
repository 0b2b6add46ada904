"""The fit as a differentiable function: its solution moves so that the energy's gradient stays zero.

With v the unknowns counted in the chart about the solution, θ everything else that the energy depends on and g = ∂E/∂v,
the implicit function theorem has H v̇ = −∂g/∂θ θ̇. H is the energy's exact Hessian, known by its products with vectors;
the system is solved by conjugate gradients, preconditioned with the factorised Gauss-Newton matrix of the solver. No
iteration of the solver is differentiated, so memory and time do not depend on how many there were. The rule is a
linear solve of a symmetric system: reverse mode is its transpose, and `jax.vmap` and `jax.jit` work.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from flowface_jax.errors import InputError
from flowface_jax.fitting.chain import factorise, solve
from flowface_jax.fitting.levenberg_marquardt import FIRST_DAMPING, LevenbergState, advance, start
from flowface_jax.fitting.normal_equations import FELT, NormalEquations
from flowface_jax.fitting.objective import Objective
from flowface_jax.fitting.parameters import Layout, Parameters
from flowface_jax.heads.model import restrict

Curvature = Literal["exact", "gauss_newton"]
Vector = tuple[jax.Array, jax.Array]
"""One number per unknown: rows [F,d] and shared [s]."""


@dataclasses.dataclass(frozen=True)
class ImplicitSettings:
    """How exactly a differentiable fit is solved, and its derivative; static under jit.

    max_iterations: limit of Levenberg-Marquardt. energy_tolerance: as in FitConfig; 0 = the machine's precision, since
        the derivative is that of an exact minimum.
    curvature: "exact" is the energy's Hessian. "gauss_newton" leaves out the second derivatives of residuals and, for
        robust kernels, their bend: one solve and no iteration, right where residuals are small against σ, and biased
        where they are not.
    solve_tolerance: of the conjugate gradients, relative; 0 = 1e-10 in float64, 1e-5 in float32. solve_iterations:
        their limit.
    newton_steps: steps with the exact Hessian after Levenberg-Marquardt, each kept only if it lowers the gradient:
        they end where differences of energies no longer tell better from worse. 0 with "gauss_newton".
    """

    max_iterations: int = 100
    energy_tolerance: float = 0.0
    curvature: Curvature = "exact"
    solve_tolerance: float = 0.0
    solve_iterations: int = 100
    newton_steps: int = 2

    def __post_init__(self) -> None:
        if self.curvature not in ("exact", "gauss_newton"):
            raise InputError(f"curvature: expected exact or gauss_newton, found '{self.curvature}'")
        if self.max_iterations < 1 or self.solve_iterations < 1 or self.newton_steps < 0:
            raise InputError(
                "max_iterations and solve_iterations must be at least 1 and newton_steps at least 0; found "
                f"{self.max_iterations}, {self.solve_iterations} and {self.newton_steps}"
            )


def minimise(settings: ImplicitSettings, objective: Objective) -> Parameters:
    """The parameters that minimise the energy, sought from `objective.chart.base`: pure and traceable.

    Differentiable with respect to every number in `objective.problem` (also the head's bases), `.weights` and
    `.focal_guess`, and to those groups of `objective.chart.base` that the layout holds fixed (known cameras, say); the
    starting point as such has no influence. Unknowns at a limit of the head model that the energy presses against it
    stay there, in the derivative too. `objective.bases` must belong to `problem.head`, and carry no derivative.
    """
    return _minimised(settings, objective)[0]


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _minimised(settings: ImplicitSettings, objective: Objective) -> tuple[Parameters, NormalEquations]:
    """The minimum, and the normal equations there, which only precondition and have no derivative."""
    tolerance = jnp.asarray(settings.energy_tolerance or jnp.finfo(objective.chart.base.identity.dtype).eps)
    state = jax.lax.while_loop(
        lambda state: ~state.finished & (state.iteration <= settings.max_iterations),
        lambda state: advance(state, objective, tolerance),
        _before(objective, settings.max_iterations + 1),
    )
    found = state.parameters, state.system
    if settings.newton_steps == 0 or settings.curvature == "gauss_newton":
        return found
    return jax.lax.fori_loop(0, settings.newton_steps, lambda _, at: _polished(settings, objective, *at), found)


def _before(objective: Objective, limit: int) -> LevenbergState:
    """A state of infinite energy that is flat, so that the first iteration stays where it is and linearises there: the
    program then holds one linearisation and not two.
    """
    state = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(start, objective, limit))
    return dataclasses.replace(
        state,
        parameters=objective.retract(objective.chart.base, *_nowhere(objective)),
        energies=jnp.full_like(state.energies, jnp.inf),
        damping=jnp.full_like(state.damping, 10.0 * FIRST_DAMPING),
        growth=jnp.full_like(state.growth, 2.0),
    )


@functools.partial(_minimised.defjvp, symbolic_zeros=True)
def _minimised_jvp(
    settings: ImplicitSettings, primals: tuple[Objective], tangents: tuple[Objective]
) -> tuple[tuple[Parameters, NormalEquations], tuple[Parameters, NormalEquations]]:
    (objective,), (moved,) = primals, tangents
    parameters, system = _minimised(settings, objective)
    pushed = _fixed_part(parameters, moved.chart.base, objective.chart.layout)
    force = _mixed_derivative(parameters, objective, pushed, moved)
    step = _curvature(settings, parameters, system, objective)(jax.tree.map(jnp.negative, force))
    moving = _pushforward(
        lambda parameters, step: objective.retract(parameters, *step),
        (parameters, _nowhere(objective)),
        (pushed, step),
    )
    return (parameters, system), (moving, jax.tree.map(jnp.zeros_like, system))


def gradient(parameters: Parameters, objective: Objective) -> Vector:
    """The energy's gradient by the unknowns counted about `parameters`: rows [F,d] and shared [s]."""
    return jax.grad(_energy_about(parameters, objective))(_nowhere(objective))


def _energy_about(parameters: Parameters, objective: Objective) -> Callable[[Vector], jax.Array]:
    return lambda step: jnp.sum(objective.energies(objective.retract(parameters, *step)))


def _nowhere(objective: Objective) -> Vector:
    columns, dtype = objective.columns, objective.chart.base.identity.dtype
    return jnp.zeros((objective.problem.frame_count, columns.frame_size), dtype), jnp.zeros(columns.shared_size, dtype)


def _pushforward(function: Callable, at: tuple, along: tuple) -> object:
    """The derivative of `function` at the arguments `at`, along `along`."""
    return jax.jvp(function, at, along)[1]


def _fixed_part(parameters: Parameters, moved: Parameters, layout: Layout) -> Parameters:
    """How the solution moves with those groups of the starting point that are fixed: the others do not remember it."""
    of = {f.name: getattr(moved, f.name) for f in dataclasses.fields(moved)}
    whole = {
        "identity": layout.identity,
        "expression": layout.expression,
        "head_rotation": layout.head_pose,
        "head_translation": layout.head_pose,
        "focal": layout.focal,
    }
    result = {}
    for name, value in of.items():
        still = jnp.zeros_like(getattr(parameters, name))
        value = still if isinstance(value, SymbolicZero) else value
        if name == "joint_rotations":
            kept = still.shape[1] and layout.joint_pose != "fixed" and layout.active_joints
            result[name] = value.at[:, jnp.asarray(layout.active_joints)].set(0.0) if kept else value
        elif name.startswith("camera"):
            # The first camera is the gauge.
            result[name] = value if layout.camera_pose == "fixed" else value.at[1:].set(0.0)
        elif name == "offsets":
            result[name] = value if layout.offsets == "fixed" else still
        else:
            result[name] = value if whole[name] == "fixed" else still
    return Parameters(**result)


def _mixed_derivative(parameters: Parameters, objective: Objective, pushed: Parameters, moved: Objective) -> Vector:
    """How the gradient at the solution changes with what the energy depends on: ∂g/∂θ θ̇.

    Only what does move is differentiated: of a head's bases, say, nothing is computed where they are constant.
    """
    leaves, structure = jax.tree.flatten((objective.problem, objective.weights, objective.focal_guess))
    directions = jax.tree.leaves(
        (moved.problem, moved.weights, moved.focal_guess), is_leaf=lambda x: isinstance(x, SymbolicZero)
    )
    moving = [
        i
        for i, (leaf, direction) in enumerate(zip(leaves, directions, strict=True))
        if not isinstance(direction, SymbolicZero) and jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)
    ]

    def at(parameters: Parameters, values: list[jax.Array]) -> Vector:
        changed = list(leaves)
        for i, value in zip(moving, values, strict=True):
            changed[i] = value
        problem, weights, focal_guess = jax.tree.unflatten(structure, changed)
        temporal = jnp.arange(problem.barycentric.size, problem.head.vertex_count)
        bases = dataclasses.replace(objective.bases, temporal_head=restrict(problem.head, temporal))
        part = dataclasses.replace(objective, problem=problem, bases=bases, weights=weights, focal_guess=focal_guess)
        return gradient(parameters, part)

    return _pushforward(at, (parameters, [leaves[i] for i in moving]), (pushed, [directions[i] for i in moving]))


def _curvature(
    settings: ImplicitSettings, parameters: Parameters, system: NormalEquations, objective: Objective
) -> Callable[[Vector], Vector]:
    """The inverse of the curvature at `parameters`, as a function of the right-hand side.

    Unknowns that are held at a limit, or that nothing depends on, have no part in it and come out as zero.
    """
    conditioned, units, free = _conditioned(parameters, system, objective)
    factor = factorise(conditioned)
    energy, nowhere = _energy_about(parameters, objective), _nowhere(objective)

    def times(vector: Vector) -> Vector:
        if settings.curvature == "gauss_newton":
            return conditioned.times(*vector)
        product = _pushforward(jax.grad(energy), (nowhere,), (_multiplied(units, vector),))
        return jax.tree.map(lambda p, v, f: p + (1.0 - f) * v, _multiplied(units, product), vector, free)

    def inverse(matrix: Callable[[Vector], Vector], right: Vector) -> Vector:
        if settings.curvature == "gauss_newton":
            return solve(factor, *right)
        tolerance = settings.solve_tolerance or (1e-10 if right[0].dtype == jnp.float64 else 1e-5)
        return jax.scipy.sparse.linalg.cg(
            matrix, right, tol=tolerance, maxiter=settings.solve_iterations, M=lambda v: solve(factor, *v)
        )[0]

    def solved(right: Vector) -> Vector:
        scaled = jax.lax.custom_linear_solve(times, _multiplied(units, right), inverse, symmetric=True)
        return _multiplied(units, scaled)

    return solved


def _conditioned(
    parameters: Parameters, system: NormalEquations, objective: Objective
) -> tuple[NormalEquations, Vector, Vector]:
    """The Gauss-Newton matrix with a unit diagonal, the unknowns' units in which it has that (0 for those that have no
    part), and which have a part: 1 or 0.
    """
    felt_rows, felt_shared = jnp.diagonal(system.diagonal, axis1=1, axis2=2) > FELT, jnp.diagonal(system.shared) > FELT
    held, chosen = objective.at_limit(parameters, system), (objective.free_rows, objective.free_shared)
    free = tuple(
        felt & ~stuck if wanted is None else felt & ~stuck & wanted
        for felt, stuck, wanted in zip((felt_rows, felt_shared), held, chosen, strict=True)
    )
    dtype = system.diagonal.dtype
    free = tuple(part.astype(dtype) for part in free)
    # Rounding may leave the border's complement without a factor.
    damping = jnp.asarray(100.0 * jnp.finfo(dtype).eps, dtype)
    conditioned, *scales = system.conditioned(damping, *free)
    return conditioned, tuple(part / scale for part, scale in zip(free, scales, strict=True)), free


def _multiplied(first: Vector, second: Vector) -> Vector:
    return first[0] * second[0], first[1] * second[1]


def _polished(
    settings: ImplicitSettings, objective: Objective, parameters: Parameters, system: NormalEquations
) -> tuple[Parameters, NormalEquations]:
    """A Newton step on the unknowns that are not held, if it lowers the gradient; with the system where it ends."""
    step = _curvature(settings, parameters, system, objective)((-system.gradient_rows, -system.gradient_shared))
    room = objective.room(parameters), objective.room_shared(parameters)
    step = (jnp.clip(part, low, high) for part, (low, high) in zip(step, room, strict=True))
    candidate = objective.retract(parameters, *step)
    after = objective.normal_equations(candidate)
    _, units, _ = _conditioned(parameters, system, objective)
    before_norm, after_norm = (
        sum(jnp.vdot(part, part) for part in _multiplied(units, (s.gradient_rows, s.gradient_shared)))
        for s in (system, after)
    )
    better = after_norm < before_norm
    return jax.tree.map(lambda new, old: jnp.where(better, new, old), (candidate, after), (parameters, system))
