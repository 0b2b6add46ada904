"""Where one camera's face is: detected where it is not known, otherwise where the last alignment left it."""

from __future__ import annotations

import logging

import numpy as np

from flowface_jax.aligners.detection import Detector
from flowface_jax.aligners.faces import LARGEST_SEARCH, SEARCH_GROWTH, check_rank, enlarged, overlap

logger = logging.getLogger(__name__)

SAME_FACE = 0.3
"""Intersection over union from which on a detection is the face that was followed, both boxes grown with the gap."""


class FaceFollower:
    """One camera's face through its frames.

    detector: finds the faces of a picture. face: rank by area, 1 the largest, in the first frame in which that many
    faces are seen (frames before it show "no face"); with `static`, in each frame. static: detect in every frame. name:
    of the source, for messages.

    A face that was lost is the detection that overlaps its last box; the search grows with the gap. Where none does,
    and never more than one face was seen at a time, it is the largest one wherever that is, which is logged.
    """

    def __init__(self, detector: Detector, face: int, static: bool, name: str) -> None:
        self._detector, self._face, self._static, self._name = detector, face, static, name
        self._box: np.ndarray | None = None
        self._known = False
        self._frame = -1
        self._most = 0
        self._jumped = False

    def expected_box(self, frame: int) -> np.ndarray | None:
        """The box [4] px that the face of a new frame is looked for in, or None: it has to be detected."""
        return self._box if self._known and not self._static else None

    def detect(self, frame: int, image: np.ndarray) -> np.ndarray | None:
        """The box [4] px of the face that a detector finds in a frame, or None; either is remembered."""
        boxes = np.asarray(self._detector(image)[0], np.float64).reshape(-1, 4)
        boxes = boxes[np.isfinite(boxes).all(axis=1)]
        self._most = max(self._most, len(boxes))
        box = self._choose(frame, boxes)
        if box is not None:
            self.learn(frame, box)
        elif frame >= self._frame:
            self._known = False
        return box

    def learn(self, frame: int, box: np.ndarray) -> None:
        """Remember where the face is in a frame, unless a later frame is known already."""
        if frame >= self._frame:
            self._box, self._known, self._frame = box, True, frame

    def check_found(self) -> None:
        """Raise InputError where no frame showed as many faces as the rank asks for."""
        check_rank(self._face, self._most, self._name)

    def _choose(self, frame: int, boxes: np.ndarray) -> np.ndarray | None:
        by_area = sorted(boxes, key=lambda box: -float(np.prod(np.maximum(box[2:] - box[:2], 0))))
        if self._static or self._box is None:
            return by_area[self._face - 1] if self._face <= len(by_area) else None
        if not by_area:
            return None
        search = min(1 + SEARCH_GROWTH * (max(frame - self._frame, 1) - 1), LARGEST_SEARCH)
        shared = overlap(enlarged(self._box[None], search), enlarged(np.stack(by_area), search))[0]
        if shared.max() >= SAME_FACE:
            return by_area[int(shared.argmax())]
        # Where several people were seen, a face elsewhere may be another's.
        if self._most > 1:
            return None
        if not self._jumped:
            self._jumped = True
            logger.warning(
                "%s: the face is elsewhere from one moment to the next (frame %d); taken for the same, as only one is "
                "ever seen at a time",
                self._name,
                frame,
            )
        return by_area[0]
