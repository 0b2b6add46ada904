"""Who solves a fit: our two solvers, PyTorch's AdamW, and general least-squares solvers given the same residuals."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from fit_problems import Case

PROGRESS_TOLERANCE = 1e-6
"""Where a general solver's own test is not met before: a step that lowers the energy by less than this share of it."""

INSIDE = 0.01
"""How far inside the limits SciPy starts: its method scales steps by the distance to them."""


@dataclasses.dataclass(frozen=True)
class Trace:
    """One solve. seconds, energies: [n] when which energy had been reached. variables or parameters: where it ended."""

    seconds: np.ndarray
    energies: np.ndarray
    total_s: float
    iterations: int
    converged: bool
    variables: dict[str, np.ndarray] | None = None
    parameters: Any = None


class Contender(Protocol):
    """`warm_up` compiles whatever `solve` runs, on the same shapes; `solve` starts afresh each time."""

    def warm_up(self) -> None: ...

    def solve(self) -> Trace: ...


class _Warm(Exception):
    """Raised by a progress callback once everything inside the loop has been compiled."""


class Ours:
    """A solver of `flowface_jax.fitting.fit.SOLVERS`."""

    def __init__(self, solver: str, case: Case) -> None:
        from flowface_jax.fitting.fit import SOLVERS

        self._name, self._solve = solver, SOLVERS[solver]
        self._case, self._host = case.on_device(), case

    def _start(self) -> tuple[Any, ...]:
        """Arguments of a solver. The chart is copied: a solver may take over the arrays of its starting point."""
        import jax
        import jax.numpy as jnp

        chart = jax.block_until_ready(jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), self._host.chart))
        return self._case.problem, chart, self._case.config, jnp.array(self._host.focal_guess)

    def warm_up(self) -> None:
        import jax

        from flowface_jax.fitting.energy import EnergyWeights, energy
        from flowface_jax.fitting.parameters import assemble, initial_variables

        def stop(*_: Any) -> None:
            raise _Warm

        problem, chart, config, guess = self._start()
        parameters = jax.jit(assemble)(initial_variables(chart), chart)
        jax.block_until_ready(jax.jit(energy)(parameters, problem, EnergyWeights.of(config), guess))
        try:
            self._solve(problem, chart, config, guess, stop)
        except _Warm:
            pass

    def solve(self) -> Trace:
        import jax

        arguments, reports = self._start(), []
        started = time.perf_counter()
        report = lambda step, energy, _: reports.append((step, time.perf_counter() - started, energy))
        solution = self._solve(*arguments, report)
        jax.block_until_ready(solution.parameters)
        total = time.perf_counter() - started
        steps, seconds, energies = np.asarray(reports, np.float64).T
        if self._name == "adamw":
            # Reports come every few dozen equal steps; the history has the energy before each.
            energies = np.asarray(solution.history, np.float64)
            seconds = np.interp(np.arange(len(energies)), [0, *steps], [0, *seconds])
        else:
            seconds, energies = np.append(0.0, seconds), np.append(float(solution.history[0]), energies)
        parameters = jax.tree.map(np.asarray, solution.parameters)
        return Trace(seconds, energies, total, int(steps[-1]), solution.converged, parameters=parameters)


class Torch:
    """`torch_fit`, eager or compiled."""

    def __init__(self, case: Case, device: str, compiled: bool, limit_s: float) -> None:
        import torch
        from torch_fit import FaceFit

        self._case, self._device, self._limit_s = case, device, limit_s
        self._make = lambda: FaceFit(case).to(device)
        self._model = self._make()
        self._start = {name: value.detach().clone() for name, value in self._model.variables.items()}
        self._energy = torch.compile(self._model) if compiled else self._model

    def _restart(self) -> None:
        import torch

        with torch.no_grad():
            for name, value in self._model.variables.items():
                value.copy_(self._start[name])

    def warm_up(self) -> None:
        from torch_fit import solve

        solve(self._model, self._energy, steps=3)

    def solve(self) -> Trace:
        from torch_fit import solve

        self._restart()
        reports: list[tuple[float, float]] = []
        started = time.perf_counter()

        def report(step: int, energy: float, rate: float) -> None:
            now = time.perf_counter() - started
            reports.append((now, energy))
            if now > self._limit_s:
                raise _Warm

        try:
            converged = solve(self._model, self._energy, report)
        except _Warm:
            converged = False
        if self._device == "cuda":
            import torch

            torch.cuda.synchronize()
        total = time.perf_counter() - started
        seconds, energies = np.asarray(reports).T
        # What is reported after a step is the energy before it.
        seconds = np.append(0.0, seconds[:-1])
        variables = {name: value.detach().cpu().numpy().copy() for name, value in self._model.variables.items()}
        return Trace(seconds, energies, total, len(energies), converged, variables=variables)


class Optimistix:
    """Levenberg-Marquardt of optimistix on `fit_residuals`, which knows neither frames nor limits.

    linear: "cg" on the normal equations, without a matrix; "cholesky" of them, for which the Jacobian is written out.
    """

    def __init__(self, case: Case, linear: str, limit_s: float, iterations: int = 200) -> None:
        import equinox as eqx
        import lineax as lx
        import optimistix as optx
        from fit_residuals import residuals

        solver = lx.CG(rtol=1e-2, atol=1e-6, max_steps=100) if linear == "cg" else lx.Cholesky()
        self._solver = optx.LevenbergMarquardt(rtol=1e-4, atol=1e-4, linear_solver=lx.Normal(solver))
        self._case, self._limit_s, self._iterations = case.on_device(), limit_s, iterations
        self._function = lambda variables, arguments: (residuals(variables, *arguments), None)
        self._step = eqx.filter_jit(
            lambda y, arguments, state: self._solver.step(self._function, y, arguments, {}, state, frozenset())[:2]
        )

    def _start(self) -> tuple[Any, ...]:
        import equinox as eqx
        import jax

        from flowface_jax.fitting.energy import EnergyWeights
        from flowface_jax.fitting.parameters import initial_variables

        case = self._case
        arguments = (case.problem, case.chart, EnergyWeights.of(case.config), case.focal_guess)
        y = initial_variables(case.chart)
        structure, _ = jax.eval_shape(self._function, y, arguments)
        state = eqx.filter_jit(
            lambda y, arguments: self._solver.init(self._function, y, arguments, {}, structure, None, frozenset())
        )(y, arguments)
        return y, arguments, state

    def warm_up(self) -> None:
        import jax

        jax.block_until_ready(self._step(*self._start())[0])

    def solve(self) -> Trace:
        import jax

        y, arguments, state = self._start()
        size = jax.jit(lambda residual: 0.5 * sum((part**2).sum() for part in jax.tree.leaves(residual)))
        started, seconds, energies, iterations, converged = time.perf_counter(), [], [], 0, False
        while iterations < self._iterations and not converged:
            y, state = self._step(y, arguments, state)
            iterations += 1
            energy, now = float(size(state.f_info.residual)), time.perf_counter() - started
            converged = bool(state.terminate)
            if energies and 0 < energies[-1] - energy < PROGRESS_TOLERANCE * energy:
                converged = True
            seconds.append(now if energies else 0.0)
            energies.append(energy)
            if now > self._limit_s:
                break
        variables = {name: np.asarray(value) for name, value in y.items()}
        return Trace(
            np.asarray(seconds),
            np.asarray(energies),
            time.perf_counter() - started,
            iterations,
            converged,
            variables=variables,
        )


class Scipy:
    """SciPy's trust-region reflective method on `fit_residuals`: limits kept, steps by LSMR without a matrix."""

    def __init__(self, case: Case, limit_s: float) -> None:
        import jax
        from fit_residuals import residuals
        from jax.flatten_util import ravel_pytree

        from flowface_jax.fitting.energy import EnergyWeights
        from flowface_jax.fitting.parameters import initial_variables

        self._case, self._limit_s = case.on_device(), limit_s
        arguments = (self._case.problem, self._case.chart, EnergyWeights.of(case.config), self._case.focal_guess)
        self._start, self._unravel = ravel_pytree(initial_variables(self._case.chart))
        function = lambda flat, arguments: ravel_pytree(residuals(self._unravel(flat), *arguments))[0]
        bound = lambda function: lambda *values: np.asarray(function(*values, arguments), np.float64)
        self._residuals = bound(jax.jit(function))
        self._forward = bound(jax.jit(lambda y, v, a: jax.jvp(lambda y: function(y, a), (y,), (v,))[1]))
        self._backward = bound(jax.jit(lambda y, r, a: jax.vjp(lambda y: function(y, a), y)[1](r)[0]))

    def _limits(self) -> tuple[np.ndarray, np.ndarray]:
        from jax.flatten_util import ravel_pytree

        low, high = (
            {name: np.full(value.shape, bound, np.float32) for name, value in self._unravel(self._start).items()}
            for bound in (-np.inf, np.inf)
        )
        if "expression" in low:
            limits = np.asarray(self._case.problem.head.expression_limits)
            low["expression"][:], high["expression"][:] = limits[:, 0], limits[:, 1]
        return tuple(np.asarray(ravel_pytree(side)[0], np.float64) for side in (low, high))

    def _jacobian(self, y: np.ndarray) -> Any:
        from scipy.sparse.linalg import LinearOperator

        at = y.astype(np.float32)
        return LinearOperator(
            (self._rows, len(y)),
            matvec=lambda v: self._forward(at, np.asarray(v, np.float32).reshape(-1)),
            rmatvec=lambda r: self._backward(at, np.asarray(r, np.float32).reshape(-1)),
            dtype=np.float64,
        )

    def warm_up(self) -> None:
        start = np.asarray(self._start)
        residual = self._residuals(start)
        self._rows = len(residual)
        self._forward(start, start)
        self._backward(start, residual.astype(np.float32))

    def solve(self) -> Trace:
        from scipy.optimize import least_squares

        low, high = self._limits()
        start = np.clip(np.asarray(self._start, np.float64), low + INSIDE, high - INSIDE)
        started, reports = time.perf_counter(), []

        def residual(y: np.ndarray) -> np.ndarray:
            values = self._residuals(y.astype(np.float32))
            now = time.perf_counter() - started
            energy = 0.5 * float(values @ values)
            if not reports or energy < reports[-1][1]:
                reports.append((now if reports else 0.0, energy, y.copy()))
            if now > self._limit_s:
                raise _Warm
            return values

        try:
            result = least_squares(
                residual,
                start,
                jac=self._jacobian,
                bounds=(low, high),
                method="trf",
                tr_solver="lsmr",
                tr_options={"maxiter": 300},
                ftol=PROGRESS_TOLERANCE,
                xtol=None,
                gtol=None,
                max_nfev=200,
            )
            iterations, converged = int(result.nfev), bool(result.status > 0)
        except _Warm:
            iterations, converged = len(reports), False
        total = time.perf_counter() - started
        seconds, energies = np.asarray([report[:2] for report in reports]).T
        variables = {
            name: np.asarray(value) for name, value in self._unravel(reports[-1][2].astype(np.float32)).items()
        }
        return Trace(seconds, energies, total, iterations, converged, variables=variables)


CONTENDERS: dict[str, Callable[[Case, str, float], Contender]] = {
    "levenberg_marquardt": lambda case, device, limit_s: Ours("levenberg_marquardt", case),
    "adamw": lambda case, device, limit_s: Ours("adamw", case),
    "torch": lambda case, device, limit_s: Torch(case, device, False, limit_s),
    "torch_compiled": lambda case, device, limit_s: Torch(case, device, True, limit_s),
    "scipy": lambda case, device, limit_s: Scipy(case, limit_s),
    "optimistix_cg": lambda case, device, limit_s: Optimistix(case, "cg", limit_s),
    "optimistix_cholesky": lambda case, device, limit_s: Optimistix(case, "cholesky", limit_s),
}
TITLES = {
    "levenberg_marquardt": "Levenberg-Marquardt (ours)",
    "adamw": "AdamW (ours)",
    "torch": "AdamW, PyTorch",
    "torch_compiled": "AdamW, PyTorch compiled",
    "scipy": "SciPy, trust region (LSMR)",
    "optimistix_cg": "optimistix, LM (CG)",
    "optimistix_cholesky": "optimistix, LM (Cholesky)",
}
UNLIMITED = ("optimistix_cg", "optimistix_cholesky")
"""Contenders that know no limits."""
