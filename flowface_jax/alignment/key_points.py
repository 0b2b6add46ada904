"""Points that a person has placed in the images: their file, and how they join an alignment as further observations."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from flowface_jax.alignment.alignment import Alignment
from flowface_jax.errors import InputError
from flowface_jax.heads.landmark_names import LANDMARK_NAMES, landmark_number
from flowface_jax.heads.model import HeadModel
from flowface_jax.storage import require_file

DEFAULT_STD_PX = 1.0
FIELDS = ("camera", "frame", "point", "x", "y", "sigma")
_REQUIRED = ("frame", "point", "x", "y")
_KIND = "key points (.csv or .json)"
_LARGEST_FILE = 64 * 2**20
_SUM_TOLERANCE = 1e-3


@dataclasses.dataclass(frozen=True)
class KeyPoint:
    """Where a person sees a point of the head in an image.

    frame: the frame's number in its source. point: on the head: "nose tip" and other names of `LANDMARK_NAMES`,
    "landmark:30" of the 68, "mediapipe:1" of the 478, "vertex:1234", or "surface:12/45/78:0.2/0.3/0.5", three vertices
    and their barycentric weights. x, y: px, the middle of the first pixel at (0.5, 0.5). std: px, in x and in y.
    camera: its name; empty where there is only one. where: in which file and row, for messages.
    """

    frame: int
    point: str
    x: float
    y: float
    std: float = DEFAULT_STD_PX
    camera: str = ""
    where: str = "key point"

    def __post_init__(self) -> None:
        if not (np.isfinite([self.x, self.y]).all() and np.isfinite(self.std) and self.std > 0):
            raise InputError(
                f"{self.where}: expected finite x and y, and sigma above 0, found {self.x:g}, {self.y:g}, {self.std:g}"
            )


def read_key_points(path: str | os.PathLike[str]) -> list[KeyPoint]:
    """The points of a CSV file with the columns `FIELDS`, or of a JSON list of objects with the same names.

    `camera` and `sigma` may be left out. Raises InputError for a file that is neither, or a row that lacks something.
    """
    path = require_file(path, _KIND)
    if path.stat().st_size > _LARGEST_FILE:
        raise InputError(f"{path} has {path.stat().st_size} bytes; expected {_KIND} of at most {_LARGEST_FILE}")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path} is not text; expected {_KIND}") from None
    rows = _json_rows(text, str(path)) if path.suffix.lower() == ".json" else _csv_rows(text, str(path))
    points = [_key_point(row, where) for row, where in rows]
    if not points:
        raise InputError(f"{path} holds no key point; expected {_KIND} with {', '.join(FIELDS)}")
    return points


def with_key_points(alignment: Alignment, head: HeadModel, points: Sequence[KeyPoint]) -> Alignment:
    """The alignment with the points as its last ones, in place of any that were placed before; images that have some
    count as valid.

    Coordinates are those of the alignment: of ideal pinholes. Raises InputError for a camera, frame or point that is
    not there, or the same point twice in an image.
    """
    alignment = without_key_points(alignment)
    if not points:
        return alignment
    places = {point.point: surface_point(point.point, head, point.where) for point in points}
    column = {name: p for p, name in enumerate(places)}
    views = (alignment.camera_count, alignment.frame_count)
    mean = np.zeros((*views, len(places), 2), np.float32)
    std = np.full((*views, len(places)), np.inf, np.float32)
    for point in points:
        at = (*_image_of(point, alignment), column[point.point])
        if np.isfinite(std[at]):
            raise InputError(f"{point.where}: '{point.point}' is placed twice in frame {point.frame}; keep one")
        mean[at], std[at] = (point.x, point.y), point.std
    ids = np.asarray([ids for ids, _ in places.values()], np.int32)
    barycentric = np.asarray([weights for _, weights in places.values()], np.float32)
    return dataclasses.replace(
        alignment,
        mean=np.concatenate([alignment.mean, mean], axis=2),
        std=np.concatenate([alignment.std, std], axis=2),
        valid=alignment.valid | np.isfinite(std).any(-1),
        vertex_ids=np.concatenate([alignment.vertex_ids, ids]),
        barycentric=np.concatenate([alignment.barycentric, barycentric]),
        placed=len(places),
    )


def without_key_points(alignment: Alignment) -> Alignment:
    """The alignment without points placed by hand; images that have no other are no longer valid."""
    if not alignment.placed:
        return alignment
    kept = alignment.point_count - alignment.placed
    std = alignment.std[:, :, :kept]
    return dataclasses.replace(
        alignment,
        mean=alignment.mean[:, :, :kept],
        std=std,
        valid=alignment.valid & np.isfinite(std).any(-1),
        vertex_ids=alignment.vertex_ids[: len(alignment.vertex_ids) - alignment.placed],
        barycentric=alignment.barycentric[: len(alignment.barycentric) - alignment.placed],
        placed=0,
    )


def surface_point(name: str, head: HeadModel, where: str = "key point") -> tuple[np.ndarray, np.ndarray]:
    """The vertices [3] and barycentric weights [3] that a key point's `point` means on this head.

    Raises InputError for a name that is not known, or a point that the head does not have.
    """
    number = landmark_number(name)
    kind, _, value = ("landmark", "", str(number)) if number is not None else name.partition(":")
    if kind == "surface":
        return _barycentric(value, head, f"{where}: '{name}'")
    if kind not in ("landmark", "mediapipe", "vertex"):
        raise InputError(
            f"{where}: unknown point '{name}'; expected landmark:N, mediapipe:N, vertex:N, surface:A/B/C:U/V/W, or one "
            f"of {', '.join(LANDMARK_NAMES)}"
        )
    points = head.landmarks if kind == "landmark" else head.mediapipe
    count = head.vertex_count if kind == "vertex" else points.count
    if not value.strip().isdecimal() or int(value) >= count:
        raise InputError(f"{where}: '{name}': head '{head.name}' has {count} such points; expected 0 to {count - 1}")
    if kind == "vertex":
        return np.full(3, int(value), np.int32), np.asarray([1, 0, 0], np.float32)
    return np.asarray(points.vertex_ids[int(value)]), np.asarray(points.barycentric[int(value)])


def _barycentric(value: str, head: HeadModel, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and weights of "A/B/C:U/V/W"."""
    first, _, second = value.partition(":")
    try:
        ids, weights = np.asarray(first.split("/"), np.int32), np.asarray(second.split("/"), np.float64)
    except (ValueError, OverflowError):
        ids, weights = np.zeros(0, np.int32), np.zeros(0)
    if ids.shape != (3,) or weights.shape != (3,) or not abs(weights.sum() - 1.0) <= _SUM_TOLERANCE:
        raise InputError(f"{where}: expected three vertices and three weights that sum to 1, as surface:A/B/C:U/V/W")
    if ids.min() < 0 or ids.max() >= head.vertex_count:
        raise InputError(f"{where}: head '{head.name}' has the vertices 0 to {head.vertex_count - 1}")
    return ids, weights.astype(np.float32)


def _image_of(point: KeyPoint, alignment: Alignment) -> tuple[int, int]:
    """Camera and place of the frame in the alignment."""
    names = alignment.camera_names
    if not point.camera and len(names) > 1:
        raise InputError(f"{point.where}: expected a camera, as there are several: {', '.join(names)}")
    if point.camera and point.camera not in names:
        raise InputError(f"{point.where}: no camera '{point.camera}'; there are {', '.join(names)}")
    frames = np.flatnonzero(alignment.frame_ids == point.frame)
    if not len(frames):
        ids = alignment.frame_ids
        raise InputError(f"{point.where}: no frame {point.frame}; the frames are {ids.min()} to {ids.max()}")
    return names.index(point.camera) if point.camera else 0, int(frames[0])


def _csv_rows(text: str, path: str) -> list[tuple[Mapping[str, Any], str]]:
    """Rows by column name, and where each is; empty lines and those that begin with # are skipped."""
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip(" ,;\t")]
    lines = [(number, line) for number, line in lines if not line.lstrip().startswith("#")]
    rows = list(csv.reader(io.StringIO("\n".join(line for _, line in lines)), skipinitialspace=True))
    header = [name.strip().lower() for name in rows[0]] if rows else []
    if not set(_REQUIRED) <= set(header) or len(rows) != len(lines):
        raise InputError(
            f"{path}: expected a first line with {','.join(FIELDS)}, found {','.join(header) or 'nothing'}"
        )
    return [
        (dict(zip(header, row, strict=False)), f"{path}, line {number}")
        for (number, _), row in zip(lines[1:], rows[1:], strict=True)
    ]


def _json_rows(text: str, path: str) -> list[tuple[Mapping[str, Any], str]]:
    """The objects of the list, and where each is."""
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON (key points): {str(error).splitlines()[0]}") from None
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise InputError(f"{path}: expected a list of objects with {', '.join(FIELDS)}")
    return [(row, f"{path}, entry {number}") for number, row in enumerate(value)]


def _key_point(row: Mapping[str, Any], where: str) -> KeyPoint:
    """One row, checked."""
    unknown = sorted(str(name) for name in row if name not in FIELDS)
    if unknown:
        raise InputError(f"{where}: unknown field '{unknown[0]}'; known: {', '.join(FIELDS)}")
    given = {name: str(value).strip() for name, value in row.items() if value is not None and str(value).strip()}
    missing = [name for name in _REQUIRED if name not in given]
    if missing:
        raise InputError(f"{where}: {', '.join(missing)} is missing; expected {', '.join(_REQUIRED)}")
    try:
        frame, numbers = int(given["frame"]), [float(given[name]) for name in ("x", "y")]
        std = float(given.get("sigma", DEFAULT_STD_PX))
    except ValueError as error:
        raise InputError(f"{where}: frame, x, y and sigma must be numbers: {error}") from None
    return KeyPoint(frame, given["point"], *numbers, std, given.get("camera", ""), where)
