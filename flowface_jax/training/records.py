"""Samples as bytes: a small archive of a JPEG, a PNG and plain arrays, read without executing anything."""

from __future__ import annotations

import io
import json
import math
import re
import zipfile
import zlib

import cv2
import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.storage import npz_bytes
from flowface_jax.training.samples import Sample

JPEG_QUALITY = 95
_HEADER = re.compile(rb"\{'descr': '([<|][fu][14])', 'fortran_order': False, 'shape': \(([0-9, ]*)\), \} *\n")
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
        with zipfile.ZipFile(io.BytesIO(record)) as archive:
            members = (archive.read(f"{name}.npy") for name in _FIELDS)
            about, face_box, foreground, image, known, points = (_plain_array(member) for member in members)
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


def _plain_array(member: bytes) -> np.ndarray:
    """The array of an .npy as `encode_sample` makes it. Raises ValueError for anything else."""
    # np.load compiles every header as Python source: slow, and Python 3.11's compiler fails now and then when several
    # threads use it ("AST constructor recursion depth mismatch"), which would end a run after hours.
    start = 10 + int.from_bytes(member[8:10], "little")
    found = _HEADER.fullmatch(member[10:start])
    if member[:8] != b"\x93NUMPY\x01\x00" or found is None:
        raise ValueError("an array is no plain one")
    shape = tuple(int(side) for side in found[2].decode().replace(",", " ").split())
    return np.frombuffer(member, np.dtype(found[1].decode()), math.prod(shape), start).reshape(shape)


def _compressed(suffix: str, pixels: np.ndarray, options: list[int]) -> np.ndarray:
    done, payload = cv2.imencode(suffix, np.ascontiguousarray(pixels), options)
    if not done:
        raise InputError(f"a picture of shape {list(pixels.shape)} cannot be written as {suffix[1:].upper()}")
    return payload.reshape(-1)
