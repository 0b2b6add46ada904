"""Streaming video files: constant memory, upright frames, the container's own times."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

from flowface_jax.aligners.frames import BACKGROUND, Frame, FrameSource, SourceInfo, laid_on
from flowface_jax.aligners.images import IMAGE_SUFFIXES, list_images, open_images
from flowface_jax.errors import InputError

logger = logging.getLogger(__name__)

# A hostile or mistaken playlist must not make the reader fetch other files or addresses.
_OPEN_OPTIONS = {"protocol_whitelist": "file"}
# FFmpeg would render any text file as a film of its characters.
_NOT_VIDEO_FORMATS = {"tty", "concat", "hls", "dash"}
_SHORTEST_INTERVAL_S = 1e-4
_TILED_SUFFIXES = {".heic", ".heif"}


@dataclass(frozen=True)
class VideoFile:
    """A video file; every iteration decodes it anew.

    `coded_size` is (width, height) before the rotation tag is applied; frames of other sizes are scaled to it.
    """

    path: Path
    info: SourceInfo
    coded_size: tuple[int, int]
    background: tuple[int, int, int] = BACKGROUND

    def __iter__(self) -> Iterator[Frame]:
        start, latest = None, 0.0
        count = 0
        for decoded in _decode(self.path):
            time = decoded.time if decoded.time is not None else count / self.info.frame_rate
            start = time if start is None else start
            # Containers that round times, or are damaged, may state one twice; a film's time never stands still.
            latest = max(time - start, latest + _SHORTEST_INTERVAL_S if count else 0.0)
            image = _rgb8(decoded, self.coded_size, self.background)
            yield Frame(count, float(latest), _upright(image, _display_matrix(decoded)))
            count += 1
        # Some containers only estimate their count, so a frame or two less is no sign of damage.
        stated = self.info.frame_count or 0
        if stated - count > max(2, 0.02 * stated):
            logger.warning(
                "%s states %d frames, but only %d could be read; it may be cut off", self.path, stated, count
            )


def open_frames(
    path: str | os.PathLike[str],
    frame_rate: float | None = None,
    background: tuple[int, int, int] = BACKGROUND,
) -> FrameSource:
    """The frames of a video file, of one image file, or of a folder of images.

    `frame_rate` (1/s): the images of a folder are the frames of a film; None: they are photographs. background: RGB
    that what is transparent is laid on. Raises InputError if nothing is there, or it is neither a video nor an image,
    or it has no frames.
    """
    path = Path(path)
    if frame_rate is not None and not 0 < frame_rate < float("inf"):
        raise InputError(f"frame rate: expected frames per second above 0, found {frame_rate:g}")
    if path.is_dir():
        return open_images(list_images(path), path.name or str(path), frame_rate, background)
    if not path.is_file():
        raise InputError(f"no such file: {path}; expected a video, an image or a folder of images")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes); expected a video, an image or a folder of images")
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return open_images([path], path.name, frame_rate, background)
    if path.suffix.lower() in _TILED_SUFFIXES:
        # FFmpeg would show one tile of the picture.
        raise InputError(f"{path} is an HEIF picture, which is not read; save it as JPEG or PNG")
    return _open_video(path, background)


def _open_video(path: Path, background: tuple[int, int, int]) -> VideoFile:
    """The video with its first frame's size. Raises InputError if no frame can be decoded."""
    with _container(path) as container:
        stream = container.streams.video[0]
        frame_rate = float(stream.average_rate or stream.guessed_rate or 25)
        frame_count = stream.frames or _count_from_duration(container, stream, frame_rate)
        pixel_aspect = stream.sample_aspect_ratio
    first = next(_decode(path), None)
    if first is None:
        raise InputError(f"{path} holds no frame that can be decoded; it is empty or damaged: export it again")
    # The cameras have square pixels, so anamorphic video is widened to its display shape.
    width = round(first.width * float(pixel_aspect)) if pixel_aspect else first.width
    matrix = _display_matrix(first)
    shown = (first.height, width) if matrix[0, 0] == 0 else (width, first.height)
    info = SourceInfo(path.name, shown, frame_count, frame_rate, is_video=True)
    return VideoFile(path, info, (width, first.height), background)


def _rgb8(frame: Any, size: tuple[int, int], background: tuple[int, int, int]) -> np.ndarray:
    """A decoded frame of any depth, scaled to (width, height): [H,W,3] RGB uint8."""
    transparent = any(component.is_alpha for component in frame.format.components)
    pixels = frame.to_ndarray(width=size[0], height=size[1], format="rgba" if transparent else "rgb24")
    return laid_on(pixels, background) if transparent else pixels


def _container(path: Path) -> Any:
    """The opened container with at least one video stream. Raises InputError otherwise."""
    try:
        container = av.open(f"file:{path}", options=_OPEN_OPTIONS, metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise InputError(
            f"{path} is not a readable video: unknown format, damaged or cut off ({_reason(error)}); "
            "play it elsewhere to check, or convert it to MP4"
        ) from None
    if container.format.name in _NOT_VIDEO_FORMATS:
        name = container.format.name
        container.close()
        raise InputError(f"{path} is not a video file but text or a playlist ({name}); name the video itself")
    if not container.streams.video:
        container.close()
        raise InputError(f"{path} has no picture, only sound or data; expected a video or an image")
    return container


def _decode(path: Path) -> Iterator[Any]:
    """Decoded frames in display order; damaged packets are skipped and logged."""
    with _container(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        packets = container.demux(stream)
        damaged = 0
        while True:
            try:
                packet = next(packets, None)
            except (av.FFmpegError, OSError) as error:
                logger.warning(
                    "%s: reading stopped at damage (%s); the frames before it are kept", path, _reason(error)
                )
                break
            if packet is None:
                break
            try:
                yield from packet.decode()
            except av.EOFError:
                break
            except av.FFmpegError:
                damaged += 1
        if damaged:
            logger.warning("%s: %d damaged packets were skipped; their frames are absent", path, damaged)


def _display_matrix(frame: Any) -> np.ndarray:
    """[2,2] signs of the container's display matrix: coded (x, y) as a row, times this, is displayed (x, y)."""
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return np.eye(2, dtype=int)
    matrix = np.frombuffer(bytes(data), np.int32).reshape(3, 3)[:2, :2].astype(float)
    # Only quarter turns and flips can be shown without resampling; a skewed matrix is left as coded.
    signs = np.sign(matrix) * (np.abs(matrix) > 0.5 * np.abs(matrix).max())
    return signs.astype(int) if abs(round(np.linalg.det(signs))) == 1 else np.eye(2, dtype=int)


def _upright(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The image turned and flipped as the display matrix says."""
    if matrix[0, 0] == 0:
        image = image.transpose(1, 0, 2)
    horizontal, vertical = matrix.sum(axis=0)
    return np.ascontiguousarray(image[::vertical, ::horizontal])


def _count_from_duration(container: Any, stream: Any, frame_rate: float) -> int | None:
    if stream.duration and stream.time_base:
        return max(1, round(float(stream.duration * stream.time_base) * frame_rate))
    if container.duration:
        return max(1, round(container.duration / av.time_base * frame_rate))
    return None


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or (str(error).splitlines() or [type(error).__name__])[0]
