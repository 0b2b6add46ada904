"""What every source of frames offers, whether it is a video file, one image or a folder of images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

BACKGROUND = (128, 128, 128)
"""RGB that transparent pictures and films are laid on: mid grey, against which neither dark nor fair hair has a hard
edge."""


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
    is_video: neighbouring frames belong to one motion. focal_px: the focal length that photographs state of themselves,
    px, None where they do not. notes: what a user should know of how the source was read.
    """

    name: str
    size: tuple[int, int]
    frame_count: int | None
    frame_rate: float
    is_video: bool
    focal_px: float | None = None
    notes: tuple[str, ...] = ()


@runtime_checkable
class FrameSource(Protocol):
    """Frames in order, read one at a time; each `iter()` starts again at the first."""

    @property
    def info(self) -> SourceInfo: ...

    def __iter__(self) -> Iterator[Frame]: ...


def laid_on(pixels: np.ndarray, background: tuple[int, int, int]) -> np.ndarray:
    """Pixels [H,W,4] RGBA uint8, alpha not multiplied in, over a background RGB: [H,W,3] uint8."""
    alpha = pixels[..., 3:]
    if (alpha == 255).all():
        return np.ascontiguousarray(pixels[..., :3])
    share = alpha.astype(np.float32) / 255.0
    mixed = pixels[..., :3] * share + np.asarray(background, np.float32) * (1.0 - share)
    return np.rint(mixed).astype(np.uint8)
