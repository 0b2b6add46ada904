"""What a person looks like from afar: the colours of head and shoulders, cheap enough for every detection."""

from __future__ import annotations

import cv2
import numpy as np

COLOURS = (12, 6, 4)
"""Levels of hue, saturation and value that are counted."""
SIDEWARDS, UPWARDS, DOWNWARDS = 0.3, 0.3, 0.9
"""How far beyond the face's box colours are counted, in its width and heights: hair above, clothes below."""
SAMPLED_PX = 32


def looks(image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Descriptions [N,K] of the people with faces in boxes [N,4] px of a picture [H,W,3] RGB uint8; each sums to 1."""
    return np.stack([_look(image, box) for box in boxes]) if len(boxes) else np.zeros((0, int(np.prod(COLOURS))))


def difference(look: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Hellinger's distance [N] between a description [K] and others [N,K]: 0 the same, 1 nothing alike."""
    shared = np.sqrt(look[None] * others).sum(axis=1)
    return np.sqrt(np.maximum(1 - shared, 0))


def _look(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    w, h = box[2:] - box[:2]
    left, right = np.clip([box[0] - SIDEWARDS * w, box[2] + SIDEWARDS * w], 0, width).astype(int)
    top, bottom = np.clip([box[1] - UPWARDS * h, box[3] + DOWNWARDS * h], 0, height).astype(int)
    part = image[top : max(bottom, top + 1), left : max(right, left + 1)]
    if not part.size:
        return np.full(int(np.prod(COLOURS)), 1 / np.prod(COLOURS))
    small = cv2.resize(part, (SAMPLED_PX, SAMPLED_PX), interpolation=cv2.INTER_AREA)
    colours = cv2.cvtColor(small, cv2.COLOR_RGB2HSV)
    counts = cv2.calcHist([colours], [0, 1, 2], None, list(COLOURS), [0, 180, 0, 256, 0, 256]).ravel()
    return counts / counts.sum()
