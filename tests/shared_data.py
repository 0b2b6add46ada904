"""Where the example data lies that is never part of the repository; tests that need it skip without it."""

from __future__ import annotations

import functools
import os
from pathlib import Path

import pytest

from flowface_jax.heads.model import HeadModel
from flowface_jax.heads.source import load_head


def _folder() -> Path:
    """The folder named by FLOWFACE_SHARED_DATA, else `shared/data` beside the checkout."""
    named = os.environ.get("FLOWFACE_SHARED_DATA")
    return Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"


def _required(relative: str) -> Path:
    path = _folder() / relative
    if not path.exists():
        pytest.skip(f"example data absent: {relative} (set FLOWFACE_SHARED_DATA to the folder that holds it)")
    return path


def ict_path() -> Path:
    """The ICT-FaceKit light .npz, or skip."""
    return _required("ict_facekit/ict_facekit_light.npz")


@functools.lru_cache(maxsize=1)
def ict_head() -> HeadModel:
    """The ICT-FaceKit head, bound to the atlas once per process, or skip."""
    return load_head(ict_path())


def ict_folder() -> Path:
    """A few files of an ICT-FaceKit checkout (`FaceXModel`), or skip."""
    return _required("ict_facekit/FaceXModel")


def clip_path(name: str) -> Path:
    """One of the real video clips by stem, or skip."""
    return _required(f"clips/{name}.mp4")
