"""Track the face in a video, an image, or one video per camera of a rig."""

from __future__ import annotations

import argparse

from flowface_jax.aligners import AUTO, aligner_names
from flowface_jax.cli import common
from flowface_jax.heads.source import load_head
from flowface_jax.pipeline import TRACK_CONFIG, read_neutral, track


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `flowface track`."""
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="video, image, or folder of images; one per camera")
    parser.add_argument(
        "--aligner",
        default=AUTO,
        metavar="NAME|FILE",
        help=f"what finds the face's points: {', '.join(aligner_names())}, or the path of a trained network "
        "(.safetensors); auto is the bundled network that suits the device, or mediapipe where none is bundled",
    )
    parser.add_argument(
        "--detector",
        default="mediapipe",
        metavar="mediapipe|FILE",
        help="what finds the face for a trained network: MediaPipe, or S3FD's converted weights (.safetensors)",
    )
    parser.add_argument("--face", type=int, default=1, metavar="N", help="which face, 1 = the largest")
    parser.add_argument(
        "--frame-rate", type=float, default=None, metavar="FPS", help="folders of images are films of this rate"
    )
    parser.add_argument(
        "--mica", default=None, metavar="FILE", help="converted MICA weights: predict --neutral from the frames (FLAME)"
    )
    parser.add_argument("--no-overlay", action="store_true", help="do not write overlay.mp4")
    common.add_fit_arguments(parser)


def run(options: argparse.Namespace) -> None:
    """Track and write the folder."""
    cameras, config = common.camera_choice(options), common.fit_config(options, TRACK_CONFIG)
    neutral = None if options.neutral is None else read_neutral(options.neutral)
    result = track(
        options.inputs,
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
        reporter=common.reporter(options),
        frame_rate=options.frame_rate,
        mica=options.mica,
        detector=options.detector,
    )
    common.conclude(result, options)
