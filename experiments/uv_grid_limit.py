"""What a UV map of D_uv² cells can say at best: the error that remains when it is fitted to the true vertices.

    python experiments/uv_grid_limit.py [--head generic] [--sides 32 64 128]

Vertices are read bilinearly from the map (equation 1), so whatever bends inside a cell is lost: lips, lids, nostrils
and ears, where a cell holds many vertices. No network with that map does better. Made-up performances, each frame
scaled so that its network crop is 512 px; the map is the least-squares one, weighted with the head's λ.
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy.sparse import csr_matrix, diags
from scipy.sparse.linalg import lsqr

from flowface_jax import load_head
from flowface_jax.conventions import BOX_MARGIN
from flowface_jax.synthesis.sequences import make_performance, observe

CROP_PX = 512.0
REGIONS = ("face", "eyes", "nose", "mouth", "ears")


def main() -> None:
    """Print one row for each side."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--head", default="generic")
    parser.add_argument("--sides", type=int, nargs="+", default=[32, 64, 128])
    parser.add_argument("--people", type=int, default=3)
    options = parser.parse_args()
    head = load_head(options.head)
    places = crops_of(head, options.people)
    print("Mean (median) px of a 512 px crop, over vertices and frames.")
    print("| D_uv | " + " | ".join(REGIONS) + " |\n|---" + "|---" * len(REGIONS) + "|")
    for side in options.sides:
        left = np.stack([remaining(np.asarray(head.uv), np.asarray(head.vertex_weights), side, p) for p in places])
        of = lambda name, left=left: left[:, np.asarray(head.regions[name])]
        cells = [f"{of(name).mean():.2f} ({np.median(of(name)):.2f})" for name in REGIONS]
        print(f"| {side} | " + " | ".join(cells) + " |")


def crops_of(head, people: int) -> np.ndarray:  # noqa: ANN001 (a HeadModel)
    """Exact vertices [N,V,2] of some frames, px of their network crops."""
    face = np.asarray(head.regions["face"])
    found = []
    for seed in range(people):
        performance = make_performance(head, seed, frames=12, cameras=1)
        exact = observe(performance, head, seed, noise_px=1e-6).mean[0, ::4]
        for points in np.asarray(exact, np.float64):
            low, high = points[face].min(0), points[face].max(0)
            side = BOX_MARGIN * (high - low).max()
            found.append((points - 0.5 * (low + high - side)) * CROP_PX / side)
    return np.stack(found)


def remaining(uv: np.ndarray, weights: np.ndarray, side: int, places: np.ndarray) -> np.ndarray:
    """Distances [V] px between places [V,2] and those read from the best map of side² cells."""
    reading = bilinear(np.stack([uv[:, 0], 1 - uv[:, 1]], axis=1) * side - 0.5, side)
    weighted = diags(np.sqrt(weights)) @ reading
    start = places.mean(0)
    best = [
        lsqr(weighted, np.sqrt(weights) * (places[:, k] - start[k]), damp=1e-3, iter_lim=2000)[0] + start[k]
        for k in (0, 1)
    ]
    return np.linalg.norm(reading @ np.stack(best, axis=1) - places, axis=1)


def bilinear(cells: np.ndarray, side: int) -> csr_matrix:
    """[V,side²]: the four cells that each point, (x, y) [V,2] with whole numbers at cell centres, is read from."""
    inside = np.clip(cells, 0, side - 1)
    corner = np.minimum(np.floor(inside), side - 2).astype(int)
    (a, b), first = (inside - corner).T, corner[:, 1] * side + corner[:, 0]
    values = np.concatenate([(1 - a) * (1 - b), a * (1 - b), (1 - a) * b, a * b])
    columns = np.concatenate([first, first + 1, first + side, first + side + 1])
    return csr_matrix((values, (np.tile(np.arange(len(cells)), 4), columns)), shape=(len(cells), side * side))


if __name__ == "__main__":
    main()
