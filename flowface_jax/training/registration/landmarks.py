"""Annotated landmarks of a scan: JSON, CSV or MeshLab's picked points, and where they are on a head model."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.heads.model import HeadModel, SurfacePoints
from flowface_jax.storage import read_json, require_file

SUFFIXES = (".json", ".csv", ".pp")
_NOW = (36, 39, 42, 45, 33, 48, 54)
"""The seven points that the NoW benchmark picks on its scans, as Multi-PIE landmarks: the corners of the eyes from the
right eye's outer one on, the base of the nose, the corners of the mouth."""
_ATTRIBUTE = re.compile(r'(\w+)\s*=\s*"([^"]*)"')
_NAME = re.compile(r"(?:(multipie|landmark|lmk|mediapipe|vertex)?[ _:-]*)(\d+)$", re.IGNORECASE)


@dataclass(frozen=True)
class Landmarks:
    """Named points of a scan with their places on the head.

    names: P strings. surface: P points of the head. positions: [P,3] in the scan's coordinates. std: [P] m.
    """

    names: tuple[str, ...]
    surface: SurfacePoints
    positions: np.ndarray
    std: np.ndarray


def read_landmarks(path: Path) -> dict[str, np.ndarray]:
    """Name → position [3] in scan units, from a JSON object, a CSV with rows name,x,y,z, or MeshLab's .pp.

    Points that were marked as not set in MeshLab (active="0") are left out. Raises InputError for other files, damaged
    rows and names that come twice.
    """
    suffix = path.suffix.lower()
    if suffix == ".json":
        value = read_json(path, "landmarks of a scan")
        if isinstance(value, dict) and isinstance(value.get("landmarks"), dict):
            value = value["landmarks"]
        if not isinstance(value, dict):
            raise InputError(f"{path}: expected a JSON object of landmark names and [x, y, z], found another value")
        rows = list(value.items())
    elif suffix == ".csv":
        text = require_file(path, "landmarks of a scan").read_text(encoding="utf-8", errors="replace")
        rows = [
            (row[0].strip(), row[1:]) for row in csv.reader(text.splitlines()) if row and not row[0].startswith("#")
        ]
        if rows and [cell.strip().lower() for cell in rows[0][1]] == ["x", "y", "z"]:
            rows = rows[1:]
    elif suffix == ".pp":
        rows = _picked_points(require_file(path, "picked points").read_text(encoding="utf-8", errors="replace"))
    else:
        raise InputError(f"{path}: expected landmarks as {', '.join(SUFFIXES)}")
    found: dict[str, np.ndarray] = {}
    for name, value in rows:
        if name in found:
            raise InputError(f"{path}: landmark '{name}' comes twice; expected one position each")
        found[name] = _position(path, name, value)
    if not found:
        raise InputError(f"{path} holds no landmark; expected names and x, y, z in the scan's unit")
    return found


def on_head(positions: dict[str, np.ndarray], head: HeadModel, std: float) -> Landmarks:
    """The places of named landmarks on a head.

    Names are the numbers of the 68 Multi-PIE landmarks from 0 ("36", "multipie_36"), MediaPipe's ("mediapipe_33") or
    vertices of the head ("vertex_812"). Seven points with other names are taken as the NoW benchmark's, in its order.
    Raises InputError for an unknown name.
    """
    names = list(positions)
    keys = [_key(name) for name in names]
    if len(names) == len(_NOW) and (None in keys or {k for k in keys if k} == {("multipie", n) for n in range(1, 8)}):
        keys = [("multipie", number) for number in _NOW]
    places = [_place(name, key, head) for name, key in zip(names, keys, strict=True)]
    surface = SurfacePoints(np.stack([place[0] for place in places]), np.stack([place[1] for place in places]))
    return Landmarks(tuple(names), surface, np.stack([positions[name] for name in names]), np.full(len(names), std))


def joined(first: SurfacePoints, second: SurfacePoints) -> SurfacePoints:
    """The points of both."""
    return SurfacePoints(
        np.concatenate([np.asarray(first.vertex_ids), np.asarray(second.vertex_ids)]),
        np.concatenate([np.asarray(first.barycentric), np.asarray(second.barycentric)]),
    )


def chosen(points: SurfacePoints, rows: np.ndarray) -> SurfacePoints:
    """Some of the points."""
    return SurfacePoints(np.asarray(points.vertex_ids)[rows], np.asarray(points.barycentric)[rows])


def at_vertices(vertex_ids: np.ndarray) -> SurfacePoints:
    """Vertices as surface points."""
    return SurfacePoints(
        np.repeat(np.asarray(vertex_ids, np.int32)[:, None], 3, 1),
        np.tile(np.asarray([1.0, 0, 0], np.float32), (len(vertex_ids), 1)),
    )


def _picked_points(text: str) -> list[tuple[str, list[str] | None]]:
    """Rows of MeshLab's file; read as text, so that nothing in the XML is followed."""
    rows = []
    for tag in re.findall(r"<point\b([^>]*)>", text):
        values = dict(_ATTRIBUTE.findall(tag))
        if values.get("active", "1") == "1":
            rows.append((values.get("name", str(len(rows))), [values.get(axis, "") for axis in "xyz"]))
    return rows


def _position(path: Path, name: str, value: object) -> np.ndarray:
    try:
        position = np.asarray([float(number) for number in value], np.float64)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        position = np.zeros(0)
    if position.shape != (3,) or not np.isfinite(position).all():
        raise InputError(f"{path}: landmark '{name}' has no position; expected three numbers x, y, z")
    return position


def _key(name: str) -> tuple[str, int] | None:
    match = _NAME.match(name.strip())
    if match is None:
        return None
    kind = (match.group(1) or "multipie").lower()
    return ("multipie" if kind in ("landmark", "lmk") else kind), int(match.group(2))


def _place(name: str, key: tuple[str, int] | None, head: HeadModel) -> tuple[np.ndarray, np.ndarray]:
    kind, number = key or ("", -1)
    count = {"multipie": head.landmarks.count, "mediapipe": head.mediapipe.count, "vertex": head.vertex_count}.get(
        kind, 0
    )
    if not 0 <= number < count:
        raise InputError(
            f"landmark '{name}' is not on the head '{head.name}'; expected a Multi-PIE number 0 to 67, mediapipe_0 to "
            f"mediapipe_{head.mediapipe.count - 1} or vertex_0 to vertex_{head.vertex_count - 1}"
        )
    if kind == "vertex":
        return np.full(3, number, np.int32), np.asarray([1.0, 0, 0], np.float32)
    points = head.landmarks if kind == "multipie" else head.mediapipe
    return np.asarray(points.vertex_ids)[number], np.asarray(points.barycentric)[number]
