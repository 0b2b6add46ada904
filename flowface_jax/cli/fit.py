"""Fit a head to alignments that already exist (flowface's or CAP4D's alignment.npz)."""

from __future__ import annotations

import argparse

from flowface_jax.aligners.inputs import expand_inputs
from flowface_jax.alignment.source import load_alignment
from flowface_jax.cli import common
from flowface_jax.heads.source import load_head
from flowface_jax.pipeline import fit_file, read_neutral


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `flowface fit`."""
    parser.add_argument("alignment", metavar="ALIGNMENT.npz", help="alignment file")
    parser.add_argument(
        "--video", action="append", default=[], metavar="FILE", help="draw overlay.mp4 over it; one per camera"
    )
    common.add_guidance_arguments(parser)
    common.add_fit_arguments(parser)


def run(options: argparse.Namespace) -> None:
    """Fit and write the folder."""
    cameras, config = common.camera_choice(options), common.fit_config(options)
    neutral = None if options.neutral is None else read_neutral(options.neutral)
    result = fit_file(
        options.alignment,
        load_alignment(options.alignment),
        options.out,
        load_head(options.head),
        cameras=cameras,
        config=config,
        neutral_template=neutral,
        videos=expand_inputs(options.video),
        guidance=common.guidance(options),
        existing=common.existing(options),
        devices=common.devices(options),
        live=options.live,
        reporter=common.reporter(options),
    )
    common.conclude(result, options)
