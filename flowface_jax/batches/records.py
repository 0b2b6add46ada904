"""What came of a video: a row for each track, kept in a file of its folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Literal

from flowface_jax.errors import InputError
from flowface_jax.storage import read_json, write_json

VIDEO_FILE, ROW_FILE = "video.json", "row.json"
Status = Literal["done", "failed", "pending"]


@dataclasses.dataclass(frozen=True)
class Row:
    """One track of a batch, or a video without any.

    input: name of the video. scene, person: numbers from 0, None for a video as a whole. status: "pending" until the
    video has been tried. seconds: of tracking. verdict, residual: the track's, and its median residual in per cent of
    the face's width. frames: how many, from frame `first_frame` of the video on. folder: the track's, within the
    batch's. error: one line on why it failed.
    """

    input: str
    scene: int | None = None
    person: int | None = None
    status: Status = "pending"
    seconds: float | None = None
    verdict: str | None = None
    residual: float | None = None
    frames: int | None = None
    first_frame: int | None = None
    folder: str = ""
    error: str = ""

    @property
    def place(self) -> tuple[str, int, int]:
        """By which rows are sorted."""
        return self.input, -1 if self.scene is None else self.scene, -1 if self.person is None else self.person


@dataclasses.dataclass(frozen=True)
class VideoRecord:
    """The rows of a video that was tried; it has failed where any of them has."""

    rows: tuple[Row, ...]

    @property
    def failed(self) -> bool:
        return any(row.status != "done" for row in self.rows)


def failed_record(name: str, reason: str, seconds: float | None = None) -> VideoRecord:
    """The record of a video of which nothing could be tracked."""
    return VideoRecord((Row(name, status="failed", seconds=seconds, error=reason),))


def read_record(folder: Path) -> VideoRecord | None:
    """The record of the video with that folder, None where there is none. Raises InputError for another file."""
    path = folder / VIDEO_FILE
    if not path.is_file():
        return None
    values = read_json(path, "the record of a video")
    try:
        return VideoRecord(tuple(_row(row) for row in values["rows"]))
    except (TypeError, KeyError):
        raise InputError(f"{path} is no record of a video; delete it, and the video is tracked again") from None


def write_record(folder: Path, record: VideoRecord) -> None:
    """Replace the record of the video with that folder."""
    write_json(folder / VIDEO_FILE, {"rows": [dataclasses.asdict(row) for row in record.rows]})


def read_row(folder: Path) -> Row | None:
    """The row of a track that is complete, None where it is not."""
    path = folder / ROW_FILE
    return _row(read_json(path, "a track's row")) if path.is_file() else None


def write_row(folder: Path, row: Row) -> None:
    """Say that the track in the folder is complete."""
    write_json(folder / ROW_FILE, dataclasses.asdict(row))


def _row(values: dict[str, Any]) -> Row:
    return Row(**values)
