"""Turn a data set in its released layout into a folder of training samples."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from flowface_jax.cli import common
from flowface_jax.errors import InputError
from flowface_jax.heads.source import load_head

_DATASETS = ("facescape", "stirling", "famos", "multiface")
_SHOWN = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `flowface prepare`."""
    parser.add_argument("dataset", choices=_DATASETS, help="whose layout it is")
    parser.add_argument("root", metavar="ROOT", help="folder of the data set")
    parser.add_argument("--out", "-o", required=True, metavar="DIR", help="folder for the samples")
    parser.add_argument(
        "--registrations",
        default=None,
        metavar="DIR",
        help="meshes that flowface register made (DIR/<subject>/<expression>.ply); facescape and stirling need them",
    )
    parser.add_argument("--head", default="generic", help="the head whose topology the meshes have: FLAME's path, …")
    parser.add_argument("--side", type=int, default=640, metavar="PX", help="side of the stored crops")
    parser.add_argument("--split", choices=("all", "train", "val"), default="all", help="subjects of which split")
    parser.add_argument("--subjects", nargs="+", default=[], metavar="ID", help="only these subjects")
    parser.add_argument("--every", type=int, default=10, metavar="N", help="of films, one frame out of N")
    parser.add_argument("--views", type=int, default=30, metavar="N", help="pictures made of each scan (stirling)")
    parser.add_argument("--seed", type=int, default=0, help="seed of these pictures")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="threads; the samples do not depend on it")
    parser.add_argument("--overwrite", action="store_true", help="replace the samples in DIR")


def run(options: argparse.Namespace) -> None:
    """Read, cut, write; called again after an interruption, go on."""
    # Only here: the other commands start without loading what training needs.
    from flowface_jax.training.datasets import ReaderSettings, open_dataset
    from flowface_jax.training.preparation import prepare
    from flowface_jax.training.samples import SampleConfig

    if options.seed < 0:
        raise InputError(f"--seed: expected 0 or more, found {options.seed}")
    head = load_head(options.head)
    settings = ReaderSettings(
        every=options.every,
        synthetic_views=options.views,
        seed=options.seed,
        split=options.split,
        subjects=tuple(options.subjects),
    )
    about = prepare(
        open_dataset(options.dataset, options.root, head, settings, options.registrations),
        head,
        options.out,
        SampleConfig(side=options.side),
        options.jobs,
        options.overwrite,
        common.reporter(options),
    )
    if not options.quiet:
        sys.stdout.write(_summary(about, options.out))


def _summary(about: dict[str, Any], folder: str) -> str:
    """What was made, what was left out and why."""
    lines = [
        f"{about['count']} samples of {about['side']} px in {len(about['shards'])} shard(s), head '{about['head']}' "
        f"({about['vertices']} vertices)"
    ]
    left_out = sorted(about["refused"].items(), key=lambda item: (-item[1], item[0]))
    lines += [f"left out: {count} x {reason}" for reason, count in left_out[:_SHOWN]]
    lines.append(f"written to {folder}")
    return "\n".join(lines) + "\n"
