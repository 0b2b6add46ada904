"""Peak memory of aligning a video against its length: a clip, and the same clip repeated.

    python benchmarks/decode_memory.py --clip clip.mp4 --repeats 1 8

Each length runs in a process of its own; what a user would do instead, decoding the whole clip into one array before
looking at it, is measured beside it.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np


def main() -> None:
    """Measure every length with both ways of reading."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--repeats", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--measure", nargs=2, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(_measure(*options.measure)))
        return
    print("| frames | streamed MB | whole clip in memory MB | ratio |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for repeats in options.repeats:
            film = Path(folder) / f"{repeats}.mp4"
            _repeat(options.clip, film, repeats)
            streamed, whole = (_in_process(film, way) for way in ("streamed", "whole"))
            ratio = whole["peak_mb"] / streamed["peak_mb"]
            print(f"| {streamed['frames']} | {streamed['peak_mb']:.0f} | {whole['peak_mb']:.0f} | {ratio:.1f} |")


def _measure(path: str, way: str) -> dict[str, float]:
    from flowface_jax.aligners import align_mediapipe, open_frames

    kept = np.stack([frame.image for frame in open_frames(path)]) if way == "whole" else None
    alignment = align_mediapipe([path])
    assert kept is None or len(kept) == alignment.frame_count
    return {"frames": alignment.frame_count, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def _in_process(film: Path, way: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--clip", str(film), "--measure", str(film), way]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def _repeat(clip: Path, film: Path, repeats: int) -> None:
    from flowface_jax.aligners import open_frames
    from flowface_jax.viewing.video_writer import write_video

    source = open_frames(clip)
    write_video(film, (frame.image for _ in range(repeats) for frame in source), source.info.frame_rate)


if __name__ == "__main__":
    main()
