"""The table of a batch, as CSV, JSON and a paragraph."""

from __future__ import annotations

import collections
import csv
import dataclasses
import io
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

from flowface_jax.batches.records import Row
from flowface_jax.fitting.verdict import VERDICTS
from flowface_jax.storage import write_bytes, write_json

CSV_FILE, JSON_FILE = "results.csv", "results.json"
COLUMNS = (
    *("input", "scene", "person", "status", "seconds", "verdict", "residual", "frames"),
    *("first_frame", "folder", "error"),
)


def ordered(rows: Iterable[Row]) -> list[Row]:
    """Rows by input, scene and person."""
    return sorted(rows, key=lambda row: row.place)


def as_csv(rows: Sequence[Row]) -> str:
    """A line for each row under the names of the columns; what is not known is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(dataclasses.asdict(row) for row in rows)
    return text.getvalue()


def write_tables(folder: Path, rows: Sequence[Row]) -> None:
    """Replace results.csv and results.json, each in one step."""
    write_bytes(folder / CSV_FILE, as_csv(rows).encode("utf-8"))
    write_json(folder / JSON_FILE, {"rows": [dataclasses.asdict(row) for row in rows]})


def summary(rows: Sequence[Row], folder: Path, seconds: float) -> str:
    """A paragraph on the whole batch."""
    statuses = _statuses(rows)
    done = [row for row in rows if row.status == "done"]
    text = f"{len(statuses)} videos: {_counted(statuses.values(), ('done', 'failed', 'pending'))}"
    if done:
        residuals = [row.residual for row in done if row.residual is not None]
        text += f"; {len(done)} tracks: {_counted((row.verdict for row in done), (*VERDICTS, None))}"
        text += f", median residual {statistics.median(residuals):.2f} % of the face's width" if residuals else ""
    text += f"; this call took {_duration(seconds)}."
    return f"{text} Table: {folder / CSV_FILE}\n"


def _statuses(rows: Sequence[Row]) -> dict[str, str]:
    """What became of each video: it has failed where any of its tracks has."""
    found: dict[str, str] = {}
    for row in rows:
        if found.get(row.input) != "failed":
            found[row.input] = row.status
    return found


def _counted(values: Iterable[str | None], kinds: Sequence[str | None]) -> str:
    counts = collections.Counter(values)
    return ", ".join(f"{counts[kind]} {kind or 'not judged'}" for kind in kinds if counts[kind]) or "none"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"
