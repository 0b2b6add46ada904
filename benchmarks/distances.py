"""Distances from a scan's vertices to a head's surface, beside trimesh and Open3D, and the whole chamfer distance.

    pip install trimesh rtree open3d        # whichever is installed is measured
    python benchmarks/distances.py --points 100000

The scan is drawn from the head's surface, with noise. Times are of building the search structure and asking once, as
evaluating a frame does; the first, unmeasured run compiles. Open3D (Embree) computes in single precision. Peers use as
many threads as they like; ours one for each core. The chamfer distance of one frame is that of `flowface evaluate
chamfer`: key points that are off by 4 mm, ICP, then all points of face and ears.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable
from pathlib import Path

import jaxlie
import numpy as np
from scipy.spatial import KDTree

from flowface_jax.evaluation.mesh_sequence import MeshSequence
from flowface_jax.evaluation.reconstruction import ChamferResult, chamfer, head_key_points
from flowface_jax.evaluation.reconstruction.surface import distances_to_surface
from flowface_jax.heads.atlas import closest_points
from flowface_jax.heads.generic import generic_head
from flowface_jax.heads.model import HeadModel
from flowface_jax.heads.source import load_head


def main() -> None:
    """Measure everything that is installed and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--head", type=Path, default=None, help="a head model's file; without it the built-in head")
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--noise", type=float, default=0.002, help="m, standard deviation about the surface")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    head = generic_head() if options.head is None else load_head(options.head)
    vertices, triangles = np.asarray(head.template, np.float64), np.asarray(head.triangles)
    points = _scan(vertices, triangles, options.points, options.noise)
    print(f"{head.name}: {len(triangles)} triangles; {len(points)} points; smallest of {options.repeats} runs")
    print("| method | s | times ours | largest difference mm |")
    print("|---|---|---|---|")
    own, reference = _measured(distances_to_surface, points, vertices, triangles, options.repeats)
    print(f"| ours | {own:.3f} | 1 | 0 |")
    for name, method in METHODS.items():
        if all(importlib.util.find_spec(package) for package in name.split(" + ") if package != "heads.atlas"):
            seconds, found = _measured(method, points, vertices, triangles, options.repeats)
            print(f"| {name} | {seconds:.3f} | {seconds / own:.1f} | {1e3 * np.abs(found - reference).max():.2g} |")
    seconds, result = _chamfer(head, points, options.repeats)
    print(f"\nwhole chamfer distance of one frame: {seconds:.2f} s, face {result.of('face'):.2f} mm")


def _chamfer(head: HeadModel, points: np.ndarray, repeats: int) -> tuple[float, ChamferResult]:
    """Of the head, turned and moved, from the scan; a scan's points are of the region that their nearest vertex is."""
    vertices, triangles = np.asarray(head.template, np.float32), np.asarray(head.triangles)
    nearest = KDTree(vertices).query(points)[1]
    regions = {name: np.asarray(mask)[nearest] for name, mask in head.regions.items()}
    # No face of the scan is asked for, only which of its vertices are used: all.
    chained = np.arange(len(points) // 3 * 3, dtype=np.int32).reshape(-1, 3)
    scan = MeshSequence(points[None].astype(np.float32), chained, np.ones(1, bool), regions, name="the scan")
    turn = np.asarray(jaxlie.SO3.exp(np.asarray([0.1, -0.3, 0.05], np.float32)).as_matrix())
    moved = MeshSequence((vertices @ turn.T + 0.1)[None].astype(np.float32), triangles, np.ones(1, bool), name="head")
    key_points = head_key_points(head)
    places = np.asarray(key_points.of(vertices)) + np.random.default_rng(1).normal(0, 0.004, (7, 3))
    result = chamfer(moved, scan, key_points, places)
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        chamfer(moved, scan, key_points, places)
        seconds.append(time.perf_counter() - start)
    return min(seconds), result


def _scan(vertices: np.ndarray, triangles: np.ndarray, count: int, noise: float) -> np.ndarray:
    draw = np.random.default_rng(0)
    corners = vertices[triangles]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    chosen = np.sort(draw.choice(len(triangles), count, p=area / area.sum()))
    places = np.einsum("nk,nkc->nc", draw.dirichlet([1, 1, 1], count), corners[chosen])
    return places + draw.normal(0, noise, places.shape)


def _measured(method: Callable, points: np.ndarray, *mesh: np.ndarray | int) -> tuple[float, np.ndarray]:
    *mesh, repeats = mesh
    found = method(points, *mesh)
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        method(points, *mesh)
        seconds.append(time.perf_counter() - start)
    return min(seconds), found


def _trimesh(points: np.ndarray, vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    import trimesh

    # Tens of thousands of points at once take gigabytes there.
    mesh = trimesh.Trimesh(vertices, triangles, process=False)
    parts = [points[first : first + 5000] for first in range(0, len(points), 5000)]
    return np.concatenate([trimesh.proximity.closest_point(mesh, part)[1] for part in parts])


def _open3d(points: np.ndarray, vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    import open3d

    scene = open3d.t.geometry.RaycastingScene()
    scene.add_triangles(vertices.astype(np.float32), triangles.astype(np.uint32))
    return scene.compute_distance(points.astype(np.float32)).numpy()


METHODS = {
    "heads.atlas": lambda points, vertices, triangles: closest_points(points, vertices, triangles)[1],
    "trimesh + rtree": _trimesh,
    "open3d": _open3d,
}


if __name__ == "__main__":
    main()
