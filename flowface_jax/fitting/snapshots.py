"""A fit that goes on, as a track in a folder beside its result, so that it can be looked at meanwhile."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from flowface_jax.fitting.track import ARRAYS, RECORD, Track

LIVE_FOLDER = "live"
"""Name, in the folder of the result, of the folder that holds the newest unfinished track."""
PERIOD = 2.0
"""s between snapshots at least."""
SHARE = 0.05
"""Part of the fit's time that writing them may take at most."""


class SnapshotWriter:
    """Writes unfinished tracks into `folder`/live, each file in one step, as often as costs next to nothing."""

    def __init__(self, folder: str | os.PathLike[str], clock: Callable[[], float] = time.monotonic) -> None:
        self.folder = Path(folder) / LIVE_FOLDER
        self._clock = clock
        self._next = -float("inf")

    def offer(self, make: Callable[[], Track]) -> None:
        """Write what `make` gives, if it is time to; else it is not called."""
        started = self._clock()
        if started < self._next:
            return
        make().save(self.folder)
        ended = self._clock()
        self._next = ended + max(PERIOD, (ended - started) / SHARE)

    def clear(self) -> None:
        """Remove what was written: the result is there, or the fit has failed."""
        for name in (ARRAYS, RECORD):
            (self.folder / name).unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)
