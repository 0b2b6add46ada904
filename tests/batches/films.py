"""A folder of sixty tiny films, some of which cannot be tracked."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.aligners.films import write_film

FAILING = {
    "a/text.mp4": "not a readable video",
    "a/empty.mov": "is empty",
    "b/noface.mp4": "no face was found",
    "b/bug.mp4": "ZeroDivisionError: a bug",
    "beheaded.mkv": "not a readable video",
}
CRASHING = "b/crash.mp4"
"""It takes its process with it."""


def write_sixty(folder: Path, crashing: bool = False) -> Path:
    """Sixty videos in three folders, six of which fail (or five and one that takes its process with it); and other
    files, which do not count.
    """
    failing = [*FAILING, *([CRASHING] if crashing else [])]
    names = failing + [f"{'ab'[k % 2]}/{k:02d}.mp4" for k in range(60 - len(failing) - 1)] + ["cut off.mp4"]
    for k, name in enumerate(sorted(names)):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_film(path.with_suffix(".mp4"), [np.full((16, 16, 3), 0 if "noface" in name else 45 + k, np.uint8)] * 4)
    (folder / "a/text.mp4").write_text("a list of things to do\n")
    (folder / "a/empty.mp4").unlink()
    (folder / "a/empty.mov").touch()
    whole = (folder / "beheaded.mp4").read_bytes()
    (folder / "beheaded.mp4").unlink()
    (folder / "beheaded.mkv").write_bytes(whole[len(whole) // 2 :])
    _cut_off(folder / "cut off.mp4")
    (folder / "notes.txt").write_text("not a video\n")
    (folder / "a/._00.mp4").write_bytes(b"what one operating system leaves beside its files")
    return folder


def _cut_off(path: Path) -> None:
    """A film whose last pictures are missing, with its index in front."""
    random = np.random.default_rng(0)
    pictures = [np.clip(90 + random.normal(0, 30, (64, 64, 3)), 0, 255).astype(np.uint8) for _ in range(12)]
    write_film(path, pictures, faststart=True)
    path.write_bytes(path.read_bytes()[: int(0.6 * path.stat().st_size)])
