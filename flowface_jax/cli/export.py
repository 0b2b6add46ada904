"""Write a track for other programs: Blender, USD, ARKit curves, avatar methods, other trackers' layouts, maps."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from flowface_jax.cli import common
from flowface_jax.errors import InputError
from flowface_jax.exporting import TARGETS, export, open_performance
from flowface_jax.exporting.export import find_target
from flowface_jax.heads.source import load_head


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `flowface export`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "targets:\n" + "\n".join(f"  {name:<18}{TARGETS[name].summary}" for name in sorted(TARGETS))
    parser.add_argument("track", metavar="TRACK", help="folder that flowface track or flowface fit wrote")
    parser.add_argument("--to", required=True, metavar="TARGET", help="what to write, one of the targets below")
    parser.add_argument("--head", default="generic", help="the head of the track: 'generic' (built in), or its path")
    parser.add_argument("--out", "-o", default=None, metavar="PATH", help="the file or folder; else beside the track")
    parser.add_argument("--video", action="append", default=[], metavar="CLIP", help="the tracked clip; one per camera")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="TARGET.NAME=VALUE",
        help="a setting of the target, e.g. glb.cameras=false; repeatable",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace what is there")


def run(options: argparse.Namespace) -> None:
    """Write it and say where it is."""
    target = find_target(options.to)
    settings = {}
    for item in options.set:
        name, separator, value = item.partition("=")
        if not separator or not name.startswith(f"{target.name}."):
            raise InputError(f"--set: expected {target.name}.NAME=VALUE, found '{item}'")
        settings[name.removeprefix(f"{target.name}.")] = value
    performance = open_performance(options.track, load_head(options.head), options.video)
    folder = Path(options.track)
    folder = folder if folder.is_dir() else folder.parent
    out = options.out or folder / f"{target.name}{target.suffix}"
    file = export(performance, target.name, out, settings, options.overwrite, common.reporter(options))
    if not options.quiet:
        sys.stdout.write(f"{file}\n")
