"""One image, or a folder of images, as a source of frames."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from flowface_jax.aligners.frames import Frame, SourceInfo
from flowface_jax.errors import InputError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".jp2")


PHOTOGRAPHS_PER_SECOND = 2.0
"""How quickly photographs follow each other where they are shown as a film."""


@dataclass(frozen=True)
class ImageFiles:
    """Image files of one size, in the order given: the frames of a film, or photographs, which are all at time 0."""

    paths: tuple[Path, ...]
    info: SourceInfo

    def __iter__(self) -> Iterator[Frame]:
        width, height = self.info.size
        for index, path in enumerate(self.paths):
            image = read_image(path)
            if image.shape[:2] != (height, width):
                raise InputError(
                    f"{path} is {image.shape[1]}x{image.shape[0]} px, but {self.paths[0].name} is {width}x{height}: "
                    "one camera's images must have one size; run images of other sizes separately"
                )
            yield Frame(index, index / self.info.frame_rate if self.info.is_video else 0.0, image)


def open_images(paths: Sequence[str | os.PathLike[str]], name: str, frame_rate: float | None = None) -> ImageFiles:
    """The given image files: a film of `frame_rate` (1/s), or photographs where that is None.

    Raises InputError if there is none or the first cannot be read.
    """
    if not paths:
        raise InputError(f"{name}: expected at least one image, found none")
    files = tuple(Path(path) for path in paths)
    height, width = read_image(files[0]).shape[:2]
    return ImageFiles(
        files,
        SourceInfo(name, (width, height), len(files), frame_rate or PHOTOGRAPHS_PER_SECOND, frame_rate is not None),
    )


def list_images(folder: Path) -> list[Path]:
    """Image files directly inside the folder, numbers in names sorted by value. Raises InputError if there is none."""
    found = [
        p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".") and p.is_file()
    ]
    if not found:
        suffixes = ", ".join(suffix[1:] for suffix in IMAGE_SUFFIXES)
        raise InputError(f"no image in the folder {folder}; expected files that end in {suffixes}")
    return sorted(found, key=_natural_key)


def read_image(path: str | os.PathLike[str]) -> np.ndarray:
    """One image file as [H,W,3] RGB uint8, turned upright by its EXIF tag; grey, RGBA and 16-bit files included.

    Raises InputError if the file is absent or not a readable image.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no such file: {path} (expected an image); check the path")
    try:
        # Decoding from memory accepts every path that Python can open, whatever its characters.
        pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    except (cv2.error, OSError):
        pixels = None
    if pixels is None or pixels.size == 0:
        raise InputError(
            f"{path} is not a readable image: empty, damaged or of an unknown format; open it elsewhere to check"
        )
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def _natural_key(path: Path) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", path.name)
    return [(0, int(part), part) if part.isdigit() else (1, 0, part) for part in parts]
