"""What a photograph's EXIF says of how it was taken: which way is up, and the focal length."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

from PIL import Image

FILM_DIAGONAL_MM = math.hypot(36.0, 24.0)
"""EXIF's 35 mm equivalent compares diagonals (CIPA DC-008), whatever the sensor's shape."""
SENSOR_WIDTHS_MM = (2.0, 60.0)
"""Sensors of telephones to medium format: a resolution of the focal plane that means another one is not believed."""
FOCAL_RATIOS = (0.3, 20.0)
"""Focal lengths over the longer side of the picture that are believed: fish-eyes to the longest lenses."""
LARGEST_ASPECT_CHANGE = 0.03
"""A picture whose shape differs by more than this share from the one that EXIF states was cropped."""

_MARKS = (b"Exif", b"eXIf", b"EXIF")
_ORIENTATION, _EXIF = 0x0112, 0x8769
_FOCAL_MM, _FOCAL_35 = 0x920A, 0xA405
_WIDTH, _HEIGHT = 0xA002, 0xA003
_PLANE_RESOLUTION, _PLANE_UNIT = 0xA20E, 0xA210
_UNIT_MM = {2: 25.4, 3: 10.0, 4: 1.0, 5: 1e-3}


class PhotoTags(NamedTuple):
    """orientation: EXIF's 1 to 8, 1 where it is not stated. focal_px: focal length in px of the picture as it is, None
    where it is not known. note: why a focal length that is stated is not believed, else empty.
    """

    orientation: int = 1
    focal_px: float | None = None
    note: str = ""


def read_photo_tags(data: bytes, size: tuple[int, int] | None = None) -> PhotoTags:
    """The tags of an encoded picture of `size` (width, height) px, either way round; its beginning is enough.

    Without a size no focal length is looked for. Nothing raises: tags that cannot be read are tags that are not there.
    """
    # Opening some formats means decoding them, so pictures without EXIF are not opened.
    if not any(mark in data for mark in _MARKS):
        return PhotoTags()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as picture:
                tags = picture.getexif()
                orientation, exif = _number(tags.get(_ORIENTATION)), dict(tags.get_ifd(_EXIF))
    except Exception:  # noqa: BLE001 - a damaged header may raise anything, and is no reason to refuse the picture
        return PhotoTags()
    turned = int(orientation) if orientation in range(1, 9) else 1
    if size is None:
        return PhotoTags(turned)
    try:
        return PhotoTags(turned, _focal_px(exif, size))
    except _NotBelieved as reason:
        return PhotoTags(turned, None, str(reason))


class _NotBelieved(Exception):
    """Why a focal length is not believed."""


def _focal_px(exif: Mapping[int, Any], size: tuple[int, int]) -> float | None:
    """The focal length in px, None where EXIF says nothing of it. Raises _NotBelieved."""
    longer, diagonal = max(size), math.hypot(*size)
    taken = _size_taken(exif)
    film, focal = exif.get(_FOCAL_35), exif.get(_FOCAL_MM)
    resolution = _number(exif.get(_PLANE_RESOLUTION))
    if film is None and (focal is None or exif.get(_PLANE_RESOLUTION) is None):
        return None
    if taken is not None and abs(_aspect(taken) / _aspect(size) - 1) > LARGEST_ASPECT_CHANGE:
        raise _NotBelieved(f"the picture was cropped from {taken[0]} x {taken[1]} px, so its focal length is not known")
    # EXIF has 0 for "unknown".
    if _number(film) > 0:
        result = _number(film) / FILM_DIAGONAL_MM * diagonal
    elif _number(focal) > 0 and resolution > 0:
        per_mm = resolution / _UNIT_MM.get(int(_number(exif.get(_PLANE_UNIT, 2))), math.nan)
        whole = longer if taken is None else max(taken)
        if not SENSOR_WIDTHS_MM[0] <= whole / per_mm <= SENSOR_WIDTHS_MM[1]:
            raise _NotBelieved(f"a sensor {whole / per_mm:.3g} mm wide is stated, which is not believed")
        result = _number(focal) * per_mm * longer / whole
    else:
        raise _NotBelieved("a focal length of 0 is stated, which means that it is not known")
    if not FOCAL_RATIOS[0] <= result / longer <= FOCAL_RATIOS[1]:
        raise _NotBelieved(f"a focal length of {result / longer:.3g} picture widths is stated, which is not believed")
    return result


def _size_taken(exif: Mapping[int, Any]) -> tuple[int, int] | None:
    """Width and height as the camera took the picture."""
    width, height = _number(exif.get(_WIDTH)), _number(exif.get(_HEIGHT))
    return (int(width), int(height)) if width >= 1 and height >= 1 else None


def _aspect(size: tuple[int, int]) -> float:
    return max(size) / min(size)


def _number(value: Any) -> float:
    """A tag as a finite number; 0 for anything else."""
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return 0.0
    return number if math.isfinite(number) else 0.0
