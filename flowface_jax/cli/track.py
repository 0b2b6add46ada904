"""Track the face in a video, an image, or one video per camera of a rig."""

from __future__ import annotations

import argparse

from flowface_jax.aligners.inputs import expand_inputs
from flowface_jax.cli import common
from flowface_jax.heads.source import load_head
from flowface_jax.pipeline import TRACK_CONFIG, read_neutral, track


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `flowface track`."""
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="video, image, or folder of images; one per camera, or a quoted pattern such as 'rig/cam*.mp4' for all",
    )
    common.add_aligner_arguments(parser)
    parser.add_argument("--face", type=int, default=1, metavar="N", help="which face, 1 = the largest")
    common.add_guidance_arguments(parser)
    common.add_fit_arguments(parser)


def run(options: argparse.Namespace) -> None:
    """Track and write the folder."""
    inputs = expand_inputs(options.inputs)
    cameras = common.matched_cameras(common.camera_choice(options), inputs, options)
    config = common.fit_config(options, TRACK_CONFIG)
    neutral = None if options.neutral is None else read_neutral(options.neutral)
    result = track(
        inputs,
        options.out,
        load_head(options.head),
        aligner=options.aligner,
        cameras=cameras,
        face=options.face,
        config=config,
        neutral_template=neutral,
        overlay=not options.no_overlay,
        existing=common.existing(options),
        devices=common.devices(options),
        live=options.live,
        reporter=common.reporter(options),
        frame_rate=options.frame_rate,
        mica=options.mica,
        detector=options.detector,
        guidance=common.guidance(options),
    )
    common.conclude(result, options)
