"""Options that several commands share."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

import jax

from flowface_jax.aligners import AUTO, aligner_names
from flowface_jax.aligners.inputs import cameras_of_inputs, expand_inputs, is_pattern
from flowface_jax.alignment.key_points import read_key_points
from flowface_jax.cameras import load_cameras, select_cameras
from flowface_jax.cli.summary import track_summary
from flowface_jax.errors import InputError, VerdictError
from flowface_jax.fitting.config import FitConfig, config_from_mapping
from flowface_jax.fitting.track import Track
from flowface_jax.fitting.verdict import ACCEPTED
from flowface_jax.guidance import Guidance
from flowface_jax.job_folders import Existing
from flowface_jax.pipeline import CameraChoice
from flowface_jax.reporting import Reporter, SilentReporter, TerminalReporter

logger = logging.getLogger(__name__)


def add_aligner_arguments(parser: argparse._ActionsContainer) -> None:
    """What turns videos into alignments, and whether they are drawn over."""
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
    parser.add_argument(
        "--frame-rate", type=float, default=None, metavar="FPS", help="folders of images are films of this rate"
    )
    parser.add_argument(
        "--mica", default=None, metavar="FILE", help="converted MICA weights: predict --neutral from the frames (FLAME)"
    )
    parser.add_argument("--no-overlay", action="store_true", help="do not write overlay.mp4")


def add_single_view_arguments(parser: argparse._ActionsContainer) -> None:
    """Head, and focal length of a video without a calibration."""
    parser.add_argument(
        "--head", default="generic", help="'generic' (built in), or the path of a FLAME, GNM, ICT-FaceKit or own head"
    )
    parser.add_argument("--focal", type=float, default=None, metavar="PX", help="known focal length of a single view")


def add_fit_arguments(parser: argparse.ArgumentParser) -> None:
    """Head, cameras, fit settings and output folder."""
    add_single_view_arguments(parser)
    parser.add_argument("--cameras", default=None, metavar="FILE", help="calibration; without it cameras are solved")
    parser.add_argument("--camera-format", default="auto", help="format of --cameras where it is not recognised")
    parser.add_argument("--camera-names", default=None, metavar="A,B", help="cameras of --cameras, in input order")
    parser.add_argument("--neutral", default=None, metavar="FILE", help="metric neutral head (.obj or .npz) for E_MICA")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="fit.NAME=VALUE",
        help="a fit setting, e.g. fit.temporal_weight=1e5; repeatable",
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help=f"exit with code {VerdictError.exit_code} if the track, written anyway, is worse than '{ACCEPTED[-1]}'",
    )
    parser.add_argument(
        "--devices", type=int, default=1, metavar="N", help="spread the frames of the fit over the first N devices"
    )
    parser.add_argument(
        "--live", action="store_true", help="let 'flowface view DIR --live' show the solution while it is being found"
    )
    parser.add_argument("--out", "-o", required=True, metavar="DIR", help="folder for the results")
    in_use = parser.add_mutually_exclusive_group()
    in_use.add_argument("--overwrite", action="store_true", help="replace the results in DIR")
    in_use.add_argument("--resume", action="store_true", help="go on with the job that was started in DIR")


def add_guidance_arguments(parser: argparse._ActionsContainer) -> None:
    """What a user adds by hand: masks, key points, and whether photographs' EXIF counts."""
    parser.add_argument(
        "--masks",
        action="append",
        default=[],
        metavar="PATH",
        help="video, folder or image, white where pixels count and black where not; one per camera, in input order",
    )
    parser.add_argument(
        "--key-points",
        default=None,
        metavar="FILE",
        help="points placed by hand (.csv or .json: camera, frame, point, x, y, sigma) that the fit holds on to",
    )
    parser.add_argument(
        "--no-exif", action="store_true", help="do not take focal lengths from photographs' EXIF as a prior"
    )


def guidance(options: argparse.Namespace) -> Guidance:
    """What the options add by hand."""
    points = () if options.key_points is None else tuple(read_key_points(options.key_points))
    return Guidance(tuple(expand_inputs(options.masks)), points, photo_focal=not options.no_exif)


def matched_cameras(choice: CameraChoice, inputs: Sequence[str], options: argparse.Namespace) -> CameraChoice:
    """The calibration's cameras that the inputs belong to by their names, in the inputs' order; as they are where
    --camera-names has named them, or names do not tell. Raises InputError where only some of a pattern's inputs tell.
    """
    calibration = choice.calibration
    if calibration is None or options.camera_names:
        return choice
    by_pattern = any(is_pattern(name) for name in options.inputs)
    names = cameras_of_inputs(inputs, calibration.names, strict=by_pattern)
    if names is None:
        if by_pattern:
            logger.warning(
                "no input has a camera's name, so they are taken in order: %s is camera '%s', and so on",
                inputs[0],
                calibration.names[0],
            )
        return choice
    return CameraChoice(calibration=select_cameras(calibration, names))


def camera_choice(options: argparse.Namespace) -> CameraChoice:
    """The cameras that the options name."""
    if options.focal is not None and not options.focal > 0:
        raise InputError(f"--focal: expected pixels above 0, found {options.focal:g}")
    if options.cameras is None:
        return CameraChoice(focal=options.focal)
    if options.focal is not None:
        raise InputError("--focal and --cameras exclude each other: the calibration has the focal lengths")
    calibration = load_cameras(options.cameras, options.camera_format)
    if options.camera_names:
        calibration = select_cameras(calibration, options.camera_names.split(","))
    return CameraChoice(calibration=calibration)


def fit_config(options: argparse.Namespace, base: FitConfig | None = None) -> FitConfig:
    """The fit settings: `base` (the defaults) with `--set` applied."""
    values = {}
    for item in options.set:
        name, separator, value = item.partition("=")
        if not separator or not name.startswith("fit."):
            raise InputError(f"--set: expected fit.NAME=VALUE, found '{item}'")
        values[name.removeprefix("fit.")] = value
    return config_from_mapping(values, base)


def existing(options: argparse.Namespace) -> Existing:
    """What to do with an output folder in use."""
    return "overwrite" if options.overwrite else "resume" if options.resume else "refuse"


def reporter(options: argparse.Namespace) -> Reporter:
    """Progress bars, unless quiet."""
    return SilentReporter() if options.quiet else TerminalReporter()


def conclude(track: Track, options: argparse.Namespace) -> None:
    """Say how it went. Raises VerdictError where `--strict` does not accept the track, which has been written."""
    if not options.quiet:
        sys.stdout.write(track_summary(track, options.out))
    if options.strict:
        check_verdict(track, options.out)


def check_verdict(track: Track, folder: str | os.PathLike[str]) -> None:
    """Raise VerdictError, with the reasons, where the track is worse than usable."""
    if track.verdict in ACCEPTED:
        return
    reasons = "; ".join(track.summary["quality"]["verdict_reasons"])
    raise VerdictError(f"the track is {track.verdict}: {reasons}; it is written to {folder}, see quality in track.json")


def devices(options: argparse.Namespace) -> list[jax.Device]:
    """The devices that `--devices` names."""
    present = jax.devices()
    if not 1 <= options.devices <= len(present):
        raise InputError(f"--devices: expected 1 to {len(present)}, as many as there are, found {options.devices}")
    return present[: options.devices]
