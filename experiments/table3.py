"""The paper's table 3: neutral faces from single images and from several, as the NoW challenge measures them.

    python experiments/table3.py --now NOW_Evaluation --single Ours=SUBMISSIONS/single --multi Ours=SUBMISSIONS/multi
    python experiments/table3.py --synthetic output/benchmark

A submission is a folder as the challenge wants it (evaluation/reconstruction/now_files.py writes one). Without data:
neutral heads from single frames of the synthetic captures, and from whole sequences with one shared identity, against
the true ones.

What the paper used and we do not have: the scans of the test set, on which its numbers are; they come only from
handing a submission in, so ours are on the validation set (the paper's numbers on that are in table 5). Which images it
fits together for the multi-view half is not published. Its fit has MICA's neutral shape, which is licensed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from paper_tables.captures import Captured, filmed
from paper_tables.methods import fit_frame
from paper_tables.neutral_faces import MISSING, error_row, submission_rows, true_neutral
from paper_tables.output import add_output, apart, named_paths, run, write_tables

from flowface_jax.alignment.alignment import Alignment
from flowface_jax.errors import InputError
from flowface_jax.evaluation import published
from flowface_jax.evaluation.reconstruction.now import NowError
from flowface_jax.evaluation.tables import Row
from flowface_jax.fitting.track import ARRAYS, Track
from flowface_jax.heads.generic import generic_head
from flowface_jax.heads.model import HeadModel
from flowface_jax.job_folders import ALIGNMENT_FILE

HALVES = {"single": published.NOW_SINGLE_VIEW, "multi": published.NOW_MULTI_VIEW}


def main() -> None:
    """Measure and write both halves."""
    options = _options()
    if options.now is None:
        rows = synthetic_rows(filmed(options.synthetic), options.frames, generic_head())
        data, note = "synthetic captures", f"synthetic captures of {options.synthetic}; no neutral shape is given"
    else:
        given = {"single": options.single, "multi": options.multi}
        rows = {k: submission_rows(options.now, named_paths(items, f"--{k}")) for k, items in given.items()}
        data, note = (
            "NoW challenge, validation set",
            "the published rows are on the test set, whose scans are not public",
        )
    if not any(rows.values()):
        raise InputError("--single, --multi: expected at least one submission NAME=FOLDER, found none")
    for half, found in rows.items():
        if found:
            title = f"{data}, non-metrical, {half} view"
            print(write_tables(options.out, f"table3_{half}", apart(HALVES[half], title, found, (note,), (MISSING,))))


def synthetic_rows(sequences: Sequence[Captured], frames: int, head: HeadModel) -> dict[str, list[Row]]:
    """By half: what was aligned, fitted in `frames` single frames of each sequence; what was tracked as a whole."""
    single: dict[str, list[NowError | None]] = {}
    multi: dict[str, list[NowError | None]] = {}
    for one in sequences:
        truth = true_neutral(head, one.truth().identity)
        for name, folder in _folders(one, ALIGNMENT_FILE):
            single.setdefault(name, []).extend(_single_frames(Alignment.load(folder / ALIGNMENT_FILE), frames, truth))
        for name, folder in _folders(one, ARRAYS):
            multi.setdefault(name, []).append(truth.error_of(Track.load(folder)))
    return {
        "single": [error_row(f"{name}, single frames", errors) for name, errors in sorted(single.items())],
        "multi": [error_row(f"{name}, whole sequences", errors) for name, errors in sorted(multi.items())],
    }


def _single_frames(alignment: Alignment, frames: int, truth: object) -> Iterator[NowError | None]:
    """The errors of evenly spread frames fitted each by itself; None where no face was seen."""
    for frame in np.unique(np.linspace(0, alignment.frame_count - 1, frames + 2).round().astype(int)[1:-1]):
        if alignment.valid[0, frame]:
            yield truth.error_of(fit_frame(alignment, int(frame), truth.head))
        else:
            yield None


def _folders(one: Captured, file: str) -> list[tuple[str, Path]]:
    """Folders of a sequence that hold such a file, without the truth's."""
    return [(p.parent.name, p.parent) for p in sorted(one.folder.glob(f"*/{file}")) if p.parent.name != "truth"]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--now", type=Path, metavar="DIR", help="NoW's evaluation folder, with scans and landmarks")
    parser.add_argument("--single", nargs="+", default=[], metavar="NAME=DIR", help="submissions from single images")
    parser.add_argument("--multi", nargs="+", default=[], metavar="NAME=DIR", help="submissions from joint fits")
    parser.add_argument("--frames", type=int, default=2, help="single frames of each synthetic sequence")
    add_output(parser, "table3")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
