"""Several pictures in one: views side by side, and contact sheets."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from flowface_jax.errors import InputError


def limited(image: np.ndarray, long_side: int) -> tuple[np.ndarray, float]:
    """The image [H,W,3], scaled down where its longer side exceeds `long_side` px, and the scale that was applied."""
    height, width = image.shape[:2]
    scale = min(1.0, long_side / max(height, width))
    if scale == 1.0:
        return image, 1.0
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), scale


def tile_views(images: Sequence[np.ndarray], maximum_width: int = 1920, rows: int | None = None) -> np.ndarray:
    """Views [H,W,3] of one moment side by side in one height, at most `maximum_width` px wide.

    `rows` defaults to one for up to 4 views and a nearly square grid beyond. Raises InputError without images.
    """
    if not images:
        raise InputError("expected at least one picture to tile, found none")
    if rows is None:
        rows = 1 if len(images) <= 4 else int(np.sqrt(len(images)))
    columns = -(-len(images) // rows)
    height = max(image.shape[0] for image in images)
    widest = max(image.shape[1] * height / image.shape[0] for image in images)
    scale = min(1.0, maximum_width / (widest * columns))
    cell = (int(widest * scale), int(height * scale))
    return _grid([_letterboxed(image, cell) for image in images], columns, gap=0)


def contact_sheet(frames: Sequence[np.ndarray], columns: int, cell_width: int = 320, gap: int = 4) -> np.ndarray:
    """Pictures [H,W,3], row by row, `columns` wide, each fitted into a cell of the first one's shape.

    Raises InputError without pictures.
    """
    if not frames:
        raise InputError("expected at least one picture for the contact sheet, found none")
    height, width = frames[0].shape[:2]
    cell = (cell_width, max(1, round(cell_width * height / width)))
    return _grid([_letterboxed(frame, cell) for frame in frames], min(columns, len(frames)), gap)


def _letterboxed(image: np.ndarray, cell: tuple[int, int]) -> np.ndarray:
    """The whole image, centred on black in a cell (width, height)."""
    width, height = cell
    scale = min(width / image.shape[1], height / image.shape[0])
    size = (max(1, min(width, round(image.shape[1] * scale))), max(1, min(height, round(image.shape[0] * scale))))
    small = image
    if size != (image.shape[1], image.shape[0]):
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    result = np.zeros((height, width, 3), np.uint8)
    top, left = (height - size[1]) // 2, (width - size[0]) // 2
    result[top : top + size[1], left : left + size[0]] = small
    return result


def _grid(cells: Sequence[np.ndarray], columns: int, gap: int) -> np.ndarray:
    height, width = cells[0].shape[:2]
    rows = -(-len(cells) // columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 0 if gap == 0 else 255, np.uint8)
    for index, cell in enumerate(cells):
        top, left = (index // columns) * (height + gap), (index % columns) * (width + gap)
        sheet[top : top + height, left : left + width] = cell
    return sheet
