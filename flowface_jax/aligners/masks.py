"""Pixels that a user excludes: observed points that lie on them no longer count."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np

from flowface_jax.aligners.frames import FrameSource
from flowface_jax.alignment.alignment import Alignment
from flowface_jax.errors import InputError

KEPT = 128
"""Pixels of a mask at least this bright are kept, darker ones excluded: white is kept, black is not."""
MASK_BACKGROUND = (0, 0, 0)
"""What is transparent in a mask is excluded."""

Straighten = Callable[[np.ndarray], np.ndarray]


def with_masks(
    alignment: Alignment, masks: Sequence[FrameSource], straighten: Sequence[Straighten | None] | None = None
) -> tuple[Alignment, list[float]]:
    """The alignment with the points on excluded pixels marked as not observed, and the share of excluded pixels [C].

    masks: one for each camera, of the size of its images: as many frames as the alignment has, or one for all of them;
    white (`KEPT`) is kept. Points outside the image stay as they are, and images without any point left are no longer
    valid. straighten: per camera, from a picture as recorded to one of the ideal pinhole that the alignment is of.
    Raises InputError for other sizes and counts, and where no point is left.
    """
    check_masks(masks, alignment.image_size)
    std, shares = alignment.std.copy(), []
    for c, source in enumerate(masks):
        unfold = None if straighten is None else straighten[c]
        excluded_pixels, frames = 0.0, 0
        for f, excluded in _excluded(source, alignment.valid[c], unfold, alone=alignment.camera_count == 1):
            frames += 1
            excluded_pixels += float(excluded.mean())
            std[c, f, _lie_on(alignment.mean[c, f], excluded) & np.isfinite(std[c, f])] = np.inf
        shares.append(excluded_pixels / max(frames, 1))
    valid = alignment.valid & np.isfinite(std).any(-1)
    if not valid.any():
        raise InputError(
            "the masks exclude every observed point; white pixels are kept and black ones excluded: are they inverted?"
        )
    return dataclasses.replace(alignment, std=std, valid=valid), shares


def check_masks(masks: Sequence[FrameSource], image_size: np.ndarray) -> None:
    """Raise InputError unless there is a mask for each camera, of the size [C,2] of its images."""
    if len(masks) != len(image_size):
        raise InputError(
            f"expected one mask video or folder for each of {len(image_size)} camera(s), found {len(masks)}"
        )
    for source, size in zip(masks, np.asarray(image_size), strict=True):
        if tuple(source.info.size) != tuple(size):
            raise InputError(
                f"the masks {source.info.name} are {source.info.size[0]} x {source.info.size[1]} px, but the images of "
                f"their camera {size[0]} x {size[1]}; make them of the same size"
            )


def _excluded(
    source: FrameSource, valid: np.ndarray, straighten: Straighten | None, alone: bool
) -> Iterator[tuple[int, np.ndarray]]:
    """(frame, excluded pixels [H,W]) of every frame; `valid` [F] says in which the camera sees a face."""
    count, single = 0, None
    for frame in source:
        if count == len(valid):
            raise InputError(
                f"the masks {source.info.name} go on after the {len(valid)} frames of the alignment; {_ADVICE}"
            )
        image = frame.image if straighten is None else straighten(frame.image)
        single = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) < KEPT
        yield count, single
        count += 1
    if count == 1 and single is not None:
        for f in range(1, len(valid)):
            yield f, single
        return
    # A camera that ends early has fewer frames than the alignment.
    if count < len(valid) and (alone or valid[count:].any()):
        raise InputError(f"the masks {source.info.name} are {count}, but there are {len(valid)} frames; {_ADVICE}")


_ADVICE = "give one mask for each frame, or one for all"


def _lie_on(points: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Which points [P,2] px lie on pixels [H,W] that are true; none of those outside the image."""
    columns, rows = np.floor(points).astype(np.int64).T
    height, width = pixels.shape
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    return inside & pixels[np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)]
