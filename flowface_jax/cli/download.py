"""Fetch a freely licensed head model from its authors' public address."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from flowface_jax.assets import ASSETS, asset_folder, download
from flowface_jax.cli import common


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `flowface download`."""
    parser.add_argument("asset", choices=sorted(ASSETS), help="which head")
    parser.add_argument(
        "--out", "-o", default=None, metavar="DIR", help="folder (default: where --head finds it by name)"
    )
    parser.add_argument("--base-url", default=None, metavar="URL", help="fetch from a mirror with the same layout")


def run(options: argparse.Namespace) -> None:
    """Show the licence, fetch, verify."""
    asset = ASSETS[options.asset]
    folder = Path(options.out) if options.out else asset_folder() / options.asset
    if not options.quiet:
        sys.stdout.write(f"{asset.notice}\n")
    bar = common.reporter(options).bar("download", len(asset.files), "files")
    names: list[str] = []

    def progress(name: str, received: int, total: int | None) -> None:
        if name not in names:
            names.append(name)
        size = f"{received / 2**20:.1f} MB" if total is None else f"{received / 2**20:.1f} of {total / 2**20:.1f} MB"
        bar.advance_to(len(names), f"{name} {size}")

    try:
        download(options.asset, folder, options.base_url, progress=progress)
    finally:
        bar.close()
    if not options.quiet:
        sys.stdout.write(f"written to {folder}; use it with --head {options.asset if not options.out else folder}\n")
