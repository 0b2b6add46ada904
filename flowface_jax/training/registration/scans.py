"""Reading and cleaning scans: OBJ or PLY, with pictures or vertex colours as their texture, or with none."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from flowface_jax.aligners.images import read_image
from flowface_jax.errors import InputError
from flowface_jax.heads.obj import read_obj
from flowface_jax.heads.ply import mesh_of, read_ply_elements
from flowface_jax.heads.registration import components, vertex_normals
from flowface_jax.training.datasets.rendering import faces_outward
from flowface_jax.training.datasets.textured import read_textured_scan

SUFFIXES = (".obj", ".ply")
UNITS = {"mm": 1e-3, "cm": 1e-2, "m": 1.0}
"""Metres per unit of the scans."""
_SMALLEST_PIECE = 0.002
_FEWEST_TRIANGLES = 500
_COLOURS = (("red", "green", "blue"), ("diffuse_red", "diffuse_green", "diffuse_blue"), ("r", "g", "b"))


@dataclass(frozen=True)
class Scan:
    """A surface in any unit, triangles counter-clockwise seen from outside.

    vertices: [V,3] float64. triangles: [T,3] int32. normals: [V,3] unit. rim: [V] bool, on an edge that only one
    triangle has. uv: [T,3,2] of each corner, v up. texture_ids: [T] into textures (RGB uint8), −1 for none.
    colours: [V,3] uint8, used where there is no texture, or None.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    normals: np.ndarray
    rim: np.ndarray
    uv: np.ndarray
    texture_ids: np.ndarray
    textures: tuple[np.ndarray, ...]
    colours: np.ndarray | None

    def moved(self, place: Callable[[np.ndarray], np.ndarray], rotation: np.ndarray) -> Scan:
        """The same scan elsewhere: positions by `place`, normals turned by `rotation` [3,3]."""
        return replace(self, vertices=place(self.vertices), normals=self.normals @ rotation.T)

    def nearby(self, centre: np.ndarray, radius: float) -> Scan:
        """Only the triangles within `radius` of `centre`; vertices that no triangle uses stay."""
        near = (np.linalg.norm(self.vertices - centre, axis=1) < radius)[self.triangles].all(1)
        return replace(self, triangles=self.triangles[near], uv=self.uv[near], texture_ids=self.texture_ids[near])


def read_scan(path: Path) -> Scan:
    """A cleaned scan from an OBJ (with its material file and pictures) or PLY (TextureFile or vertex colours).

    Raises InputError where the file is damaged or holds no surface worth the name.
    """
    if path.suffix.lower() == ".ply":
        parts = _read_ply(path)
    elif path.suffix.lower() == ".obj":
        parts = _read_obj(path)
    else:
        raise InputError(f"{path}: expected a scan as {' or '.join(SUFFIXES)}")
    scan = clean(*parts)
    if len(scan.triangles) < _FEWEST_TRIANGLES:
        raise InputError(f"{path} has {len(scan.triangles)} triangles; expected a scan of at least {_FEWEST_TRIANGLES}")
    return scan


def clean(
    vertices: np.ndarray,
    triangles: np.ndarray,
    uv: np.ndarray | None = None,
    texture_ids: np.ndarray | None = None,
    textures: tuple[np.ndarray, ...] = (),
    colours: np.ndarray | None = None,
) -> Scan:
    """A scan without NaN, duplicate vertices, triangles without area and small loose pieces; turned inside in.

    Arrays as in `Scan`. Vertices that lie at one place (files repeat them along the seams of their texture) become one,
    so that a seam is no rim.
    """
    finite = np.isfinite(vertices).all(1)
    keep = finite[triangles].all(1)
    # A row of each place: NaN would equal nothing, not even itself.
    unique, first, new = np.unique(
        np.where(finite[:, None], vertices, 0.0), axis=0, return_index=True, return_inverse=True
    )
    merged = new.reshape(-1)[triangles]
    keep &= (merged[:, 0] != merged[:, 1]) & (merged[:, 1] != merged[:, 2]) & (merged[:, 2] != merged[:, 0])
    if keep.any():
        keep[keep] = _in_large_piece(len(unique), merged[keep])
    count = len(triangles)
    uv = np.zeros((count, 3, 2)) if uv is None else uv
    texture_ids = np.full(count, -1, np.int32) if texture_ids is None else texture_ids
    merged, uv, texture_ids = merged[keep], uv[keep], texture_ids[keep]
    used = np.zeros(len(unique), bool)
    used[merged] = True
    merged = (np.cumsum(used) - 1)[merged].astype(np.int32)
    unique, first = unique[used], first[used]
    if len(merged) and not faces_outward(unique, merged):
        merged, uv = merged[:, ::-1], uv[:, ::-1]
    return Scan(
        vertices=unique,
        triangles=np.ascontiguousarray(merged),
        normals=vertex_normals(unique, merged),
        rim=rim_vertices(len(unique), merged),
        uv=uv,
        texture_ids=texture_ids,
        textures=textures,
        colours=None if colours is None else colours[first],
    )


def rim_vertices(count: int, triangles: np.ndarray) -> np.ndarray:
    """[count] bool: vertices of edges that only one triangle has."""
    edges = np.sort(triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2).astype(np.int64), axis=1)
    keys, times = np.unique(edges[:, 0] * count + edges[:, 1], return_counts=True)
    single = keys[times == 1]
    rim = np.zeros(count, bool)
    rim[single // max(count, 1)] = True
    rim[single % max(count, 1)] = True
    return rim


def _in_large_piece(count: int, triangles: np.ndarray) -> np.ndarray:
    """[T] bool: the triangle belongs to a piece with its share of the largest one's triangles."""
    piece = components(count, triangles)[triangles[:, 0]]
    size = np.bincount(piece)
    return size[piece] >= _SMALLEST_PIECE * size.max()


def _read_obj(path: Path) -> tuple:
    try:
        scan = read_textured_scan(path)
        return scan.vertices, scan.triangles, scan.uv, scan.texture_ids, scan.textures, None
    except InputError as error:
        if "texture" not in str(error):
            raise
    mesh = read_obj(path)
    return mesh.vertices, mesh.triangles, None, None, (), None


def _read_ply(path: Path) -> tuple:
    elements = read_ply_elements(path)
    try:
        vertices, triangles = mesh_of(elements)
        if triangles.size and not 0 <= triangles.min() <= triangles.max() < len(vertices):
            raise ValueError
        vertex = elements["vertex"]
        names = next((names for names in _COLOURS if all(name in vertex for name in names)), None)
        colours = None
        if names is not None:
            values = np.stack([np.asarray(vertex[name]) for name in names], -1)
            scale = 255.0 if values.dtype.kind == "f" and values.max(initial=0) <= 1 else 1.0
            colours = np.clip(np.round(values * scale), 0, 255).astype(np.uint8)
        uv, textures = _ply_texture(path, elements, len(triangles))
    except (KeyError, ValueError, IndexError, TypeError):
        raise InputError(f"{path} is damaged (a PLY scan); fetch or make it again") from None
    ids = None if uv is None else np.zeros(len(triangles), np.int32)
    return vertices, triangles, uv, ids, textures, colours


def _ply_texture(path: Path, elements: dict, count: int) -> tuple[np.ndarray | None, tuple[np.ndarray, ...]]:
    """Corner coordinates [T,3,2] and picture, where the file names one (comment TextureFile) and it lies beside it."""
    named = re.search(rb"comment TextureFile ([^\r\n]+)", path.read_bytes()[: 1 << 16].split(b"end_header")[0])
    coordinates = elements.get("face", {}).get("texcoord")
    if named is None or coordinates is None:
        return None, ()
    # A name in a file is only ever looked for beside the scan.
    picture = path.parent / Path(named.group(1).decode("utf-8", errors="replace").strip()).name
    if not picture.is_file():
        return None, ()
    uv = np.asarray(coordinates, np.float64)
    if uv.shape != (count, 6):
        raise ValueError
    return uv.reshape(-1, 3, 2), (read_image(picture),)
