"""How the fit grows: with frames, with cameras, and on the job of the paper's appendix F.

    python benchmarks/fit_scaling.py frames  [--counts 50 100 500 1000 5000]  # 1 camera, MediaPipe's 478 points
    python benchmarks/fit_scaling.py cameras [--counts 1 2 4 8 16]            # calibrated, 32 frames, every vertex
    python benchmarks/fit_scaling.py paper                                    # 520 frames, 17 cameras, 5,023 vertices
        [--solver levenberg_marquardt] [--max-steps 0] [--rounds 1] [--threads 0] [--out output/benchmarks/fit]

`frames` and `cameras` time the solver alone, compiled before. `paper` does everything from the alignment on, compiling
included, and says where memory peaks; its head has FLAME's sizes (5,023 vertices, 300 identity and 100 expression
coefficients, five joints of which the eyes turn) and made-up shapes. The paper needed 21 minutes and 4.5 GB on a
Quadro RTX 5000.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from fit_contenders import TITLES, Ours
from fit_problems import OUTLIERS, SEED, initialised_case, observe_mediapipe, sizes
from fit_workers import processor, settle_environment
from process_memory import peak_mb, release_freed, reset_peak, resident_mb

PAPER = {"minutes": 21.0, "memory_gb": 4.5, "device": "Quadro RTX 5000"}
CAMERA_FRAMES = 32


def main() -> None:
    options = _options()
    threads = settle_environment(options.device, options.threads)
    print(f"{options.job}; {TITLES[options.solver]}; {options.device}, {processor()}, {threads} threads", flush=True)
    result = {"frames": frames_job, "cameras": cameras_job, "paper": paper_job}[options.job](options)
    if options.out:
        folder = Path(options.out)
        folder.mkdir(parents=True, exist_ok=True)
        about = {"solver": options.solver, "device": options.device, "processor": processor(), "threads": threads}
        (folder / f"scaling_{options.job}.json").write_text(json.dumps({"about": about, **result}, indent=1))
        (folder / f"scaling_{options.job}.md").write_text("\n".join(_lines(options.job, result)) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("job", choices=["frames", "cameras", "paper"])
    parser.add_argument("--counts", type=int, nargs="+", default=None)
    parser.add_argument("--solver", choices=["levenberg_marquardt", "adamw"], default="levenberg_marquardt")
    parser.add_argument("--max-steps", type=int, default=0, help="limit of steps or iterations; 0: the solver's own")
    parser.add_argument("--frames", type=int, default=520, help="of the paper's job, to try out")
    parser.add_argument("--cameras", type=int, default=17, help="of the paper's job, to try out")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=0, help="CPU cores; 0: all")
    parser.add_argument("--out", default="", help="folder for scaling_JOB.json and scaling_JOB.md")
    return parser.parse_args()


def _config(options: argparse.Namespace) -> Any:
    from flowface_jax.fitting.config import FitConfig

    config = FitConfig(solver=options.solver)
    if not options.max_steps:
        return config
    return dataclasses.replace(config, max_steps=options.max_steps, max_iterations=options.max_steps)


def frames_job(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds a frame of one camera."""
    from flowface_jax.heads.generic import generic_head
    from flowface_jax.synthesis.sequences import make_motion

    head = generic_head()

    def alignment(count: int) -> tuple[Any, Any]:
        return observe_mediapipe(make_motion(head, SEED, count, 1), head, SEED + 1, OUTLIERS), None

    return _grow("frames", options.counts or [50, 100, 500, 1000, 5000], head, alignment, options)


def cameras_job(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds a camera of a calibrated rig."""
    from flowface_jax.heads.generic import generic_head
    from flowface_jax.synthesis.sequences import make_performance, observe

    head = generic_head()

    def alignment(count: int) -> tuple[Any, Any]:
        performance = make_performance(head, SEED, CAMERA_FRAMES, count)
        return observe(performance, head, SEED + 1, outlier_share=OUTLIERS), performance.cameras

    return _grow("cameras", options.counts or [1, 2, 4, 8, 16], head, alignment, options)


def _grow(what: str, counts: list[int], head: Any, alignment: Any, options: argparse.Namespace) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    print("\n".join(_head(what)), flush=True)
    for count in counts:
        observed, cameras = alignment(count)
        started = time.perf_counter()
        case = initialised_case(observed, head, cameras, _config(options))
        initialising = time.perf_counter() - started
        contender, started = Ours(options.solver, case), time.perf_counter()
        contender.warm_up()
        compiling = time.perf_counter() - started
        release_freed()
        reset_peak()
        idle = resident_mb()
        traces = [contender.solve() for _ in range(options.rounds)]
        total = statistics.median(trace.total_s for trace in traces)
        rows.append(
            {
                what: count,
                **sizes(case),
                "initialise_s": initialising,
                "compile_s": compiling,
                "solve_s": total,
                "iterations": traces[0].iterations,
                "s_per_iteration": total / traces[0].iterations,
                "ms_per_frame": 1e3 * total / observed.frame_count,
                "converged": traces[0].converged,
                "final_energy": float(traces[0].energies[-1]),
                "solve_memory_mb": peak_mb() - idle,
            }
        )
        print(_grown(what, rows[-1]), flush=True)
        del case, contender, traces, observed
    return {"rows": rows}


def _head(what: str) -> list[str]:
    return [
        f"| {what} | initialise | compile | solve | iterations | s/iteration | ms/frame | memory while solving |",
        "|---|" + "---|" * 7,
    ]


def _grown(what: str, row: dict[str, Any]) -> str:
    end = "" if row["converged"] else " (stopped)"
    return (
        f"| {row[what]} | {row['initialise_s']:.1f} s | {row['compile_s']:.1f} s | {row['solve_s']:.2f} s{end} "
        f"| {row['iterations']} | {row['s_per_iteration']:.3f} | {row['ms_per_frame']:.2f} "
        f"| {row['solve_memory_mb']:.0f} MB |"
    )


def paper_job(options: argparse.Namespace) -> dict[str, Any]:
    """The whole job, phase by phase."""
    import jax
    import jax.numpy as jnp
    from flame_sized_head import flame_sized_head, perform

    from flowface_jax.fitting.fit import SOLVERS, make_chart, make_layout
    from flowface_jax.fitting.initialise import initialise
    from flowface_jax.fitting.problem import make_problem

    phases: list[dict[str, Any]] = []
    config, reports = _config(options), []
    with _phase(phases, "making the performance (not counted)"):
        head = flame_sized_head()
        made = perform(head, options.frames, options.cameras)
    alignment, cameras = made.alignment, made.cameras
    started = time.perf_counter()
    with _phase(phases, "initialise"):
        layout = make_layout(alignment, head, cameras, config)
        state, guess = initialise(alignment, head, cameras, layout, config)
    with _phase(phases, "make_problem"):
        problem = make_problem(alignment, head, np.asarray(cameras.principal_point), config)
        chart = make_chart(problem, head, state, layout, config)
    guess = jnp.asarray(guess, jnp.float32)

    def report(step: int, energy: float, _: float) -> None:
        reports.append((time.perf_counter() - started, step, energy))
        print(f"{reports[-1][0]:8.1f} s  {step:5d}  {energy:.8g}", file=sys.stderr, flush=True)

    with _phase(phases, "solve, compiling included"):
        solution = jax.block_until_ready(SOLVERS[options.solver](problem, chart, config, guess, report).parameters)
    total = time.perf_counter() - started
    (first_s, first_step, _), (last_s, last_step, energy) = reports[0], reports[-1]
    counted = phases[1:]
    result = {
        "frames": options.frames,
        "padded_frames": problem.frame_count,
        "cameras": options.cameras,
        "vertices": head.vertex_count,
        "minutes": total / 60,
        "iterations": last_step,
        # The first report waits for the compiler.
        "s_per_iteration": (last_s - first_s) / (last_step - first_step) if last_step > first_step else None,
        "peak_gb": max(phase["peak_mb"] for phase in counted) / 1e3,
        "device_peak_gb": (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0) / 1e9 or None,
        "final_energy": energy,
        "vertex_error_mm": _vertex_error(made.world, head, solution, problem),
        "phases": phases,
        "paper": PAPER,
    }
    print("\n".join(_lines("paper", result)))
    return result


@contextlib.contextmanager
def _phase(phases: list[dict[str, Any]], name: str) -> Iterator[None]:
    """Append what a block needed: seconds, resident memory before and after, and its peak."""
    release_freed()
    separate = reset_peak()
    before, started = resident_mb(), time.perf_counter()
    yield
    seconds, peak = time.perf_counter() - started, peak_mb()
    release_freed()
    phase = {"phase": name, "seconds": seconds, "before_mb": before, "peak_mb": peak, "after_mb": resident_mb()}
    phases.append(phase | {"own_peak": separate})
    print(f"{name}: {seconds:.1f} s, {before:.0f} → {peak:.0f} MB, then {phase['after_mb']:.0f} MB", flush=True)


def _vertex_error(world: np.ndarray, head: Any, parameters: Any, problem: Any, count: int = 8) -> float:
    """Median distance, mm, between true and fitted vertices that are well weighted, over some frames."""
    import jax.numpy as jnp

    from flowface_jax.heads.model import vertices

    chosen = np.flatnonzero(np.asarray(head.vertex_weights) > 0.5)
    offsets = np.zeros((head.vertex_count, 3), np.float32)
    offsets[np.asarray(problem.vertex_ids)] = np.asarray(parameters.offsets)
    errors = []
    for f in np.linspace(0, len(world) - 1, min(count, len(world))).astype(int):
        joints = parameters.joint_rotations[f] if parameters.joint_rotations.shape[1] else None
        local = vertices(head, parameters.identity, parameters.expression[f], joints, jnp.asarray(offsets))
        fitted = np.asarray(local) @ np.asarray(parameters.head_rotation[f]).T + np.asarray(
            parameters.head_translation[f]
        )
        errors.append(np.linalg.norm(fitted - world[f], axis=1)[chosen])
    return 1e3 * float(np.median(errors))


def _lines(job: str, result: dict[str, Any]) -> list[str]:
    if job != "paper":
        return [*_head(job), *(_grown(job, row) for row in result["rows"])]
    per = result["s_per_iteration"]
    device = f" ({result['device_peak_gb']:.2f} GB on the device)" if result["device_peak_gb"] else ""
    lines = [
        f"{result['frames']} frames (padded to {result['padded_frames']}) x {result['cameras']} cameras x "
        f"{result['vertices']} vertices; median vertex error {result['vertex_error_mm']:.2f} mm",
        "",
        "| | here | paper |",
        "|---|---|---|",
        f"| minutes | {result['minutes']:.1f} | {PAPER['minutes']:g} |",
        f"| iterations | {result['iterations']} | |",
        f"| seconds per iteration | {'–' if per is None else f'{per:.2f}'} | |",
        f"| peak memory | {result['peak_gb']:.2f} GB{device} | {PAPER['memory_gb']:g} GB |",
        f"| device | | {PAPER['device']} |",
        "",
        "| phase | seconds | resident before | peak | after |",
        "|---|---|---|---|---|",
    ]
    for phase in result["phases"]:
        memory = " | ".join(f"{phase[key] / 1e3:.2f} GB" for key in ("before_mb", "peak_mb", "after_mb"))
        lines.append(f"| {phase['phase']} | {phase['seconds']:.1f} | {memory} |")
    return lines


if __name__ == "__main__":
    main()
