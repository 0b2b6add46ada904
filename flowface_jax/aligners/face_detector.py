"""S3FD as a detector: a picture in, the boxes of its faces out."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import cv2
import jax
import numpy as np

from flowface_jax.aligners.detection import check_image, touching
from flowface_jax.errors import InputError
from flowface_jax.network.face_boxes import candidate_boxes, suppress_overlapping
from flowface_jax.network.s3fd import S3FD, SMALLEST_SIDE
from flowface_jax.network.weights.check import check_variables
from flowface_jax.network.weights.store import load_weights

FILLING = (123, 117, 104)
"""RGB: what the network takes for zero."""


@dataclass(frozen=True, eq=False)
class FaceDetector:
    """S3FD ready to use; call it with a picture (it is a `Detector`).

    variables: of `S3FD`. longest_side: larger pictures are reduced to this many px for the search, and boxes are given
    in px of the picture; None searches in full size, as the published code does. candidate_score: boxes below it take
    no part in the suppression. minimum_score: of the faces returned. maximum_overlap: intersection over union above
    which the weaker of two boxes is dropped. Defaults are the published ones, but for `longest_side`.
    """

    variables: Any
    longest_side: int | None = 640
    candidate_score: float = 0.05
    minimum_score: float = 0.5
    maximum_overlap: float = 0.3

    def __post_init__(self) -> None:
        if self.longest_side is not None and self.longest_side < SMALLEST_SIDE:
            raise InputError(
                f"longest_side: expected {SMALLEST_SIDE} px or more, or None for full size, found {self.longest_side}"
            )
        for name in ("candidate_score", "minimum_score", "maximum_overlap"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name}: expected a number from 0 to 1, found {getattr(self, name)}")

    def __call__(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return detect(self, image)


def load_face_detector(path: str | os.PathLike[str], **settings: Any) -> FaceDetector:
    """The detector from converted S3FD weights (kind "s3fd"); settings are `FaceDetector`'s.

    Raises InputError for a file that is something else; published weights are converted by `flowface convert`.
    """
    variables = load_weights(path, kinds=("s3fd",)).variables
    check_variables(path, variables, S3FD(), (1, SMALLEST_SIDE, SMALLEST_SIDE, 3))
    return FaceDetector(jax.device_put(variables), **settings)


def detect(detector: FaceDetector, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Boxes [N,4] (left, top, right, bottom) px, float64, and scores [N] of the faces in a picture [H,W,3], best first.

    Boxes may reach beyond the picture, but none lies outside it or is empty. Compiled once per picture size.
    Raises InputError where the picture is no [H,W,3] uint8 array.
    """
    check_image(image)
    searched, scale = _reduced(image, detector.longest_side)
    levels = jax.device_get(_probabilities(detector.variables, searched[None]))
    boxes, scores = candidate_boxes(
        [probability for probability, _ in levels], [offsets for _, offsets in levels], detector.candidate_score
    )
    kept = suppress_overlapping(boxes, scores, detector.maximum_overlap)
    kept = kept[scores[kept] > detector.minimum_score]
    boxes, scores = boxes[kept] / np.tile(scale, 2), scores[kept]
    seen = touching(boxes, image.shape[1], image.shape[0])
    return boxes[seen], scores[seen]


@jax.jit
def _probabilities(variables: Any, images: jax.Array) -> list[tuple[jax.Array, jax.Array]]:
    """Per level, the probability of a face [h,w] and the offsets [h,w,4] in the first image."""
    with jax.default_matmul_precision("highest"):
        levels = S3FD().apply(variables, images)
    return [(jax.nn.softmax(level.scores[0], axis=-1)[..., 1], level.offsets[0]) for level in levels]


def _reduced(image: np.ndarray, longest_side: int | None) -> tuple[np.ndarray, np.ndarray]:
    """The picture to be searched, and how large its pixels' width and height (x, y) are against the picture's."""
    height, width = image.shape[:2]
    factor = min(1.0, (longest_side or np.inf) / max(height, width))
    small = max(round(width * factor), 1), max(round(height * factor), 1)
    scale = np.asarray(small) / [width, height]
    if factor < 1:
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    # A picture too small for the network stands in the corner of one that is not.
    right, below = (max(SMALLEST_SIDE - side, 0) for side in small)
    if right or below:
        image = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_CONSTANT, value=FILLING)
    return image, scale
