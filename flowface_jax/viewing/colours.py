"""Colours for numbers: one perceptual scale for residuals and errors, and the fixed colours of overlays."""

from __future__ import annotations

import cv2
import numpy as np

MESH = (120, 225, 255)
OBSERVED = (255, 214, 90)
WARNING = (235, 50, 45)
TEXT = (255, 255, 255)
UNKNOWN = (128, 128, 128)


def value_colours(values: np.ndarray, limit: float, lowest: float = 0.0) -> np.ndarray:
    """RGB uint8 [...,3] for values [...]: dark blue at `lowest` through green to yellow at `limit` and beyond.

    The scale is viridis: equal steps in value are equal steps in lightness, in print and for colour-blind readers too.
    NaN is grey.
    """
    values = np.asarray(values, np.float64)
    fraction = np.clip((values - lowest) / max(limit - lowest, 1e-12), 0, 1)
    return _looked_up(fraction, values, cv2.COLORMAP_VIRIDIS)


def alarm_colours(values: np.ndarray, limit: float) -> np.ndarray:
    """RGB uint8 [...,3] for values [...] ≥ 0 over pictures: cyan at 0, through green and yellow, to red at `limit`.

    Brighter throughout than `value_colours`, so that small marks stay visible on skin and hair. NaN is grey.
    """
    values = np.asarray(values, np.float64)
    # The ends of the turbo table are nearly black, which would hide the best and the worst points.
    fraction = 0.28 + 0.62 * np.clip(values / max(limit, 1e-12), 0, 1)
    return _looked_up(fraction, values, cv2.COLORMAP_TURBO)


def _looked_up(fraction: np.ndarray, values: np.ndarray, table: int) -> np.ndarray:
    known = np.isfinite(fraction)
    index = np.where(known, fraction * 255, 0).round().astype(np.uint8)
    colours = cv2.applyColorMap(index.reshape(-1, 1), table)[:, 0, ::-1].reshape(*values.shape, 3).copy()
    colours[~known] = UNKNOWN
    return colours
