"""Make the textures of a folder of clips from their tracks, and a contact sheet of them with their confidence.

    python experiments/texture_clips.py --clips CLIPS --tracks output/clips/generic --out output/textures

The tracks are those of experiments/track_clips.py: one folder per clip, named after it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from flowface_jax import load_head
from flowface_jax.reporting import TerminalReporter
from flowface_jax.storage import write_bytes
from flowface_jax.synthesis.textures import Texture
from flowface_jax.texturing import texture_track

SHEET_SIDE = 320


def main() -> None:
    """Make all textures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=Path, required=True, help="folder with .mp4 files")
    parser.add_argument("--tracks", type=Path, required=True, help="folder with a track per clip")
    parser.add_argument("--head", default="generic", help="head of the tracks, as for flowface texture --head")
    parser.add_argument("--names", nargs="+", default=None, help="only these clips, by stem")
    parser.add_argument("--side", type=int, default=1024, help="texels per side")
    parser.add_argument("--keep-light", action="store_true", help="leave the light in")
    parser.add_argument("--out", type=Path, default=Path("output/textures"), help="folder for textures and sheet.png")
    options = parser.parse_args()
    head = load_head(options.head)
    columns = []
    for clip in sorted(options.clips.glob("*.mp4")):
        if options.names and clip.stem not in options.names:
            continue
        texture, _ = texture_track(
            options.tracks / clip.stem,
            [clip],
            options.out / clip.stem,
            head,
            side=options.side,
            keep_light=options.keep_light,
            overwrite=True,
            reporter=TerminalReporter(),
        )
        columns.append(_column(texture))
        _, sheet = cv2.imencode(".png", np.hstack(columns)[..., ::-1])
        write_bytes(options.out / "sheet.png", sheet.tobytes())


def _column(texture: Texture) -> np.ndarray:
    """Albedo above confidence: [2 SHEET_SIDE, SHEET_SIDE, 3] RGB uint8."""
    confidence = np.repeat(texture.confidence[..., None], 3, axis=-1)
    pictures = (texture.albedo, confidence)
    return np.vstack([cv2.resize(p, (SHEET_SIDE, SHEET_SIDE), interpolation=cv2.INTER_AREA) for p in pictures])


if __name__ == "__main__":
    main()
