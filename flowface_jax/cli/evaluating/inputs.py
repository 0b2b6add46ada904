"""Predictions beside one truth, and how their files are read."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from flowface_jax.errors import InputError
from flowface_jax.evaluation.readers import KINDS
from flowface_jax.evaluation.readers.options import METRES
from flowface_jax.evaluation.scoring import Reading


def add_predictions(parser: argparse.ArgumentParser, what: str, truth: str | None) -> None:
    """One or more predictions and, where there is one, the truth."""
    parser.add_argument("predictions", nargs="+", metavar="PRED", help=f"{what}; NAME=PATH names its row")
    if truth is not None:
        parser.add_argument("truth", metavar="TRUTH", help=truth)


def add_reading_arguments(parser: argparse.ArgumentParser, truth: bool = True) -> None:
    """What files may not say of themselves."""
    group = parser.add_argument_group("what files do not say")
    group.add_argument("--head", default=None, metavar="HEAD", help="head of what stores parameters: FLAME's path, …")
    group.add_argument(
        "--cameras", default=None, metavar="FILE", help="calibration of meshes that come without cameras"
    )
    group.add_argument("--camera", type=int, default=0, metavar="N", help="which of the cameras, from 0")
    group.add_argument("--unit", choices=tuple(METRES), default=None, help="unit of plain meshes; without it, m")
    group.add_argument("--kind", choices=("auto", *KINDS), default="auto", help="what the predictions are")
    group.add_argument("--image-size", default=None, metavar="WxH", help="px, where a file needs and lacks it")
    group.add_argument("--fps", type=float, default=None, metavar="FPS", help="frames per second")
    group.add_argument(
        "--smooth", type=float, default=0.0, metavar="SIGMA", help="smooth predictions over time, σ in frames"
    )
    if truth:
        same = "the same of the truth, where it differs"
        group.add_argument("--truth-head", default=None, metavar="HEAD", help=same)
        group.add_argument("--truth-cameras", default=None, metavar="FILE", help=same)
        group.add_argument("--truth-unit", choices=tuple(METRES), default=None, help=same)
        group.add_argument("--truth-kind", choices=("auto", *KINDS), default="auto", help="what the truth is")


def reading(options: argparse.Namespace) -> Reading:
    """How predictions are read."""
    if options.fps is not None and not options.fps > 0:
        raise InputError(f"--fps: expected frames per second above 0, found {options.fps:g}")
    if not 0 <= options.smooth < float("inf"):
        raise InputError(f"--smooth: expected frames from 0, found {options.smooth:g}")
    return Reading(
        options.head,
        options.cameras,
        options.unit,
        options.kind,
        _image_size(options.image_size),
        options.fps,
        options.smooth,
    )


def truth_reading(options: argparse.Namespace) -> Reading:
    """How the truth is read: as predictions are, where nothing else is said, and never smoothed."""
    return Reading(
        options.truth_head or options.head,
        options.truth_cameras or options.cameras,
        options.truth_unit or options.unit,
        options.truth_kind,
        _image_size(options.image_size),
        options.fps,
    )


def named_paths(items: Sequence[str]) -> dict[str, Path]:
    """Paths by name: of NAME=PATH, else of the path's own name. Raises InputError for a name twice."""
    found: dict[str, Path] = {}
    for item in items:
        name, separator, path = item.partition("=")
        if not separator or not name or Path(item).exists():
            path = item
            name = Path(path).resolve().name if Path(path).is_dir() else Path(path).stem
        if name in found:
            raise InputError(f"two predictions are called '{name}'; give each a name of its own: NAME=PATH")
        found[name] = Path(path)
    return found


def keyed(items: Sequence[str], names: Sequence[str], option: str) -> dict[str, str]:
    """One value for all names, or NAME=VALUE for some. Raises InputError for names that are not there."""
    found: dict[str, str] = {}
    for item in items:
        name, separator, value = item.partition("=")
        if not separator:
            found |= dict.fromkeys(names, item)
        elif name in names:
            found[name] = value
        else:
            raise InputError(f"{option}: expected a name of {', '.join(names)}, found '{name}'")
    return found


def _image_size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.isdigit() and int(side) > 0 for side in sides):
        raise InputError(f"--image-size: expected WIDTHxHEIGHT px, found '{text}'")
    return int(sides[0]), int(sides[1])
