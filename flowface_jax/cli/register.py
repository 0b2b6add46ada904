"""Lay a head model's topology onto textured 3D scans."""

from __future__ import annotations

import argparse
import sys

from flowface_jax.cli import common
from flowface_jax.heads.source import load_head

_UNITS = ("mm", "cm", "m", "unknown")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `flowface register`."""
    parser.add_argument("scans", metavar="SCANS", help="folder of one subject's scans (.obj, .ply), or of such folders")
    parser.add_argument("--out", "-o", required=True, metavar="DIR", help="folder for <subject>/<expression>.ply")
    parser.add_argument("--head", default="generic", help="the head model: FLAME's path, …")
    parser.add_argument("--units", choices=_UNITS, default="mm", help="of the scans; 'unknown' solves for the scale")
    parser.add_argument("--neutral", default=None, metavar="NAME", help="name of the neutral scan, without suffix")
    parser.add_argument(
        "--landmarks",
        default=None,
        metavar="FILE",
        help="annotated landmarks of the neutral scan (.json, .csv, MeshLab's .pp), or a folder of <subject>.json, …; "
        "without, MediaPipe looks for them",
    )
    parser.add_argument(
        "--points",
        default=None,
        metavar="DIR",
        help='corrected <subject>/<expression>.points.json: positions whose status was set to "manual"',
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="subjects at a time")
    parser.add_argument("--overwrite", action="store_true", help="register again what is there")


def run(options: argparse.Namespace) -> None:
    """Register; called again after an interruption, go on."""
    # Only here: the other commands start without loading what training needs.
    from flowface_jax.training.registration.job import register_scans
    from flowface_jax.training.registration.scans import UNITS

    verdicts = register_scans(
        options.scans,
        load_head(options.head),
        options.out,
        unit=UNITS.get(options.units),
        neutral=options.neutral,
        landmarks=options.landmarks,
        points=options.points,
        jobs=options.jobs,
        overwrite=options.overwrite,
        reporter=common.reporter(options),
    )
    if not options.quiet:
        counts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()))
        sys.stdout.write(f"{sum(verdicts.values())} scans: {counts}; written to {options.out}\n")
