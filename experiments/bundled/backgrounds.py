"""Cut what lies beside the faces out of videos: pictures to put behind rendered heads, and before them.

python experiments/bundled/backgrounds.py --clips CLIPS --names d0 d3 --tracks runs/tracks --out runs/backgrounds
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from flowface_jax.aligners import open_frames
from flowface_jax.alignment.alignment import Alignment
from flowface_jax.job_folders import ALIGNMENT_FILE
from flowface_jax.storage import write_bytes

SIDES = (0.25, 0.4, 0.6)
"""Of a cut, as shares of the shorter side of the frame."""
TRIES = 60


def main() -> None:
    """Write the pictures of every clip."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=Path, required=True, help="folder with .mp4 files")
    parser.add_argument("--names", nargs="+", required=True, help="clips that may be used, by stem")
    parser.add_argument("--tracks", type=Path, required=True, help="folder with a track of each clip")
    parser.add_argument("--out", type=Path, required=True, help="folder of the pictures")
    parser.add_argument("--every", type=int, default=25, help="frames from one to the next that is used")
    options = parser.parse_args()
    random = np.random.default_rng(0)
    for name in options.names:
        alignment = Alignment.load(options.tracks / name / ALIGNMENT_FILE)
        for number, frame in enumerate(open_frames(options.clips / f"{name}.mp4")):
            if number % options.every or not alignment.valid[0, number]:
                continue
            for index, cut in enumerate(_cuts(frame.image, _head(alignment.mean[0, number]), random)):
                _, encoded = cv2.imencode(".jpg", cut[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
                write_bytes(options.out / f"{name}_{number:05d}_{index}.jpg", encoded.tobytes())


def _head(points: np.ndarray) -> np.ndarray:
    """The box [4] px round head and hair, from the points of the face."""
    low, high = np.asarray(points).min(0), np.asarray(points).max(0)
    side = (high - low).max()
    return np.concatenate([low - [0.3 * side, 0.6 * side], high + [0.3 * side, 0.2 * side]])


def _cuts(image: np.ndarray, head: np.ndarray, random: np.random.Generator) -> list[np.ndarray]:
    """Up to three squares that miss the head."""
    height, width = image.shape[:2]
    found = []
    for _ in range(TRIES):
        side = int(random.choice(SIDES) * min(height, width))
        left, top = int(random.integers(0, width - side + 1)), int(random.integers(0, height - side + 1))
        beside = left + side < head[0] or left > head[2] or top + side < head[1] or top > head[3]
        if beside and side >= 64:
            found.append(image[top : top + side, left : left + side])
        if len(found) == 3:
            break
    return found


if __name__ == "__main__":
    main()
