"""A batch in its folder: what is done is left alone, what is not is run, and the table says what came of it all."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from flowface_jax.batches.engines import Resources, check_engine, run_jobs
from flowface_jax.batches.inputs import assign_folders, find_inputs
from flowface_jax.batches.jobs import Job, VideoJob
from flowface_jax.batches.records import Row, VideoRecord, read_record
from flowface_jax.batches.settings import BatchSettings
from flowface_jax.batches.tables import CSV_FILE, JSON_FILE, ordered, write_tables
from flowface_jax.batches.tracking import track_video
from flowface_jax.errors import InputError
from flowface_jax.reporting import Reporter, SilentReporter
from flowface_jax.storage import read_json, write_json
from flowface_jax.training.sweeps.locks import file_lock

FORMAT = "flowface-batch/1"
BATCH_FILE, LOCK_FILE = "batch.json", "batch.lock"
_OWN_FILES = (BATCH_FILE, LOCK_FILE, CSV_FILE, JSON_FILE)
_TABLE_EVERY_S = 5.0


@dataclasses.dataclass(frozen=True)
class Batch:
    """What came of a batch. folder: its own. rows: by input, scene and person. seconds: of this call. ran: videos that
    it ran."""

    folder: Path
    rows: tuple[Row, ...]
    seconds: float
    ran: int

    @property
    def failures(self) -> tuple[Row, ...]:
        """The rows that failed."""
        return tuple(row for row in self.rows if row.status == "failed")


def run_batch(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    settings: BatchSettings | None = None,
    resources: Resources | None = None,
    retry_failed: bool = False,
    reporter: Reporter | None = None,
    function: Job = track_video,
) -> Batch:
    """Track every video of a folder or list into `out`, and write results.csv and results.json there.

    Videos that were done before are left alone, so that the same call goes on after any interruption; those that failed
    are tried again with `retry_failed`. More videos may have come since. function: what is done with a video.
    Raises InputError where there is nothing to track, or `out` is another batch's or cannot be written to;
    MissingDependencyError where Ray is needed and not installed.
    """
    started = time.perf_counter()
    resources, reporter = resources or Resources(), reporter or SilentReporter()
    inputs = find_inputs(source, out)
    check_engine(resources)
    settings = (settings or BatchSettings()).checked()
    folder = Path(out).absolute()
    with _opened(folder, settings) as assigned:
        folders = assign_folders(inputs, assigned, _OWN_FILES)
        _write_batch(folder, settings, folders)
        jobs = [VideoJob(item.name, str(item.path), str(folder), folders[item.name], settings) for item in inputs]
        progress = _Progress(folder, jobs, reporter)
        left = progress.left(retry_failed)
        try:
            run_jobs(left, function, resources, progress.finished)
        finally:
            progress.close()
    return Batch(folder, tuple(progress.rows()), time.perf_counter() - started, len(left))


class _Progress:
    """The records so far, shown as a bar and kept as a table."""

    def __init__(self, folder: Path, jobs: Sequence[VideoJob], reporter: Reporter) -> None:
        self._folder, self._jobs, self._reporter = folder, jobs, reporter
        self._records: dict[str, VideoRecord | None] = {job.name: read_record(job.place) for job in jobs}
        self._bar = reporter.bar("videos", len(jobs), "videos")
        self._written = time.monotonic()

    def left(self, retry_failed: bool) -> list[VideoJob]:
        """The jobs to run; those that failed before are forgotten where they are tried again."""
        for name, record in self._records.items():
            if record is not None and record.failed and retry_failed:
                self._records[name] = None
        self._tell()
        return [job for job in self._jobs if self._records[job.name] is None]

    def finished(self, job: VideoJob, record: VideoRecord) -> None:
        """Take in what came of a video."""
        self._records[job.name] = record
        self._tell()
        if time.monotonic() - self._written > _TABLE_EVERY_S:
            self._write()

    def rows(self) -> list[Row]:
        """Those of every video, in order; one that is pending has a row as well."""
        return ordered(
            row for name, record in self._records.items() for row in (record.rows if record else (Row(name),))
        )

    def close(self) -> None:
        """The last table."""
        self._bar.close()
        self._write()

    def _tell(self) -> None:
        ended = [record for record in self._records.values() if record is not None]
        failed = sum(record.failed for record in ended)
        self._bar.advance_to(len(ended), f"{failed} failed" if failed else "")

    def _write(self) -> None:
        with _writing(self._folder):
            write_tables(self._folder, self.rows())
        self._written = time.monotonic()


@contextmanager
def _opened(folder: Path, settings: BatchSettings) -> Iterator[dict[str, str]]:
    """The folder, for this call alone, and which folders in it were assigned to which inputs."""
    assigned = _assigned(folder, settings)
    with ExitStack() as stack:
        with _writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            held = stack.enter_context(file_lock(folder / LOCK_FILE, patience_s=0.0))
        if held is None:
            raise InputError(f"another batch is at work in {folder}; wait for it, or name another folder")
        yield assigned


def _assigned(folder: Path, settings: BatchSettings) -> dict[str, str]:
    """The inputs' folders of a batch that is gone on with. Raises InputError where it is another one."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"the output {folder} is a file; name a folder")
    path = folder / BATCH_FILE
    if not path.is_file():
        # A batch that was killed before its first file has left the lock alone.
        if folder.is_dir() and any(p.name != LOCK_FILE and not p.name.startswith(".") for p in folder.iterdir()):
            raise InputError(f"the output folder {folder} is in use and holds no {BATCH_FILE}; name another")
        return {}
    earlier = read_json(path, "the record of a batch")
    if not isinstance(earlier, dict) or earlier.get("format") != FORMAT:
        raise InputError(f'{path} is no record of a batch: expected "format": "{FORMAT}"; name another folder')
    wanted, found = settings.identity, earlier.get("settings", {})
    differing = [name for name in wanted if found.get(name) != wanted[name]]
    if differing:
        raise InputError(
            f"{folder} holds a batch with other {', '.join(differing)}; give the same options, or name another folder"
        )
    return dict(earlier.get("folders", {}))


def _write_batch(folder: Path, settings: BatchSettings, folders: dict[str, str]) -> None:
    with _writing(folder):
        write_json(folder / BATCH_FILE, {"format": FORMAT, "settings": settings.identity, "folders": folders})


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Turn what the file system refuses into one line."""
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror}; name a folder that can be written to") from None
