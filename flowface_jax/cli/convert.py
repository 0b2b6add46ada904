"""Convert a foreign file once into flowface's own form (a head, an alignment, cameras, weights)."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from flowface_jax.alignment.source import load_alignment
from flowface_jax.cameras import load_cameras
from flowface_jax.errors import InputError
from flowface_jax.heads.source import load_head
from flowface_jax.heads.store import save_head

_SUFFIXES = {"head": ".npz", "alignment": ".npz", "cameras": ".json", "weights": ".safetensors"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `flowface convert`."""
    parser.add_argument("kind", choices=tuple(_SUFFIXES), help="what the file holds")
    parser.add_argument("source", metavar="IN", help="foreign file or folder")
    parser.add_argument(
        "target",
        metavar="OUT",
        help="own file: .npz for heads and alignments, .json for cameras, .safetensors for weights",
    )
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an option of the reader, e.g. masks=FLAME_masks.pkl or identity_size=100 for heads, kind=mit_b2 for "
        "weights; repeatable",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace OUT if it is there")


def run(options: argparse.Namespace) -> None:
    """Read, check, write."""
    target = Path(options.target)
    suffix = _SUFFIXES[options.kind]
    if target.suffix != suffix:
        raise InputError(f"{target}: expected a name that ends in {suffix}")
    if target.exists() and not options.overwrite:
        raise InputError(f"{target} is there already; name another file, or pass --overwrite")
    reader_options = dict(_parsed(item) for item in options.option)
    if options.kind == "head":
        save_head(load_head(options.source, **reader_options), target)
    elif options.kind == "alignment":
        if reader_options:
            raise InputError("alignments are read without options")
        load_alignment(options.source).save(target)
    elif options.kind == "weights":
        _convert_weights(options, reader_options)
    else:
        load_cameras(options.source, **reader_options).cameras.save(target)


def _convert_weights(options: argparse.Namespace, reader_options: dict[str, str | int | float]) -> None:
    """Convert a network's checkpoint and say what became of each of its tensors."""
    # Only here: the other commands start without loading the networks.
    from flowface_jax.network.weights import convert, save_weights

    unknown = sorted(set(reader_options) - {"kind"})
    if unknown:
        raise InputError(f"weights are read without the option {unknown[0]}; expected kind alone")
    kind = reader_options.get("kind")
    found = convert(options.source, None if kind is None else str(kind))
    save_weights(options.target, found.kind, found.variables, found.config, found.source, found.report)
    if not options.quiet:
        sys.stdout.write(f"{options.target}: {found.kind}, {found.report.table()}\n")


def _parsed(item: str) -> tuple[str, str | int | float]:
    """One NAME=VALUE, numbers as numbers."""
    name, separator, text = item.partition("=")
    if not separator or not name:
        raise InputError(f"--option: expected NAME=VALUE, found '{item}'")
    for number in (int, float):
        try:
            return name, number(text)
        except ValueError:
            continue
    return name, text
