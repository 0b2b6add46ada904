"""`flowface evaluate ssme`, `chamfer` and `jitter`."""

from __future__ import annotations

import argparse
import logging

import numpy as np

from flowface_jax.cli import common
from flowface_jax.cli.evaluating.inputs import (
    add_predictions,
    add_reading_arguments,
    keyed,
    named_paths,
    reading,
    truth_reading,
)
from flowface_jax.cli.evaluating.output import finish, resampling
from flowface_jax.errors import InputError, MissingDependencyError
from flowface_jax.evaluation.mesh_sequence import MeshSequence
from flowface_jax.evaluation.reconstruction.chamfer import ChamferConfig
from flowface_jax.evaluation.scoring import (
    Scored,
    key_points_of,
    open_all,
    opened,
    read_regions,
    score_chamfer,
    score_jitter,
    score_ssme,
)
from flowface_jax.evaluation.scoring.meshes import benchmark_regions
from flowface_jax.evaluation.scoring.pictures import PictureChoice, check_choice, motion_pictures
from flowface_jax.evaluation.scoring.rows import naming
from flowface_jax.evaluation.ssme import WINDOWS, SsmeConfig

logger = logging.getLogger(__name__)
_PREDICTION = "what a tracker wrote: a track's folder, a folder of meshes, …"
_TRUTH = "the true mesh in motion, in any of these forms"
_REGIONS = "masks of the truth's face, eyes, nose, mouth and ears (.npz), where its head names none"


class Ssme:
    """Screen space motion error, px: how well the motion over the image agrees with the truth's."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        add_predictions(parser, _PREDICTION, _TRUTH)
        parser.add_argument("--windows", type=int, default=WINDOWS, metavar="N", help="longest window, frames")
        parser.add_argument("--stride", type=int, default=1, metavar="N", help="every so manieth row and column")
        parser.add_argument("--only-seen", action="store_true", help="leave out points that are hidden at the end")
        parser.add_argument("--regions", default=None, metavar="FILE", help=_REGIONS)
        add_reading_arguments(parser)
        group = parser.add_argument_group("pictures in --out")
        group.add_argument("--video", default=None, metavar="FILE", help="the film, to lie behind them")
        group.add_argument("--frame", type=int, default=None, metavar="N", help="where maps and paths begin")
        group.add_argument(
            "--window", type=int, default=None, metavar="N", help="frames over which maps show the error"
        )
        group.add_argument("--pixel", type=int, nargs=2, default=None, metavar=("X", "Y"), help="whose path is drawn")

    @staticmethod
    def run(options: argparse.Namespace) -> None:
        predictions, truth = _opened(options)
        masks = _regions(options, truth)
        check_choice(_choice(options), truth, options.camera)
        scored = score_ssme(
            predictions,
            truth,
            options.camera,
            SsmeConfig(options.windows, options.stride, options.only_seen),
            masks,
            resampling(options),
            common.reporter(options),
        )
        pictures = {} if options.out is None else _pictures(options, scored, predictions, truth, masks)
        finish(options, scored, pictures)


class Chamfer:
    """Chamfer distance, mm: from the truth's vertices to the predicted surface, laid on it rigidly."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        add_predictions(parser, _PREDICTION, _TRUTH)
        seven = "seven vertex numbers A,B,… or a file of them, where the head is not known"
        parser.add_argument(
            "--key-points", action="append", default=[], metavar="[NAME=]POINTS", help=f"{seven}; repeatable"
        )
        parser.add_argument("--truth-key-points", default=None, metavar="POINTS", help="the same of the truth")
        parser.add_argument("--with-scale", action="store_true", help="let predictions change their size")
        parser.add_argument("--stride", type=int, default=1, metavar="N", help="measure every so manieth frame")
        parser.add_argument("--regions", default=None, metavar="FILE", help=_REGIONS)
        add_reading_arguments(parser)

    @staticmethod
    def run(options: argparse.Namespace) -> None:
        predictions, truth = _opened(options)
        stated = keyed(options.key_points, list(predictions), "--key-points")
        points = {}
        for name, prediction in predictions.items():
            with naming(name):
                points[name] = key_points_of(prediction, reading(options), stated.get(name))
        scored = score_chamfer(
            predictions,
            truth,
            points,
            key_points_of(truth, truth_reading(options), options.truth_key_points),
            ChamferConfig(with_scale=options.with_scale, stride=options.stride),
            _regions(options, truth),
            resampling(options),
            common.reporter(options),
        )
        finish(options, scored)


class Jitter:
    """Jitter of sequences, px and mm: how restless each is; the truth, if there is one, is a sequence as well."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        add_predictions(parser, _PREDICTION, None)
        parser.add_argument("--region", default=None, metavar="NAME", help="whose vertices; without it, the face's")
        add_reading_arguments(parser, truth=False)

    @staticmethod
    def run(options: argparse.Namespace) -> None:
        sequences = {}
        for name, path in named_paths(options.predictions).items():
            with naming(name):
                sequences[name] = opened(path, reading(options), name)
        finish(options, score_jitter(sequences, options.camera, options.region, resampling(options)))


def _opened(options: argparse.Namespace) -> tuple[dict[str, MeshSequence], MeshSequence]:
    paths = named_paths(options.predictions)
    return open_all(paths, options.truth, reading(options), truth_reading(options), options.camera)


def _regions(options: argparse.Namespace, truth: MeshSequence) -> dict[str, np.ndarray]:
    named = None if options.regions is None else read_regions(options.regions, truth.vertices.shape[1])
    return benchmark_regions(truth, named)


def _choice(options: argparse.Namespace) -> PictureChoice:
    return PictureChoice(options.frame, options.window, options.pixel and tuple(options.pixel), options.video)


def _pictures(
    options: argparse.Namespace,
    scored: Scored,
    predictions: dict[str, MeshSequence],
    truth: MeshSequence,
    masks: dict[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """The pictures, or none and a warning where they cannot be drawn: the tables are written all the same."""
    try:
        return motion_pictures(scored.results, predictions, truth, masks, options.camera, _choice(options))
    except (MissingDependencyError, InputError) as error:
        logger.warning("no pictures: %s", error)
        return {}
