"""`Performance`: a track with its head and clips, the one input of every exporter."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from flowface_jax.aligners import FrameSource, open_frames
from flowface_jax.errors import InputError
from flowface_jax.fitting.track import Track
from flowface_jax.heads.model import HeadModel

FALLBACK_RATE = 25.0
"""Frames per second where the track's times do not say."""


@dataclasses.dataclass(frozen=True, eq=False)
class Performance:
    """What a person's head did in front of the cameras, ready to be written down for another program.

    track: with F frames. head: the track's. sources: the tracked clips, one per camera, or none. name: of the folder
    the track came from.
    """

    track: Track
    head: HeadModel
    sources: tuple[FrameSource, ...] = ()
    name: str = "track"

    @property
    def seen(self) -> np.ndarray:
        """[F] bool, frames in which a camera observed the face; poses of the others are interpolated or held."""
        return np.asarray(self.track.observed).any(0)

    @property
    def frame_rate(self) -> float:
        """Frames per second: from the median time between frames; 25 where there is but one."""
        steps = np.diff(np.asarray(self.track.frame_times, np.float64))
        steps = steps[np.isfinite(steps) & (steps > 0)]
        return float(1.0 / np.median(steps)) if len(steps) else FALLBACK_RATE

    @property
    def frame_times(self) -> np.ndarray:
        """[F] float64 s, increasing: the track's, or by the frames' numbers where those stand still or go back."""
        times = np.asarray(self.track.frame_times, np.float64)
        if np.isfinite(times).all() and (np.diff(times) > 0).all():
            return times
        return np.asarray(self.track.frame_ids, np.float64) / self.frame_rate

    def pictures(self, camera: int) -> Iterator[np.ndarray]:
        """The frames [H,W,3] RGB uint8 of one camera's clip that the track is of, one at a time.

        Raises InputError where no clip is given, and where it ends before the track does.
        """
        if not self.sources:
            raise InputError("this export copies the clip's pictures; name the tracked clip with --video")
        wanted = [int(number) for number in self.track.frame_ids]
        source = self.sources[camera]
        given = 0
        for frame in source:
            if given == len(wanted):
                return
            if frame.frame_id == wanted[given]:
                given += 1
                yield frame.image
        if given < len(wanted):
            raise InputError(
                f"{source.info.name} ends before frame {wanted[given]} of the track; name the tracked clip"
            )


def open_performance(
    folder: str | os.PathLike[str], head: HeadModel, videos: Sequence[str | os.PathLike[str]] = ()
) -> Performance:
    """The track in a folder with its head and clips.

    Raises InputError for a folder without a track, a head that is not the track's, and clips that are not one per
    camera or of another size.
    """
    track = Track.load(folder)
    track.neutral_vertices(head)
    cameras = track.cameras
    if videos and len(videos) != cameras.count:
        raise InputError(f"the track has {cameras.count} camera(s), found {len(videos)} --video clip(s)")
    sources = tuple(open_frames(video) for video in videos)
    for source, size in zip(sources, np.asarray(cameras.image_size), strict=False):
        if tuple(source.info.size) != tuple(int(n) for n in size):
            found, expected = " x ".join(map(str, source.info.size)), " x ".join(str(int(n)) for n in size)
            raise InputError(f"{source.info.name} is {found} px, the track's camera {expected}; name the tracked clip")
    path = Path(folder)
    return Performance(track, head, sources, (path if path.is_dir() else path.parent).resolve().name)
