"""Our rasteriser sees what Embree's rays hit, on a head from several sides (needs the `peers` extra)."""

from __future__ import annotations

import numpy as np
import pytest

from flowface_jax.heads.generic import generic_head
from flowface_jax.synthesis.rasteriser import project, rasterise
from tests.shared_data import ict_head

pytest.importorskip("embreex", reason="embreex is not installed: pip install flowface-jax[peers]")
from embreex.mesh_construction import TriangleMesh  # noqa: E402
from embreex.rtcore_scene import EmbreeScene  # noqa: E402

SIZE, FOCAL, MIDDLE = 512, 820.0, 256.0
EDGE_PX = 0.02


@pytest.mark.parametrize("yaw", [0.0, 0.7, 1.6])
@pytest.mark.parametrize("name", ["generic", "ict"])
def test_the_same_triangle_is_seen_away_from_edges(name, yaw):
    head = generic_head() if name == "generic" else ict_head()
    turn = np.asarray([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    vertices = np.float32(np.asarray(head.template) @ turn.T * [1, -1, -1] + [0, 0, 0.7])
    triangles = np.asarray(head.triangles, np.int32)
    pixels, depth = project(vertices, FOCAL, (MIDDLE, MIDDLE))
    found = rasterise(pixels, depth, triangles, (SIZE, SIZE))
    ours = np.asarray(found.triangle)

    scene = EmbreeScene()
    TriangleMesh(scene, vertices, triangles)
    grid = (np.stack(np.meshgrid(np.arange(SIZE), np.arange(SIZE)), -1).reshape(-1, 2) + 0.5 - MIDDLE) / FOCAL
    rays = np.concatenate([grid, np.ones((len(grid), 1))], axis=1).astype(np.float32)
    theirs = scene.run(np.zeros_like(rays), rays).reshape(SIZE, SIZE)

    pixels = np.asarray(pixels, np.float64)
    clear = (ours >= 0) | (theirs >= 0)
    for seen in (ours, theirs):
        clear &= _edge_distance(seen, pixels, triangles) > EDGE_PX
    assert clear.sum() > 0.15 * SIZE**2
    assert (ours == theirs)[clear].mean() >= 0.999
    assert ((ours >= 0) == (theirs >= 0)).mean() > 0.9999


def _edge_distance(found, pixels, triangles):
    """Distance [H,W] px from pixel centres to the lines through the edges of the triangle found there."""
    rows, columns = np.indices(found.shape)
    corners = pixels[triangles[np.maximum(found, 0)]] - np.stack([columns, rows], -1)[:, :, None] - 0.5
    nearest = np.full(found.shape, np.inf)
    for k in range(3):
        a, along = corners[:, :, k], corners[:, :, (k + 1) % 3] - corners[:, :, k]
        area = np.abs(along[..., 0] * a[..., 1] - along[..., 1] * a[..., 0])
        nearest = np.minimum(nearest, area / np.maximum(np.linalg.norm(along, axis=-1), 1e-12))
    return np.where(found >= 0, nearest, np.inf)
