"""Make an atlas texture of a tracked person from the video."""

from __future__ import annotations

import argparse
import sys

from flowface_jax.cli import common
from flowface_jax.heads.source import load_head
from flowface_jax.texturing import MAX_FRAMES, texture_track


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `flowface texture`."""
    parser.add_argument("track", metavar="TRACK", help="folder that flowface track or flowface fit wrote")
    parser.add_argument("inputs", nargs="+", metavar="VIDEO", help="the tracked video; one per camera, in order")
    parser.add_argument("--head", default="generic", help="the head of the track: 'generic' (built in), or its path")
    parser.add_argument("--out", "-o", required=True, metavar="PATH", help="an .npz file, or a folder for texture.npz")
    parser.add_argument("--side", type=int, default=1024, metavar="N", help="texels per side, a multiple of 8")
    parser.add_argument("--max-frames", type=int, default=MAX_FRAMES, metavar="N", help="pictures that are merged")
    parser.add_argument("--keep-light", action="store_true", help="leave the shading and the colour of the light in")
    parser.add_argument("--overwrite", action="store_true", help="replace a texture that is there")


def run(options: argparse.Namespace) -> None:
    """Make the texture and write it, with pictures of it and of its confidence."""
    result, file = texture_track(
        options.track,
        options.inputs,
        options.out,
        load_head(options.head),
        side=options.side,
        max_frames=options.max_frames,
        keep_light=options.keep_light,
        overwrite=options.overwrite,
        reporter=common.reporter(options),
    )
    if not options.quiet:
        seen = 100 * float((result.confidence > 191).mean())
        sys.stdout.write(
            f"{file}: {result.side} x {result.side}, {len(result.frames)} frames, {seen:.0f} % seen well\n"
        )
