"""The oracle of the solvers: the same energy minimised densely in float64, for problems of a few hundred variables.

Newton's method on the flattened variables with the automatic Hessian. Every eigenvalue is taken by its magnitude, so
that each step points downhill; a damping that shrinks to nothing makes the last steps Newton's own. Box limits of
expressions are kept by projection, with those at a limit and pushed against it held (projected Newton; Bertsekas 1982).
Everything here runs under `jax.enable_x64`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np

from flowface_jax.alignment.alignment import Alignment
from flowface_jax.cameras.model import Cameras
from flowface_jax.fitting.config import FitConfig
from flowface_jax.fitting.energy import EnergyWeights, energy
from flowface_jax.fitting.fit import make_chart, make_layout
from flowface_jax.fitting.initialise import initialise
from flowface_jax.fitting.parameters import Chart, Parameters, Variables, assemble, initial_variables
from flowface_jax.fitting.problem import FitProblem, make_problem
from flowface_jax.heads.model import HeadModel
from tests.fitting.small import as_float64

FLAT = 1e-12
"""Eigenvalues below this share of the largest, about the scaling to a unit diagonal, are raised to it."""

ROUNDING = 1e-14
"""Converged once another Newton step would lower the energy by less than this share of it."""


@dataclasses.dataclass(frozen=True)
class DenseSolution:
    """variables, parameters: the minimiser, counted in the chart that was given. energy: there. hessian: [n,n] of the
    energy by all flattened variables. free: [n], False for variables held at a limit and those that the energy does not
    depend on (of padding frames). expected_fall: by how much another Newton step would still lower the energy.
    steps: Newton steps taken.
    """

    variables: Variables
    parameters: Parameters
    energy: float
    hessian: np.ndarray
    free: np.ndarray
    expected_fall: float
    steps: int

    @property
    def free_hessian(self) -> np.ndarray:
        """The Hessian by the free variables alone."""
        return self.hessian[np.ix_(self.free, self.free)]


def plan(
    alignment: Alignment,
    head: HeadModel,
    cameras: Cameras | None,
    config: FitConfig,
    neutral_template: np.ndarray | None = None,
) -> tuple[FitProblem, Chart, jax.Array]:
    """What `fit` hands to its solver: problem, chart and focal guess [C], float32."""
    layout = make_layout(alignment, head, cameras, config)
    state, focal_guess = initialise(alignment, head, cameras, layout, config)
    principal_point = alignment.image_size / 2.0 if cameras is None else np.asarray(cameras.principal_point)
    problem = make_problem(alignment, head, principal_point, config, neutral_template)
    chart = make_chart(problem, head, state, layout, config)
    return problem, chart, jnp.asarray(focal_guess, jnp.float32)


def plan_float64(*arguments: object, **named: object) -> tuple[FitProblem, Chart, jax.Array]:
    """`plan` in float64 (under jax.enable_x64)."""
    problem, chart, focal_guess = as_float64(plan(*arguments, **named))
    # Rotations rounded to float32 are no rotations in float64.
    base = dataclasses.replace(
        chart.base,
        head_rotation=_nearest_rotations(chart.base.head_rotation),
        camera_rotation=_nearest_rotations(chart.base.camera_rotation),
    )
    return problem, dataclasses.replace(chart, base=base), focal_guess


def _nearest_rotations(matrices: jax.Array) -> jax.Array:
    left, _, right = np.linalg.svd(np.asarray(matrices))
    return jnp.asarray(left @ right)


def total_energy(parameters: Parameters, problem: FitProblem, config: FitConfig, focal_guess: jax.Array) -> float:
    """The energy in float64, whatever the precision of the arguments."""
    with jax.enable_x64(True):
        weights = as_float64(EnergyWeights.of(config))
        return float(_energy(as_float64(parameters), as_float64(problem), weights, as_float64(focal_guess)))


@jax.jit
def _energy(parameters: Parameters, problem: FitProblem, weights: EnergyWeights, focal_guess: jax.Array) -> jax.Array:
    return energy(parameters, problem, weights, focal_guess).total


def solve_dense(
    problem: FitProblem,
    chart: Chart,
    config: FitConfig,
    focal_guess: jax.Array,
    start: Parameters | None = None,
    limit: int = 300,
) -> DenseSolution:
    """Minimise the energy from `start` (`chart.base` by default), about which the variables are then counted.

    All float64. Raises AssertionError where no minimum is reached to machine precision.
    """
    chart = chart if start is None else dataclasses.replace(chart, base=start)
    assert chart.base.focal.dtype == jnp.float64, "the dense solver runs under jax.enable_x64, on float64 arrays"
    weights = as_float64(EnergyWeights.of(config))
    flat, unflatten = jax.flatten_util.ravel_pytree(initial_variables(chart))
    low, high = _limits(problem, initial_variables(chart))

    def at(vector: np.ndarray) -> _Point:
        variables = unflatten(jnp.asarray(vector))
        values = _derivatives(variables, chart, problem, weights, focal_guess)
        return _Point(vector, *(np.asarray(v) for v in values), low, high)

    here, damping, steps = at(np.clip(np.asarray(flat), low, high)), 1e-3, 0
    assert np.isfinite(here.energy), f"the energy at the start is {here.energy}"
    while steps < limit:
        if here.expected_fall <= ROUNDING * abs(here.energy):
            return _solution(_settled(here, at), unflatten, chart, steps)
        there = at(np.clip(here.vector + here.step(damping), low, high))
        steps += 1
        if there.energy < here.energy:
            here, damping = there, damping / 10
        else:
            damping = max(10 * damping, 1e-9)
    raise AssertionError(
        f"no minimum in {limit} steps: energy {here.energy:.12g}, one more is to lower it by {here.expected_fall:.3g}"
    )


@dataclasses.dataclass(frozen=True)
class _Point:
    """Flattened variables [n] with the energy, gradient [n] and Hessian [n,n] there, and their limits [n]."""

    vector: np.ndarray
    energy: np.ndarray
    gradient: np.ndarray
    hessian: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @functools.cached_property
    def felt(self) -> np.ndarray:
        """[n], False for variables that the energy does not depend on."""
        return (self.hessian != 0).any(1) | (self.gradient != 0)

    @functools.cached_property
    def free(self) -> np.ndarray:
        """[n], False for variables at a limit against which the energy pushes them, and for those that are not felt."""
        held = ((self.vector <= self.low) & (self.gradient > 0)) | ((self.vector >= self.high) & (self.gradient < 0))
        return self.felt & ~held

    @functools.cached_property
    def _modes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Scaling [m] of the free variables to a unit diagonal, then eigenvalues [m] and eigenvectors [m,m]."""
        block = self.hessian[np.ix_(self.free, self.free)]
        diagonal = np.abs(np.diag(block))
        scale = 1.0 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
        return scale, *np.linalg.eigh(block * np.outer(scale, scale))

    @property
    def lowest(self) -> float:
        """The smallest eigenvalue, of the unit-diagonal scaling and as a share of the largest."""
        values = self._modes[1]
        return float(values[0] / np.abs(values).max()) if len(values) else 1.0

    def step(self, damping: float) -> np.ndarray:
        """The damped Newton step [n], every eigenvalue by its magnitude; 0 for what is held."""
        scale, values, vectors = self._modes
        curvature = np.maximum(np.abs(values), FLAT * np.abs(values).max(initial=1.0)) + damping
        step = np.zeros_like(self.vector)
        step[self.free] = -scale * (vectors @ (vectors.T @ (scale * self.gradient[self.free]) / curvature))
        return step

    @functools.cached_property
    def expected_fall(self) -> float:
        """By how much an undamped step would lower the energy's quadratic model."""
        return float(-0.5 * self.gradient @ self.step(0.0))


def _settled(here: _Point, at: Callable[[np.ndarray], _Point], rounds: int = 3) -> _Point:
    """A few more Newton steps for as long as they make the gradient smaller, where the energy no longer tells."""
    assert here.lowest > -1e-7, f"a saddle, not a minimum: smallest eigenvalue {here.lowest:.3g} of the largest"
    for _ in range(rounds):
        there = at(np.clip(here.vector + here.step(0.0), here.low, here.high))
        if not there.expected_fall < 0.5 * here.expected_fall:
            break
        here = there
    return here


def _solution(here: _Point, unflatten: Callable, chart: Chart, steps: int) -> DenseSolution:
    variables = unflatten(jnp.asarray(here.vector))
    return DenseSolution(
        variables=variables,
        parameters=_assemble(variables, chart),
        energy=float(here.energy),
        hessian=here.hessian,
        free=here.free,
        expected_fall=here.expected_fall,
        steps=steps,
    )


@jax.jit
def _derivatives(
    variables: Variables, chart: Chart, problem: FitProblem, weights: EnergyWeights, focal_guess: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Energy, gradient [n] and Hessian [n,n] by the flattened variables."""
    flat, unflatten = jax.flatten_util.ravel_pytree(variables)

    def total(vector: jax.Array) -> jax.Array:
        return energy(assemble(unflatten(vector), chart), problem, weights, focal_guess).total

    def gradient(vector: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        value, slope = jax.value_and_grad(total)(vector)
        return slope, (value, slope)

    hessian, (value, slope) = jax.jacfwd(gradient, has_aux=True)(flat)
    return value, slope, hessian


_assemble = jax.jit(assemble)


def _limits(problem: FitProblem, variables: Variables) -> tuple[np.ndarray, np.ndarray]:
    """The smallest and largest value [n] of every flattened variable."""
    bounds = []
    for side, none in ((0, -np.inf), (1, np.inf)):
        boxes = {name: np.full(value.shape, none) for name, value in variables.items()}
        if "expression" in boxes:
            limit = np.asarray(problem.head.expression_limits, np.float64)[:, side]
            boxes["expression"] = np.broadcast_to(limit, variables["expression"].shape)
        bounds.append(np.asarray(jax.flatten_util.ravel_pytree(jax.tree.map(jnp.asarray, boxes))[0]))
    return bounds[0], bounds[1]
