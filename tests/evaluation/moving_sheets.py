"""Small curved sheets in motion before a camera, for tests of what is measured on moving meshes."""

from __future__ import annotations

import numpy as np

from flowface_jax.evaluation.mesh_sequence import Projected

SIZE = (48, 40)


def sheet(count: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """A curved sheet of count x count vertices [V,3] in the unit square, and its triangles [T,3]."""
    x, y = (values.ravel() for values in np.meshgrid(np.linspace(-1, 1, count), np.linspace(-1, 1, count)))
    corner = (np.arange(count - 1)[:, None] * count + np.arange(count - 1)).ravel()
    upper = np.stack([corner, corner + 1, corner + count], axis=1)
    lower = np.stack([corner + 1, corner + count + 1, corner + count], axis=1)
    return np.stack([x, y, 0.4 * (x**2 + y**2)], axis=1), np.concatenate([upper, lower])


def in_motion(vertices: np.ndarray, frames: int, seed: int, roughness: float = 0.03) -> np.ndarray:
    """The sheet bending, turning and drifting smoothly before the camera: [F,V,3], about 3 units away."""
    random = np.random.default_rng(seed)
    bend, rates = random.normal(size=vertices.shape), random.uniform(0.2, 0.5, 4)
    result = []
    for frame in range(frames):
        angle = 0.3 * np.sin(rates[0] * frame + seed)
        turn = np.asarray([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
        drift = [0.15 * np.sin(rates[1] * frame), 0.1 * np.cos(rates[2] * frame), 3 + 0.1 * np.sin(rates[3] * frame)]
        result.append((vertices + roughness * np.sin(0.4 * frame) * bend) @ turn.T + drift)
    return np.asarray(result)


def seen_by_pinhole(world: np.ndarray, focal: float = 55.0) -> Projected:
    """[F,V,3] in the camera's frame, projected."""
    pixels = focal * world[..., :2] / world[..., 2:] + np.asarray(SIZE) / 2
    return Projected(pixels.astype(np.float32), world[..., 2].astype(np.float32), SIZE)


def seen_weakly(world: np.ndarray, scale: float = 18.0) -> Projected:
    """[F,V,3] as a weak-perspective camera sees it; depth round zero, as such methods give it."""
    pixels = scale * world[..., :2] + np.asarray(SIZE) / 2
    return Projected(pixels.astype(np.float32), (world[..., 2] - 3).astype(np.float32), SIZE)


def subdivided(triangles: np.ndarray, world: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same surface in four times the triangles [4T,3]: world [F,V,3] to [F,V',3] with the edges' midpoints."""
    edges = np.unique(np.sort(triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1), axis=0)
    number = {tuple(edge): world.shape[1] + k for k, edge in enumerate(edges.tolist())}
    middle = lambda i, j: number[min(i, j), max(i, j)]
    finer = []
    for a, b, c in triangles.tolist():
        ab, bc, ca = middle(a, b), middle(b, c), middle(c, a)
        finer += [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    return np.asarray(finer), np.concatenate([world, world[:, edges].mean(2)], axis=1)
