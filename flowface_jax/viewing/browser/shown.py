"""What is shown: tracks with their heads, values and pictures, over the frames that any of them has."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from flowface_jax.alignment.alignment import Alignment
from flowface_jax.alignment.source import load_alignment
from flowface_jax.errors import InputError
from flowface_jax.exporting.performance import Performance, open_performance
from flowface_jax.fitting.track import Track
from flowface_jax.heads.model import HeadModel
from flowface_jax.job_folders import ALIGNMENT_FILE
from flowface_jax.viewing.browser.clips import ClipPictures
from flowface_jax.viewing.browser.values import PLAIN, UNITS, SurfaceValues
from flowface_jax.viewing.browser.vertices import VertexStore

# The name that `pipeline.track` gives to what was fitted, beside the track.


@dataclasses.dataclass(frozen=True, eq=False)
class ShownTrack:
    """One track. clips: its cameras' pictures, or none. places: from a frame's number to its place in the track.
    flags: from a frame's number to why it is to be distrusted.
    """

    name: str
    performance: Performance
    store: VertexStore
    values: SurfaceValues
    clips: tuple[ClipPictures, ...]
    places: dict[int, int]
    flags: dict[int, str]

    @property
    def track(self) -> Track:
        return self.performance.track

    @property
    def head(self) -> HeadModel:
        return self.performance.head

    def camera(self, wanted: int) -> int:
        """The chosen camera, or the last where the track has fewer."""
        return min(wanted, self.track.cameras.count - 1)


@dataclasses.dataclass(frozen=True, eq=False)
class Show:
    """Tracks, and the numbers [F] of the frames that any of them has, in order."""

    tracks: tuple[ShownTrack, ...]
    frame_ids: np.ndarray

    @property
    def frame_count(self) -> int:
        return len(self.frame_ids)

    @property
    def frame_rate(self) -> float:
        """Frames per second of the first track."""
        return self.tracks[0].performance.frame_rate

    @property
    def camera_names(self) -> tuple[str, ...]:
        """Of the track with the most cameras."""
        return max((shown.track.cameras.names for shown in self.tracks), key=len)

    @property
    def colours(self) -> tuple[str, ...]:
        """What some track can show as colour, `PLAIN` first."""
        return (PLAIN, *(name for name in UNITS if any(name in shown.values.available for shown in self.tracks)))

    def span(self, colour: str) -> tuple[float, float]:
        """Where the colours begin and end: one scale for all tracks, so that they can be compared."""
        if colour == PLAIN:
            return 0.0, 1.0
        spans = [shown.values.span(colour) for shown in self.tracks if colour in shown.values.available]
        return min(low for low, _ in spans), max(high for _, high in spans)

    def close(self) -> None:
        """Let go of the clips' files."""
        for shown in self.tracks:
            for clip in shown.clips:
                clip.close()

    def notes(self, frame: int) -> str:
        """Why a frame is flagged, by track; empty where it is not."""
        number = int(self.frame_ids[frame])
        found = [(shown.name, shown.flags[number]) for shown in self.tracks if number in shown.flags]
        return "; ".join(text if len(self.tracks) == 1 else f"{name}: {text}" for name, text in found)


def open_show(
    folders: Sequence[str | os.PathLike[str]],
    heads: Sequence[HeadModel],
    videos: Sequence[str | os.PathLike[str]] = (),
    alignments: Sequence[str | os.PathLike[str]] = (),
    beside: Sequence[str | os.PathLike[str]] = (),
) -> Show:
    """The tracks in folders, with what lies beside them.

    heads: one for all tracks, or one each. videos: the tracked clips, one per camera, for all tracks or for each in
    turn. alignments: what was fitted, one per track, where the folder does not hold it. beside: per track, the folder
    that gives it its name and holds its alignment, where that is not the one in `folders`. Raises InputError for a
    folder without a track, a head, clip or alignment that is not the track's, and counts that do not fit.
    """
    every_head = _one_each(heads, len(folders), "--head")
    if alignments and len(alignments) != len(folders):
        raise InputError(f"--alignment: expected one for each of {len(folders)} track(s), found {len(alignments)}")
    clips = _clips_of([Track.load(folder).cameras.count for folder in folders], videos)
    opened: dict[str, ClipPictures] = {}
    shown = []
    for i, folder in enumerate(folders):
        place = Path(beside[i] if beside else folder)
        place = place.parent if place.is_file() else place
        performance = open_performance(folder, every_head[i], clips[i])
        named = alignments[i] if alignments else None
        alignment = _alignment(place, named)
        pictures = [
            opened.setdefault(os.path.realpath(path), ClipPictures(source))
            for path, source in zip(clips[i], performance.sources, strict=True)
        ]
        shown.append(_shown(place.resolve().name, performance, alignment, pictures))
    return make_show(shown)


def make_show(tracks: Sequence[ShownTrack]) -> Show:
    """Tracks over all of their frames; names that occur twice are numbered."""
    names = [shown.name for shown in tracks]
    number = lambda i: f" ({names[:i].count(names[i]) + 1})" if names.count(names[i]) > 1 else ""
    unique = [name + number(i) for i, name in enumerate(names)]
    tracks = [dataclasses.replace(shown, name=name) for shown, name in zip(tracks, unique, strict=True)]
    return Show(tuple(tracks), np.unique(np.concatenate([shown.track.frame_ids for shown in tracks])))


def _shown(
    name: str, performance: Performance, alignment: Alignment | None, clips: Sequence[ClipPictures]
) -> ShownTrack:
    track, head = performance.track, performance.head
    store = VertexStore(track, head)
    return ShownTrack(
        name=name,
        performance=performance,
        store=store,
        values=SurfaceValues(track, head, store, alignment),
        clips=tuple(clips),
        places={int(number): place for place, number in enumerate(track.frame_ids)},
        flags={int(flag["frame"]): "; ".join(flag["reasons"]) for flag in track.summary.get("flags", [])},
    )


def _one_each(heads: Sequence[HeadModel], count: int, option: str) -> list[HeadModel]:
    if len(heads) == 1:
        return list(heads) * count
    if len(heads) != count:
        raise InputError(f"{option}: expected one for all tracks or one for each of {count}, found {len(heads)}")
    return list(heads)


def _clips_of(
    cameras: Sequence[int], videos: Sequence[str | os.PathLike[str]]
) -> list[Sequence[str | os.PathLike[str]]]:
    """The clips of each track, of so many cameras."""
    if not videos:
        return [()] * len(cameras)
    if all(count == len(videos) for count in cameras):
        return [videos] * len(cameras)
    if len(videos) != sum(cameras):
        counts = ", ".join(map(str, cameras))
        raise InputError(
            f"--video: expected one clip per camera (the tracks have {counts}), found {len(videos)}; "
            "clips of several tracks follow one another in the order of the tracks"
        )
    ends = np.cumsum(cameras)
    return [videos[end - count : end] for count, end in zip(cameras, ends, strict=True)]


def _alignment(folder: Path, named: str | os.PathLike[str] | None) -> Alignment | None:
    if named is not None:
        return load_alignment(named)
    return load_alignment(folder / ALIGNMENT_FILE) if (folder / ALIGNMENT_FILE).is_file() else None
