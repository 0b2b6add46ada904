"""Track everybody in many videos: a folder or list of them, over many processes, GPUs and machines."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from flowface_jax.aligners.people import PeopleSettings
from flowface_jax.aligners.scene_cuts import SceneCutSettings
from flowface_jax.batches import BatchSettings, Resources, run_batch
from flowface_jax.batches.tables import summary
from flowface_jax.cli import common
from flowface_jax.errors import BatchError, InputError
from flowface_jax.fitting.config import config_from_mapping
from flowface_jax.pipeline import TRACK_CONFIG
from flowface_jax.settings import settings_from

SECTIONS = ("fit", "cuts", "people")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `flowface track-all`."""
    parser.add_argument("source", metavar="FOLDER_OR_LIST", help="folder of videos, or text file with one path a line")
    parser.add_argument("--out", "-o", required=True, metavar="DIR", help="folder for the tracks and the table")
    engine = parser.add_argument_group("where it runs")
    engine.add_argument("--jobs", "-j", type=int, default=1, metavar="N", help="videos at a time; above 1 needs Ray")
    engine.add_argument(
        "--address", default="", metavar="auto|ray://…", help="a Ray cluster whose machines all see the folders"
    )
    engine.add_argument(
        "--gpus-per-job", type=float, default=0.0, metavar="N", help="GPUs for each video, 0.5 for two to share one"
    )
    engine.add_argument("--retry-failed", action="store_true", help="try those again that failed before")
    who = parser.add_argument_group("what becomes a track")
    who.add_argument("--people", choices=("one", "all"), default="all", help="the largest face of a scene, or all")
    who.add_argument(
        "--cuts", action=argparse.BooleanOptionalAction, default=True, help="a track begins anew at every scene cut"
    )
    how = parser.add_argument_group("how each is tracked")
    common.add_aligner_arguments(how)
    common.add_single_view_arguments(how)
    how.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="fit.NAME=VALUE",
        help="a setting of the fit, of scene cuts (cuts.NAME) or of following people (people.NAME); repeatable",
    )


def run(options: argparse.Namespace) -> None:
    """Track them all, write the table, and say how it went."""
    batch = run_batch(
        options.source,
        options.out,
        batch_settings(options),
        Resources(options.jobs, options.gpus_per_job, options.address),
        options.retry_failed,
        common.reporter(options),
    )
    if not options.quiet:
        sys.stdout.write(summary(batch.rows, batch.folder, batch.seconds))
    if batch.failures:
        first = batch.failures[0]
        raise BatchError(
            f"{len(batch.failures)} of {len(batch.rows)} rows of the table failed, the first {first.input}: "
            f"{first.error}; all others are done, and --retry-failed tries these again"
        )


def batch_settings(options: argparse.Namespace) -> BatchSettings:
    """The settings that the options name."""
    values = _settings(options.set)
    cuts = settings_from(SceneCutSettings, values["cuts"], "cuts")
    return BatchSettings(
        head=options.head,
        aligner=options.aligner,
        detector=options.detector,
        mica=options.mica,
        focal=options.focal,
        frame_rate=options.frame_rate,
        overlay=not options.no_overlay,
        people=options.people,
        cuts=cuts if options.cuts else None,
        linking=settings_from(PeopleSettings, values["people"], "people"),
        fit=config_from_mapping(values["fit"], TRACK_CONFIG),
    )


def _settings(items: Sequence[str]) -> dict[str, dict[str, str]]:
    """Values by section and name."""
    values: dict[str, dict[str, str]] = {section: {} for section in SECTIONS}
    for item in items:
        name, separator, value = item.partition("=")
        section, dot, setting = name.partition(".")
        if not separator or not dot or section not in SECTIONS:
            raise InputError(f"--set: expected fit.NAME=VALUE, cuts.NAME=VALUE or people.NAME=VALUE, found '{item}'")
        values[section][setting] = value
    return values
