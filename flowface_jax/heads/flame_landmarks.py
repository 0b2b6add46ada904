"""FLAME's landmark embeddings: which triangles and barycentric weights make the 68 and the MediaPipe landmarks."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from flowface_jax.errors import InputError, MissingAssetError
from flowface_jax.foreign.safe_pickle import read_npy, read_npz_objects, read_pickle
from flowface_jax.heads.assembly import MEDIAPIPE_COUNT, surface_points
from flowface_jax.heads.model import SurfacePoints

DYNAMIC_FILE = "flame_dynamic_embedding.npy"
_CONTOUR, _STATIC = 17, 51
_KIND = "a FLAME landmark embedding"


def contour_and_static(path: str | os.PathLike[str], triangles: np.ndarray, vertex_count: int) -> SurfacePoints:
    """The 68 landmarks (17 of the contour, then 51) from an embedding file in any of its published forms.

    landmark_embedding.npy has all 68; where only the 51 static ones are given, the contour is row 0 (looking straight
    ahead) of the dynamic embedding in the same file or in flame_dynamic_embedding.npy beside it. Two iris points after
    the 68 are dropped. Raises InputError if the file is none of these, MissingAssetError if the contour is missing.
    """
    path = Path(path)
    embedding = _read(path)
    full = _pair(embedding, "full_lmk_faces_idx", "full_lmk_bary_coords")
    static = _pair(embedding, "static_lmk_faces_idx", "static_lmk_bary_coords") or _pair(
        embedding, "lmk_face_idx", "lmk_b_coords"
    )
    if full is None and static is not None and len(static[0]) >= _CONTOUR + _STATIC:
        full = static
    if full is None:
        if static is None:
            raise InputError(
                f"{path} holds {', '.join(sorted(map(str, embedding))) or 'nothing'}; expected {_KIND} "
                "with full_lmk_faces_idx or lmk_face_idx (landmark_embedding.npy of MICA or DECA)"
            )
        contour = _contour(path, embedding)
        full = tuple(np.concatenate([a[:_CONTOUR], b[:_STATIC]]) for a, b in zip(contour, static, strict=True))
    faces, barycentric = (part[: _CONTOUR + _STATIC] for part in full)
    if len(faces) != _CONTOUR + _STATIC:
        raise InputError(
            f"{path}: expected 68 landmarks, found {len(faces)}; use landmark_embedding.npy of MICA or DECA"
        )
    return _on_triangles(path, faces, barycentric, triangles, vertex_count)


def mediapipe_points(
    path: str | os.PathLike[str], triangles: np.ndarray, vertex_count: int
) -> tuple[np.ndarray, SurfacePoints]:
    """MediaPipe's embedded points: their rows [N] among the 478 and where they lie. Raises InputError."""
    path = Path(path)
    embedding = _read(path)
    pair = _pair(embedding, "lmk_face_idx", "lmk_b_coords")
    if pair is None or "landmark_indices" not in embedding:
        raise InputError(
            f"{path}: expected lmk_face_idx, lmk_b_coords and landmark_indices (mediapipe_landmark_embedding.npz)"
        )
    rows = np.asarray(embedding["landmark_indices"]).astype(np.int64).ravel()
    if rows.size != len(pair[0]) or (rows.size and not 0 <= rows.min() <= rows.max() < MEDIAPIPE_COUNT):
        raise InputError(
            f"{path}: landmark_indices must hold {len(pair[0])} numbers below {MEDIAPIPE_COUNT}; it is damaged"
        )
    return rows, _on_triangles(path, *pair, triangles, vertex_count)


def _read(path: Path) -> dict[str, Any]:
    if zipfile.is_zipfile(path):
        value = read_npz_objects(path, _KIND)
    else:
        value = read_npy(path, _KIND) if path.suffix == ".npy" else read_pickle(path, _KIND)
    if not isinstance(value, dict):
        raise InputError(f"{path} holds no named arrays; expected {_KIND} (landmark_embedding.npy of MICA or DECA)")
    return value


def _pair(embedding: dict[str, Any], faces: str, weights: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Face ids [P] and weights [P,3]; of a [1,P] array or a [79,P] table the first row."""
    if faces not in embedding or weights not in embedding:
        return None
    ids, barycentric = np.asarray(embedding[faces]), np.asarray(embedding[weights], np.float64)
    if ids.ndim == 2 and barycentric.ndim == 3 and len(ids):
        ids, barycentric = ids[0], barycentric[0]
    if ids.ndim != 1 or barycentric.shape != (len(ids), 3):
        raise InputError(f"{faces} and {weights} of {_KIND} disagree: shapes {ids.shape} and {barycentric.shape}")
    return ids.astype(np.int64), barycentric


def _contour(path: Path, embedding: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """The 17 contour points of a face that looks straight ahead."""
    found = _pair(embedding, "dynamic_lmk_faces_idx", "dynamic_lmk_bary_coords")
    beside = path.parent / DYNAMIC_FILE
    if found is None and beside.is_file():
        found = _pair(_read(beside), "lmk_face_idx", "lmk_b_coords")
    if found is None or len(found[0]) < _CONTOUR:
        raise MissingAssetError(
            f"{path} has the 51 inner landmarks but not the 17 of the contour; use landmark_embedding.npy (MICA, "
            "DECA), "
            f"which has all 68, or put {DYNAMIC_FILE} beside it"
        )
    return found


def _on_triangles(
    path: Path, faces: np.ndarray, barycentric: np.ndarray, triangles: np.ndarray, vertex_count: int
) -> SurfacePoints:
    if faces.size and not (faces.min() >= 0 and faces.max() < len(triangles)):
        raise InputError(
            f"{path} names triangle {int(faces.max())} of a head with {len(triangles)} triangles; it belongs to "
            "another mesh"
        )
    return surface_points(triangles[faces], barycentric, vertex_count, str(path))
