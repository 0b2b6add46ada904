"""Film a made-up performance with a rig: videos, calibration, and the exact truth beside them."""

from __future__ import annotations

import argparse
import sys
from typing import get_args

from flowface_jax.capturing import MAPS, CaptureSettings, capture
from flowface_jax.cli import common
from flowface_jax.heads.source import load_head
from flowface_jax.synthesis.filming import Photographs
from flowface_jax.synthesis.rigs import CameraMotion


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `flowface synth`."""
    default = CaptureSettings()
    parser.add_argument(
        "--head", default="generic", help="'generic' (built in), or the path of a FLAME, GNM, ICT-FaceKit or own head"
    )
    parser.add_argument("--cameras", type=int, default=default.cameras, metavar="N", help="cameras of the rig")
    parser.add_argument("--frames", type=int, default=default.frames, metavar="N", help="frames of the performance")
    parser.add_argument("--size", type=int, default=default.size, metavar="PX", help="side of the square images")
    parser.add_argument("--seed", type=int, default=default.seed, help="seed of everything random")
    parser.add_argument("--frame-rate", type=float, default=default.frame_rate, metavar="FPS", help="frames per second")
    parser.add_argument(
        "--moving",
        nargs="?",
        const="handheld",
        default=default.camera_motion,
        choices=get_args(CameraMotion),
        help="carry the rig: hand-held, or on an orbit round the face",
    )
    parser.add_argument(
        "--spread", type=float, default=default.spread, metavar="STD", help="how unusual the person is; 0 is the mean"
    )
    parser.add_argument("--no-accessories", action="store_true", help="no hats or glasses")
    parser.add_argument(
        "--photographs",
        default=default.photographs,
        choices=get_args(Photographs),
        help="how good the cameras are: well exposed and sharp, or as phones and webcams at their worse",
    )
    parser.add_argument("--maps", default="", metavar="A,B", help=f"ground truth per frame: {', '.join(MAPS)}")
    parser.add_argument("--meshes", action="store_true", help="write the mesh of every frame (PLY, metres)")
    parser.add_argument("--png", action="store_true", help="write images instead of videos")
    parser.add_argument("--all-points", action="store_true", help="align every vertex, not only face and ears")
    parser.add_argument("--out", "-o", required=True, metavar="DIR", help="folder for the capture")
    in_use = parser.add_mutually_exclusive_group()
    in_use.add_argument("--overwrite", action="store_true", help="replace the capture in DIR")
    in_use.add_argument("--resume", action="store_true", help="go on with the capture that was started in DIR")


def run(options: argparse.Namespace) -> None:
    """Film and write the folder."""
    settings = CaptureSettings(
        cameras=options.cameras,
        frames=options.frames,
        size=options.size,
        seed=options.seed,
        frame_rate=options.frame_rate,
        camera_motion=options.moving,
        spread=options.spread,
        accessories=not options.no_accessories,
        photographs=options.photographs,
        maps=tuple(name.strip() for name in options.maps.split(",") if name.strip()),
        meshes=options.meshes,
        png=options.png,
        all_points=options.all_points,
    )
    track = capture(
        load_head(options.head),
        options.out,
        settings,
        existing=common.existing(options),
        reporter=common.reporter(options),
    )
    if not options.quiet:
        sys.stdout.write(
            f"{track.frame_count} frame(s) from {track.cameras.count} camera(s), "
            f"head '{track.summary['head']['name']}'\nwritten to {options.out}\n"
        )
