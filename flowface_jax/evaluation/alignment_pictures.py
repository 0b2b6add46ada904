"""Pictures that let a person judge a network's points: faces enlarged, points drawn over them."""

from __future__ import annotations

import cv2
import numpy as np

from flowface_jax.aligners.noise import FACE_OVAL
from flowface_jax.viewing.colours import TEXT, alarm_colours

WHITE = (255, 255, 255)
# fmt: off
CONTOURS: tuple[tuple[int, ...], ...] = (
    (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7),
    (263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249),
    (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146),
    (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95),
    FACE_OVAL,
)
# fmt: on
"""MediaPipe's points along closed lines: right and left lids, outer and inner lips, the face's outline."""
_BITS = 4
_FONT = cv2.FONT_HERSHEY_SIMPLEX


class Window:
    """The square of `side` px about a place of an image, enlarged or shrunk to `size` px.

    centre: [2] px. image: [H,W,3]; black beyond it.
    """

    def __init__(self, image: np.ndarray, centre: np.ndarray, side: float, size: int) -> None:
        self._corner, self._scale = np.asarray(centre, np.float64) - side / 2, size / side
        # Whole coordinates are centres of pixels to OpenCV, edges here.
        shift = -self._scale * (self._corner - 0.5) - 0.5
        matrix = np.asarray([[self._scale, 0, shift[0]], [0, self._scale, shift[1]]])
        method = cv2.INTER_AREA if self._scale < 1 else cv2.INTER_LINEAR
        self.image = cv2.warpAffine(image, matrix, (size, size), flags=method)

    def place(self, points: np.ndarray) -> np.ndarray:
        """Points [...,2] px of the image, in px of the window."""
        return (np.asarray(points, np.float64) - self._corner) * self._scale


def window_on(image: np.ndarray, points: np.ndarray, size: int, margin: float = 1.25) -> Window:
    """The window round the box of points [P,2] px (NaN left out), `margin` times its longer side."""
    known = points[np.isfinite(points).all(-1)]
    low, high = known.min(0), known.max(0)
    return Window(image, (low + high) / 2, margin * max(float((high - low).max()), 1.0), size)


def draw_points(image: np.ndarray, points: np.ndarray, colours: np.ndarray | tuple[int, ...], radius: float) -> None:
    """Dots at [P,2] px, drawn into the image; colours: [P,3] or one RGB. Those with NaN or far outside are left out."""
    colours = np.broadcast_to(np.asarray(colours), (len(points), 3))
    reach = 4 * max(image.shape)
    seen = np.isfinite(points).all(-1) & (np.abs(np.nan_to_num(points)) < reach).all(-1)
    fixed = np.round((points[seen] - 0.5) * 2**_BITS).astype(np.int32)
    for centre, colour in zip(fixed.tolist(), colours[seen].tolist(), strict=True):
        cv2.circle(image, centre, round(radius * 2**_BITS), colour, -1, cv2.LINE_AA, _BITS)


def draw_contours(image: np.ndarray, points: np.ndarray, colour: tuple[int, ...]) -> None:
    """`CONTOURS` through MediaPipe's points [478,2] px, drawn into the image; lines with NaN are left out."""
    for ring in CONTOURS:
        line = points[list(ring)]
        if np.isfinite(line).all() and np.abs(line).max() < 4 * max(image.shape):
            fixed = np.round((line - 0.5) * 2**_BITS).astype(np.int32)
            cv2.polylines(image, [fixed], True, colour, 1, cv2.LINE_AA, _BITS)


def draw_captions(image: np.ndarray, lines: list[str], top: bool = False) -> None:
    """Lines of text at the bottom (or top) left, on a darkened strip, small enough to fit."""
    lines = [line for line in lines if line]
    if not lines:
        return
    height, width = image.shape[:2]
    widest = max(cv2.getTextSize(line, _FONT, 1.0, 1)[0][0] for line in lines)
    size = min(max(0.4, height / 850), (width - 8) / widest)
    pitch = round(26 * size) + 3
    strip = slice(0, pitch * len(lines) + 4) if top else slice(max(0, height - pitch * len(lines) - 4), height)
    image[strip] = (0.35 * image[strip]).astype(np.uint8)
    for row, line in enumerate(lines):
        baseline = (strip.start or 0) + pitch * (row + 1) - round(4 * size)
        cv2.putText(image, line, (4, baseline), _FONT, size, TEXT, 1, cv2.LINE_AA)


def below(image: np.ndarray, lines: list[str], width: int = 46) -> np.ndarray:
    """The picture [H,W,3] with room under it for text, wrapped at so many letters; all get six lines' room."""
    wrapped: list[str] = []
    for line in lines:
        words, current = line.split(), ""
        for word in words:
            if current and len(current) + 1 + len(word) > width:
                wrapped.append(current)
                current = word
            else:
                current = f"{current} {word}".strip()
        wrapped.append(current)
    pitch, room = round(image.shape[1] / 20), 6
    ground = np.full((pitch * room + 6, image.shape[1], 3), 24, np.uint8)
    if len(wrapped) > room:
        wrapped = [*wrapped[: room - 1], wrapped[room - 1] + " ..."]
    size = image.shape[1] / (width * 18.5)
    for row, line in enumerate(wrapped):
        cv2.putText(ground, _plain(line), (6, pitch * (row + 1)), _FONT, size, TEXT, 1, cv2.LINE_AA)
    return np.concatenate([image, ground])


def std_colours(std: np.ndarray, side: float, limit: float = 0.04) -> np.ndarray:
    """RGB [P,3] of σ [P] px: cyan for a sure point, red from `limit` of the box's side [px] on."""
    return alarm_colours(np.asarray(std) / side, limit)


def _plain(text: str) -> str:
    """What the drawn font knows: it has no letters beyond ASCII."""
    swapped = text.replace("σ", "sigma").replace("°", " deg").replace("×", "x").replace("χ²", "chi2")
    return swapped.encode("ascii", "replace").decode()
