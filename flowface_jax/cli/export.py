"""Write a track for other programs: Blender, USD, ARKit curves, avatar methods, other trackers' layouts, maps."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from flowface_jax.cli import common
from flowface_jax.errors import InputError
from flowface_jax.exporting import TARGETS, export, open_performance
from flowface_jax.exporting.export import find_target
from flowface_jax.exporting.retargeting import RetargetSettings, retarget
from flowface_jax.heads.source import load_head
from flowface_jax.settings import check_settings, settings_from


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `flowface export`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "targets:\n" + "\n".join(f"  {name:<18}{TARGETS[name].summary}" for name in sorted(TARGETS))
    parser.add_argument("track", metavar="TRACK", help="folder that flowface track or flowface fit wrote")
    parser.add_argument("--to", required=True, metavar="TARGET", help="what to write, one of the targets below")
    parser.add_argument("--head", default="generic", help="the head of the track: 'generic' (built in), or its path")
    parser.add_argument(
        "--retarget",
        default=None,
        metavar="HEAD",
        help="first lay the performance onto another head model: 'generic', or the path of one",
    )
    parser.add_argument("--out", "-o", default=None, metavar="PATH", help="the file or folder; else beside the track")
    parser.add_argument("--video", action="append", default=[], metavar="CLIP", help="the tracked clip; one per camera")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="TARGET.NAME=VALUE",
        help="a setting of the target, e.g. glb.cameras=false, or of --retarget: retarget.offsets=false; repeatable",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace what is there")


def run(options: argparse.Namespace) -> None:
    """Write it and say where it is."""
    target = find_target(options.to)
    settings = _settings(options, target.name)
    performance = open_performance(options.track, load_head(options.head), options.video)
    if options.retarget is not None:
        config = settings_from(RetargetSettings, settings["retarget"], "retarget")
        check_settings(config, "retarget")
        performance = retarget(performance, load_head(options.retarget), config, common.reporter(options))
        found = performance.track.summary["retargeted"]
        if not options.quiet:
            sys.stderr.write(
                f"retargeted to {performance.head.name}: face and ears {found['median_mm']:.1f} mm apart "
                f"(90th percentile {found['p90_mm']:.1f})\n"
            )
    folder = Path(options.track)
    folder = folder if folder.is_dir() else folder.parent
    out = options.out or folder / f"{target.name}{target.suffix}"
    file = export(performance, target.name, out, settings[target.name], options.overwrite, common.reporter(options))
    if not options.quiet:
        sys.stdout.write(f"{file}\n")


def _settings(options: argparse.Namespace, target: str) -> dict[str, dict[str, str]]:
    """The values of every --set, by the section before the dot: the target's, and those of retargeting."""
    sections: dict[str, dict[str, str]] = {target: {}, "retarget": {}}
    for item in options.set:
        name, separator, value = item.partition("=")
        section, dot, field = name.partition(".")
        if not separator or not dot or section not in sections:
            raise InputError(f"--set: expected {target}.NAME=VALUE, found '{item}'")
        if section == "retarget" and options.retarget is None:
            raise InputError(f"--set {item} needs --retarget HEAD")
        sections[section][field] = value
    return sections
