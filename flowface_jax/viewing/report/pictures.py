"""Heat maps on the head, and small pictures of frames, as data that a page holds."""

from __future__ import annotations

import base64

import cv2
import numpy as np

from flowface_jax.viewing.colours import value_colours
from flowface_jax.viewing.report.contents import HeatMap
from flowface_jax.viewing.shading import shade
from flowface_jax.viewing.tiling import limited

TURNS = (-50.0, 0.0, 50.0)
"""Degrees by which the head is turned in the three pictures of a heat map."""
SIDE = 480
_DISTANCE = 1.2
_MARGIN = 8


def heat_map_picture(heat_map: HeatMap, vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """The head from three sides, coloured: [H,W,4] RGBA uint8, transparent around it.

    vertices: [V,3] m and triangles [T,3] of the neutral head; vertices without a value are grey.
    """
    unknown = np.isnan(heat_map.values)
    colours = value_colours(heat_map.values, heat_map.limit).astype(np.float64) / 255
    middle = (vertices.min(0) + vertices.max(0)) / 2
    radius = float(np.linalg.norm(vertices - middle, axis=-1).max())
    focal = SIDE / 2 * (_DISTANCE - radius) / radius
    views = [_view(vertices - middle, triangles, colours, turn, focal) for turn in TURNS]
    # Only the height at which something is known is kept, and no empty columns.
    wanted = (vertices if unknown.all() else vertices[~unknown])[:, 1] - middle[1]
    top, bottom = SIDE / 2 - focal * np.asarray([wanted.max(), wanted.min()]) / (_DISTANCE - radius)
    rows = slice(max(0, int(top) - _MARGIN), min(SIDE, int(bottom) + _MARGIN))
    return np.concatenate([_without_empty_columns(view[rows]) for view in views], axis=1)


def scale_stops(count: int = 9) -> list[str]:
    """Colours of the heat maps' scale from 0 to its limit, as hexadecimal numbers."""
    return [
        "#" + "".join(f"{int(part):02x}" for part in colour) for colour in value_colours(np.linspace(0, 1, count), 1)
    ]


def png_uri(picture: np.ndarray) -> str:
    """A picture [H,W,4] RGBA uint8 as a data URI."""
    return _uri("image/png", cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGBA2BGRA))[1])


def thumbnail_uri(picture: np.ndarray, long_side: int = 320) -> str:
    """A small JPEG of a picture [H,W,3] RGB uint8 as a data URI."""
    small = np.ascontiguousarray(limited(picture, long_side)[0][..., ::-1])
    return _uri("image/jpeg", cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 82])[1])


def data_uri(kind: str, payload: bytes) -> str:
    """Bytes of a MIME type as a data URI."""
    return f"data:{kind};base64,{base64.b64encode(payload).decode('ascii')}"


def _uri(kind: str, encoded: np.ndarray) -> str:
    return data_uri(kind, encoded.tobytes())


def _without_empty_columns(view: np.ndarray) -> np.ndarray:
    """A view [H,W,4] between its first and last covered columns, with a margin."""
    covered = np.flatnonzero(view[..., 3].any(0))
    first, last = (covered[0], covered[-1]) if len(covered) else (0, 0)
    return np.pad(view[:, first : last + 1], ((0, 0), (_MARGIN, _MARGIN), (0, 0)))


def _view(centred: np.ndarray, triangles: np.ndarray, colours: np.ndarray, turn: float, focal: float) -> np.ndarray:
    angle = np.radians(turn)
    turned = np.asarray([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    # From the head's axes (y up, z out of the face) to a camera before it (y down, z forward).
    seen = centred @ (np.diag([1.0, -1.0, -1.0]) @ turned).T + [0, 0, _DISTANCE]
    # Drawn on black and on white, the pictures tell how much of each pixel is covered.
    black, white = (
        shade(seen, triangles, focal, np.asarray([SIDE / 2, SIDE / 2]), (SIDE, SIDE), colours, (tone,) * 3).astype(
            float
        )
        for tone in (0, 255)
    )
    alpha = 1 - (white - black).mean(-1, keepdims=True) / 255
    colour = black / np.maximum(alpha, 1 / 255)
    return np.concatenate([colour, 255 * alpha], axis=-1).round().clip(0, 255).astype(np.uint8)
