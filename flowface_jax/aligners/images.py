"""One image, or a folder of images, as a source of frames."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from flowface_jax.aligners.frames import BACKGROUND, Frame, SourceInfo, laid_on
from flowface_jax.aligners.photo_tags import PhotoTags, read_photo_tags
from flowface_jax.errors import InputError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".jp2")


PHOTOGRAPHS_PER_SECOND = 2.0
"""How quickly photographs follow each other where they are shown as a film."""
SAME_FOCAL = 1.03
"""Photographs whose focal lengths differ by at most this factor were taken with one."""

_HEADER_BYTES = 2**18
_TIFF = (".tif", ".tiff")


@dataclass(frozen=True)
class ImageFiles:
    """Image files of one size, in the order given: the frames of a film, or photographs, which are all at time 0."""

    paths: tuple[Path, ...]
    info: SourceInfo
    background: tuple[int, int, int] = BACKGROUND

    def __iter__(self) -> Iterator[Frame]:
        width, height = self.info.size
        for index, path in enumerate(self.paths):
            image = read_image(path, self.background)
            if image.shape[:2] != (height, width):
                raise InputError(
                    f"{path} is {image.shape[1]}x{image.shape[0]} px, but {self.paths[0].name} is {width}x{height}: "
                    "one camera's images must have one size; run images of other sizes separately"
                )
            yield Frame(index, index / self.info.frame_rate if self.info.is_video else 0.0, image)


def open_images(
    paths: Sequence[str | os.PathLike[str]],
    name: str,
    frame_rate: float | None = None,
    background: tuple[int, int, int] = BACKGROUND,
) -> ImageFiles:
    """The given image files: a film of `frame_rate` (1/s), or photographs where that is None.

    background: RGB that transparent pictures are laid on. Raises InputError if there is none or the first cannot be
    read.
    """
    if not paths:
        raise InputError(f"{name}: expected at least one image, found none")
    files = tuple(Path(path) for path in paths)
    height, width = read_image(files[0]).shape[:2]
    # The pictures of a film share one camera, so the first speaks for all.
    focal, notes = _stated_focal(files[:1] if frame_rate is not None else files, (width, height))
    rate = PHOTOGRAPHS_PER_SECOND if frame_rate is None else frame_rate
    info = SourceInfo(name, (width, height), len(files), rate, frame_rate is not None, focal, notes)
    return ImageFiles(files, info, background)


def list_images(folder: Path) -> list[Path]:
    """Image files directly inside the folder, numbers in names sorted by value. Raises InputError if there is none."""
    found = [
        p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".") and p.is_file()
    ]
    if not found:
        suffixes = ", ".join(suffix[1:] for suffix in IMAGE_SUFFIXES)
        raise InputError(f"no image in the folder {folder}; expected files that end in {suffixes}")
    return sorted(found, key=lambda path: natural_key(path.name))


def read_image(path: str | os.PathLike[str], background: tuple[int, int, int] = BACKGROUND) -> np.ndarray:
    """One image file as [H,W,3] RGB uint8, turned upright by its EXIF tag; grey and 16-bit files included.

    background: RGB that a PNG or WebP with transparency is laid on. Raises InputError if the file is absent or not a
    readable image.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no such file: {path} (expected an image); check the path")
    try:
        # Decoding from memory accepts every path that Python can open, whatever its characters.
        data = np.fromfile(path, np.uint8)
        # OpenCV turns TIFFs upright either way, and multiplies their alpha in.
        pixels = cv2.imdecode(data, cv2.IMREAD_COLOR if path.suffix.lower() in _TIFF else cv2.IMREAD_UNCHANGED)
        if pixels is not None and pixels.dtype not in (np.uint8, np.uint16):
            pixels = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except (cv2.error, OSError):
        pixels = None
    if pixels is None or pixels.size == 0:
        raise InputError(
            f"{path} is not a readable image: empty, damaged or of an unknown format; open it elsewhere to check"
        )
    image = _rgb8(pixels, background)
    if path.suffix.lower() in _TIFF:
        return image
    return _upright(image, read_photo_tags(data.tobytes()).orientation)


def _rgb8(pixels: np.ndarray, background: tuple[int, int, int]) -> np.ndarray:
    """OpenCV's grey, BGR or BGRA pixels of 8 or 16 bits as RGB uint8, without transparency."""
    if pixels.dtype == np.uint16:
        # 65535 is 255, as 257 * 255 = 65535.
        pixels = ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    if channels == 4:
        return laid_on(cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA), background)
    return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB if channels == 1 else cv2.COLOR_BGR2RGB)


def _upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """The image as EXIF's orientation 1 to 8 wants it shown."""
    if orientation >= 5:
        image = image.transpose(1, 0, 2)
    vertical = -1 if orientation in (3, 4, 7, 8) else 1
    horizontal = -1 if orientation in (2, 3, 6, 7) else 1
    return np.ascontiguousarray(image[::vertical, ::horizontal])


def _stated_focal(files: Sequence[Path], size: tuple[int, int]) -> tuple[float | None, tuple[str, ...]]:
    """The one focal length in px that photographs state, or None; and why it is not used where some state one."""
    tags = [_tags_of(path, size) for path in files]
    focal = [tag.focal_px for tag in tags if tag.focal_px is not None]
    doubted = [f"{path.name}: EXIF is not used: {tag.note}." for path, tag in zip(files, tags, strict=True) if tag.note]
    if not focal:
        return None, tuple(doubted[:1])
    if len(focal) < len(files):
        return None, (
            f"EXIF is not used: only {len(focal)} of {len(files)} photographs state a focal length that is believed.",
        )
    if max(focal) > SAME_FOCAL * min(focal):
        return None, (
            f"EXIF is not used: the photographs have focal lengths of {min(focal):.0f} to {max(focal):.0f} px, and one "
            "camera has one; track those of one focal length at a time.",
        )
    return float(np.median(focal)), ()


def _tags_of(path: Path, size: tuple[int, int]) -> PhotoTags:
    # Of most formats EXIF is at the beginning; WebP has it at the end.
    with path.open("rb") as file:
        return read_photo_tags(file.read() if path.suffix.lower() == ".webp" else file.read(_HEADER_BYTES), size)


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """What names are sorted by so that cam2 comes before cam10: numbers by their value, all else as text."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(part), part) if part.isdigit() else (1, 0, part) for part in parts]
