"""Writing H.264 videos that browsers play, with the same bytes for the same frames."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np

from flowface_jax.errors import InputError

# x264 divides a picture among its threads, so a fixed number of them fixes the bytes.
_THREADS = "2"


class VideoWriter:
    """An MP4 (H.264, yuv420p) written frame by frame; it appears under its name only when it is complete.

    Use as a context manager. quality: x264's constant rate factor, 18 (visually lossless) to 30. Odd sides are padded
    by one row or column, which yuv420p needs.
    """

    def __init__(self, path: str | os.PathLike[str], frame_rate: float, quality: int = 20) -> None:
        """Raises InputError if the frame rate is not a positive number or the path does not end in .mp4."""
        self.path = Path(path)
        if self.path.suffix.lower() != ".mp4":
            raise InputError(f"{self.path}: expected a video name that ends in .mp4")
        if not (np.isfinite(frame_rate) and frame_rate > 0):
            raise InputError(f"{self.path}: expected a frame rate above 0, found {frame_rate}")
        self.frame_count = 0
        self._rate = Fraction(frame_rate).limit_denominator(1001)
        self._quality = quality
        self._size: tuple[int, int] | None = None
        self._temporary: Path | None = None
        self._container: Any = None
        self._stream: Any = None

    def add(self, frame: np.ndarray) -> None:
        """Append a frame [H,W,3] RGB uint8. Raises InputError if its size is not that of the first."""
        height, width = frame.shape[:2]
        if self._size is None:
            self._open(width, height)
        if (width, height) != self._size:
            raise InputError(
                f"{self.path}: frame {self.frame_count} is {width}x{height} px, the first was "
                f"{self._size[0]}x{self._size[1]}; a video has one size"
            )
        even = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
        picture = picture.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
        picture.pts, picture.time_base = self.frame_count, 1 / self._rate
        self._container.mux(self._stream.encode(picture))
        self.frame_count += 1

    def close(self) -> None:
        """Finish the file. Raises InputError if no frame was added."""
        if self._container is None:
            raise InputError(f"{self.path}: no frame to write")
        self._container.mux(self._stream.encode())
        self._container.close()
        os.chmod(self._temporary, 0o644)
        os.replace(self._temporary, self.path)
        self._container = None

    def discard(self) -> None:
        """Give up: leave nothing behind, and whatever had the name before as it was."""
        if self._container is not None:
            self._container.close()
            self._container = None
        if self._temporary is not None:
            self._temporary.unlink(missing_ok=True)

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.discard()
            return
        try:
            self.close()
        except BaseException:
            self.discard()
            raise

    def _open(self, width: int, height: int) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.stem}.", suffix=".mp4")
        os.close(handle)
        self._temporary = Path(name)
        # Bit-exact muxing leaves out dates and version strings; faststart lets a browser play while it loads.
        options = {"movflags": "+faststart", "fflags": "+bitexact"}
        self._container = av.open(f"file:{name}", "w", format="mp4", options=options)
        coder = {"crf": str(self._quality), "preset": "veryfast", "threads": _THREADS, "flags": "+bitexact"}
        # x264's macroblock tree reads memory that its caller's buffers leave open: the same frames gave other bytes.
        coder["x264-params"] = "mbtree=0"
        stream = self._container.add_stream("libx264", rate=self._rate, options=coder)
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        # Stating the colour matrix keeps players from guessing it from the picture's size. 1: BT.709, limited range.
        stream.codec_context.colorspace = 1
        stream.codec_context.color_range = 1
        self._stream, self._size = stream, (width, height)


def write_video(
    path: str | os.PathLike[str], frames: Iterable[np.ndarray], frame_rate: float, quality: int = 20
) -> int:
    """Write frames [H,W,3] RGB uint8 of one size as an MP4 and return how many; nothing is left behind on failure.

    Raises InputError without frames or for frames of different sizes.
    """
    with VideoWriter(path, frame_rate, quality) as writer:
        for frame in frames:
            writer.add(frame)
    return writer.frame_count
