"""Track every clip of a folder with several heads and write the table of residuals, jitter and seconds.

    python experiments/track_clips.py --clips CLIPS --heads generic PATH_TO_ICT --out output/clips

The residual is the distance between observed and fitted points, median and 90th percentile over points, median over
frames, in per cent of the width of the box around the observed points.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from flowface_jax import load_head, track
from flowface_jax.evaluation.jitter import jitter_px
from flowface_jax.fitting.config import config_from_mapping
from flowface_jax.pipeline import TRACK_CONFIG
from flowface_jax.reporting import TerminalReporter
from flowface_jax.storage import write_bytes, write_json


def main() -> None:
    """Run all clips with all heads."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=Path, required=True, help="folder with .mp4 files")
    parser.add_argument("--heads", nargs="+", default=["generic"], help="heads as for flowface track --head")
    parser.add_argument("--aligner", default="mediapipe", help="as for flowface track --aligner")
    parser.add_argument("--names", nargs="+", default=None, help="only these clips, by stem")
    parser.add_argument("--out", type=Path, default=Path("output/clips"), help="folder for tracks and table")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="NAME=VALUE", help="settings of the fit, as solver=adamw"
    )
    options = parser.parse_args()
    config = config_from_mapping(dict(item.split("=", 1) for item in options.set), TRACK_CONFIG)
    rows = []
    for source in options.heads:
        head = load_head(source)
        for clip in sorted(options.clips.glob("*.mp4")):
            if options.names and clip.stem not in options.names:
                continue
            started = time.perf_counter()
            result = track(
                [clip],
                options.out / head.name / clip.stem,
                head,
                aligner=options.aligner,
                config=config,
                existing="overwrite",
                reporter=TerminalReporter(),
            )
            rows.append(_row(head.name, clip.stem, result, jitter_px(result, head), time.perf_counter() - started))
            write_json(options.out / "table.json", rows)
            write_bytes(options.out / "table.md", _table(rows).encode())
    print(_table(rows))


def _row(head: str, clip: str, result: object, jitter: float, seconds: float) -> dict[str, object]:
    residual, timings = result.summary["residual"], result.summary["timings"]
    return {
        "head": head,
        "clip": clip,
        "frames": result.frame_count,
        "median": residual["median_percent_of_face_width"],
        "p90": residual["p90_percent_of_face_width"],
        "jitter_px": jitter,
        "focal_over_width": float(result.cameras.focal[0] / result.cameras.image_size[0, 0]),
        "focal_std": result.summary["focal_relative_std"][0],
        "flagged": len(result.summary["flags"]),
        "steps": result.summary["solver"]["steps"],
        "align_s": timings["align_s"],
        "fit_s": timings["initialise_s"] + timings["solve_s"],
        "total_s": seconds,
    }


def _table(rows: list[dict[str, object]]) -> str:
    lines = [
        "| head | clip | frames | median % | 90th % | jitter px | focal / width (±) | flagged | align s | fit s | s |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['head']} | {r['clip']} | {r['frames']} | {r['median']:.2f} | {r['p90']:.2f} | {r['jitter_px']:.2f} "
        f"| {r['focal_over_width']:.2f} ({100 * r['focal_std']:.0f} %) | {r['flagged']} | {r['align_s']:.0f} "
        f"| {r['fit_s']:.0f} | {r['total_s']:.0f} |"
        for r in rows
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
