"""`flowface evaluate nme` and `avatar`: points in images, and pictures."""

from __future__ import annotations

import argparse
from typing import get_args

from flowface_jax.cli import common
from flowface_jax.cli.evaluating.inputs import (
    add_predictions,
    add_reading_arguments,
    named_paths,
    reading,
    truth_reading,
)
from flowface_jax.cli.evaluating.output import finish, resampling
from flowface_jax.errors import InputError
from flowface_jax.evaluation.images import load_lpips
from flowface_jax.evaluation.landmark_error import Normalisation
from flowface_jax.evaluation.scoring import score_avatar, score_nme


class Nme:
    """Normalised mean error of points in images, per cent: landmarks, dense alignments, or vertices of a mesh."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        add_predictions(
            parser,
            "points [N,P,2] px (.npy, .npz), an alignment.npz, or a sequence whose vertices are compared",
            "the true points, in any of these forms, with the same P",
        )
        parser.add_argument(
            "--normalise", choices=get_args(Normalisation), default="box side", help="by which length of the truth"
        )
        parser.add_argument("--limit", type=float, default=0.08, help="error from which an image is a failure")
        parser.add_argument(
            "--region", default=None, metavar="NAME", help="whose points, or 'all'; by default the face"
        )
        add_reading_arguments(parser)

    @staticmethod
    def run(options: argparse.Namespace) -> None:
        scored = score_nme(
            named_paths(options.predictions),
            options.truth,
            reading(options),
            truth_reading(options),
            options.camera,
            options.region,
            options.normalise,
            options.limit,
            resampling(options),
        )
        finish(options, scored)


class Avatar:
    """PSNR, SSIM, MS-SSIM and LPIPS of pictures, such as an avatar's, beside the true ones."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        add_predictions(parser, "folder of images, or a video", "the true pictures, in the same order")
        parser.add_argument(
            "--lpips", default=None, metavar="FILE", help="weights of torchvision's AlexNet or VGG-16, for LPIPS"
        )
        parser.add_argument(
            "--lpips-heads", default=None, metavar="FILE", help="the lpips package's layers, where they are apart"
        )

    @staticmethod
    def run(options: argparse.Namespace) -> None:
        if options.lpips is None and options.lpips_heads is not None:
            raise InputError("--lpips-heads: expected --lpips with the network beside it, found none")
        network = None if options.lpips is None else load_lpips(options.lpips, options.lpips_heads)
        paths = named_paths(options.predictions)
        finish(options, score_avatar(paths, options.truth, network, resampling(options), common.reporter(options)))
