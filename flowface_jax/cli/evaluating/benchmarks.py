"""`flowface evaluate now` and `facescape`: benchmarks with folders of their own."""

from __future__ import annotations

import argparse

from flowface_jax.cli import common
from flowface_jax.cli.evaluating.inputs import add_predictions, named_paths
from flowface_jax.cli.evaluating.output import finish, resampling
from flowface_jax.errors import InputError
from flowface_jax.evaluation.readers.options import METRES
from flowface_jax.evaluation.scoring import Reading, score_facescape, score_now


class Now:
    """NoW: neutral faces against scans, mm, with the benchmark's own protocol; for its validation set."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        add_predictions(
            parser,
            "folder of SUBJECT/CHALLENGE/IMAGE.obj and .npy, as it is submitted",
            "the evaluation folder: scans, scans_lmks_onlypp, imagepathsvalidation.txt",
        )
        parser.add_argument("--list", default=None, metavar="FILE", help="images; without it, the validation list")
        parser.add_argument("--metrical", action="store_true", help="the metrical challenge; needs --unit")
        parser.add_argument("--unit", choices=tuple(METRES), default=None, help="unit of the predictions")
        parser.add_argument("--by-challenge", action="store_true", help="medians of each challenge as well")
        parser.add_argument(
            "--without-flat-triangles", action="store_true", help="drop triangles without area, as its tool can"
        )

    @staticmethod
    def run(options: argparse.Namespace) -> None:
        if options.metrical != (options.unit is not None):
            raise InputError("expected --metrical and --unit together, found one; without both, size does not count")
        scored = score_now(
            named_paths(options.predictions),
            options.truth,
            options.list,
            options.unit,
            options.without_flat_triangles,
            options.by_challenge,
            resampling(options),
            common.reporter(options),
        )
        finish(options, scored)


class Facescape:
    """FaceScape: reconstructions of its lab or wild images: chamfer distance, normal error, completeness."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        add_predictions(
            parser,
            "folder of NN_F_VV.obj or .ply in the camera's frame, or of tracks of these names (wild: NNN.obj)",
            "FaceScape's `benchmark` folder: data, code/predef",
        )
        parser.add_argument("--part", choices=("lab", "wild"), default="lab", help="which of its images")
        parser.add_argument("--unit", choices=tuple(METRES), default="mm", help="unit of lab meshes")
        parser.add_argument("--head", default=None, metavar="HEAD", help="head of tracks")

    @staticmethod
    def run(options: argparse.Namespace) -> None:
        scored = score_facescape(
            named_paths(options.predictions),
            options.truth,
            options.part,
            Reading(head=options.head, unit=options.unit),
            resampling(options),
            common.reporter(options),
        )
        finish(options, scored)
