"""The sRGB curve, both ways."""

from __future__ import annotations

import numpy as np

_LEVELS = np.arange(256, dtype=np.float64) / 255
_DECODE = np.where(_LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4).astype(np.float32)


def srgb_to_linear(colour: np.ndarray) -> np.ndarray:
    """sRGB uint8 to linear float32 in [0,1] (IEC 61966-2-1)."""
    return _DECODE[colour]


def linear_to_srgb(linear: np.ndarray) -> np.ndarray:
    """Linear [0,1] to sRGB uint8 (IEC 61966-2-1); values beyond are clipped."""
    x = np.clip(linear, 0.0, 1.0)
    return np.round(255 * np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)).astype(np.uint8)
