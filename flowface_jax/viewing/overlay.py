"""The mesh and the observed points drawn over a frame, with what a viewer needs to judge the fit."""

from __future__ import annotations

import cv2
import numpy as np

from flowface_jax.viewing.colours import MESH, OBSERVED, TEXT, WARNING, alarm_colours
from flowface_jax.viewing.tiling import limited

LONG_SIDE = 1280
"""Larger frames are scaled down to this before drawing: a 4K overlay is slow to play and shows nothing more."""

_BITS = 4
_FULL_SPACING = 6.0
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_overlay(
    frame: np.ndarray,
    mesh_px: np.ndarray | None = None,
    triangles: np.ndarray | None = None,
    visible: np.ndarray | None = None,
    observed_px: np.ndarray | None = None,
    points_px: np.ndarray | None = None,
    std_px: np.ndarray | None = None,
    residual_limit: float = 3.0,
    caption: str = "",
    warning: str = "",
    mesh_opacity: float = 0.45,
) -> np.ndarray:
    """A copy of the frame [H,W,3] RGB uint8, at most `LONG_SIDE` px, with the fit drawn over it.

    mesh_px [V,2] and triangles [T,3]: a wireframe of the triangles that are `visible` ([T] bool, all by default).
    observed_px [P,2]: dots, coloured by their distance to points_px [P,2], where the fit puts them: divided by std_px
    [P], so in σ, or in px without it; red from `residual_limit` on; unobserved points (infinite std or NaN) are left
    out. caption: bottom left. warning: why the frame is flagged; it gets a red border. All px are of the given frame.
    """
    image, scale = limited(frame, LONG_SIDE)
    image = np.ascontiguousarray(image).copy()
    if mesh_px is not None and triangles is not None:
        _draw_wireframe(
            image, np.asarray(mesh_px) * scale, triangles if visible is None else triangles[visible], mesh_opacity
        )
    residual = None
    if observed_px is not None:
        residual = _residual(observed_px, points_px, std_px)
        seen = np.isfinite(observed_px).all(-1) & (True if std_px is None else np.isfinite(std_px))
        colours = np.tile(OBSERVED, (len(seen), 1)) if residual is None else alarm_colours(residual, residual_limit)
        _draw_dots(image, np.asarray(observed_px)[seen] * scale, colours[seen])
        residual = None if residual is None else residual[seen]
    if residual is not None and len(residual):
        unit = "px" if std_px is None else "sigma"
        _draw_scale(image, residual_limit, unit)
        caption = f"{caption}  median residual {np.median(residual):.2f} {unit}".strip()
    if caption:
        _draw_text(image, caption, bottom=True)
    if warning:
        _draw_warning(image, warning)
    return image


def _residual(observed: np.ndarray, points: np.ndarray | None, std: np.ndarray | None) -> np.ndarray | None:
    if points is None:
        return None
    distance = np.linalg.norm(np.asarray(observed, np.float64) - np.asarray(points, np.float64), axis=-1)
    return distance if std is None else distance / std


def _draw_wireframe(image: np.ndarray, mesh_px: np.ndarray, triangles: np.ndarray, opacity: float) -> None:
    """Blend the triangles' edges into the image, each edge once."""
    ends = np.sort(
        np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]).astype(np.int64), axis=1
    )
    keys = np.unique(ends[:, 0] * len(mesh_px) + ends[:, 1])
    segments = mesh_px[np.stack([keys // len(mesh_px), keys % len(mesh_px)], axis=1)]
    reach = 4 * max(image.shape)
    segments = segments[(np.isfinite(segments) & (np.abs(segments) < reach)).all((1, 2))]
    if not len(segments):
        return
    # Edges closer than a few pixels would cover the face; they are drawn fainter instead.
    spacing = np.median(np.linalg.norm(segments[:, 0] - segments[:, 1], axis=-1))
    opacity *= float(np.clip(spacing / _FULL_SPACING, 0.2, 1))
    # Only the part of the picture that the mesh covers is blended.
    low = np.clip(np.floor(segments.min((0, 1))).astype(int) - 2, 0, None)
    high = np.ceil(segments.max((0, 1))).astype(int) + 2
    part = image[low[1] : high[1], low[0] : high[0]]
    if not part.size:
        return
    drawn = part.copy()
    cv2.polylines(drawn, list(_fixed(segments - low)), False, MESH, 1, cv2.LINE_AA, _BITS)
    part[:] = cv2.addWeighted(drawn, opacity, part, 1 - opacity, 0)


def _draw_dots(image: np.ndarray, points: np.ndarray, colours: np.ndarray) -> None:
    """Antialiased dots whose size follows the picture's."""
    radius = max(1.0, max(image.shape) / 640)
    reach = 4 * max(image.shape)
    inside = (np.abs(points) < reach).all(-1)
    for centre, colour in zip(_fixed(points[inside]).tolist(), colours[inside].tolist(), strict=True):
        cv2.circle(image, centre, round(radius * 2**_BITS), colour, -1, cv2.LINE_AA, _BITS)


def _draw_text(image: np.ndarray, text: str, bottom: bool, ground: tuple[int, int, int] = (0, 0, 0)) -> None:
    """One line on a darkened strip at the left, scaled to the picture and shrunk until it fits."""
    height, width = image.shape[:2]
    margin = max(4, min(height, width) // 100)
    size = max(0.35, min(height, width) / 1100)
    length = cv2.getTextSize(text, _FONT, size, 1)[0][0]
    size = min(size, size * (width - 4 * margin) / max(length, 1))
    _put_label(
        image, text, size, left=2 * margin, edge=height - 2 * margin if bottom else 2 * margin, up=bottom, ground=ground
    )


def _draw_scale(image: np.ndarray, limit: float, unit: str) -> None:
    """A small colour scale, top right, from 0 to the limit."""
    height, width = image.shape[:2]
    margin = 2 * max(4, min(height, width) // 100)
    bar_width, bar_height = max(40, width // 6), max(5, height // 90)
    left = width - bar_width - margin
    if left < 0 or height < 4 * bar_height + margin:
        return
    image[margin : margin + bar_height, left : left + bar_width] = alarm_colours(
        np.linspace(0, limit, bar_width), limit
    )
    text, size = f"0 - {limit:g} {unit}", max(0.35, min(height, width) / 1400)
    length = cv2.getTextSize(text, _FONT, size, 1)[0][0]
    _put_label(image, text, size, left=max(0, width - margin - length), edge=margin + bar_height + 3, up=False)


def _put_label(
    image: np.ndarray, text: str, size: float, left: int, edge: int, up: bool, ground: tuple[int, int, int] = (0, 0, 0)
) -> None:
    """Text on a half-transparent strip that ends at row `edge` where `up`, else starts there."""
    (length, ascent), descent = cv2.getTextSize(text, _FONT, size, 1)
    top = edge - ascent - descent if up else edge
    rows = slice(max(0, top - 2), max(0, top + ascent + descent + 2))
    strip = image[rows, max(0, left - 3) : left + length + 3]
    strip[:] = (0.4 * strip + 0.6 * np.asarray(ground)).astype(np.uint8)
    cv2.putText(image, text, (left, top + ascent), _FONT, size, TEXT, 1, cv2.LINE_AA)


def _draw_warning(image: np.ndarray, text: str) -> None:
    thickness = max(3, max(image.shape) // 200)
    cv2.rectangle(image, (0, 0), (image.shape[1] - 1, image.shape[0] - 1), WARNING, 2 * thickness)
    _draw_text(image, text, bottom=False, ground=WARNING)


def _fixed(points: np.ndarray) -> np.ndarray:
    """Continuous pixels as the drawing functions' fixed-point numbers, whose whole values are pixel centres."""
    return np.round((np.asarray(points) - 0.5) * 2**_BITS).astype(np.int32)
