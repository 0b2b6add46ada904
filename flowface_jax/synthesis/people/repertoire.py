"""What faces do, in the names of ARKit's shapes: emotions, gestures and visemes, and which shapes exclude each other.

A name without a side (`mouthSmile`) stands for both sides. Amounts are those of a strong but natural performance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

Recipe = Mapping[str, float]

COMBINATIONS: Final[dict[str, Recipe]] = {
    "smile": {"mouthSmile": 0.75, "cheekSquint": 0.5, "eyeSquint": 0.15, "mouthDimple": 0.15},
    "faint smile": {"mouthSmile": 0.35, "mouthDimple": 0.3, "cheekSquint": 0.15},
    "laugh": {
        "mouthSmile": 0.9,
        "cheekSquint": 0.8,
        "eyeSquint": 0.4,
        "jawOpen": 0.4,
        "mouthUpperUp": 0.35,
        "mouthLowerDown": 0.3,
    },
    "toothy smile": {
        "mouthSmile": 0.8,
        "mouthUpperUp": 0.45,
        "mouthLowerDown": 0.3,
        "cheekSquint": 0.4,
        "jawOpen": 0.05,
    },
    "surprise": {"browInnerUp": 0.85, "browOuterUp": 0.85, "eyeWide": 0.8, "jawOpen": 0.5, "mouthFunnel": 0.15},
    "raised brows": {"browInnerUp": 0.8, "browOuterUp": 0.7, "eyeWide": 0.25},
    "anger": {
        "browDown": 0.95,
        "eyeSquint": 0.5,
        "noseSneer": 0.45,
        "mouthPress": 0.6,
        "mouthRollLower": 0.15,
        "jawForward": 0.25,
        "mouthFrown": 0.2,
    },
    "rage": {
        "browDown": 1.0,
        "eyeWide": 0.3,
        "noseSneer": 0.8,
        "mouthUpperUp": 0.7,
        "mouthLowerDown": 0.7,
        "jawOpen": 0.35,
        "mouthStretch": 0.4,
    },
    "frowning thought": {"browDown": 0.7, "eyeSquint": 0.3, "mouthPress": 0.3, "mouthShrugLower": 0.25},
    "disgust": {
        "noseSneer": 0.9,
        "browDown": 0.5,
        "mouthUpperUp": 0.6,
        "cheekSquint": 0.4,
        "mouthFrown": 0.4,
        "mouthShrugLower": 0.25,
        "eyeSquint": 0.3,
    },
    "sadness": {"browInnerUp": 0.85, "mouthFrown": 0.7, "mouthShrugLower": 0.45, "eyeSquint": 0.2, "browDown": 0.15},
    "pout": {"mouthPucker": 0.4, "mouthShrugLower": 0.6, "mouthFrown": 0.4, "browInnerUp": 0.4},
    "fear": {
        "browInnerUp": 0.9,
        "browOuterUp": 0.45,
        "browDown": 0.35,
        "eyeWide": 0.9,
        "mouthStretch": 0.7,
        "jawOpen": 0.25,
        "mouthLowerDown": 0.35,
    },
    "contempt": {"mouthSmileLeft": 0.45, "mouthDimpleLeft": 0.7, "cheekSquintLeft": 0.25, "mouthPress": 0.25},
    "smirk": {"mouthSmileRight": 0.6, "mouthDimpleRight": 0.4, "cheekSquintRight": 0.3, "browOuterUpRight": 0.35},
    "pain": {
        "eyeSquint": 0.9,
        "cheekSquint": 0.8,
        "browDown": 0.8,
        "noseSneer": 0.6,
        "mouthStretch": 0.6,
        "mouthUpperUp": 0.5,
        "jawOpen": 0.15,
    },
    "kiss": {"mouthPucker": 0.95, "mouthFunnel": 0.1, "mouthShrugUpper": 0.1},
    "blow": {"mouthPucker": 0.7, "cheekPuff": 0.7, "mouthFunnel": 0.25},
    "puffed cheeks": {"cheekPuff": 0.9, "mouthPress": 0.4, "mouthPucker": 0.1},
    "yawn": {"jawOpen": 0.95, "mouthFunnel": 0.3, "eyeSquint": 0.7, "browDown": 0.25, "mouthStretch": 0.2},
    "shout": {"jawOpen": 0.8, "mouthStretch": 0.4, "mouthUpperUp": 0.4, "mouthLowerDown": 0.5, "browDown": 0.4},
    "jaw left": {"jawLeft": 0.85, "mouthLeft": 0.3},
    "jaw right": {"jawRight": 0.85, "mouthRight": 0.3},
    "mouth left": {"mouthLeft": 0.8, "mouthPress": 0.2, "mouthDimpleLeft": 0.3},
    "mouth right": {"mouthRight": 0.8, "mouthPress": 0.2, "mouthDimpleRight": 0.3},
    "pressed lips": {"mouthPress": 0.9, "mouthRollLower": 0.3, "mouthRollUpper": 0.3},
    "lips drawn in": {"mouthRollLower": 0.55, "mouthRollUpper": 0.5, "mouthPress": 0.2},
    "shrug": {
        "mouthShrugLower": 0.8,
        "mouthShrugUpper": 0.6,
        "browInnerUp": 0.4,
        "browOuterUp": 0.4,
        "mouthFrown": 0.3,
    },
    "tongue out": {"tongueOut": 0.85, "jawOpen": 0.45, "mouthLowerDown": 0.15},
    "dropped jaw, closed lips": {"jawOpen": 0.35, "mouthClose": 0.35},
    "snarl": {"noseSneerLeft": 0.9, "mouthUpperUpLeft": 0.9, "cheekSquintLeft": 0.5, "browDown": 0.6},
    "sceptical": {"browDownLeft": 0.7, "browOuterUpRight": 0.9, "browInnerUp": 0.2, "mouthPress": 0.3},
    "underbite": {"jawForward": 0.9, "mouthLowerDown": 0.2},
}
"""Expressions that come as a whole. Not exhaustive, but each is one that people show."""

VISEMES: Final[dict[str, Recipe]] = {
    "aa": {"jawOpen": 0.5, "mouthLowerDown": 0.25, "mouthUpperUp": 0.15},
    "ae": {"jawOpen": 0.35, "mouthStretch": 0.3, "mouthLowerDown": 0.25, "mouthUpperUp": 0.2},
    "ee": {"jawOpen": 0.1, "mouthStretch": 0.45, "mouthSmile": 0.3, "mouthLowerDown": 0.35, "mouthUpperUp": 0.2},
    "ih": {"jawOpen": 0.2, "mouthStretch": 0.3, "mouthLowerDown": 0.2, "mouthUpperUp": 0.1},
    "oh": {"jawOpen": 0.35, "mouthFunnel": 0.5, "mouthPucker": 0.2},
    "oo": {"jawOpen": 0.12, "mouthFunnel": 0.3, "mouthPucker": 0.7},
    "er": {"jawOpen": 0.22, "mouthFunnel": 0.3, "mouthPucker": 0.15},
    "p": {"mouthPress": 0.45, "mouthRollUpper": 0.2, "mouthRollLower": 0.25},
    "m": {"mouthPress": 0.3, "mouthRollLower": 0.15, "jawOpen": 0.06, "mouthClose": 0.06},
    "f": {"mouthRollLower": 0.6, "mouthUpperUp": 0.3, "jawOpen": 0.06},
    "th": {"jawOpen": 0.14, "mouthLowerDown": 0.15, "mouthUpperUp": 0.1, "tongueOut": 0.2},
    "s": {"mouthStretch": 0.25, "mouthLowerDown": 0.3, "mouthUpperUp": 0.2, "jawOpen": 0.03},
    "sh": {"mouthFunnel": 0.5, "mouthPucker": 0.25, "jawOpen": 0.08, "mouthUpperUp": 0.1},
    "l": {"jawOpen": 0.25, "mouthLowerDown": 0.2},
    "k": {"jawOpen": 0.16, "mouthUpperUp": 0.1},
    "w": {"mouthPucker": 0.8, "mouthFunnel": 0.1},
}
"""Mouth shapes of speech sounds."""

CLOSED_VISEMES: Final[frozenset[str]] = frozenset({"p", "m", "f", "s", "sh", "w", "k", "th"})
"""Sounds that begin or end syllables; the others are their open middles."""

GAZE_SHAPES: Final[tuple[str, ...]] = ("eyeLookUp", "eyeLookDown", "eyeLookIn", "eyeLookOut")
BLINK: Final[str] = "eyeBlink"
TONGUE: Final[str] = "tongueOut"
BROWS: Final[tuple[tuple[str, ...], tuple[str, ...]]] = (("browInnerUp", "browOuterUp"), ("browDown",))
"""Raised and lowered."""

NOT_ALONE: Final[tuple[str, ...]] = (*GAZE_SHAPES, BLINK, "mouthClose", TONGUE)
"""Shapes never picked singly: gaze and lids are sampled on their own, the others need an open jaw."""

EXCLUDING: Final[tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]] = (
    (("jawLeft",), ("jawRight",)),
    (("mouthLeft",), ("mouthRight",)),
    (("eyeWide",), ("eyeSquint", "cheekSquint")),
    (("mouthPucker", "mouthFunnel"), ("mouthSmile", "mouthStretch", "mouthDimple")),
    (("mouthPucker", "mouthFunnel"), ("mouthRollLower", "mouthRollUpper")),
    (("mouthSmile",), ("mouthFrown",)),
    (("cheekPuff",), ("jawOpen", "mouthUpperUp", "mouthLowerDown")),
    (("mouthLeft", "mouthRight"), ("mouthPucker", "mouthStretch")),
)
"""Pairs of groups that pull the same tissue opposite ways: the weaker yields."""


def spelled(name: str, names: Sequence[str]) -> list[int]:
    """Columns of the expression that a name stands for: itself, or both its sides; none where the head lacks it."""
    if name in names:
        return [names.index(name)]
    return [names.index(name + side) for side in ("Left", "Right") if name + side in names]


def vector(recipe: Recipe, names: Sequence[str]) -> np.ndarray:
    """The recipe as coefficients [E]."""
    result = np.zeros(len(names), np.float32)
    for name, amount in recipe.items():
        result[spelled(name, names)] = amount
    return result


def mask(group: Sequence[str], names: Sequence[str]) -> np.ndarray:
    """[E] 1 where a shape belongs to the group."""
    return vector(dict.fromkeys(group, 1.0), names)
