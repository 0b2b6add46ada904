"""Make the two pictures of README from the outputs of `track_clips.py` and `flowface demo`.

python experiments/readme_pictures.py --tracks output/clips/generic --demo output/demo --out docs/images
"""

from __future__ import annotations

import argparse
from pathlib import Path

import av
import cv2
import numpy as np

from flowface_jax.viewing.tiling import contact_sheet

SHOWN = {"d0": (38,), "d12": (90,), "d18": (126,), "d3": (281,)}
"""Clip and frames: a smile, a shaken head with glasses, a wide mouth, a turned frown."""


def main() -> None:
    """Cut the frames, lay them out, write JPEGs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tracks", type=Path, required=True, help="folder with a track folder for each clip")
    parser.add_argument("--demo", type=Path, required=True, help="folder of flowface demo")
    parser.add_argument("--out", type=Path, default=Path("docs/images"), help="folder for the pictures")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    pictures = [
        _frame(options.tracks / clip / "overlay.mp4", frame) for clip, frames in SHOWN.items() for frame in frames
    ]
    _write(options.out / "clips.jpg", contact_sheet([_square(p) for p in pictures], columns=4, cell_width=400))
    _write(options.out / "demo.jpg", cv2.imread(str(options.demo / "demo.png"))[..., ::-1])


def _frame(path: Path, index: int) -> np.ndarray:
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number == index:
                return frame.to_ndarray(format="rgb24")
    raise SystemExit(f"{path} has no frame {index}")


def _square(picture: np.ndarray) -> np.ndarray:
    side = min(picture.shape[:2])
    return picture[:side, (picture.shape[1] - side) // 2 :][:, :side]


def _write(path: Path, picture: np.ndarray) -> None:
    cv2.imwrite(str(path), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])


if __name__ == "__main__":
    main()
