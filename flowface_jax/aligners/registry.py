"""The aligners by name, as the command line and configuration files choose them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final, Protocol

from flowface_jax.aligners.frames import FrameSource
from flowface_jax.aligners.mediapipe import Progress, Undistort, align_mediapipe
from flowface_jax.alignment.alignment import Alignment
from flowface_jax.errors import InputError


class Aligner(Protocol):
    """What every aligner takes: one source per camera; see `align_mediapipe` for the arguments."""

    def __call__(
        self,
        sources: Sequence[str | os.PathLike[str] | FrameSource],
        face: int = 1,
        progress: Progress | None = None,
        undistort: Sequence[Undistort | None] | None = None,
        static: bool | None = None,
        frame_rate: float | None = None,
    ) -> Alignment: ...


ALIGNERS: Final[dict[str, Aligner]] = {"mediapipe": align_mediapipe}


def align(
    name: str,
    sources: Sequence[str | os.PathLike[str] | FrameSource],
    face: int = 1,
    progress: Progress | None = None,
    undistort: Sequence[Undistort | None] | None = None,
    static: bool | None = None,
    frame_rate: float | None = None,
) -> Alignment:
    """The alignment that the named aligner makes of the sources. Raises InputError for a name that is not known."""
    if name not in ALIGNERS:
        raise InputError(f"unknown aligner '{name}'; choose one of: {', '.join(sorted(ALIGNERS))}")
    return ALIGNERS[name](sources, face, progress, undistort, static, frame_rate)
