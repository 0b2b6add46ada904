"""Taking the light out of a merged picture: smooth shading by the normal, and the colour of the light."""

from __future__ import annotations

import numpy as np

CELL = 4
"""Texels per side of one sample of the fit."""
RIDGE = 1e-3
TYPICAL_ERROR = 0.15
"""Logarithmic difference (15 %) that spots, beard and cast shadows make; larger ones count less and less."""
LARGEST_CHANGE = 0.9
"""Largest logarithm by which shading is corrected: what is darker than that is not known to be shading."""
ROUNDS = 12

MIDDLE_LUMINANCE, SHRINKAGE = 0.2, 0.35
"""Skin of middling brightness, and how far towards it brightness is moved: exposure varies as much as skin does."""
LUMINANCE = np.float32([0.2126, 0.7152, 0.0722])
SKIN_LUMINANCE = (0.05, 0.40)
SKIN_RED_TO_GREEN = (1.45, 2.2)
SKIN_BLUE_TO_GREEN = (0.58, 0.85)
"""Ranges of linear sRGB reflectance that human skin keeps to, wide enough for the darkest and the fairest."""


def spherical_harmonics(normal: np.ndarray) -> np.ndarray:
    """The nine polynomials of order ≤ 2 in unit normals [...,3], up to factors: [...,9]
    (Ramamoorthi and Hanrahan 2001).
    """
    x, y, z = (normal[..., k] for k in range(3))
    terms = [np.ones_like(x), x, y, z, x * y, y * z, x * z, x * x - y * y, 3 * z * z - 1]
    return np.stack(terms, -1)


def fit_light(linear: np.ndarray, weight: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Coefficients [9,3] of the logarithm of the light as a polynomial of the normal, on skin of even reflectance.

    linear: [A,A,3]. weight: [A,A], 0 where the colour is no bare skin. normal: [A,A,3] unit. Robust: moles, beard and
    highlights, where they cover the smaller part, do not count. Row 0 is the logarithm of the skin's own colour.
    """
    chosen = (slice(CELL // 2, None, CELL),) * 2
    w = weight[chosen].reshape(-1).astype(np.float64)
    known = w > 0
    if known.sum() < 64:
        return np.zeros((9, 3), np.float32)
    w = w[known] / w[known].sum()
    x = spherical_harmonics(normal[chosen].reshape(-1, 3)[known].astype(np.float64))
    y = np.log(np.maximum(linear[chosen].reshape(-1, 3)[known].astype(np.float64), 1e-3))
    ridge = RIDGE * np.diag([0.0] + [1.0] * 8)
    solution = np.zeros((9, 3))
    solution[0] = np.median(y, axis=0)
    for _ in range(ROUNDS):
        size = np.abs(y - x @ solution).max(1) / TYPICAL_ERROR
        robust = w / (1 + size**2)
        weighted = x * (robust / robust.sum())[:, None]
        solution = np.linalg.solve(weighted.T @ x + ridge, weighted.T @ y)
    return solution.astype(np.float32)


def without_light(linear: np.ndarray, weight: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """The picture [A,A,3] with smooth shading and the light's colour removed: an estimate of the reflectance.

    weight: [A,A], 0 where there is no bare skin. The brightness of the light is not known: the skin's median
    colour is moved into the range of human skin, and its brightness part of the way to that of middling skin.
    """
    light = fit_light(linear, weight, normal)
    shading = spherical_harmonics(normal)[..., 1:] @ light[1:]
    total = max(float(weight.sum()), 1e-9)
    shading -= (shading * weight[..., None]).sum((0, 1)) / total
    even = linear * np.exp(-np.clip(shading, -LARGEST_CHANGE, LARGEST_CHANGE))
    chosen = weight > 0.5 * weight.max() if weight.any() else np.zeros(weight.shape, bool)
    return even * skin_gain(np.median(even[chosen], axis=0)) if chosen.any() else even


def skin_gain(colour: np.ndarray) -> np.ndarray:
    """Gains [3] that bring a linear colour [3] to a likely skin colour."""
    colour = np.maximum(np.asarray(colour, np.float64), 1e-4)
    red = np.clip(colour[0] / colour[1], *SKIN_RED_TO_GREEN)
    blue = np.clip(colour[2] / colour[1], *SKIN_BLUE_TO_GREEN)
    brightness = (colour @ LUMINANCE) ** (1 - SHRINKAGE) * MIDDLE_LUMINANCE**SHRINKAGE
    brightness = np.clip(brightness, *SKIN_LUMINANCE)
    tone = np.array([red, 1.0, blue])
    return (tone * brightness / (tone @ LUMINANCE) / colour).astype(np.float32)
