"""From the detector's maps to faces: anchors decoded, weak candidates dropped, overlapping ones suppressed.

Host arrays in double precision: the candidates are few, and their number is not known in advance.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flowface_jax.network.s3fd import STRIDES

ANCHOR_SIDE = 4
"""Side of the one square anchor of each cell, in strides."""

CENTRE_VARIANCE, SIZE_VARIANCE = 0.1, 0.2


def candidate_boxes(
    probabilities: Sequence[np.ndarray], offsets: Sequence[np.ndarray], minimum: float
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes [N,4] (left, top, right, bottom) px and scores [N] of the cells of all levels that score above `minimum`.

    probabilities: of a face, per level [h,w]. offsets: per level [h,w,4], of the centre in anchor sides / 10 and of the
    size as 5 × logarithm. Cells whose box is not finite are left out.
    """
    boxes, scores = [], []
    for stride, probability, offset in zip(STRIDES, probabilities, offsets, strict=True):
        rows, columns = np.nonzero(np.asarray(probability) > minimum)
        anchors = (np.stack([columns, rows], axis=-1) + 0.5) * stride
        boxes.append(decode_boxes(anchors, float(ANCHOR_SIDE * stride), np.asarray(offset)[rows, columns]))
        scores.append(np.asarray(probability)[rows, columns])
    everything = np.concatenate(boxes)
    sound = np.isfinite(everything).all(axis=1)
    return everything[sound], np.concatenate(scores)[sound]


def decode_boxes(centres: np.ndarray, side: float, offsets: np.ndarray) -> np.ndarray:
    """Boxes [N,4] px from anchors' centres [N,2], their side in px and predicted offsets [N,4]."""
    offsets = offsets.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        size = side * np.exp(SIZE_VARIANCE * offsets[:, 2:])
        corner = centres + CENTRE_VARIANCE * side * offsets[:, :2] - size / 2
        return np.concatenate([corner, corner + size], axis=1)


def suppress_overlapping(boxes: np.ndarray, scores: np.ndarray, maximum_overlap: float) -> np.ndarray:
    """Indices of the boxes to keep, best first: of boxes [N,4] that overlap by more, the one that scores higher.

    Overlap is intersection over union with sides counted in whole pixels, the last one included (right − left + 1), as
    in the detector's published code. Of equal scores the last comes first, there as here.
    """
    sides = boxes[:, 2:] - boxes[:, :2] + 1
    areas = sides[:, 0] * sides[:, 1]
    order = np.argsort(scores, kind="stable")[::-1]
    kept = []
    while order.size:
        best, rest = order[0], order[1:]
        kept.append(best)
        shared = np.minimum(boxes[best, 2:], boxes[rest, 2:]) - np.maximum(boxes[best, :2], boxes[rest, :2]) + 1
        intersection = np.maximum(shared, 0).prod(axis=1)
        overlap = intersection / (areas[best] + areas[rest] - intersection)
        order = rest[overlap <= maximum_overlap]
    return np.asarray(kept, np.intp)
