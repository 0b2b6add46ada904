"""How the default weights of the energy were chosen: recovery of a made-up face against each weight.

    python experiments/energy_weights.py --out output/weights

One camera of known focal length sees 60 frames of 400 points, with 1 px of noise that is new in every frame and an
error of 3 px (0.6 % of the face's width) that is the same in every frame, as real aligners have it. Vertices: median
distance on the face after one similarity alignment. Neutral: the same for the neutral surface. Jitter: RMS second
difference of the error over time.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np

from flowface_jax import FitConfig, fit, load_head
from flowface_jax.demo import compare, world_vertices
from flowface_jax.evaluation.geometry import fit_similarity
from flowface_jax.storage import write_bytes, write_json
from flowface_jax.synthesis.sequences import make_performance, observe

SWEEPS = {
    "prior_weight": (0.05, 0.5, 5.0, 50.0),
    "identity_prior": ("once", "per_image"),
    "temporal_weight": (0.0, 20.0, 200.0, 2e3, 2e4),
    "robust_scale": (3.0, 6.0, 12.0),
}
SYSTEMATIC_PX = 3.0


def main() -> None:
    """Vary one weight at a time about the defaults."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=2, help="performances per value")
    parser.add_argument("--out", type=Path, default=Path("output/weights"), help="folder for the table")
    options = parser.parse_args()
    head = load_head("generic")
    rows = []
    for name, values in SWEEPS.items():
        for value in values:
            results = [_run(head, dataclasses.replace(FitConfig(), **{name: value}), s) for s in range(options.seeds)]
            means = {k: float(np.mean([r[k] for r in results])) for k in results[0]}
            rows.append({"weight": name, "value": value, "default": value == getattr(FitConfig(), name), **means})
            write_json(options.out / "table.json", rows)
            write_bytes(options.out / "table.md", _table(rows).encode())
    print(_table(rows))


def _run(head: object, config: FitConfig, seed: int) -> dict[str, float]:
    performance = make_performance(head, seed, 60, 1)
    points = np.flatnonzero(np.asarray(head.vertex_weights) > 0.5)
    points = points[np.linspace(0, len(points) - 1, 400).round().astype(int)]
    alignment = observe(performance, head, 100 + seed, points=points)
    systematic = np.random.default_rng(seed).normal(scale=SYSTEMATIC_PX, size=(len(points), 2))
    std = np.sqrt(alignment.std**2 + SYSTEMATIC_PX**2)
    spoilt = dataclasses.replace(alignment, mean=(alignment.mean + systematic).astype(np.float32), std=std)
    track = fit(spoilt, head, performance.cameras, config)
    result = compare(track, performance, head)
    face = np.asarray(head.regions["face"])
    predicted, true = world_vertices(track, head)[:, face], performance.world[:, face]
    error = fit_similarity(predicted, true).apply(predicted) - true
    acceleration = error[:-2] - 2 * error[1:-1] + error[2:]
    return {
        "vertices": result["vertex_median_mm"],
        "neutral": result["neutral_surface_median_mm"],
        "jitter": float(1e3 * np.sqrt((acceleration**2).sum(-1).mean())),
    }


def _table(rows: list[dict[str, object]]) -> str:
    lines = ["| weight | value | vertices mm | neutral mm | jitter mm |", "|---|---|---|---|---|"]
    lines += [
        f"| {r['weight']} | {r['value']}{' (default)' if r['default'] else ''} | {r['vertices']:.3f} "
        f"| {r['neutral']:.3f} | {r['jitter']:.3f} |"
        for r in rows
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
