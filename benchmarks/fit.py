"""The fit beside other ways to solve it: the time until the energy is next to the least that any of them finds.

    pip install flowface-jax[peers]
    python benchmarks/fit.py --preset rig [--settings limited unlimited] [--contenders levenberg_marquardt torch]
        [--rounds 3] [--device cpu] [--threads 0] [--limit-s 600] [--out output/benchmarks/fit]

All start from the same initialisation of the same observations, on the same device and as many threads. That PyTorch's
energy and the residuals given to general solvers are ours is checked in float64 before anything is timed, gradients
included. Each contender compiles first, in a process of its own; then they solve in turns, `--rounds` times. Times of
other things (compiling, copying) are not in the times, but stated. "Reached" is read from each solver's own reports:
the first moment at which its energy was within a share of the least final energy of all, judged by one function.

Memory is the resident set's peak while solving, beyond what the idle process holds with libraries and problem loaded
(freed memory of the compiler is given back before). On an accelerator it is the device's peak.

With settings "limited" coefficients stay within the limits of the head model; solvers that know no limits take part
only in "unlimited".
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from fit_contenders import CONTENDERS, TITLES, UNLIMITED
from fit_problems import PRESETS, Case, make_case, sizes
from fit_workers import Solved, Worker, check_agreement, processor, settle_environment

SHARES = (0.01, 0.001, 0.0001)
"""Shares of the least energy within which a solver has arrived."""
MEASURE = 0.001


def main() -> None:
    options = _options()
    threads = settle_environment(options.device, options.threads)
    import jax

    # The parent only makes and judges the problem.
    jax.config.update("jax_platforms", "cpu")
    from flowface_jax.fitting.config import FitConfig

    config = FitConfig(robust=options.robust)
    started = time.perf_counter()
    preset = PRESETS[options.preset]
    if options.frames:
        preset = dataclasses.replace(preset, frames=options.frames, says=f"{preset.says}; but {options.frames} frames")
    case = make_case(preset, config)
    about = {"preset": options.preset, "says": preset.says, **sizes(case), **machine(options, threads)}
    about |= {"robust": options.robust, "making_and_initialising_s": time.perf_counter() - started}
    print(headline(about), flush=True)
    sections = {}
    for setting in options.settings:
        names = [name for name in options.contenders if setting == "unlimited" or name not in UNLIMITED]
        chosen = case.without_limits() if setting == "unlimited" else case
        sections[setting] = compare(chosen, names, options)
        print(f"\n{setting}\n{table(sections[setting])}", flush=True)
    if options.out:
        write(Path(options.out), options.preset, about, sections)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", choices=list(PRESETS), default="small")
    parser.add_argument("--frames", type=int, default=0, help="another number of frames than the preset's, to try out")
    parser.add_argument("--settings", nargs="+", choices=["limited", "unlimited"], default=["limited"])
    parser.add_argument("--contenders", nargs="+", choices=list(CONTENDERS), default=list(CONTENDERS))
    parser.add_argument("--robust", choices=["geman_mcclure", "huber", "none"], default="geman_mcclure")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=0, help="CPU cores for everybody; 0: all")
    parser.add_argument("--limit-s", type=float, default=600.0, help="when general solvers and PyTorch are stopped")
    parser.add_argument("--out", default="", help="folder for fit_PRESET.json and fit_PRESET.md")
    return parser.parse_args()


def machine(options: argparse.Namespace, threads: int) -> dict[str, Any]:
    """On what it ran."""
    from importlib.metadata import PackageNotFoundError, version

    versions = {}
    for package in ("jax", "torch", "optimistix", "lineax", "scipy"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "device": options.device,
        "processor": processor(),
        "threads": threads,
        "python": platform.python_version(),
        "versions": versions,
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }


def headline(about: dict[str, Any]) -> str:
    """What was solved, where."""
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    return (
        f"{about['preset']}: {about['says']}; {about['identity']} identity and {about['expression']} expression "
        f"coefficients, {about['observations']:,} observations, robust = {about['robust']}.\n"
        f"{about['device']}, {about['processor']}, {about['threads']} threads; {versions}; load {about['load']:.1f}."
    )


def compare(case: Case, names: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """All contenders on one case: what was checked, and one row each."""
    say("comparing energies and gradients in float64")
    agreement = check_agreement(case, names)
    workers, failed = [], {}
    for name in names:
        say(f"compiling {name}")
        try:
            workers.append(Worker(name, case, options.device, options.limit_s))
        except RuntimeError as error:
            failed[name] = str(error)
    solved: dict[str, list[Solved]] = {worker.name: [] for worker in workers}
    for index in range(options.rounds):
        for worker in list(workers):
            # What is far slower than its limit is measured once.
            if index and solved[worker.name][0].trace.total_s > options.limit_s / options.rounds:
                continue
            try:
                say(f"round {index + 1}: {worker.name}")
                solved[worker.name].append(worker.solve())
            except RuntimeError as error:
                failed[worker.name] = str(error)
                workers.remove(worker)
    for worker in workers:
        worker.stop()
    ready = {worker.name: worker.ready for worker in workers}
    start, judged = judge(case, {worker.name: solved[worker.name][0] for worker in workers})
    for worker in workers:
        # SciPy starts a little inside the limits.
        begun = solved[worker.name][0].trace.energies[0]
        if worker.name != "scipy" and abs(begun / start - 1) > 1e-4:
            sys.exit(f"{worker.name} starts at energy {begun:.8g} rather than {start:.8g}; its times say nothing")
    least = min(judged.values())
    rows = {}
    for worker in workers:
        rows[worker.name] = _row(solved[worker.name], judged[worker.name], least)
        rows[worker.name] |= dataclasses.asdict(ready[worker.name])
        rows[worker.name]["memory_mb"] = _memory(solved[worker.name], ready[worker.name].idle_mb)
    return {"agreement": agreement, "start_energy": start, "least_energy": least, "rows": rows, "failed": failed}


def say(what: str) -> None:
    """Progress, apart from the results."""
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def judge(case: Case, solved: dict[str, Solved]) -> tuple[float, dict[str, float]]:
    """The energy at the start, and where each contender ended, by one function."""
    import jax

    from flowface_jax.fitting.energy import EnergyWeights, energy
    from flowface_jax.fitting.parameters import assemble, initial_variables

    case = case.on_device()
    weights = EnergyWeights.of(case.config)
    total = jax.jit(lambda parameters, problem, guess: energy(parameters, problem, weights, guess).total)
    value = lambda parameters: float(total(parameters, case.problem, case.focal_guess))
    ends = {}
    for name, result in solved.items():
        parameters = result.trace.parameters
        ends[name] = value(assemble(result.trace.variables, case.chart) if parameters is None else parameters)
    return value(assemble(initial_variables(case.chart), case.chart)), ends


def _row(solved: list[Solved], final: float, least: float) -> dict[str, Any]:
    traces = [one.trace for one in solved]
    reached = {}
    for share in SHARES:
        times = [_first(trace.seconds, trace.energies, (1 + share) * least) for trace in traces]
        reached[str(share)] = statistics.median(times) if None not in times else None
    return {
        "rounds": len(traces),
        "reached_s": reached,
        "total_s": statistics.median(trace.total_s for trace in traces),
        "totals_s": [trace.total_s for trace in traces],
        "iterations": traces[0].iterations,
        "converged": traces[0].converged,
        "final_energy": final,
        "above_least": final / least - 1.0,
        "trace_s": [round(float(value), 4) for value in traces[0].seconds],
        "trace_energy": [float(value) for value in traces[0].energies],
    }


def _first(seconds: np.ndarray, energies: np.ndarray, level: float) -> float | None:
    below = np.flatnonzero(energies <= level)
    return float(seconds[below[0]]) if len(below) else None


def _memory(solved: list[Solved], idle: float) -> float:
    on_device = max(one.device_mb for one in solved)
    return on_device if on_device == on_device else max(one.peak_mb for one in solved) - idle


def table(section: dict[str, Any]) -> str:
    """Markdown."""
    reference = next(iter(section["rows"]))
    base = section["rows"][reference]["reached_s"][str(MEASURE)]
    heads = [f"to {100 * share:g} %" for share in SHARES]
    lines = [
        f"| solver | {' | '.join(heads)} | ratio | total | iterations | above the least | compiling | memory |",
        "|---|" + "---|" * (len(SHARES) + 6),
    ]
    for name, row in section["rows"].items():
        reached = [row["reached_s"][str(share)] for share in SHARES]
        cells = ["never" if value is None else f"{value:.2f} s" for value in reached]
        own = row["reached_s"][str(MEASURE)]
        ratio = f"{own / base:.1f}" if own and base else "–"
        end = "" if row["converged"] else " (stopped)"
        lines.append(
            f"| {TITLES[name]} | {' | '.join(cells)} | {ratio} | {row['total_s']:.2f} s{end} | {row['iterations']} "
            f"| {100 * row['above_least']:.4f} % | {row['compile_s']:.1f} s | {row['memory_mb']:.0f} MB |"
        )
    checked = ", ".join(f"{name} {value:.1e}" for name, value in section["agreement"].items())
    lines.append(
        f"\nEnergy {section['start_energy']:.6g} at the start, {section['least_energy']:.6g} at the least. Ratio: time "
        f"to {100 * MEASURE:g} % by the first row's. Differences from our energy and gradient: {checked or 'none'}."
    )
    lines += [f"Failed: {error}." for error in section["failed"].values()]
    return "\n".join(lines)


def write(folder: Path, preset: str, about: dict[str, Any], sections: dict[str, Any]) -> None:
    """fit_PRESET.json with everything, fit_PRESET.md with the tables."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"about": about, "sections": sections}, indent=1)
    (folder / f"fit_{preset}.json").write_text(text)
    parts = [headline(about), *(f"## {name}\n\n{table(section)}" for name, section in sections.items())]
    (folder / f"fit_{preset}.md").write_text("\n\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
