"""Where the tables go: standard output in one form, a folder in all of them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.evaluation.bootstrap import SAMPLES
from flowface_jax.evaluation.scoring import Resampling, Scored
from flowface_jax.evaluation.tables import to_csv, to_json, to_latex, to_text
from flowface_jax.storage import write_bytes

FORMATS: dict[str, Callable[[Scored], str]] = {
    "text": lambda scored: to_text(scored.table),
    "csv": lambda scored: to_csv(scored.with_ends),
    "latex": lambda scored: to_latex(scored.table),
    "json": lambda scored: to_json(scored.with_ends),
}
FILES = {"text": "table.txt", "csv": "table.csv", "latex": "table.tex", "json": "table.json"}
PICTURES = ("curve_*.png", "error_*.png", "trajectories.png")


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that every measure has."""
    group = parser.add_argument_group("output")
    group.add_argument("--format", choices=tuple(FORMATS), default="text", help="form of the table that is printed")
    group.add_argument(
        "--out", "-o", default=None, metavar="DIR", help="folder for the table in every form, and for pictures"
    )
    group.add_argument("--overwrite", action="store_true", help="replace the results in DIR")
    group.add_argument(
        "--bootstrap",
        type=int,
        nargs="?",
        const=SAMPLES,
        default=None,
        metavar="N",
        help=f"add 95%% confidence intervals of N samples ({SAMPLES} if N is left out)",
    )
    group.add_argument("--seed", type=int, default=0, help="seed of --bootstrap")
    # Of the command itself where it stands before the measure; unset here it leaves that alone.
    group.add_argument(
        "--quiet", "-q", action="store_true", default=argparse.SUPPRESS, help="no progress bars, no warnings"
    )


def resampling(options: argparse.Namespace) -> Resampling | None:
    """How intervals are drawn, where they are asked for."""
    return None if options.bootstrap is None else Resampling(options.bootstrap, options.seed)


def check_output(options: argparse.Namespace) -> None:
    """Raise InputError where `--out` cannot be written to, before anything is measured."""
    resampling(options)
    if options.out is None:
        return
    folder = Path(options.out)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"the output {folder} is a file; name a folder")
    if not options.overwrite and _results(folder):
        raise InputError(f"{folder} holds results ({_results(folder)[0].name}); name another, or pass --overwrite")


def finish(options: argparse.Namespace, scored: Scored, pictures: Mapping[str, np.ndarray] | None = None) -> None:
    """Print the table, and write it and pictures [H,W,3] RGB uint8 by file name into `--out`."""
    sys.stdout.write(FORMATS[options.format](scored))
    if options.out is None:
        return
    folder = Path(options.out)
    for old in _results(folder):
        old.unlink()
    for name, form in FORMATS.items():
        write_bytes(folder / FILES[name], form(scored).encode("utf-8"))
    for name, picture in (pictures or {}).items():
        write_bytes(folder / name, cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))[1].tobytes())
    if not options.quiet:
        sys.stderr.write(f"written to {folder}\n")


def _results(folder: Path) -> list[Path]:
    """What an earlier run left in the folder."""
    found = [folder / name for name in FILES.values() if (folder / name).exists()]
    return found + [path for pattern in PICTURES for path in sorted(folder.glob(pattern))]
