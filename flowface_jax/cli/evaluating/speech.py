"""`flowface evaluate lips`: speech-driven animation."""

from __future__ import annotations

import argparse

from flowface_jax.cli.evaluating.inputs import (
    add_predictions,
    add_reading_arguments,
    named_paths,
    reading,
    truth_reading,
)
from flowface_jax.cli.evaluating.output import finish, resampling
from flowface_jax.evaluation.scoring import score_lips


class Lips:
    """Lip vertex error (LVE) and upper-face dynamics deviation (FDD) of speech animation."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        add_predictions(
            parser,
            "a sequence, or a folder of one .npy [F,3V] for each sequence",
            "the truth of the same topology; folders by the same file names",
        )
        listed = "regions of the mesh joined by +, or a file of vertex numbers (.txt) or a mask (.npy)"
        parser.add_argument("--lips", default="lips", metavar="VERTICES", help=f"{listed}")
        parser.add_argument("--upper-face", default=None, metavar="VERTICES", help=f"for FDD: {listed}")
        parser.add_argument("--template", default=None, metavar="FILE", help="for FDD: the subject's neutral mesh")
        add_reading_arguments(parser)

    @staticmethod
    def run(options: argparse.Namespace) -> None:
        scored = score_lips(
            named_paths(options.predictions),
            options.truth,
            reading(options),
            truth_reading(options),
            options.lips,
            options.upper_face,
            options.template,
            resampling(options),
        )
        finish(options, scored)
