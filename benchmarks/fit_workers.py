"""One process per contender, so that each has its own threads and its own peak of memory; they solve in turns."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import platform
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from fit_contenders import CONTENDERS, Trace
from fit_problems import Case
from process_memory import peak_mb, release_freed, reset_peak, resident_mb

AGREEMENT = 1e-8
"""Relative difference in float64 by which other people's energies and gradients may differ from ours."""


@dataclasses.dataclass(frozen=True)
class Ready:
    """compile_s: warming up. idle_mb: resident with libraries and problem loaded. compiling_mb: peak until warm."""

    compile_s: float
    idle_mb: float
    compiling_mb: float


@dataclasses.dataclass(frozen=True)
class Solved:
    """A solve. peak_mb: resident at its highest meanwhile. device_mb: on the accelerator, NaN without one."""

    trace: Trace
    peak_mb: float
    device_mb: float


class Worker:
    """A contender in a process of its own."""

    def __init__(self, name: str, case: Case, device: str, limit_s: float) -> None:
        self.name = name
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, name, case, device, limit_s), daemon=True)
        self._process.start()
        theirs.close()
        self.ready: Ready = self._answer()

    def solve(self) -> Solved:
        self._pipe.send("solve")
        return self._answer()

    def stop(self) -> None:
        self._pipe.close()
        self._process.join(10)
        if self._process.is_alive():
            self._process.terminate()

    def _answer(self) -> Any:
        try:
            answer = self._pipe.recv()
        except EOFError:
            self._process.join()
            # Killed for want of memory, most likely.
            raise RuntimeError(f"{self.name}: its process ended with code {self._process.exitcode}") from None
        if isinstance(answer, str):
            raise RuntimeError(f"{self.name}: {answer}")
        return answer


def _serve(pipe: Connection, name: str, case: Case, device: str, limit_s: float) -> None:
    try:
        contender = CONTENDERS[name](case, device, limit_s)
        release_freed()
        reset_peak()
        idle, started = resident_mb(), time.perf_counter()
        contender.warm_up()
        pipe.send(Ready(time.perf_counter() - started, idle, peak_mb()))
        while pipe.recv() == "solve":
            release_freed()
            reset_peak()
            trace = contender.solve()
            pipe.send(Solved(trace, peak_mb(), _device_mb(name)))
    except (EOFError, BrokenPipeError):
        return
    except Exception as error:
        pipe.send(f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:300])


def _device_mb(name: str) -> float:
    if name.startswith("torch"):
        import torch

        return torch.cuda.max_memory_allocated() / 1e6 if torch.cuda.is_initialized() else float("nan")
    import jax

    statistics = jax.devices()[0].memory_stats() or {}
    return statistics.get("peak_bytes_in_use", float("nan")) / 1e6


def check_agreement(case: Case, contenders: list[str]) -> dict[str, float]:
    """The largest relative difference of energy and gradient from ours, at random variables in float64, by contender.

    Raises RuntimeError where it exceeds AGREEMENT.
    """
    context = multiprocessing.get_context("spawn")
    pipe, theirs = context.Pipe()
    process = context.Process(target=_compare, args=(theirs, case, contenders), daemon=True)
    process.start()
    theirs.close()
    try:
        answer = pipe.recv()
    except EOFError:
        raise RuntimeError("the comparison in float64 failed; its error stands above") from None
    process.join()
    wrong = {name: value for name, value in answer.items() if not value <= AGREEMENT}
    if wrong:
        raise RuntimeError(f"not the same energy, so times say nothing: {wrong}")
    return answer


def _compare(pipe: Connection, case: Case, contenders: list[str]) -> None:
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax

    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp
    from fit_residuals import residuals

    from flowface_jax.fitting.energy import EnergyWeights, energy
    from flowface_jax.fitting.parameters import assemble, initial_variables

    wide = lambda leaf: np.asarray(leaf, np.float64) if np.asarray(leaf).dtype == np.float32 else np.asarray(leaf)
    problem, chart, guess = jax.tree.map(wide, (case.problem, case.chart, case.focal_guess))
    case = dataclasses.replace(case, problem=problem, chart=chart, focal_guess=guess)
    problem, chart, guess = jax.tree.map(jnp.asarray, (problem, chart, guess))
    weights = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), EnergyWeights.of(case.config))
    random = np.random.default_rng(0)
    variables = {
        name: jnp.asarray(value + 0.05 * random.normal(size=value.shape))
        for name, value in initial_variables(chart).items()
    }
    total = lambda v: energy(assemble(v, chart), problem, weights, guess).total
    halved = lambda v: 0.5 * sum(jnp.sum(part**2) for part in residuals(v, problem, chart, weights, guess).values())
    value, gradient = jax.jit(jax.value_and_grad(total))(variables)
    answer = {}
    if any(name.startswith("torch") for name in contenders):
        answer["torch"] = _difference(value, gradient, *_torch_gradient(case, variables))
    if any(name.startswith(("optimistix", "scipy")) for name in contenders):
        answer["residuals"] = _difference(value, gradient, *jax.jit(jax.value_and_grad(halved))(variables))
    pipe.send(answer)


def _torch_gradient(case: Case, variables: dict[str, Any]) -> tuple[float, dict[str, np.ndarray]]:
    import torch
    from torch_fit import FaceFit

    model = FaceFit(case, torch.float64)
    with torch.no_grad():
        for name, variable in model.variables.items():
            variable.copy_(torch.from_numpy(np.array(variables[name])))
    value = model()
    value.backward()
    return value.item(), {name: variable.grad.numpy() for name, variable in model.variables.items()}


def _difference(value: Any, gradient: dict[str, Any], other: Any, others: dict[str, Any]) -> float:
    worst = abs(float(other) / float(value) - 1.0)
    for name, mine in gradient.items():
        mine = np.asarray(mine)
        worst = max(worst, float(np.abs(np.asarray(others[name]) - mine).max() / max(np.abs(mine).max(), 1e-30)))
    return worst


def settle_environment(device: str, threads: int) -> int:
    """Set what child processes inherit; how many threads everybody has."""
    if hasattr(os, "sched_setaffinity") and threads:
        os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:threads]))
    # Several processes share the device's memory.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if device == "cpu":
        os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ.setdefault("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [sys.path[0], os.environ["PYTHONPATH"]]))
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """The CPU's name."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
