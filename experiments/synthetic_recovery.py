"""How well the fit finds known truth: the table of README, on made-up performances of the built-in head.

    python experiments/synthetic_recovery.py --out output/recovery

Every vertex of the head is observed with 1 px noise (more where it turns away) on a face 512 px wide, in 30 frames.
Vertices: median distance of the face's vertices in all frames; in the world where the cameras are calibrated, after one
similarity alignment of the sequence where they are not. Neutral: median distance of the neutral face's surface after
its own similarity alignment, as NoW measures it.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np

from flowface_jax import FitConfig, fit, load_head
from flowface_jax.cameras import make_cameras
from flowface_jax.demo import compare, world_vertices
from flowface_jax.fitting.config import config_from_mapping
from flowface_jax.storage import write_bytes, write_json
from flowface_jax.synthesis.sequences import make_performance, observe


@dataclasses.dataclass(frozen=True)
class Setting:
    """One row: how many cameras, what is known of them, how much is spoilt."""

    name: str
    cameras: int
    calibrated: bool
    outlier_share: float


SETTINGS = [
    Setting("4 cameras, calibrated", 4, True, 0.0),
    Setting("4 cameras, calibrated, 10 % outliers", 4, True, 0.1),
    Setting("3 cameras, uncalibrated", 3, False, 0.0),
    Setting("3 cameras, uncalibrated, 10 % outliers", 3, False, 0.1),
    Setting("1 camera, known focal", 1, True, 0.0),
    Setting("1 camera, known focal, 10 % outliers", 1, True, 0.1),
    Setting("1 camera, unknown focal", 1, False, 0.0),
]


def main() -> None:
    """Run every setting for every seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--head", default="generic", help="head as for flowface track --head")
    parser.add_argument("--seeds", type=int, default=3, help="performances per setting")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="fit settings")
    parser.add_argument("--out", type=Path, default=Path("output/recovery"), help="folder for the table")
    options = parser.parse_args()
    head = load_head(options.head)
    config = config_from_mapping(dict(item.split("=", 1) for item in options.set), FitConfig())
    rows = []
    for setting in SETTINGS:
        results = [_run(head, setting, seed, config) for seed in range(options.seeds)]
        rows.append({"setting": setting.name, **{k: float(np.mean([r[k] for r in results])) for k in results[0]}})
        write_json(options.out / "table.json", rows)
        write_bytes(options.out / "table.md", _table(rows).encode())
    print(_table(rows))


def _run(head: object, setting: Setting, seed: int, config: FitConfig) -> dict[str, float]:
    performance = make_performance(head, seed, 30, setting.cameras)
    alignment = observe(performance, head, 1000 + seed, outlier_share=setting.outlier_share)
    cameras = performance.cameras if setting.calibrated else None
    if setting.calibrated and setting.cameras == 1:
        # The position of a single camera says nothing about the head: only its focal length is known.
        cameras = make_cameras(
            performance.cameras.focal,
            performance.cameras.principal_point,
            np.eye(3)[None],
            np.zeros((1, 3)),
            performance.cameras.image_size,
        )
    track = fit(alignment, head, cameras, config)
    result = compare(track, performance, head)
    face = np.asarray(head.regions["face"])
    errors = 1e3 * np.linalg.norm(world_vertices(track, head)[:, face] - performance.world[:, face], axis=-1)
    in_world = setting.calibrated and setting.cameras > 1
    return {
        "vertices": float(np.median(errors)) if in_world else result["vertex_median_mm"],
        "neutral": result["neutral_surface_median_mm"],
        "focal": result["focal_error_percent"],
        "seconds": sum(track.summary["timings"].values()),
    }


def _table(rows: list[dict[str, object]]) -> str:
    lines = ["| setting | vertices mm | neutral mm | focal error % | s |", "|---|---|---|---|---|"]
    lines += [
        f"| {r['setting']} | {r['vertices']:.3f} | {r['neutral']:.3f} | {r['focal']:.1f} | {r['seconds']:.0f} |"
        for r in rows
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
