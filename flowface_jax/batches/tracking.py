"""The job of a batch: one video, every scene and person of which becomes a track."""

from __future__ import annotations

import dataclasses
import gc
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import jax

from flowface_jax.aligners import open_frames
from flowface_jax.batches.jobs import VideoJob
from flowface_jax.batches.plans import PlannedTrack, plan_tracks
from flowface_jax.batches.records import Row, read_row, write_row
from flowface_jax.clusters import first_line
from flowface_jax.errors import FlowfaceError
from flowface_jax.fitting.track import Track
from flowface_jax.heads.model import HeadModel
from flowface_jax.heads.source import load_head
from flowface_jax.job_folders import REQUEST_FILE
from flowface_jax.pipeline import CameraChoice, track

_log = logging.getLogger(__name__)
_MAPPINGS = Path("/proc/self/maps")
_MOST_MAPPINGS = 20_000
"""Compiled programs take memory mappings, of which Linux allows a process 65,530; beyond them it is aborted."""


def track_video(job: VideoJob) -> list[Row]:
    """Track everybody in a video, and return a row for each; tracks that are complete are left alone, and one that was
    broken off goes on.

    One person who cannot be tracked is the row of a failure. Raises InputError where the video cannot be read, or shows
    nobody.
    """
    settings = job.settings
    source = open_frames(job.path, settings.frame_rate)
    planned = plan_tracks(source, settings, job.place, _size(Path(job.path)))
    head = load_head(settings.head)
    try:
        return list(_tracked(job, planned, head))
    finally:
        _forget_programs()


def _tracked(job: VideoJob, planned: list[PlannedTrack], head: HeadModel) -> Iterator[Row]:
    for one in planned:
        folder = job.place / one.folder
        yield read_row(folder) or _track(job, one, folder, head)


def _track(job: VideoJob, planned: PlannedTrack, folder: Path, head: HeadModel) -> Row:
    settings, started = job.settings, time.perf_counter()
    seconds = lambda: round(time.perf_counter() - started, 3)
    # Files that a killed job was writing.
    for half in folder.glob(".*"):
        half.unlink(missing_ok=True)
    row = Row(
        job.name,
        planned.scene,
        planned.person,
        frames=None if planned.part is None else planned.part.frames.end - planned.part.frames.first,
        first_frame=0 if planned.part is None else planned.part.frames.first,
        folder=(Path(job.folder) / planned.folder).as_posix(),
    )
    try:
        result = track(
            [job.path],
            folder,
            head,
            aligner=settings.aligner,
            cameras=CameraChoice(focal=settings.focal),
            config=settings.fit,
            overlay=settings.overlay,
            existing="resume" if (folder / REQUEST_FILE).is_file() else "overwrite",
            frame_rate=settings.frame_rate,
            mica=settings.mica,
            detector=settings.detector,
            part=planned.part,
        )
    except FlowfaceError as error:
        return _failed(row, first_line(error), seconds())
    except Exception as error:  # noqa: BLE001 - the other people of the video are tracked all the same
        _log.info("%s failed", folder, exc_info=True)
        return _failed(row, f"{type(error).__name__}: {first_line(error)}", seconds())
    done = _done(row, result, seconds())
    write_row(folder, done)
    return done


def _done(row: Row, result: Track, seconds: float) -> Row:
    residual = result.summary["residual"]["median_percent_of_face_width"]
    return dataclasses.replace(
        row,
        status="done",
        seconds=seconds,
        verdict=result.verdict,
        residual=None if residual is None else round(residual, 4),
        frames=result.frame_count,
    )


def _failed(row: Row, reason: str, seconds: float) -> Row:
    return dataclasses.replace(row, status="failed", seconds=seconds, error=reason)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _forget_programs() -> None:
    """Drop compiled programs where they are many: clips of many lengths and sizes each leave theirs."""
    if _MAPPINGS.is_file() and _MAPPINGS.read_bytes().count(b"\n") > _MOST_MAPPINGS:
        jax.clear_caches()
        gc.collect()
