"""The paper's table 4: alignment networks with other encoders and other numbers of iterations.

    for ROW in mit_b1 mit_b2 mit_b5_3; do
      python experiments/train.py --config=configs/table4.py:$ROW --out=runs/table4/$ROW; done
    python experiments/table4.py --runs runs/table4/* --synthetic output/benchmark
    python experiments/table4.py --runs runs/table4/* --multiface DATA --predictions mit_b1=TRACKS/mit_b1 …

A run is a finished folder of train.py. Without data, each run's network tracks the captures that synthetic_benchmark.py
filmed (files beside its own, so that it resumes). With Multiface, TRACKS/ROW/IDENTITY/SEGMENT/CAMERA holds the tracks
made with that run's network, as for table2.py.

What the paper used and we do not have: its training data (FaceScape, Stirling, FaMoS: licensed), its list of Multiface
sequences, a Quadro RTX 5000 for the latencies (ours are this computer's), and the width of its BiSeNet-v2.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from paper_tables.captures import filmed
from paper_tables.methods import SEQUENCE, Setup, make_setup, milliseconds, scores_of
from paper_tables.output import add_output, apart, beside, named_paths, run, write_tables
from paper_tables.tracking import Predictions, multiface_scores

from flowface_jax.compilation import keep_compilations
from flowface_jax.errors import InputError
from flowface_jax.evaluation import published
from flowface_jax.evaluation.tables import Row
from flowface_jax.evaluation.tracking_benchmark import LOST, SequenceScores, face_numbers
from flowface_jax.heads.generic import generic_head
from flowface_jax.heads.source import load_head
from flowface_jax.reporting import TerminalReporter
from flowface_jax.storage import require_file
from flowface_jax.training.run import WEIGHTS

METHOD = "network_lm"


def main() -> None:
    """Track, score and write the table."""
    options = _options()
    keep_compilations()
    runs = {folder.resolve().name: folder for folder in options.runs}
    if len(runs) != len(options.runs):
        raise InputError("--runs: expected folders with names of their own, found two alike; rename one")
    for folder in runs.values():
        require_file(folder / WEIGHTS, "the weights of a finished run of train.py")
    if options.multiface is None:
        rows = [_synthetic_row(name, folder, options) for name, folder in runs.items()]
        note = f"synthetic captures of {options.synthetic}; latency: of aligning a frame on this computer"
        title = "Ablations of the alignment network on synthetic captures"
        tables = apart(published.NETWORK_ABLATION, title, rows, (note,), (LOST,))
    else:
        note = "our rows: sequences and masks by our own rule; no latency was measured"
        tables = beside(published.NETWORK_ABLATION, _multiface_rows(runs, options), (note,), (LOST,))
    print(write_tables(options.out, "table4", tables))


def _synthetic_row(name: str, folder: Path, options: argparse.Namespace) -> Row:
    sequences = filmed(options.synthetic)
    setup = make_setup(generic_head(), str(folder / WEIGHTS), options.detector, (METHOD,), name)
    bar, scores = TerminalReporter().bar(name, len(sequences), "sequences"), []
    try:
        for one in sequences:
            scores.append(scores_of(one, METHOD, setup, SEQUENCE))
            bar.advance_to(len(scores))
    finally:
        bar.close()
    return _row(name, setup, float(np.median([milliseconds(one, METHOD, setup) for one in sequences])), scores)


def _multiface_rows(runs: dict[str, Path], options: argparse.Namespace) -> list[Row]:
    folders = named_paths(options.predictions, "--predictions")
    absent = sorted(set(runs) - set(folders))
    if absent:
        raise InputError(
            f"--predictions: expected NAME=FOLDER for run '{absent[0]}', found none; track with its network"
        )
    head, predictions = load_head(options.head), {name: Predictions(folders[name]) for name in runs}
    scores = multiface_scores(options.multiface, predictions, head)[SEQUENCE]
    setups = {
        name: make_setup(head, str(folder / WEIGHTS), options.detector, (METHOD,), name)
        for name, folder in runs.items()
    }
    return [_row(name, setups[name], None, scores[name]) for name in runs]


def _row(name: str, setup: Setup, latency: float | None, scores: Sequence[SequenceScores]) -> Row:
    size = (setup.network.config.iterations, setup.parameters / 1e6)
    return Row(name, (*size, latency, *face_numbers(scores)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, nargs="+", required=True, metavar="DIR", help="finished runs of train.py")
    parser.add_argument("--multiface", type=Path, metavar="DIR", help="folder of Multiface captures")
    parser.add_argument("--predictions", nargs="+", default=[], metavar="NAME=DIR", help="tracks made with each run")
    parser.add_argument("--head", default="generic", help="head of the tracks on Multiface")
    parser.add_argument("--detector", default="mediapipe", help="'mediapipe', or S3FD's weights")
    add_output(parser, "table4")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
