"""The colour scale of the values on the mesh, as a picture."""

from __future__ import annotations

import cv2
import numpy as np

from flowface_jax.viewing.browser.values import MEANINGS, UNITS
from flowface_jax.viewing.colours import UNKNOWN, value_colours

WIDTH = 420
_BAR, _LINE, _MARGIN = 24, 30, 10
_FONT, _SIZE = cv2.FONT_HERSHEY_SIMPLEX, 0.6
_INK, _PAPER = (40, 40, 40), (255, 255, 255)


def legend_picture(name: str, span: tuple[float, float]) -> np.ndarray:
    """[H,W,3] RGB uint8: what the colours of `name`, one of `UNITS`, mean over a span."""
    picture = np.full((4 * _LINE + _BAR, WIDTH, 3), _PAPER, np.uint8)
    left, right = _MARGIN, WIDTH - _MARGIN
    _write(picture, f"{name}, {UNITS[name]}", left, _LINE - 9)
    picture[_LINE : _LINE + _BAR, left:right] = value_colours(np.linspace(0, 1, right - left), 1)
    for fraction in (0.0, 0.5, 1.0):
        text = f"{span[0] + fraction * (span[1] - span[0]):.3g}" + ("+" if fraction == 1 else "")
        width = cv2.getTextSize(text, _FONT, _SIZE, 1)[0][0]
        _write(picture, text, int(left + fraction * (right - left - width)), _LINE + _BAR + _LINE - 8)
    bottom = 2 * _LINE + _BAR
    _write(picture, MEANINGS[name], left, bottom + _LINE - 8)
    bottom += _LINE
    picture[bottom + 6 : bottom + _LINE - 8, left : left + 16] = UNKNOWN
    _write(picture, "not known", left + 24, bottom + _LINE - 8)
    return picture


def _write(picture: np.ndarray, text: str, left: int, baseline: int) -> None:
    # The drawing font has no Greek.
    plain = text.replace("σ", "sigma")
    width = cv2.getTextSize(plain, _FONT, _SIZE, 1)[0][0]
    size = _SIZE * min(1.0, (WIDTH - left - _MARGIN) / width)
    cv2.putText(picture, plain, (left, baseline), _FONT, size, _INK, 1, cv2.LINE_AA)
