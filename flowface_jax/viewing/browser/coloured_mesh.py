"""A mesh with a colour at every vertex as the bytes of a GLB file, which is what the browser draws such meshes from."""

from __future__ import annotations

import json
import struct

import numpy as np

_MAGIC, _VERSION, _JSON, _BINARY = 0x46546C67, 2, 0x4E4F534A, 0x004E4942
_FLOAT, _UNSIGNED_INT = 5126, 5125
_ARRAY_BUFFER, _ELEMENT_BUFFER = 34962, 34963


def coloured_glb(
    vertices: np.ndarray, normals: np.ndarray, triangles: np.ndarray, colours: np.ndarray, opacity: float = 1.0
) -> bytes:
    """GLB (glTF 2.0) of vertices and normals [V,3], triangles [T,3] and colours [V,3] sRGB uint8; matt, seen from
    outside.
    """
    positions = np.ascontiguousarray(vertices, "<f4")
    linear = np.ascontiguousarray(_linear(colours), "<f4")
    indices = np.ascontiguousarray(triangles, "<u4").reshape(-1)
    # Without normals readers shade each triangle for itself.
    normals = np.ascontiguousarray(normals, "<f4")
    blocks = [positions.tobytes(), linear.tobytes(), normals.tobytes(), indices.tobytes()]
    starts = np.cumsum([0, *(len(block) for block in blocks)])
    targets = (_ARRAY_BUFFER, _ARRAY_BUFFER, _ARRAY_BUFFER, _ELEMENT_BUFFER)
    accessors = [
        {
            "bufferView": 0,
            "componentType": _FLOAT,
            "count": len(positions),
            "type": "VEC3",
            "min": positions.min(0).tolist(),
            "max": positions.max(0).tolist(),
        },
        {"bufferView": 1, "componentType": _FLOAT, "count": len(linear), "type": "VEC3"},
        {"bufferView": 2, "componentType": _FLOAT, "count": len(normals), "type": "VEC3"},
        {"bufferView": 3, "componentType": _UNSIGNED_INT, "count": len(indices), "type": "SCALAR"},
    ]
    surface = {"baseColorFactor": [1, 1, 1, opacity], "metallicFactor": 0, "roughnessFactor": 1}
    primitive = {"attributes": {"POSITION": 0, "COLOR_0": 1, "NORMAL": 2}, "indices": 3, "material": 0}
    content = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [primitive]}],
        "materials": [{"pbrMetallicRoughness": surface, "alphaMode": "OPAQUE" if opacity >= 1 else "BLEND"}],
        "accessors": accessors,
        "bufferViews": [
            {"buffer": 0, "byteOffset": int(start), "byteLength": len(block), "target": target}
            for start, block, target in zip(starts[:-1], blocks, targets, strict=True)
        ],
        "buffers": [{"byteLength": int(starts[-1])}],
    }
    text = json.dumps(content).encode()
    text += b" " * (-len(text) % 4)
    body = _chunk(_JSON, text) + _chunk(_BINARY, b"".join(blocks))
    return struct.pack("<III", _MAGIC, _VERSION, 12 + len(body)) + body


def _chunk(kind: int, payload: bytes) -> bytes:
    return struct.pack("<II", len(payload), kind) + payload


def _linear(colours: np.ndarray) -> np.ndarray:
    """sRGB uint8 as the linear light [0,1] that glTF's vertex colours are."""
    values = np.asarray(colours, np.float64) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
