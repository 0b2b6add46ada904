"""Photographs whose EXIF says what a test wants."""

from __future__ import annotations

import io

from PIL import Image
from PIL.TiffImagePlugin import IFDRational

ORIENTATION, EXIF = 0x0112, 0x8769
FOCAL_MM, FOCAL_35 = 0x920A, 0xA405
WIDTH, HEIGHT = 0xA002, 0xA003
PLANE_RESOLUTION, PLANE_UNIT = 0xA20E, 0xA210


def write_photo(path, image, orientation=1, quality=95, **tags):
    """A picture file of the ending's kind; tags: by the names above, in lower case."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    exif.get_ifd(EXIF).update({globals()[name.upper()]: value for name, value in tags.items()})
    options = {"quality": quality, "subsampling": 0} if path.suffix in (".jpg", ".jpeg") else {}
    options |= {"lossless": True} if path.suffix == ".webp" else {}
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, Image.registered_extensions()[path.suffix], exif=exif, **options)
    path.write_bytes(buffer.getvalue())
    return path


def ratio(numerator, denominator=1):
    """An EXIF rational, which may be 1/0."""
    return IFDRational(numerator, denominator)
