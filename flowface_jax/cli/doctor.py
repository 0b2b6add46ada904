"""Say what is installed, which devices there are, and which assets are where."""

from __future__ import annotations

import argparse
import sys

from flowface_jax.diagnosis import diagnose


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`flowface doctor` takes no options of its own."""


def run(options: argparse.Namespace) -> None:
    """Print the findings, one a line, with what to do about each that is missing."""
    for finding in diagnose():
        mark = "ok     " if finding.ok else "missing"
        remedy = "" if finding.ok or not finding.remedy else f"  -> {finding.remedy}"
        sys.stdout.write(f"{mark}  {finding.topic:<22} {finding.detail}{remedy}\n")
