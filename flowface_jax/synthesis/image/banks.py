"""Folders of pictures as backgrounds and textures: DTD's layout, or any folder with images in it."""

from __future__ import annotations

import logging
from pathlib import Path

import cv2
import numpy as np

from flowface_jax.errors import InputError

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
_log = logging.getLogger(__name__)


def load_background_bank(folder: Path | str, side: int = 256, limit: int = 512, split: str | None = None) -> np.ndarray:
    """Up to `limit` pictures below `folder`, each cut square and scaled: [N,B,B,3] uint8 RGB, B = side.

    Folders are walked in the order of their names, and of more than `limit` pictures every k-th is taken, so that all
    classes are met. Files that cannot be read are skipped with a warning. split: name of a list in DTD's `labels`, such
    as "train1"; the folder is then DTD's own, with `images/<class>/*.jpg`. Raises InputError where the folder, the
    list or readable pictures are missing.
    """
    if side < 1 or limit < 1:
        raise InputError(f"a bank needs a side and a limit of at least 1, got {side} and {limit}")
    root = Path(folder)
    if not root.is_dir():
        raise InputError(f"expected a folder of pictures, found none at {root}: give the folder that holds them")
    files = _listed(root, split) if split else _found(root)
    chosen = files if len(files) <= limit else [files[k * len(files) // limit] for k in range(limit)]
    pictures = [picture for picture in (_read(path, side) for path in chosen) if picture is not None]
    if not pictures:
        kinds = ", ".join(sorted(SUFFIXES))
        raise InputError(f"expected pictures ({kinds}) in {root}, found none that can be read: give another folder")
    return np.stack(pictures)


def _found(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())


def _listed(root: Path, split: str) -> list[Path]:
    path = root / "labels" / f"{split}.txt"
    if not path.is_file():
        raise InputError(
            f"expected the list {path}, found none: name one of the lists in {root / 'labels'} or no split"
        )
    return sorted(root / "images" / line.strip() for line in path.read_text().splitlines() if line.strip())


def _read(path: Path, side: int) -> np.ndarray | None:
    """The middle square of a picture, scaled; None where it is not one."""
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except (OSError, cv2.error):
        picture = None
    if picture is None:
        _log.warning("skipped %s: not a readable picture", path)
        return None
    height, width = picture.shape[:2]
    edge = min(height, width)
    top, left = (height - edge) // 2, (width - edge) // 2
    square = picture[top : top + edge, left : left + edge]
    way = cv2.INTER_AREA if edge > side else cv2.INTER_LINEAR
    return cv2.cvtColor(cv2.resize(square, (side, side), interpolation=way), cv2.COLOR_BGR2RGB)
