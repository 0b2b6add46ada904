"""Frames per second and peak memory of video to alignment: reading, cropping and network at once, and in turn.

    python benchmarks/prediction.py [--frames 200] [--backbone mit_b0] [--size 256] [--batch N]

A made-up film of 1280 x 720 px with a square that wanders as a face would; fresh weights, whose answers are replaced by
the true place, so that every frame is predicted once. Each way runs in a process of its own, compiling not counted.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import numpy as np

WIDTH, HEIGHT, FACE = 1280, 720, 300
WAYS = {"at once": True, "in turn": False}


def main() -> None:
    """Print a table; with --way, measure in this process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--backbone", default="mit_b0")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=None)
    parser.add_argument("--way", default=None, help=argparse.SUPPRESS)
    parser.add_argument("--film", default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way is not None:
        measure(options, WAYS[options.way])
        return
    print("| steps | frames/s | peak memory MiB |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "film.mp4"
        write_film(film, options.frames)
        for way in WAYS:
            command = [sys.executable, __file__, *sys.argv[1:], "--way", way, "--film", str(film)]
            found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
            print(f"| {way} | {float(found[0]):.2f} | {float(found[1]):.0f} |", flush=True)


def place(frame: int) -> np.ndarray:
    """Where the square's top-left corner is, px."""
    return np.asarray([450 + 150 * np.sin(frame / 40), 200 + 60 * np.cos(frame / 25)])


def write_film(path: Path, frames: int) -> None:
    """An H.264 film of a textured square before a textured wall."""
    import av
    import cv2

    random = np.random.default_rng(0)
    wall = cv2.GaussianBlur(random.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8), (0, 0), 3)
    face = cv2.GaussianBlur(random.integers(0, 255, (FACE, FACE, 3), np.uint8), (0, 0), 2)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(25), options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for frame in range(frames):
            image, (x, y) = wall.copy(), np.rint(place(frame)).astype(int)
            image[y : y + FACE, x : x + FACE] = face
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def measure(options: argparse.Namespace, overlapped: bool) -> None:
    """Print frames per second and the peak memory in MiB."""
    from flowface_jax.aligners import NetworkPredictor, align_network, open_frames
    from flowface_jax.heads.generic import generic_head
    from flowface_jax.network.alignment_network import AlignmentNetwork, initial_variables
    from flowface_jax.network.config import NetworkConfig

    head = generic_head()
    config = NetworkConfig(options.backbone, options.size, options.size // 8)
    predictor = NetworkPredictor(config, initial_variables(AlignmentNetwork(config), 0), head, batch_size=options.batch)
    predictor.predict(np.zeros((1, options.size, options.size, 3), np.uint8))
    started = predictor.start
    # The true box is centred in a crop that was cut by it, and spans 1/1.2 of it.
    points = options.size * (0.5 + (np.asarray(head.uv) - 0.5) / 1.2)
    corners = np.asarray(head.regions["face"]).nonzero()[0][:2]
    points[corners] = options.size * (0.5 + np.asarray([[-0.5, -0.5], [0.5, 0.5]]) / 1.2)

    def known(crops: np.ndarray):  # noqa: ANN202
        wait = started(crops)

        def answer():  # noqa: ANN202
            found = wait()
            return found._replace(mean=np.broadcast_to(points, found.mean.shape), std=np.ones_like(found.std))

        return answer

    predictor.start = known
    boxes = (np.r_[place(frame), place(frame) + FACE][None] for frame in range(options.frames))
    began = time.perf_counter()
    found = align_network(
        [open_frames(options.film)],
        predictor,
        head,
        lambda image: (next(boxes), np.ones(1)),
        static=True,
        overlapped=overlapped,
    )
    seconds = time.perf_counter() - began
    assert found.valid.all()
    print(found.frame_count / seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    main()
