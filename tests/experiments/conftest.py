"""The programs of experiments/ import what they share as they do when they are started: from their own folder."""

import sys
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).resolve().parents[2] / "experiments"
sys.path.insert(0, str(PROGRAMS))


@pytest.fixture(autouse=True)
def no_arguments(monkeypatch):
    """Programs see no arguments but those that a test gives."""
    monkeypatch.setattr(sys, "argv", ["program"])
