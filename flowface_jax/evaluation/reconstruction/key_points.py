"""The seven key points by which meshes and scans are laid on each other, and the files they come in."""

from __future__ import annotations

import os
import re
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.heads.landmark_names import LANDMARK_NAMES
from flowface_jax.heads.model import HeadModel, SurfacePoints
from flowface_jax.storage import require_file

KEY_POINT_NAMES = (
    "right outer eye corner",
    "right inner eye corner",
    "left inner eye corner",
    "left outer eye corner",
    "nose bottom",
    "right mouth corner",
    "left mouth corner",
)
"""In NoW's order; right and left are the subject's."""
LANDMARK_IDS = tuple(LANDMARK_NAMES[name] for name in KEY_POINT_NAMES)
"""The same among the 68 Multi-PIE landmarks."""
_KIND = "seven key points (.npy, .txt or MeshLab's .pp)"
_POINT = re.compile(r"<point\b[^>]*>")
_COORDINATE = {axis: re.compile(rf'\b{axis}="([^"]*)"') for axis in "xyz"}


def head_key_points(head: HeadModel) -> SurfacePoints:
    """The seven key points on a head model's surface. Raises InputError for a head without the 68 landmarks."""
    if head.landmarks.count < 68:
        raise InputError(f"{head.name}: expected the 68 landmarks, found {head.landmarks.count}; give a key-point file")
    ids = np.asarray(LANDMARK_IDS)
    return SurfacePoints(head.landmarks.vertex_ids[ids], head.landmarks.barycentric[ids])


def vertex_key_points(vertex_ids: np.ndarray) -> SurfacePoints:
    """The seven key points as vertices of a mesh, by number [7]: for meshes of a fixed topology without landmarks."""
    ids = np.asarray(vertex_ids)
    if ids.shape != (7,) or ids.dtype.kind not in "iu":
        raise InputError(f"expected 7 vertex numbers ({', '.join(KEY_POINT_NAMES)}), found {ids.dtype} {ids.shape}")
    return SurfacePoints(
        jnp.asarray(np.repeat(ids[:, None], 3, 1), jnp.int32), jnp.asarray([[1.0, 0.0, 0.0]] * 7, jnp.float32)
    )


def place_key_points(key_points: SurfacePoints | np.ndarray, vertices: np.ndarray, name: str = "") -> np.ndarray:
    """Key points over frames [F,7,3], in the unit of vertices [F,V,3].

    key_points: on the mesh, or places [7,3] that rest, or places [F,7,3]. Raises InputError for other shapes, NaN, or
    vertices that the mesh does not have.
    """
    name = name or "the sequence"
    if isinstance(key_points, SurfacePoints):
        ids, weights = np.asarray(key_points.vertex_ids), np.asarray(key_points.barycentric, np.float64)
        if ids.shape != (7, 3) or ids.min() < 0 or ids.max() >= vertices.shape[1]:
            raise InputError(
                f"{name}: expected 7 key points on {vertices.shape[1]} vertices, found {len(ids)} up to vertex "
                f"{ids.max(initial=-1)}; they belong to another mesh"
            )
        return np.einsum("fpkc,pk->fpc", vertices[:, ids].astype(np.float64), weights)
    places = np.asarray(key_points, np.float64)
    if places.shape not in ((7, 3), (len(vertices), 7, 3)):
        raise InputError(f"{name}: expected key points [7,3] or [{len(vertices)},7,3], found {list(places.shape)}")
    if places.ndim == 2 and not np.isfinite(places).all():
        raise InputError(f"{name}: key points are NaN or infinite; all seven are needed")
    return np.broadcast_to(places, (len(vertices), 7, 3))


def read_key_points(path: str | os.PathLike[str]) -> np.ndarray:
    """Seven key points [7,3] in the file's unit, in the order of KEY_POINT_NAMES.

    .npy: [7,3] or [1,7,3]. .txt: seven lines of three numbers. .pp: what MeshLab's PickPoints writes; its first seven
    points. Raises InputError where the file is none of these or holds values that are not finite.
    """
    path = require_file(path, _KIND)
    readers = {".npy": _from_npy, ".txt": _from_text, ".pp": _from_picked_points}
    if path.suffix.lower() not in readers:
        raise InputError(f"{path}: expected {_KIND}, found '{path.suffix}'")
    try:
        points = readers[path.suffix.lower()](path)
    except (ValueError, UnicodeDecodeError, EOFError, OSError):
        raise InputError(f"{path} cannot be read as {_KIND}; make it again") from None
    if points.shape != (7, 3) or not np.isfinite(points).all():
        raise InputError(f"{path}: expected 7 points of 3 finite numbers, found shape {list(points.shape)}")
    return points


def _from_npy(path: Path) -> np.ndarray:
    points = np.asarray(np.load(path, allow_pickle=False), np.float64)
    return points[0] if points.ndim == 3 and len(points) == 1 else points


def _from_text(path: Path) -> np.ndarray:
    rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return np.asarray(rows, np.float64)


def _from_picked_points(path: Path) -> np.ndarray:
    rows = []
    for point in _POINT.findall(path.read_text(encoding="utf-8", errors="replace"))[:7]:
        found = [_COORDINATE[axis].search(point) for axis in "xyz"]
        rows.append([float(match.group(1)) if match else np.nan for match in found])
    return np.asarray(rows, np.float64).reshape(-1, 3)
