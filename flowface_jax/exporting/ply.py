"""Triangle meshes as binary PLY."""

from __future__ import annotations

import os

import numpy as np

from flowface_jax.storage import write_bytes


def write_ply(path: str | os.PathLike[str], vertices: np.ndarray, triangles: np.ndarray, unit: str = "metre") -> None:
    """Write vertices [V,3] (stored as float32, of the unit named) and triangles [T,3] as little-endian binary PLY,
    atomically.
    """
    header = (
        f"ply\nformat binary_little_endian 1.0\ncomment unit: {unit}\n"
        f"element vertex {len(vertices)}\nproperty float x\nproperty float y\nproperty float z\n"
        f"element face {len(triangles)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    faces = np.empty(len(triangles), [("count", "u1"), ("ids", "<i4", 3)])
    faces["count"], faces["ids"] = 3, triangles
    write_bytes(path, header.encode("ascii") + np.asarray(vertices, "<f4").tobytes() + faces.tobytes())
