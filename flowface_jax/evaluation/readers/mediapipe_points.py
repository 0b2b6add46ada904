"""MediaPipe's 478 (or 468) face landmarks over time, as .npz or .json, as a mesh with MediaPipe's own triangles.

.npz: `landmarks` [F,478,3]; .json: a list of frames, each null or a list of points as {"x","y","z"} or [x, y, z].
Coordinates are MediaPipe's fractions of the image's width (x and z) and height (y), or pixels where they exceed 2.
Both count from the centre of the first pixel. `image_size` (width, height) may be in the file; NaN or null marks
frames without a face. Only the image is meaningful: the scale of the vertices is a stand-in.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np

from flowface_jax.errors import InputError, MissingDependencyError
from flowface_jax.evaluation.mesh_sequence import MeshSequence, Projected
from flowface_jax.evaluation.readers.files import shaped, stacked
from flowface_jax.evaluation.readers.image_space import metric_stand_in
from flowface_jax.evaluation.readers.options import ReadOptions
from flowface_jax.storage import read_json, read_npz

KIND = "MediaPipe landmarks"
COUNTS = (468, 478)
_LARGEST_FRACTION = 2.0
_HALF_PIXEL = 0.5


def recognises(path: Path) -> bool:
    """Whether a file with frames of 468 or 478 points lies there."""
    if path.suffix == ".npz" and path.is_file():
        points = read_npz(path, KIND).get("landmarks", np.zeros(0))
        return points.ndim == 3 and points.shape[1] in COUNTS
    if path.suffix == ".json" and path.is_file():
        frames = _frames(read_json(path, KIND))
        return any(isinstance(frame, list) and len(frame) in COUNTS for frame in frames)
    return False


def read(path: Path, options: ReadOptions) -> MeshSequence:
    """The points where the image shows them, and a stand-in of them in space.

    Raises InputError where the image's size is not known, MissingDependencyError without the mediapipe package.
    """
    points, valid, size = _points(path)
    size = size or options.known_image_size()
    if size is None:
        raise InputError(f"{path}: expected the size of the images; give it (--image-size WIDTHxHEIGHT)")
    if np.nanmax(np.abs(points[valid, :, :2])) <= _LARGEST_FRACTION:
        points = points * np.float32([size[0], size[1], size[0]])
    seen = Projected(points[..., :2] + np.float32(_HALF_PIXEL), points[..., 2], size)
    return MeshSequence(metric_stand_in(seen, valid), triangles(), valid, {}, None, seen)


def _points(path: Path) -> tuple[np.ndarray, np.ndarray, tuple[int, int] | None]:
    """Points [F,P,3], which frames have them, and the image's size where the file states it."""
    if path.suffix == ".npz":
        arrays = read_npz(path, KIND, ("landmarks",))
        points = shaped(path, "landmarks", arrays["landmarks"], *((None, count, 3) for count in COUNTS))
        return points, np.isfinite(points).all((1, 2)), _size(path, arrays.get("image_size"))
    content = read_json(path, KIND)
    rows = [None if not frame else np.asarray(_numbers(path, frame), np.float32) for frame in _frames(content)]
    points, there = stacked(path, "landmarks", rows)
    points = shaped(path, "landmarks", points, *((None, count, 3) for count in COUNTS))
    stated = content.get("image_size") if isinstance(content, dict) else None
    return points, there & np.isfinite(points).all((1, 2)), _size(path, stated)


def _frames(content: Any) -> list[Any]:
    frames = content.get("frames", content.get("landmarks")) if isinstance(content, dict) else content
    return frames if isinstance(frames, list) else []


def _numbers(path: Path, frame: list[Any]) -> list[list[float]]:
    try:
        return [[float(p[a]) for a in "xyz"] if isinstance(p, dict) else [float(x) for x in p[:3]] for p in frame]
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{path}: expected each point as x, y and z, found another; write {KIND} again") from None


def _size(path: Path, value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    width, height = shaped(path, "image_size", np.asarray(value), (2,)).astype(int)
    return int(width), int(height)


@functools.lru_cache(maxsize=1)
def triangles() -> np.ndarray:
    """MediaPipe's triangles [852,3] int32, found in the edges that its package states at run time.

    Each triangle contributes its three edges in one direction of turning, and no directed edge serves two; so edges
    that close one triangle only settle it, and others follow.
    """
    try:
        from mediapipe.python.solutions.face_mesh_connections import FACEMESH_TESSELATION as edges
    except ImportError:
        raise MissingDependencyError(
            "the triangles of MediaPipe's landmarks are in its package: pip install mediapipe"
        ) from None
    left = {(int(a), int(b)) for a, b in edges}
    after: dict[int, set[int]] = {}
    for a, b in left:
        after.setdefault(a, set()).add(b)
    closing = lambda a, b: [c for c in sorted(after.get(b, ())) if {(b, c), (c, a)} <= left]
    found: list[tuple[int, int, int]] = []
    while left:
        choices = {edge: closing(*edge) for edge in sorted(left)}
        settled = [edge for edge, corners in choices.items() if len(corners) == 1]
        if not settled:
            break
        for a, b in settled:
            corners = closing(a, b) if (a, b) in left else []
            if len(corners) == 1:
                found.append((a, b, corners[0]))
                left -= {(a, b), (b, corners[0]), (corners[0], a)}
    result = np.asarray(sorted(found), np.int32)
    result.flags.writeable = False
    return result
