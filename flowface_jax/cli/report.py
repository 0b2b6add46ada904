"""Make one HTML page of a track: video, curves, heat maps, tables, flagged frames; against the truth where given."""

from __future__ import annotations

import argparse
import sys

from flowface_jax.cli import common
from flowface_jax.evaluation.readers import KINDS
from flowface_jax.evaluation.readers.options import METRES
from flowface_jax.evaluation.scoring import Reading
from flowface_jax.heads.source import load_head
from flowface_jax.viewing.report import write_report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `flowface report`."""
    parser.add_argument("track", metavar="TRACK", help="folder that flowface track or flowface fit wrote")
    parser.add_argument(
        "truth", nargs="?", default=None, metavar="TRUTH", help="the true head of the same frames: what evaluate reads"
    )
    parser.add_argument("--head", default="generic", help="the head of the track: 'generic' (built in), or its path")
    parser.add_argument("--out", "-o", default=None, metavar="FILE", help="the page; without it TRACK/report.html")
    parser.add_argument(
        "--video", action="append", default=[], metavar="CLIP", help="draw over the tracked clip; one per camera"
    )
    parser.add_argument(
        "--alignment", default=None, metavar="FILE", help="what was fitted, where TRACK does not hold it"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a page that is there")
    group = parser.add_argument_group("the truth")
    group.add_argument("--camera", type=int, default=0, metavar="N", help="which of its cameras, from 0")
    group.add_argument("--truth-head", default=None, metavar="HEAD", help="its head, where it is not the track's")
    group.add_argument("--truth-cameras", default=None, metavar="FILE", help="calibration, where it has none")
    group.add_argument("--truth-unit", choices=tuple(METRES), default=None, help="unit of plain meshes; without it, m")
    group.add_argument("--truth-kind", choices=("auto", *KINDS), default="auto", help="what it is")


def run(options: argparse.Namespace) -> None:
    """Write the page and say where it is."""
    reading = Reading(
        head=options.truth_head or options.head,
        cameras=options.truth_cameras,
        unit=options.truth_unit,
        kind=options.truth_kind,
    )
    file = write_report(
        options.track,
        options.out,
        load_head(options.head),
        options.truth,
        truth_reading=reading,
        camera=options.camera,
        alignment=options.alignment,
        videos=options.video,
        overwrite=options.overwrite,
        reporter=common.reporter(options),
    )
    if not options.quiet:
        sys.stdout.write(f"{file}: {file.stat().st_size / 1e6:.1f} MB\n")
