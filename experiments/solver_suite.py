"""Which solver ends lower: 50 seeded problems on the built-in head, each solved from one start by every solver.

    python experiments/solver_suite.py --out output/solvers

Ten problems each of five kinds (see `KINDS`). Final energies are evaluated in float64 on the CPU at the parameters that
the solver returned. Fails (exit code 1) where Levenberg-Marquardt ends above AdamW by more than 1e-6 of the energy.
The first problem of a kind also compiles; summaries state the median.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax import FitConfig, load_head
from flowface_jax.alignment.alignment import Alignment
from flowface_jax.cameras.model import Cameras
from flowface_jax.fitting.config import config_from_mapping
from flowface_jax.fitting.energy import EnergyWeights, energy
from flowface_jax.fitting.fit import SOLVERS, make_chart, make_layout
from flowface_jax.fitting.initialise import initialise
from flowface_jax.fitting.parameters import Chart, Parameters
from flowface_jax.fitting.problem import FitProblem, make_problem
from flowface_jax.heads.model import HeadModel
from flowface_jax.storage import read_json, write_bytes, write_json
from flowface_jax.synthesis.sequences import make_performance, observe

CASES_PER_KIND = 10
POINT_STRIDE = 16
"""Every so many of the vertices of face and ears are observed."""
TOLERANCE = 1e-6
REFERENCE, CANDIDATE = "adamw", "levenberg_marquardt"


@dataclasses.dataclass(frozen=True)
class Kind:
    """What the problems of a kind share: camera and frame counts, whether cameras are known, whether it is spoilt by
    10 to 20 % outliers and by images without a face.
    """

    name: str
    cameras: int
    frames: int
    calibrated: bool = False
    spoilt: bool = False


KINDS = {
    "single image": (Kind("single image", 1, 1),),
    "mono clip": (Kind("mono clip", 1, 12),),
    "calibrated rig": (Kind("calibrated rig", 3, 8, calibrated=True),),
    "uncalibrated rig": (Kind("uncalibrated rig", 3, 8),),
    "spoilt": (Kind("spoilt mono clip", 1, 12, spoilt=True), Kind("spoilt rig", 3, 8, spoilt=True)),
}
"""Spoilt problems are clips and rigs in turn, of the shapes of the kinds above, so that nothing more is compiled."""


@dataclasses.dataclass(frozen=True)
class Problem:
    """One case as solvers get it."""

    problem: FitProblem
    chart: Chart
    focal_guess: jax.Array


def main() -> int:
    """Run the suite; 1 where the candidate ends above the reference."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--solvers", default=f"{REFERENCE},{CANDIDATE}", help="which to run, comma-separated")
    parser.add_argument("--kinds", default=",".join(KINDS), help="which kinds of problem, comma-separated")
    parser.add_argument("--cases", type=int, default=CASES_PER_KIND, help="problems of each kind")
    parser.add_argument("--reuse", action="store_true", help="keep what --out holds of solvers that are not run")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="fit settings")
    parser.add_argument("--out", type=Path, default=Path("output/solvers"), help="folder for the table")
    options = parser.parse_args()
    config = config_from_mapping(dict(item.split("=", 1) for item in options.set), FitConfig(temporal_vertices=64))
    head = load_head("generic")
    results = {row["case"]: row for row in _previous(options.out / "table.json", options.reuse)}
    for name in options.kinds.split(","):
        for seed in range(options.cases):
            kind = KINDS[name][seed % len(KINDS[name])]
            case = f"{kind.name} {seed}"
            row = results.setdefault(case, {"case": case, "kind": name, "solvers": {}})
            started = time.perf_counter()
            problem = make_case(head, kind, seed, config)
            row["initialise_s"] = time.perf_counter() - started
            for solver in filter(None, options.solvers.split(",")):
                row["solvers"][solver] = solve(problem, solver, config)
            print(_line(row), flush=True)
            write_json(options.out / "table.json", list(results.values()))
    table = _table(list(results.values()))
    write_bytes(options.out / "table.md", table.encode())
    print("\n" + table)
    failures = [row["case"] for row in results.values() if (difference(row) or 0.0) > TOLERANCE]
    for case in failures:
        print(f"{CANDIDATE} ends above {REFERENCE}: {case}")
    return 1 if failures else 0


def make_case(head: HeadModel, kind: Kind, seed: int, config: FitConfig) -> Problem:
    """The problem and the start that `fit` would hand to its solver."""
    performance = make_performance(head, seed, kind.frames, kind.cameras)
    points = np.flatnonzero(np.asarray(head.vertex_weights) > 0.5)[::POINT_STRIDE]
    outliers = 0.1 + 0.1 * seed / CASES_PER_KIND if kind.spoilt else 0.0
    alignment = observe(
        performance, head, 1000 + seed, outlier_share=outliers, dropout_share=0.15 * kind.spoilt, points=points
    )
    return _plan(alignment, head, performance.cameras if kind.calibrated else None, config)


def _plan(alignment: Alignment, head: HeadModel, cameras: Cameras | None, config: FitConfig) -> Problem:
    layout = make_layout(alignment, head, cameras, config)
    state, focal_guess = initialise(alignment, head, cameras, layout, config)
    principal_point = alignment.image_size / 2.0 if cameras is None else np.asarray(cameras.principal_point)
    problem = make_problem(alignment, head, principal_point, config)
    chart = make_chart(problem, head, state, layout, config)
    return Problem(problem, chart, jnp.asarray(focal_guess, jnp.float32))


def solve(problem: Problem, solver: str, config: FitConfig) -> dict[str, Any]:
    """Final energy in float64, seconds, steps and whether it converged."""
    # A solver's compiled loop may take over the memory of what it starts from.
    chart = jax.tree.map(jnp.copy, problem.chart)
    started = time.perf_counter()
    solution = SOLVERS[solver](problem.problem, chart, config, problem.focal_guess)
    jax.block_until_ready(solution.parameters)
    return {
        "seconds": time.perf_counter() - started,
        "energy": energy_float64(solution.parameters, problem, config),
        "steps": len(solution.history),
        "converged": bool(solution.converged),
    }


def energy_float64(parameters: Parameters, problem: Problem, config: FitConfig) -> float:
    """The energy at `parameters`, in float64 on the CPU."""
    with jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
        arguments = (parameters, problem.problem, EnergyWeights.of(config), problem.focal_guess)
        return float(_total(*jax.tree.map(_widened, arguments)))


@jax.jit
def _total(parameters: Parameters, problem: FitProblem, weights: EnergyWeights, focal_guess: jax.Array) -> jax.Array:
    return energy(parameters, problem, weights, focal_guess).total


def _widened(leaf: jax.Array) -> jax.Array:
    array = np.asarray(leaf)
    return jnp.asarray(array.astype(np.float64) if array.dtype == np.float32 else array)


def difference(row: dict[str, Any]) -> float | None:
    """How far the candidate ends above the reference, as a share of the energy; None where either was not run."""
    solvers = row["solvers"]
    if REFERENCE not in solvers or CANDIDATE not in solvers:
        return None
    reference = solvers[REFERENCE]["energy"]
    share = (solvers[CANDIDATE]["energy"] - reference) / reference
    return share if np.isfinite(share) else np.inf


def _previous(path: Path, reuse: bool) -> list[dict[str, Any]]:
    return read_json(path, "a table of solvers") if reuse and path.is_file() else []


def _line(row: dict[str, Any]) -> str:
    parts = [
        f"{name} {r['energy']:.6f} in {r['seconds']:.2f} s, {r['steps']} steps" for name, r in row["solvers"].items()
    ]
    above = difference(row)
    return "; ".join([row["case"], *parts, *([] if above is None else [f"difference {above:+.1e}"])])


def _table(rows: Sequence[dict[str, Any]]) -> str:
    lines = [
        "| case | AdamW energy | LM energy | difference | AdamW s | LM s | AdamW steps | LM steps |",
        "|---" * 8 + "|",
    ]
    for row in rows:
        pair = [row["solvers"].get(name) for name in (REFERENCE, CANDIDATE)]
        above = difference(row)
        cells = [f"{r['energy']:.6f}" if r else "" for r in pair]
        cells += ["" if above is None else f"{above:+.1e}"]
        cells += [f"{r['seconds']:.2f}" if r else "" for r in pair]
        cells += [f"{r['steps']}{'' if r['converged'] else ' (limit)'}" if r else "" for r in pair]
        lines.append(f"| {row['case']} | " + " | ".join(cells) + " |")
    lines += ["", "| kind | cases | LM above AdamW | AdamW median s | LM median s |", "|---" * 5 + "|"]
    for kind in dict.fromkeys(row["kind"] for row in rows):
        of_kind = [row for row in rows if row["kind"] == kind]
        above = sum((difference(row) or 0.0) > TOLERANCE for row in of_kind)
        medians = [_median_seconds(of_kind, solver) for solver in (REFERENCE, CANDIDATE)]
        lines.append(f"| {kind} | {len(of_kind)} | {above} | {' | '.join(medians)} |")
    return "\n".join(lines) + "\n"


def _median_seconds(rows: Sequence[dict[str, Any]], solver: str) -> str:
    seconds = [row["solvers"][solver]["seconds"] for row in rows if solver in row["solvers"]]
    return f"{np.median(seconds):.2f}" if seconds else ""


if __name__ == "__main__":
    sys.exit(main())
