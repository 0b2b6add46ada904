"""What every source of frames offers, whether it is a video file, one image or a folder of images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np


class Frame(NamedTuple):
    """One picture [H,W,3] RGB uint8, its number in the source, and its time in seconds since the first frame."""

    frame_id: int
    time_s: float
    image: np.ndarray


@dataclass(frozen=True)
class SourceInfo:
    """What is known before the frames are read.

    name: the file's or folder's name. size: (width, height) in px, as displayed. frame_count: how many frames the
    container states (an estimate, for progress bars), None where it does not say. frame_rate: frames per second.
    is_video: neighbouring frames belong to one motion.
    """

    name: str
    size: tuple[int, int]
    frame_count: int | None
    frame_rate: float
    is_video: bool


@runtime_checkable
class FrameSource(Protocol):
    """Frames in order, read one at a time; each `iter()` starts again at the first."""

    @property
    def info(self) -> SourceInfo: ...

    def __iter__(self) -> Iterator[Frame]: ...
