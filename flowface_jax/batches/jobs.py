"""One video's job, as a worker runs it: whatever happens, it ends with a record."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from flowface_jax.batches.records import Row, VideoRecord, failed_record, read_record, write_record
from flowface_jax.batches.settings import BatchSettings
from flowface_jax.clusters import first_line
from flowface_jax.errors import FlowfaceError
from flowface_jax.training.sweeps.locks import file_lock

_log = logging.getLogger(__name__)
LOCK_FILE = "video.lock"


@dataclasses.dataclass(frozen=True)
class VideoJob:
    """name: of the input. path: of the video, absolute. out: the batch's folder, absolute. folder: the video's in
    it."""

    name: str
    path: str
    out: str
    folder: str
    settings: BatchSettings

    @property
    def place(self) -> Path:
        """The video's folder, absolute."""
        return Path(self.out, self.folder)


Job = Callable[[VideoJob], Sequence[Row]]
"""Tracks a video and returns its rows; a function that other processes can import."""


def run_job(function: Job, job: VideoJob) -> VideoRecord:
    """Run a video's job, unless it is done, and record what came of it.

    A second call for the same folder waits for the first: a worker may outlive a batch that was killed for a moment.
    Any error becomes the row of a failure; KeyboardInterrupt does not.
    """
    started = time.perf_counter()
    try:
        with file_lock(job.place / LOCK_FILE):
            record = read_record(job.place)
            if record is None or record.failed:
                record = _run(function, job, started)
                write_record(job.place, record)
            return record
    except (OSError, FlowfaceError) as error:
        # Nothing can be recorded, as on a full disk: the next call of the batch tries again.
        return failed_record(job.name, first_line(error))


def _run(function: Job, job: VideoJob, started: float) -> VideoRecord:
    try:
        return VideoRecord(tuple(function(job)))
    except FlowfaceError as error:
        reason = first_line(error)
    except Exception as error:  # noqa: BLE001 - one video that fails in any way must not stop the others
        _log.info("%s failed", job.name, exc_info=True)
        reason = f"{type(error).__name__}: {first_line(error)}"
    return failed_record(job.name, reason, round(time.perf_counter() - started, 3))
