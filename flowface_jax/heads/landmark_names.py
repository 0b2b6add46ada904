"""Names of those of the 68 Multi-PIE landmarks that are places on the skin, and not of an outline."""

from __future__ import annotations

from typing import Final

LANDMARK_NAMES: Final[dict[str, int]] = {
    "chin": 8,
    "right outer brow": 17,
    "right inner brow": 21,
    "left inner brow": 22,
    "left outer brow": 26,
    "nose bridge": 27,
    "nose tip": 30,
    "right nostril": 31,
    "nose bottom": 33,
    "left nostril": 35,
    "right outer eye corner": 36,
    "right inner eye corner": 39,
    "left inner eye corner": 42,
    "left outer eye corner": 45,
    "right mouth corner": 48,
    "upper lip top": 51,
    "left mouth corner": 54,
    "lower lip bottom": 57,
    "upper lip inside": 62,
    "lower lip inside": 66,
}
"""Name to the landmark's number, from 0; right and left are the subject's."""


def landmark_number(name: str) -> int | None:
    """The number of a named landmark, None for a name that is not known; hyphens and underscores are spaces."""
    return LANDMARK_NAMES.get(" ".join(name.lower().replace("_", " ").replace("-", " ").split()))
