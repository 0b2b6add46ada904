"""Made-up files in the shape of every FLAME generation: the real ones may not be passed on."""

from __future__ import annotations

import contextlib
import io
import pickle
import struct
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

RINGS, SECTORS = 13, 15
GENERATIONS = ("2017", "2020", "2023", "2023_no_jaw", "2023_open", "npz")


def flame_arrays(seed: int = 0, identity: int = 300, expression: int = 100) -> dict[str, np.ndarray]:
    """The seven arrays of a small head: an egg of 197 vertices with smooth random bases."""
    rng = np.random.default_rng(seed)
    template, triangles = _egg()
    count, columns = len(template), identity + expression
    joints = np.array([[0, -0.1, -0.02], [0, -0.05, -0.02], [0, -0.02, 0.01], [0.03, 0.03, 0.06], [-0.03, 0.03, 0.06]])
    nearness = np.exp(-np.sum((template[None] - joints[:, None]) ** 2, axis=-1) / 0.002)
    weights = nearness.T / nearness.sum(axis=0)[:, None]
    return {
        "v_template": template,
        "f": triangles.astype(np.uint32),
        "shapedirs": rng.normal(0, 0.002, (count, 3, columns)),
        "posedirs": rng.normal(0, 0.002, (count, 3, 36)),
        "J_regressor": nearness / nearness.sum(axis=1, keepdims=True),
        "weights": weights,
        "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], [0, 1, 2, 3, 4]], np.uint32),
    }


def write_flame(path: Path, arrays: dict[str, np.ndarray], generation: str) -> Path:
    """The arrays as a file of the generation: chumpy and Python 2 pickles before 2023, plain pickles since, or npz."""
    if generation == "npz":
        np.savez(path, **arrays)
        return path
    content: dict[str, Any] = dict(arrays)
    content["J_regressor"] = scipy.sparse.csc_matrix(arrays["J_regressor"])
    content |= {"bs_style": "lbs", "bs_type": "lrotmin", "J": arrays["J_regressor"] @ arrays["v_template"]}
    if generation in ("2017", "2020"):
        with stand_in_chumpy() as (ch, select):
            content["v_template"] = ch(arrays["v_template"])
            content["shapedirs"] = select(arrays["shapedirs"])
            path.write_bytes(python2_pickle(content))
    else:
        path.write_bytes(pickle.dumps(content, protocol=4))
    return path


def landmark_embedding(seed: int = 1) -> dict[str, np.ndarray]:
    """All of landmark_embedding.npy's arrays, on random triangles of the egg."""
    rng = np.random.default_rng(seed)
    triangle_count = len(_egg()[1])
    faces = lambda *shape: rng.integers(0, triangle_count, shape)
    weights = lambda *shape: rng.dirichlet([2.0, 2.0, 2.0], shape)
    static, dynamic = (faces(51), weights(51)), (faces(79, 17), weights(79, 17))
    return {
        "static_lmk_faces_idx": static[0],
        "static_lmk_bary_coords": static[1],
        "dynamic_lmk_faces_idx": dynamic[0],
        "dynamic_lmk_bary_coords": dynamic[1].astype(np.float32),
        "full_lmk_faces_idx": np.concatenate([dynamic[0][0], static[0]])[None],
        "full_lmk_bary_coords": np.concatenate([dynamic[1][0], static[1]])[None],
    }


def write_object_npy(path: Path, value: Any) -> Path:
    """A 0-d object array with the value pickled inside, as `np.save` of a dictionary makes it."""
    np.save(path, value, allow_pickle=True)
    return path


def write_static_embedding(path: Path, embedding: dict[str, np.ndarray]) -> Path:
    """flame_static_embedding.pkl: the 51 landmarks without the contour."""
    content = {
        "lmk_face_idx": embedding["static_lmk_faces_idx"].astype(np.uint32),
        "lmk_b_coords": embedding["static_lmk_bary_coords"],
    }
    path.write_bytes(python2_pickle(content))
    return path


def write_masks(path: Path, vertex_count: int) -> dict[str, np.ndarray]:
    """FLAME_masks.pkl with every published name; returns what it holds."""
    names = (
        "face eye_region scalp right_ear left_ear neck nose forehead lips left_eye_region right_eye_region boundary "
        "left_eyeball right_eyeball"
    ).split()
    rng = np.random.default_rng(2)
    masks = {name: np.sort(rng.choice(vertex_count, 20, replace=False)) for name in names}
    path.write_bytes(python2_pickle(masks))
    return masks


@contextlib.contextmanager
def stand_in_chumpy() -> Iterator[tuple[Any, Any]]:
    """Modules called chumpy while pickling, so that the pickles name its classes; gone afterwards.

    Yields makers of a plain `Ch` and of a `Select` (a reordered part of another array).
    """
    modules = {name: types.ModuleType(name) for name in ("chumpy", "chumpy.ch", "chumpy.reordering")}
    ch = type("Ch", (), {"__module__": "chumpy.ch"})
    select = type("Select", (ch,), {"__module__": "chumpy.reordering"})
    other = type("add", (ch,), {"__module__": "chumpy.ch_ops"})
    modules["chumpy.ch"].Ch = ch
    modules["chumpy.reordering"].Select = select
    modules["chumpy.ch_ops"] = types.ModuleType("chumpy.ch_ops")
    modules["chumpy.ch_ops"].add = other

    def make_ch(array: np.ndarray) -> Any:
        made = ch()
        made.x, made._dirty_vars, made._itr = array, set(), None
        return made

    def make_select(array: np.ndarray) -> Any:
        made = select()
        padded = np.concatenate([np.full(5, np.nan), array.ravel()])
        made.a, made.idxs, made.preferred_shape = make_ch(padded), np.arange(5, padded.size), array.shape
        return made

    sys.modules.update(modules)
    try:
        yield make_ch, make_select
    finally:
        for name in modules:
            sys.modules.pop(name, None)


def python2_pickle(value: Any) -> bytes:
    """Protocol 2 with byte strings and module names as Python 2 and the NumPy of the time wrote them."""
    stream = io.BytesIO()
    _Python2Pickler(stream, protocol=2, fix_imports=True).dump(value)
    text = stream.getvalue()
    for new, old in ((b"numpy._core", b"numpy.core"), (b"scipy.sparse._csc\n", b"scipy.sparse.csc\n")):
        text = text.replace(b"c" + new, b"c" + old)
    return text


class _Python2Pickler(pickle._Pickler):
    """Writes bytes and text as Python 2's byte strings."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_byte_string(self, value: bytes | str) -> None:
        raw = value.encode("latin1") if isinstance(value, str) else value
        self.write(b"T" + struct.pack("<i", len(raw)) + raw)
        self.memoize(value)

    dispatch[bytes] = save_byte_string
    dispatch[str] = save_byte_string


def _egg() -> tuple[np.ndarray, np.ndarray]:
    """Vertices [V,3] m and outward triangles [T,3] of an egg 0.24 m high."""
    polar = np.pi * np.arange(1, RINGS + 1) / (RINGS + 1)
    azimuth = 2 * np.pi * np.arange(SECTORS) / SECTORS
    ring = np.stack(
        [
            np.sin(polar)[:, None] * np.sin(azimuth),
            np.broadcast_to(np.cos(polar)[:, None], (RINGS, SECTORS)),
            np.sin(polar)[:, None] * np.cos(azimuth),
        ],
        axis=-1,
    ).reshape(-1, 3)
    vertices = np.concatenate([ring, [[0, 1, 0], [0, -1, 0]]]) * [0.08, 0.12, 0.1]
    at = lambda r, s: r * SECTORS + s % SECTORS
    top, bottom = len(ring), len(ring) + 1
    triangles = [(top, at(0, s), at(0, s + 1)) for s in range(SECTORS)]
    triangles += [(bottom, at(RINGS - 1, s + 1), at(RINGS - 1, s)) for s in range(SECTORS)]
    for r in range(RINGS - 1):
        for s in range(SECTORS):
            triangles += [(at(r, s), at(r + 1, s), at(r + 1, s + 1)), (at(r, s), at(r + 1, s + 1), at(r, s + 1))]
    return vertices, np.array(triangles)
