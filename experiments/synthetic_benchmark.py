"""The tracking benchmark on synthetic captures, in one command: film them, track them, score them, write tables.

    python experiments/synthetic_benchmark.py --out output/benchmark --images docs/images

Ten subjects by three sequences of the built-in head with exact truth, one moving camera each, are tracked by our
network with either solver, by MediaPipe's points with our fit, and by MediaPipe alone (see paper_tables/methods.py).
Every sequence and method has files of its own: what was interrupted goes on when the command is given again, and more
subjects can be added. The same options give the same pictures and numbers. Written to --out: table2_single, _sequence
and table4 (.txt, .csv, .tex, .json), results.json, ssme.png (figure 4 of the paper) and overlays.jpg.

These are pictures of a model that methods fitting the built-in head know: absolute numbers say less than the order of
the methods, and nothing about other trackers' published numbers on Multiface, which stand beside them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from paper_tables.captures import Captured, CaptureSize, film, planned, prepare
from paper_tables.methods import (
    DEFAULT_METHODS,
    METHODS,
    NETWORK,
    SEQUENCE,
    SINGLE,
    Setup,
    make_setup,
    milliseconds,
    prediction_of,
    reason_lost,
    scores_of,
)
from paper_tables.output import SYNTHETIC, apart, run, write_tables
from paper_tables.tracking import rows_and_note

from flowface_jax.aligners.images import read_image
from flowface_jax.compilation import keep_compilations
from flowface_jax.evaluation import published
from flowface_jax.evaluation.tables import Row, Table
from flowface_jax.evaluation.tracking_benchmark import (
    LOST,
    SequenceScores,
    benchmark_row,
    face_numbers,
    mean_curve,
)
from flowface_jax.heads.generic import generic_head
from flowface_jax.network.bundled import FOR_PROCESSORS
from flowface_jax.reporting import TerminalReporter
from flowface_jax.storage import write_bytes, write_json
from flowface_jax.synthesis.sequences import FRAMES_PER_SECOND
from flowface_jax.viewing.motion_error import draw_motion_error_curves
from flowface_jax.viewing.overlay import draw_overlay
from flowface_jax.viewing.tiling import contact_sheet, tile_views
from flowface_jax.viewing.visibility import visible_triangles

Scores = Mapping[str, Mapping[str, Sequence[SequenceScores]]]
"""By half of table 2, then by method: of every sequence."""
PUBLISHED = {SINGLE: published.MULTIFACE_SINGLE_IMAGE, SEQUENCE: published.MULTIFACE_SEQUENCE}
TITLES = {
    SINGLE: "Synthetic tracking benchmark, without temporal information sharing (single images)",
    SEQUENCE: "Synthetic tracking benchmark, with temporal information sharing (sequences)",
}
SHOWN_SEQUENCES = 6


def main() -> None:
    """Film, track, score, write."""
    options = _options()
    keep_compilations()
    size = CaptureSize(
        options.subjects, options.sequences, options.frames, options.side, options.seed, not options.no_accessories
    )
    methods = tuple(options.methods.split(","))
    setup = make_setup(generic_head(), options.aligner, options.detector, methods)
    folder = prepare(options.out, size)
    started = time.perf_counter()
    plan = list(planned(folder, size))
    _film(plan, size, setup)
    filmed_s = time.perf_counter() - started
    scores = _score(plan, methods, setup)
    seconds = {"render_s": filmed_s, "track_and_score_s": time.perf_counter() - started - filmed_s}
    text = write_results(folder, plan, scores, size, setup, seconds)
    _draw(folder, plan, methods, scores, setup)
    if options.images is not None:
        for name, path in (("ssme_synthetic.png", "ssme.png"), ("overlays_synthetic.jpg", "overlays.jpg")):
            if (folder / path).is_file():
                write_bytes(options.images / name, (folder / path).read_bytes())
    print(text)


def write_results(
    folder: Path,
    plan: Sequence[Captured],
    scores: Scores,
    size: CaptureSize,
    setup: Setup,
    seconds: Mapping[str, float],
) -> str:
    """Tables 2 and 4 and results.json; returns the tables' text."""
    texts = []
    for half in (SINGLE, SEQUENCE):
        if scores[half]:
            texts.append(write_tables(folder, f"table2_{half}", table2(half, scores[half], size, setup)))
    latencies = {name: _latency(plan, name, setup) for name in scores[SEQUENCE]}
    texts.append(write_tables(folder, "table4", table4(scores[SEQUENCE], latencies, size, setup)))
    lost = {
        setup.title(name): {one.name: reason for one in plan if (reason := reason_lost(one, name, setup))}
        for name in dict.fromkeys((*scores[SINGLE], *scores[SEQUENCE]))
    }
    results = {
        "settings": size.request(),
        "subjects": size.subjects,
        # Of this run: what was there already took none.
        "seconds": dict(seconds),
        "lost_sequences": {title: found for title, found in lost.items() if found},
        "scores": {half: {setup.title(n): _numbers(s) for n, s in by.items()} for half, by in scores.items()},
        "latency_ms": {setup.title(name): value for name, value in latencies.items()},
    }
    write_json(folder / "results.json", results)
    total = sum(seconds.values())
    return "\n".join([*texts, f"{total:.0f} s in this run, {seconds['render_s']:.0f} s of them for pictures\n"])


def table2(
    half: str, scores: Mapping[str, Sequence[SequenceScores]], size: CaptureSize, setup: Setup
) -> dict[str, Table]:
    """The half of table 2 that our rows belong to, and the published one."""
    rows, intervals = rows_and_note({setup.title(name): found for name, found in scores.items()})
    notes = [_data_note(size), *intervals]
    if "mediapipe" in scores:
        how = "each picture by itself" if half == SINGLE else "smoothed by a Gaussian of one frame in the image"
        notes.append(f"MediaPipe: {how}; its CD is of a mesh without perspective, scaled by the eyes' distance")
    notes.append(f"CD of every {setup.scores.chamfer.stride}th frame; lost frames take no part in CD and SSME")
    return apart(PUBLISHED[half], TITLES[half], rows, notes, (LOST,))


def table4(
    scores: Mapping[str, Sequence[SequenceScores]], latencies: Mapping[str, float], size: CaptureSize, setup: Setup
) -> dict[str, Table]:
    """Table 4: what stands behind the points, its size and speed, and the errors on the face."""
    rows = []
    for name, found in scores.items():
        rows.append(Row(setup.title(name), (*_network_size(name, setup), latencies[name], *face_numbers(found))))
    notes = (_data_note(size), "latency: of aligning a frame on this computer, median over the sequences; no fit")
    title = "Synthetic tracking benchmark by what finds the points"
    return apart(published.NETWORK_ABLATION, title, rows, notes, (LOST,))


def _network_size(method: str, setup: Setup) -> tuple[float | None, float | None]:
    """Iterations and millions of parameters of the network behind a method."""
    if METHODS[method].aligner != NETWORK or setup.network is None:
        return None, None
    return setup.network.config.iterations, setup.parameters / 1e6


def _data_note(size: CaptureSize) -> str:
    return (
        f"synthetic captures of the built-in head: {size.subjects} subjects x {size.sequences} sequences x "
        f"{size.frames} frames, {size.side} px, one moving camera each, unknown to the methods; seed {size.seed}"
    )


def _numbers(scores: Sequence[SequenceScores]) -> dict[str, Any]:
    row = benchmark_row("", scores).values
    names = [column.name for column in (*published.MULTIFACE_COLUMNS, LOST)]
    coverage = {region: _median([s.coverage.get(region, np.nan) for s in scores]) for region in scores[0].coverage}
    by_sequence = {s.sequence: {"ssme_face": s.mean_ssme("face"), "lost": s.lost} for s in scores}
    return {"mean": dict(zip(names, row, strict=True)), "coverage": coverage, "sequences": by_sequence}


def _latency(plan: Sequence[Captured], method: str, setup: Setup) -> float:
    return _median([milliseconds(one, method, setup) for one in plan])


def _median(values: Sequence[float]) -> float:
    known = np.asarray(values)[np.isfinite(values)]
    return float(np.median(known)) if known.size else float("nan")


def _film(plan: Sequence[Captured], size: CaptureSize, setup: Setup) -> None:
    for subject in range(size.subjects):
        bar = TerminalReporter().bar(f"subject {subject}", size.sequences * size.frames, "pictures")
        try:
            film(setup.head, size, [one for one in plan if one.subject == subject], bar)
        finally:
            bar.close()


def _score(plan: Sequence[Captured], methods: Sequence[str], setup: Setup) -> Scores:
    """Everything that is not there yet is run on the way, one sequence at a time."""
    found: dict[str, dict[str, list[SequenceScores]]] = {SINGLE: {}, SEQUENCE: {}}
    bar = TerminalReporter().bar("track", len(plan) * len(methods), "sequences")
    try:
        for done, one in enumerate(plan):
            for k, method in enumerate(methods):
                for half in METHODS[method].halves:
                    found[half].setdefault(method, []).append(scores_of(one, method, setup, half))
                bar.advance_to(done * len(methods) + k + 1, f"{one.name}, {setup.title(method)}")
    finally:
        bar.close()
    return found


def _draw(folder: Path, plan: Sequence[Captured], methods: Sequence[str], scores: Scores, setup: Setup) -> None:
    """ssme.png: figure 4, both halves side by side. overlays.jpg: the methods' meshes on a few pictures."""
    panels = []
    for half in (SINGLE, SEQUENCE):
        measured = {name: found for name, found in scores[half].items() if any(s.ssme_px for s in found)}
        suffix = ", single images" if half == SINGLE else ""
        curves = {setup.title(name) + suffix: mean_curve(found) for name, found in measured.items()}
        if curves:
            panels.append(draw_motion_error_curves(curves, "face", FRAMES_PER_SECOND))
    if panels:
        _write(folder / "ssme.png", tile_views(panels))
    shown = [plan[k] for k in np.unique(np.linspace(0, len(plan) - 1, SHOWN_SEQUENCES).round().astype(int))]
    cells = [cell for one in shown for cell in overlays(one, methods, setup)]
    _write(folder / "overlays.jpg", contact_sheet(cells, 1 + len(methods), 300))


def overlays(one: Captured, methods: Sequence[str], setup: Setup) -> list[np.ndarray]:
    """A picture from the middle of a sequence: with the truth drawn on it, and with each method's mesh."""
    truth = one.true_sequence(setup.head)
    frame = truth.frame_count // 2
    picture = read_image(one.frames / f"{frame:05d}.png")
    cells = []
    for title, sequence in (("truth", truth), *((setup.title(n), prediction_of(one, n, setup)) for n in methods)):
        if sequence is None or not sequence.valid[frame]:
            cells.append(draw_overlay(picture, caption=title, warning="no face found"))
            continue
        seen, triangles = sequence.projected(), sequence.triangles
        if sequence.regions:
            face = np.asarray(sequence.regions["face"])
            triangles = triangles[face[triangles].all(1)]
        visible = visible_triangles(seen.pixels[frame], seen.depth[frame], triangles) if sequence.cameras else None
        cells.append(draw_overlay(picture, seen.pixels[frame], triangles, visible, caption=title, mesh_opacity=0.35))
    return cells


def _write(path: Path, picture: np.ndarray) -> None:
    quality = [cv2.IMWRITE_JPEG_QUALITY, 88] if path.suffix == ".jpg" else []
    write_bytes(path, cv2.imencode(path.suffix, np.ascontiguousarray(picture[..., ::-1]), quality)[1].tobytes())


def _options() -> argparse.Namespace:
    default = CaptureSize()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subjects", type=int, default=default.subjects)
    parser.add_argument("--sequences", type=int, default=default.sequences, help="of each subject, 5 at most")
    parser.add_argument("--frames", type=int, default=default.frames, help="of each sequence; above 30 for all windows")
    parser.add_argument("--side", type=int, default=default.side, help="of the pictures, px")
    parser.add_argument("--seed", type=int, default=default.seed, help="of everything random")
    parser.add_argument("--no-accessories", action="store_true", help="no hats or glasses")
    parser.add_argument("--methods", default=",".join(DEFAULT_METHODS), help=f"of {', '.join(METHODS)}")
    parser.add_argument("--aligner", default=FOR_PROCESSORS[0], help="a bundled network's name or a weights file")
    parser.add_argument("--detector", default="mediapipe", help="'mediapipe', or S3FD's weights: the network's start")
    parser.add_argument("--images", type=Path, default=None, metavar="DIR", help="copy the pictures there, too")
    parser.add_argument("--out", type=Path, default=Path(SYNTHETIC), help="folder for everything")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
