"""A face that is followed along boxes known beforehand, so that nobody else's is taken for it."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np

from flowface_jax.aligners.faces import FaceTrack, overlap
from flowface_jax.aligners.following import SAME_FACE
from flowface_jax.errors import InputError


@dataclasses.dataclass(frozen=True, eq=False)
class FacePath:
    """Where one face is in the F frames of a source: boxes [F,4] (left, top, right, bottom) px, NaN where it is hidden
    or absent. Raises InputError for another shape, or where no frame shows the face.
    """

    boxes: np.ndarray

    def __post_init__(self) -> None:
        boxes = np.asarray(self.boxes, np.float64)
        if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all(axis=1).any():
            raise InputError(f"a face's path: expected boxes [F,4] px, one finite at least, found {list(boxes.shape)}")
        object.__setattr__(self, "boxes", boxes)

    def box(self, frame: int) -> np.ndarray | None:
        """The box [4] px in a frame of the source, counted from its first; None where the face is not seen."""
        if not 0 <= frame < len(self.boxes) or not np.isfinite(self.boxes[frame]).all():
            return None
        return self.boxes[frame]

    def choose(self, frame: int, boxes: np.ndarray) -> int | None:
        """Which of the boxes [N,4] px found in a frame is this face's, None where none is."""
        box = self.box(frame)
        if box is None or not len(boxes):
            return None
        shared = overlap(box[None], np.asarray(boxes, np.float64))[0]
        return int(shared.argmax()) if shared.max() >= SAME_FACE else None

    def digest(self) -> str:
        """SHA-256 of the boxes."""
        return hashlib.sha256(np.ascontiguousarray(self.boxes).tobytes()).hexdigest()


class PathFollower:
    """What `FaceFollower` is to a face that has to be found, for one whose path is known: nothing is detected."""

    def __init__(self, path: FacePath) -> None:
        self._path = path
        self._box: np.ndarray | None = None
        self._frame = -1

    def expected_box(self, frame: int) -> np.ndarray | None:
        """The box [4] px that the face is looked for in: the last alignment's while it lies on the path, which fits the
        crop better than a detector's, else the path's.
        """
        known = self._path.box(frame)
        if known is None or self._box is None:
            return known
        return self._box if _same(self._box, known) else known

    def detect(self, frame: int, image: np.ndarray) -> np.ndarray | None:
        """The box [4] px of the path, None where it has none."""
        return self._path.box(frame)

    def learn(self, frame: int, box: np.ndarray) -> None:
        """Remember where an alignment found the face, unless that is off its path, or a later frame is known."""
        known = self._path.box(frame)
        if frame >= self._frame and known is not None and _same(box, known):
            self._box, self._frame = box, frame

    def check_found(self) -> None:
        """Nothing: a path shows its face."""


def check_paths(paths: Sequence[FacePath], cameras: int) -> Sequence[FacePath]:
    """The paths. Raises InputError unless there is one for each camera."""
    if len(paths) != cameras:
        raise InputError(f"expected a face's path for each of the {cameras} camera(s), found {len(paths)}")
    return paths


def along_path(path: FacePath, boxes: Sequence[np.ndarray], name: str) -> FaceTrack:
    """The faces, of the boxes [N,4] px found in each frame of the source `name`, that lie on a path.

    Raises InputError where none does.
    """
    chosen = {frame: index for frame, found in enumerate(boxes) if (index := path.choose(frame, found)) is not None}
    if not chosen:
        raise InputError(f"no face was found in {name} where this person's should be; try another aligner")
    sides = np.stack([boxes[frame][index][2:] - boxes[frame][index][:2] for frame, index in chosen.items()])
    return FaceTrack(np.asarray([*chosen]), np.asarray([*chosen.values()]), float(sides.prod(axis=1).sum()))


def _same(box: np.ndarray, other: np.ndarray) -> bool:
    return bool(overlap(box[None], other[None])[0, 0] >= SAME_FACE)
