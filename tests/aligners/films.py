"""Tiny films and pictures for tests."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def corner_picture(width=64, height=48):
    """Red top left, green top right, blue bottom left, white bottom right: its orientation can be told."""
    image = np.zeros((height, width, 3), np.uint8)
    top, left = slice(0, height // 2), slice(0, width // 2)
    bottom, right = slice(height // 2, height), slice(width // 2, width)
    image[top, left], image[top, right] = (230, 20, 20), (20, 230, 20)
    image[bottom, left], image[bottom, right] = (20, 20, 230), (230, 230, 230)
    return image


def corners(image):
    """The colours of the four corners, as letters, in reading order."""
    names = {"r": (230, 20, 20), "g": (20, 230, 20), "b": (20, 20, 230), "w": (230, 230, 230)}
    found = ""
    for row in (4, -5):
        for column in (4, -5):
            pixel = image[row, column].astype(int)
            found += min(names, key=lambda name: np.abs(pixel - names[name]).sum())
    return found


def write_film(path: Path, images, times_ms=None, faststart=False, gop=5):
    """An H.264 film of the images [H,W,3]; times_ms makes the frame rate vary."""
    options = {"movflags": "+faststart"} if faststart else {}
    with av.open(str(path), "w", format="mp4", options=options) as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "10", "g": str(gop), "bf": "0"})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p" if not (stream.height % 2 or stream.width % 2) else "yuv444p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts, frame.time_base = (times_ms[index] if times_ms else 40 * index), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def set_display_matrix(path: Path, a, b, c, d):
    """Overwrite the 2x2 part of the display matrix in the MP4's track header, as phones do."""
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 4 + 40
    for place, value in ((0, a), (4, b), (12, c), (16, d)):
        data[start + place : start + place + 4] = (int(value) << 16 & 0xFFFFFFFF).to_bytes(4, "big")
    path.write_bytes(bytes(data))
