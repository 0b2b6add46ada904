"""The rasteriser beside Embree's ray caster on one CPU core: time, and whether both see the same triangles.

    pip install open3d        # or, smaller: pip install embreex; whichever is installed is measured, both if both are
    python benchmarks/rasteriser.py --head ict_facekit_light.npz

Without --head the built-in head is drawn. The peers get one ray through each pixel's centre. Embree searches a tree
that it must build anew for each pose of a face that moves; times with and without this building are given.
"""

from __future__ import annotations

import os

# One core for everybody, and before any library counts the cores.
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import importlib.util
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from flowface_jax.heads.generic import generic_head
from flowface_jax.heads.source import load_head
from flowface_jax.synthesis.rasteriser import rasterise

DISTANCE = 0.7
"""Metres from the camera to the head's origin."""
EDGE_PX = 0.02
"""Pixels whose centre is nearer than this to an edge of either method's triangle are "at edges"."""


def main() -> None:
    """Render at every size with every method that is installed and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--head", type=Path, default=None)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    peers = {name: peer for name, peer in PEERS.items() if importlib.util.find_spec(name)}
    if not peers:
        sys.exit("no peer to compare with: pip install open3d, or the smaller embreex")
    head = generic_head() if options.head is None else load_head(options.head)
    vertices, triangles = np.asarray(head.template, np.float32), np.asarray(head.triangles, np.int32)
    camera = vertices * np.float32([1, -1, -1]) + np.float32([0, 0, DISTANCE])
    print(f"{head.name}: {len(vertices)} vertices, {len(triangles)} triangles; one core; median (smallest) ms")
    print("| size | ours | peer | peer tracing | with building | ratio | with building | same | same off edges |")
    print("|---|---|---|---|---|---|---|---|---|")
    for size in options.sizes:
        for name, peer in peers.items():
            _compare(size, name, peer, camera, triangles, options.repeats)


def _compare(size: int, name: str, peer: Callable, camera: np.ndarray, triangles: np.ndarray, repeats: int) -> None:
    """Time both, taking turns so that whatever else the machine does hits both, and print one row."""
    focal, middle = 1.6 * size, size / 2
    pixels = camera[:, :2] / camera[:, 2:] * np.float32(focal) + np.float32(middle)
    draw = jax.jit(lambda p, d: rasterise(p, d, triangles, (size, size)))
    on_device = jax.device_put(pixels), jax.device_put(camera[:, 2])
    grid = (np.stack(np.meshgrid(np.arange(size), np.arange(size)), -1).reshape(-1, 2) + 0.5 - middle) / focal
    directions = np.concatenate([grid, np.ones((len(grid), 1))], axis=1).astype(np.float32)
    ours = np.asarray(draw(*on_device).triangle)
    build, trace = peer
    theirs = trace(build(camera, triangles), directions).reshape(size, size)
    times = np.zeros((repeats, 3))
    for row in times:
        row[0] = _seconds(lambda: jax.block_until_ready(draw(*on_device)))[0]
        row[1], scene = _seconds(lambda: build(camera, triangles))
        # Both libraries finish building when the first rays are cast.
        row[1] += _seconds(lambda scene=scene: trace(scene, directions[:1]))[0]
        row[2] = _seconds(lambda scene=scene: trace(scene, directions))[0]
    own, building, tracing = (times * 1e3).T
    seen = (ours >= 0) | (theirs >= 0)
    clear = seen & (_edge_distance(ours, pixels, triangles) > EDGE_PX)
    clear &= _edge_distance(theirs, pixels, triangles) > EDGE_PX
    same = ours == theirs
    columns = [
        f"{size}²", f"{np.median(own):.1f} ({own.min():.1f})", name,
        f"{np.median(tracing):.1f} ({tracing.min():.1f})",
        f"{np.median(tracing + building):.1f} ({(tracing + building).min():.1f})",
        f"{np.median(own) / np.median(tracing):.3f}", f"{np.median(own) / np.median(tracing + building):.3f}",
        f"{same[seen].mean():.3%}", f"{same[clear].mean():.3%} of {clear.sum()}",
    ]  # fmt: skip
    print("| " + " | ".join(columns) + " |")


def _seconds(function: Callable) -> tuple[float, object]:
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def _edge_distance(found: np.ndarray, pixels: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Distance [H,W] px from pixel centres to the nearest edge line of the triangle found there, ∞ where none is."""
    rows, columns = np.indices(found.shape)
    point = np.stack([columns, rows], axis=-1) + 0.5
    corners = pixels.astype(np.float64)[triangles[np.maximum(found, 0)]]
    nearest = np.full(found.shape, np.inf)
    for k in range(3):
        along = corners[..., (k + 1) % 3, :] - corners[..., k, :]
        across = point - corners[..., k, :]
        area = along[..., 0] * across[..., 1] - along[..., 1] * across[..., 0]
        nearest = np.minimum(nearest, np.abs(area) / np.maximum(np.linalg.norm(along, axis=-1), 1e-12))
    return np.where(found >= 0, nearest, np.inf)


def _build_open3d(vertices: np.ndarray, triangles: np.ndarray) -> object:
    import open3d

    scene = open3d.t.geometry.RaycastingScene(nthreads=1)
    scene.add_triangles(open3d.core.Tensor(vertices), open3d.core.Tensor(triangles.astype(np.uint32)))
    return scene


def _trace_open3d(scene: object, directions: np.ndarray) -> np.ndarray:
    import open3d

    rays = np.concatenate([np.zeros_like(directions), directions], axis=1)
    found = scene.cast_rays(open3d.core.Tensor(rays), nthreads=1)["primitive_ids"].numpy()
    return np.where(found == np.uint32(0xFFFFFFFF), -1, found.astype(np.int64))


def _build_embreex(vertices: np.ndarray, triangles: np.ndarray) -> object:
    from embreex.mesh_construction import TriangleMesh
    from embreex.rtcore_scene import EmbreeScene

    scene = EmbreeScene()
    TriangleMesh(scene, vertices, triangles)
    return scene


def _trace_embreex(scene: object, directions: np.ndarray) -> np.ndarray:
    return scene.run(np.zeros_like(directions), directions)


PEERS = {"open3d": (_build_open3d, _trace_open3d), "embreex": (_build_embreex, _trace_embreex)}


if __name__ == "__main__":
    main()
