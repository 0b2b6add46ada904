"""Track a made-up performance with known truth and compare: nothing to fetch, about a minute."""

from __future__ import annotations

import argparse
import sys

from flowface_jax.cli import common
from flowface_jax.demo import DemoSettings, results_text, run_demo


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `flowface demo`."""
    parser.add_argument("--out", "-o", default="output/demo", metavar="DIR", help="folder for the results")
    parser.add_argument("--frames", type=int, default=DemoSettings.frames, help="frames of the performance")
    parser.add_argument("--cameras", type=int, default=DemoSettings.cameras, help="cameras of the rig")
    parser.add_argument("--seed", type=int, default=DemoSettings.seed, help="seed of everything random")
    in_use = parser.add_mutually_exclusive_group()
    in_use.add_argument("--overwrite", action="store_true", help="replace the results in DIR")
    in_use.add_argument("--resume", action="store_true", help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> None:
    """Run, write, print the table."""
    settings = DemoSettings(frames=options.frames, cameras=options.cameras, seed=options.seed)
    results = run_demo(options.out, settings, common.existing(options), common.reporter(options))
    sys.stdout.write(results_text(results))
    sys.stdout.write(f"pictures: {options.out}/demo.png and {options.out}/overlay.mp4\n")
