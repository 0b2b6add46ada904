"""Our alignment network as an aligner: every vertex of the head in every frame, with its standard deviation."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from flowface_jax.aligners.assembly import (
    Observed,
    Progress,
    Undistort,
    assemble,
    expected_frames,
    is_static,
    open_all,
)
from flowface_jax.aligners.cropping import Square, check_square, crop_image, face_square, to_image
from flowface_jax.aligners.detection import Detector
from flowface_jax.aligners.face_paths import FacePath, PathFollower, check_paths
from flowface_jax.aligners.faces import boxes_of_points, check_rank, overlap
from flowface_jax.aligners.following import SAME_FACE, FaceFollower
from flowface_jax.aligners.frames import Frame, FrameSource
from flowface_jax.aligners.prediction import Prediction, Predictor
from flowface_jax.aligners.reading import in_order, read_ahead, side_by_side
from flowface_jax.alignment.alignment import Alignment
from flowface_jax.conventions import BOX_MARGIN, SCALE_JITTER, SHIFT_JITTER
from flowface_jax.errors import InputError
from flowface_jax.heads.model import HeadModel

LEAST_PRESENCE = 0.5
"""A crop shows the face from this probability on, where the network predicts it."""
LARGEST_STD = 0.08
"""Elsewhere it shows the face while the median standard deviation of the face's vertices is at most this share of the
face box: a network that sees its face is sure to 1 or 2 %, one that sees none answers with the spread of all faces."""
LARGEST_SHIFT, LARGEST_SCALING = SHIFT_JITTER, SCALE_JITTER
"""A frame is predicted again where its crop was off by more than this share of its side in place or size: as much as
the crops of training are."""
MOST_RECENTRINGS = 2
"""How often a frame is predicted again because its crop was off."""
_NARROWEST = 0.25
"""Of the shorter to the longer side: a box beyond it is no face's."""
_CROPPING_THREADS = 4


def align_network(
    sources: Sequence[str | os.PathLike[str] | FrameSource],
    predictor: Predictor,
    head: HeadModel,
    detector: Detector | None,
    face: int = 1,
    progress: Progress | None = None,
    undistort: Sequence[Undistort | None] | None = None,
    static: bool | None = None,
    frame_rate: float | None = None,
    overlapped: bool = True,
    paths: Sequence[FacePath] | None = None,
) -> Alignment:
    """All vertices of one face in C sources, one per camera, frames paired by their number (point set "vertices").

    sources, progress, undistort, static, frame_rate: as for `align_mediapipe`. predictor: made for `head`. detector:
    asked in the first frame, where the network is not sure of the face (`LEAST_PRESENCE`, `LARGEST_STD`), and with
    `static` in every frame; elsewhere the box of the last alignment's face region is used. face: rank by area, see
    `FaceFollower`. overlapped: read, crop and predict at the same time; without it one after the other, with the same
    result. paths: of the face, one per camera, where they are known: then nothing is detected, and `face` has no
    meaning.

    Crops of all cameras share batches, and a batch uses the boxes known when it is filled; a frame whose face turns out
    to lie too far off (`LARGEST_SHIFT`, `LARGEST_SCALING`) is predicted again. Standard deviations are > 0 px of the
    full image, for vertices outside it too. Frames that show no such face are invalid. Deterministic. Raises InputError
    where a source cannot be read or shows no face, or head and predictor do not belong together.
    """
    check_rank(face)
    if predictor.point_count != head.vertex_count:
        raise InputError(
            f"the network was made ready for a head of {predictor.point_count} vertices, but head '{head.name}' has "
            f"{head.vertex_count}; load it with that head"
        )
    opened = open_all(sources, undistort, frame_rate)
    followers: list[FaceFollower | PathFollower] = (
        [FaceFollower(_required(detector), face, is_static(source, static), source.info.name) for source in opened]
        if paths is None
        else [PathFollower(path) for path in check_paths(paths, len(opened))]
    )
    with ExitStack() as stack:
        frames = in_order(opened)
        pool = None
        if overlapped:
            ahead = max(1, predictor.batch_size // len(opened))
            readers = [stack.enter_context(read_ahead(source, ahead)) for source in opened]
            frames = side_by_side(readers)
            pool = stack.enter_context(ThreadPoolExecutor(_CROPPING_THREADS, "crop"))
        job = _Job(predictor, _face_vertices(head), followers, pool, progress, expected_frames(opened))
        job.run(frames)
    observed = []
    for source, follower, seen in zip(opened, followers, job.seen, strict=True):
        follower.check_found()
        if all(one is None for one in seen):
            raise InputError(
                f"the network is sure of the face in no frame of {source.info.name}; check that it is visible, "
                "upright and in focus, and that the network is trained"
            )
        observed.append(_stacked(seen, head.vertex_count))
    return assemble(opened, observed, max(job.times, key=len), undistort, "vertices", predictor.name)


@dataclass
class _Item:
    """One frame of one camera on its way. box: [4] px, where its face was looked for first. `detected`: the square
    comes from a detector in this very frame.
    """

    camera: int
    frame: int
    image: np.ndarray
    box: np.ndarray
    square: Square
    crop: Callable[[], np.ndarray]
    detected: bool
    recentrings: int = 0


class _Job:
    """The frames of all cameras through the network, in batches.

    All decisions are made in the caller's thread in an order that depends on nothing but the frames: a batch's
    answers are looked at after the next one has been handed to the device, however fast either is.
    """

    def __init__(
        self,
        predictor: Predictor,
        face_vertices: np.ndarray,
        followers: Sequence[FaceFollower | PathFollower],
        pool: Executor | None,
        progress: Progress | None,
        expected: int | None,
    ) -> None:
        self.seen: list[list[tuple[np.ndarray, np.ndarray] | None]] = [[] for _ in followers]
        self.times: list[list[float]] = [[] for _ in followers]
        self._predictor, self._face_vertices, self._followers, self._pool = predictor, face_vertices, followers, pool
        self._progress, self._expected, self._done = progress, expected, 0
        self._waiting: deque[_Item] = deque()
        self._flying: deque[tuple[list[_Item], Callable[[], Prediction]]] = deque()

    def run(self, frames: Iterator[tuple[int, int, Frame]]) -> None:
        """Everything, until no frame is left."""
        for camera, number, frame in frames:
            self.times[camera].append(frame.time_s)
            self.seen[camera].append(None)
            self._enter(camera, number, frame.image)
            while len(self._waiting) >= self._predictor.batch_size:
                self._predict_batch()
        while self._waiting or self._flying:
            if self._waiting:
                self._predict_batch()
            else:
                self._settle_batch()

    def _enter(self, camera: int, number: int, image: np.ndarray) -> None:
        """A new frame: to where its face should be, or to the detector."""
        expected = self._followers[camera].expected_box(number)
        if expected is None or not self._queue(camera, number, image, expected, detected=False):
            self._detect(camera, number, image)

    def _detect(self, camera: int, number: int, image: np.ndarray) -> None:
        """A frame whose face is not known: to where the detector finds it, else it stays invalid."""
        found = self._followers[camera].detect(number, image)
        if found is None or not self._queue(camera, number, image, found, detected=True):
            self._finish()

    def _again(self, item: _Item, box: np.ndarray) -> bool:
        """Predict a frame again round another box."""
        return self._queue(item.camera, item.frame, item.image, box, item.detected, item.recentrings + 1, item.box)

    def _queue(
        self,
        camera: int,
        number: int,
        image: np.ndarray,
        box: np.ndarray,
        detected: bool,
        recentrings: int = 0,
        first: np.ndarray | None = None,
    ) -> bool:
        """Let the frame wait for the next batch, its crop in the making; False where the box makes no crop."""
        try:
            square = face_square(box)
            check_square(square, image.shape[1], image.shape[0])
        except InputError:
            return False
        crop = self._cropping(image, square)
        first = box if first is None else first
        self._waiting.append(_Item(camera, number, image, first, square, crop, detected, recentrings))
        return True

    def _cropping(self, image: np.ndarray, square: Square) -> Callable[[], np.ndarray]:
        size = self._predictor.image_size
        if self._pool is None:
            return lambda: crop_image(image, square, size)
        future: Future[np.ndarray] = self._pool.submit(crop_image, image, square, size)
        return future.result

    def _predict_batch(self) -> None:
        """Hand a batch to the device, then look at the one before."""
        count = min(len(self._waiting), self._predictor.batch_size)
        items = [self._waiting.popleft() for _ in range(count)]
        answer = self._predictor.start(np.stack([item.crop() for item in items]))
        if self._pool is None:
            prediction = answer()
            answer = lambda: prediction
        self._flying.append((items, answer))
        while len(self._flying) > 1:
            self._settle_batch()

    def _settle_batch(self) -> None:
        items, answer = self._flying.popleft()
        prediction = answer()
        for row, item in enumerate(items):
            presence = None if prediction.presence is None else float(prediction.presence[row])
            self._settle(item, prediction.mean[row], prediction.std[row], presence)

    def _settle(self, item: _Item, mean: np.ndarray, std: np.ndarray, presence: float | None) -> None:
        """Keep a frame's answer, or predict it again elsewhere."""
        size = self._predictor.image_size
        sure = is_sure(mean, std, self._face_vertices, presence, size)
        mean, std = to_image(item.square, size, mean, std)
        box = boxes_of_points(mean[self._face_vertices]).astype(np.float64)
        if not sure or not _is_face_box(box, item.image) or not _is_same_face(item.box, box):
            if item.detected:
                self._finish()
            else:
                self._detect(item.camera, item.frame, item.image)
            return
        self._followers[item.camera].learn(item.frame, box)
        if is_off(item.square, face_square(box)) and item.recentrings < MOST_RECENTRINGS:
            if self._again(item, box):
                return
        self.seen[item.camera][item.frame] = mean, std
        self._finish()

    def _finish(self) -> None:
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self._expected)


def is_sure(mean: np.ndarray, std: np.ndarray, face_vertices: np.ndarray, presence: float | None, size: int) -> bool:
    """Whether the network sees the face in a crop of `size` px, from its means [P,2] and standard deviations [P] px of
    the crop, of which `face_vertices` [N] are the face's, and the probability of a face where it predicts one.
    """
    if not np.isfinite(mean).all() or not np.isfinite(std).all():
        return False
    if presence is not None:
        return presence >= LEAST_PRESENCE
    return float(np.median(std[face_vertices])) <= LARGEST_STD * size / BOX_MARGIN


def is_off(used: Square, wanted: Square) -> bool:
    """Whether a crop was too far from the one that the alignment asks for, in place or size."""
    shift = (used.box[:2] + used.box[2:] - wanted.box[:2] - wanted.box[2:]) / 2
    scaling = used.side / wanted.side - 1
    # Squares are of whole pixels, which counts for small faces.
    return bool(np.abs(shift).max() > LARGEST_SHIFT * wanted.side + 1 or abs(scaling) > LARGEST_SCALING)


def _is_face_box(box: np.ndarray, image: np.ndarray) -> bool:
    """Whether a box [4] px can be that of a face in the image: neither a line nor outside it."""
    try:
        check_square(face_square(box), image.shape[1], image.shape[0])
    except InputError:
        return False
    sides = box[2:] - box[:2]
    return sides.min() >= _NARROWEST * sides.max()


def _is_same_face(looked_for: np.ndarray, found: np.ndarray) -> bool:
    """Whether the network's box [4] px has something to do with where the face was looked for: its answers draw the
    next crop, which could shrink or wander step by step.
    """
    return bool(overlap(looked_for[None], found[None])[0, 0] >= SAME_FACE)


def _required(detector: Detector | None) -> Detector:
    if detector is None:
        raise InputError("a face whose path is not known has to be detected; pass a detector")
    return detector


def _face_vertices(head: HeadModel) -> np.ndarray:
    """Indices of the vertices whose box makes the crop; all, for a head without a face region."""
    face = np.flatnonzero(np.asarray(head.regions["face"]))
    return face if len(face) else np.arange(head.vertex_count)


def _stacked(seen: list[tuple[np.ndarray, np.ndarray] | None], points: int) -> Observed:
    """One camera's frames, those that were not seen invalid."""
    mean = np.zeros((len(seen), points, 2), np.float32)
    std = np.full((len(seen), points), np.inf, np.float32)
    valid = np.zeros(len(seen), bool)
    for frame, one in enumerate(seen):
        if one is not None:
            mean[frame], std[frame] = one
            valid[frame] = True
            seen[frame] = None
    return Observed(mean, std, valid)
