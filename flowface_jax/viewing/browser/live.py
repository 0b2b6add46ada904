"""Following a fit that goes on: the newest track of a folder, finished or not."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from flowface_jax.fitting.snapshots import LIVE_FOLDER
from flowface_jax.fitting.track import ARRAYS, RECORD

POLL = 1.0
"""s between looks into a followed folder."""


@dataclasses.dataclass(frozen=True)
class Found:
    """A track in a folder, and when its two files were written, ns."""

    place: Path
    written: tuple[int, int]
    finished: bool


class FollowedFolder:
    """A folder that `flowface track` or `flowface fit` writes a track into, at last or with `--live` all the time."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._shown: Found | None = None

    def newer(self) -> Found | None:
        """The newest track, if it is not the one that is shown."""
        places = [(self.folder, True), (self.folder / LIVE_FOLDER, False)]
        found = [Found(place, written, done) for place, done in places if (written := _written(place)) is not None]
        newest = max(found, key=lambda each: each.written, default=None)
        return None if newest == self._shown else newest

    def show(self, found: Found) -> None:
        """Say that a track is shown; ask before it is read, so that what is written meanwhile counts as newer."""
        self._shown = found


def _written(place: Path) -> tuple[int, int] | None:
    try:
        return (place / RECORD).stat().st_mtime_ns, (place / ARRAYS).stat().st_mtime_ns
    except OSError:
        return None
