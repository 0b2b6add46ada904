"""Samples as bytes: a small archive of a JPEG, a PNG and plain arrays, read without executing anything."""

from __future__ import annotations

import io
import json
import zipfile
import zlib

import cv2
import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.storage import npz_bytes
from flowface_jax.training.samples import Sample

JPEG_QUALITY = 95
_FIELDS = ("about", "face_box", "foreground", "image", "known", "points")


def encode_sample(sample: Sample) -> bytes:
    """The sample as an .npz in memory, the same bytes for the same sample.

    image: JPEG of quality 95; foreground: PNG; points, face_box: float32; known: bits; about: JSON of head and source.
    """
    about = json.dumps(
        {"head": sample.head, "source": dict(sample.source), "vertices": len(sample.points)}, sort_keys=True
    )
    arrays = {
        "about": np.frombuffer(about.encode("utf-8"), np.uint8),
        "face_box": sample.face_box.astype(np.float32),
        "foreground": _compressed(".png", sample.foreground, [cv2.IMWRITE_PNG_COMPRESSION, 6]),
        "image": _compressed(".jpg", sample.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]),
        "known": np.packbits(sample.known),
        "points": sample.points.astype(np.float32),
    }
    # Pictures are compressed already, and deflating the rest would cost more time in every epoch than it saves.
    return npz_bytes(arrays, compress=False)


def decode_sample(record: bytes) -> Sample:
    """The sample of a record. Raises InputError where the record is damaged or holds anything but plain arrays."""
    try:
        with np.load(io.BytesIO(record), allow_pickle=False) as archive:
            about, face_box, foreground, image, known, points = (archive[name] for name in _FIELDS)
        header = json.loads(about.tobytes().decode("utf-8"))
        head, source, count = str(header["head"]), dict(header["source"]), int(header["vertices"])
        picture = cv2.imdecode(image, cv2.IMREAD_COLOR)
        mask = cv2.imdecode(foreground, cv2.IMREAD_GRAYSCALE)
        known = np.unpackbits(known, count=count).astype(bool)
    except (
        OSError, EOFError, KeyError, ValueError, TypeError, RuntimeError, zipfile.BadZipFile, zlib.error, cv2.error,
        AttributeError,
    ) as error:  # fmt: skip
        raise InputError(
            f"a record is no sample: {(str(error).splitlines() or [''])[0] or type(error).__name__}"
        ) from None
    if picture is None or mask is None or picture.shape[:2] != mask.shape or mask.shape[0] != mask.shape[1]:
        raise InputError("a record is no sample: its picture or its mask cannot be read")
    sound = points.shape == (count, 2) and face_box.shape == (4,) and points.dtype == face_box.dtype == np.float32
    if not sound or not (np.isfinite(points).all() and np.isfinite(face_box).all()):
        raise InputError("a record is no sample: its points are not finite numbers of the stated count")
    return Sample(np.ascontiguousarray(picture[..., ::-1]), points, known, mask, face_box, head, source)


def _compressed(suffix: str, pixels: np.ndarray, options: list[int]) -> np.ndarray:
    done, payload = cv2.imencode(suffix, np.ascontiguousarray(pixels), options)
    if not done:
        raise InputError(f"a picture of shape {list(pixels.shape)} cannot be written as {suffix[1:].upper()}")
    return payload.reshape(-1)
