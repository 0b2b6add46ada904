"""The bundled network beside MediaPipe on a clip: milliseconds a frame, of the network alone and of whole alignments.

    python benchmarks/bundled.py --clip clip.mp4 [--name flowface-nano] [--rounds 5]

The network alone: crops of the clip in the batches that `flowface track` uses, forward pass and reading of all
vertices. Whole alignments: decoding, cropping and prediction of every frame; both find the face in the first frame and
follow it. They take turns; the median of the rounds counts. Compiling is not part of any time.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from flowface_jax.aligners import open_frames
from flowface_jax.aligners.cropping import crop_image, face_square
from flowface_jax.aligners.faces import boxes_of_points
from flowface_jax.aligners.mediapipe import align_mediapipe, mediapipe_detector
from flowface_jax.aligners.network import align_network
from flowface_jax.aligners.prediction import Predictor, load_predictor
from flowface_jax.compilation import keep_compilations
from flowface_jax.heads.generic import generic_head
from flowface_jax.network.bundled import FOR_PROCESSORS, bundled_file


def main() -> None:
    """Print a line per way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clip", type=Path, required=True, help="video of one face")
    parser.add_argument("--name", default=FOR_PROCESSORS[0], help="the bundled network")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    keep_compilations()
    head = generic_head()
    predictor = load_predictor(bundled_file(options.name), head, name=options.name)
    points = align_mediapipe([options.clip])
    crops = _crops(options.clip, points.mean[0], points.valid[0], predictor)
    frames, batch = points.frame_count, len(crops)
    ways: dict[str, tuple[Callable[[], object], int]] = {
        f"{options.name}, network alone": (lambda: predictor.start(crops)(), batch),
        f"{options.name}, whole alignment": (
            lambda: align_network([open_frames(options.clip)], predictor, head, mediapipe_detector()),
            frames,
        ),
        "MediaPipe, whole alignment": (lambda: align_mediapipe([options.clip]), frames),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for round_number in range(options.rounds + 1):
        for name, (work, count) in ways.items():
            repeats = max(1, frames // count // 4)
            started = time.perf_counter()
            for _ in range(repeats):
                work()
            if round_number:
                seconds[name].append((time.perf_counter() - started) / repeats / count)
    for name, times in seconds.items():
        print(f"{name:<34}{1e3 * statistics.median(times):8.1f} ms a frame")


def _crops(clip: Path, points: np.ndarray, valid: np.ndarray, predictor: Predictor) -> np.ndarray:
    """The first crops [B,D,D,3] with a face."""
    found = []
    for frame, place, seen in zip(open_frames(clip), points, valid, strict=True):
        if seen and len(found) < predictor.batch_size:
            found.append(crop_image(frame.image, face_square(boxes_of_points(place)), predictor.image_size))
    return np.stack(found)


if __name__ == "__main__":
    main()
