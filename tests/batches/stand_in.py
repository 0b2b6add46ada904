"""A stand-in for tracking: reads the film, and does what its name says. Ray's workers import it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from flowface_jax.aligners import open_frames
from flowface_jax.batches.jobs import VideoJob
from flowface_jax.batches.records import Row
from flowface_jax.errors import InputError

PAUSE = "FLOWFACE_TEST_PAUSE_S"


def count_frames(job: VideoJob) -> list[Row]:
    """A track for each 40 levels of the first frame's brightness, none of a black film."""
    with (job.place / "calls").open("a") as file:
        file.write("called\n")
    time.sleep(float(os.environ.get(PAUSE, "0")))
    if "crash" in job.name:
        os.kill(os.getpid(), signal.SIGKILL)
    if "bug" in job.name:
        raise ZeroDivisionError("a bug\nin two lines")
    frames = [frame.image for frame in open_frames(job.path)]
    people = int(frames[0].mean()) // 40
    if not people:
        raise InputError(f"no face was found in {job.name}; check that one is visible")
    return [
        Row(
            job.name,
            0,
            person,
            status="done",
            seconds=0.1,
            verdict="good",
            residual=round(float(frames[0].mean()), 2),
            frames=len(frames),
            first_frame=0,
            folder=f"{job.folder}/scene_000/person_{person:02d}",
        )
        for person in range(people)
    ]


def calls(folder: Path) -> int:
    """How often the video with that folder was tried."""
    path = folder / "calls"
    return len(path.read_text().splitlines()) if path.is_file() else 0
