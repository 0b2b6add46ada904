"""Meshes as PLY: what is written is what a reader finds."""

from __future__ import annotations

import numpy as np

from flowface_jax.exporting.ply import write_ply


def test_a_ply_file_holds_the_mesh(tmp_path):
    vertices = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    triangles = np.asarray([[0, 1, 2], [2, 3, 4]], np.int32)
    write_ply(tmp_path / "mesh.ply", vertices, triangles)
    header, body = (tmp_path / "mesh.ply").read_bytes().split(b"end_header\n")
    assert b"element vertex 5" in header and b"element face 2" in header
    np.testing.assert_array_equal(np.frombuffer(body[:60], "<f4").reshape(5, 3), vertices)
    faces = np.frombuffer(body[60:], [("count", "u1"), ("ids", "<i4", 3)])
    assert (faces["count"] == 3).all()
    np.testing.assert_array_equal(faces["ids"], triangles)
