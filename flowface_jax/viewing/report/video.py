"""The video that the report holds: as small as it must be, and pictures of single frames of it."""

from __future__ import annotations

import dataclasses
import itertools
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import av
import numpy as np

from flowface_jax.aligners.frames import FrameSource
from flowface_jax.aligners.video import open_frames
from flowface_jax.alignment.alignment import Alignment
from flowface_jax.errors import InputError
from flowface_jax.fitting.thinning import thinned
from flowface_jax.fitting.track import Track
from flowface_jax.heads.model import HeadModel
from flowface_jax.viewing.tiling import limited, tile_views
from flowface_jax.viewing.track_overlay import FALLBACK_RATE, overlay_frames
from flowface_jax.viewing.video_writer import write_video

LARGEST_BYTES = 17_000_000
"""Of a video: a third more in base64, and the rest of the page beside it, come to less than 25 MB."""
_ATTEMPTS = ((1280, 24), (960, 27), (720, 30), (480, 33), (320, 36))
"""Longer side in px and constant rate factor, tried in turn until the video is small enough."""


@dataclasses.dataclass(frozen=True, eq=False)
class ReportVideo:
    """payload: an H.264 MP4. frame_rate: 1/s; frame f is shown from f/frame_rate on. pictures: frames by position.
    size: (width, height) px.
    """

    payload: bytes
    frame_rate: float
    size: tuple[int, int]
    pictures: dict[int, np.ndarray]


def overlay_video(
    path: str | os.PathLike[str], wanted: Sequence[int], largest: int = LARGEST_BYTES
) -> ReportVideo | None:
    """An existing video of the track, one frame for each of its own, as it is where it is H.264 and small enough.

    wanted: positions of frames to have pictures of. None where it cannot be made small enough. Raises InputError
    where it cannot be read.
    """
    path = Path(path)
    source = open_frames(path)
    if path.stat().st_size <= largest and _is_h264(path):
        pictures = _pick((frame.image for frame in source), wanted)
        return ReportVideo(path.read_bytes(), source.info.frame_rate, source.info.size, pictures)
    return _encoded(lambda: (frame.image for frame in source), source, wanted, largest)


def clip_video(
    paths: Sequence[str | os.PathLike[str]],
    track: Track,
    head: HeadModel,
    alignment: Alignment | None,
    wanted: Sequence[int],
    largest: int = LARGEST_BYTES,
) -> ReportVideo | None:
    """The tracked clips, one per camera, the fit drawn over them where the alignment is known.

    None where it cannot be made small enough. Raises InputError for another number of clips than cameras, or pictures
    of another size than the track's.
    """
    if len(paths) != track.cameras.count:
        raise InputError(f"--video: expected {track.cameras.count} clip(s), one per camera, found {len(paths)}")
    sources = [open_frames(path) for path in paths]
    for path, source, size in zip(paths, sources, np.asarray(track.cameras.image_size), strict=True):
        if source.info.size != tuple(int(side) for side in size):
            raise InputError(
                f"{path}: expected the tracked clip of {size[0]}x{size[1]} px, found "
                f"{source.info.size[0]}x{source.info.size[1]} px; give the clip that was tracked"
            )
    if alignment is None:
        frames = lambda: _plain_frames(sources, track.frame_count)
    else:
        few = thinned(alignment, head, int(track.summary.get("settings", {}).get("maximum_points", 0)))
        frames = lambda: overlay_frames(track, head, few, sources)
    return _encoded(frames, sources[0], wanted, largest)


def _plain_frames(sources: Sequence[FrameSource], count: int) -> Iterator[np.ndarray]:
    for views in itertools.islice(zip(*sources, strict=False), count):
        yield views[0].image if len(views) == 1 else tile_views([view.image for view in views])


def _encoded(
    frames: Callable[[], Iterable[np.ndarray]], source: FrameSource, wanted: Sequence[int], largest: int
) -> ReportVideo | None:
    rate = source.info.frame_rate
    rate = rate if np.isfinite(rate) and rate > 0 else FALLBACK_RATE
    with tempfile.TemporaryDirectory(prefix="flowface-") as folder:
        file = Path(folder) / "report.mp4"
        for long_side, quality in _ATTEMPTS:
            write_video(file, (limited(frame, long_side)[0] for frame in frames()), rate, quality)
            if file.stat().st_size <= largest:
                made = open_frames(file)
                pictures = _pick((frame.image for frame in made), wanted)
                return ReportVideo(file.read_bytes(), made.info.frame_rate, made.info.size, pictures)
    return None


def _pick(frames: Iterable[np.ndarray], wanted: Sequence[int]) -> dict[int, np.ndarray]:
    last = max(wanted, default=-1)
    return {f: image for f, image in enumerate(itertools.islice(frames, last + 1)) if f in wanted}


def _is_h264(path: Path) -> bool:
    """Whether browsers play the file as it is."""
    try:
        with av.open(f"file:{path}") as container:
            return path.suffix.lower() == ".mp4" and container.streams.video[0].codec_context.name == "h264"
    except (av.error.FFmpegError, IndexError):
        return False
