"""Landmarks of a scan without annotation: a face detector looks at pictures of it, depth takes its points back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from flowface_jax.aligners.frames import Frame, SourceInfo
from flowface_jax.aligners.mediapipe import detect_faces
from flowface_jax.errors import InputError
from flowface_jax.heads.model import HeadModel
from flowface_jax.heads.registration import positions_of
from flowface_jax.training.registration.landmarks import Landmarks, chosen
from flowface_jax.training.registration.placement import Placement, place_by_points
from flowface_jax.training.registration.scans import Scan
from flowface_jax.training.registration.views import SPAN, camera_at, look

Detector = Callable[[np.ndarray], np.ndarray | None]
"""A picture [H,W,3] uint8 to MediaPipe's 478 points [478,2] px of its largest face, or None."""

_OVAL = (10, 21, 54, 58, 67, 93, 103, 109, 127, 132, 136, 148, 149, 150, 152, 162, 172, 176, 234, 251, 284, 288, 297,
         323, 332, 338, 356, 361, 365, 377, 378, 379, 389, 397, 400, 454)  # fmt: skip
_IRISES = 468
_FIRST_SIDE, _SIDE = 512, 768
_DIRECTIONS = ((0, 0), (180, 0), (90, 0), (-90, 0), (0, 90), (0, -90))
_ZOOMS = (1.0, 0.55)
_BESIDE = (0.0, 30.0, -30.0)
_LARGEST_MISS = 0.012
_FEWEST_POINTS = 100


class FaceNotFound(InputError):
    """No face was found on the scan."""


@dataclass(frozen=True)
class _Picture:
    """One picture as a source of frames."""

    image: np.ndarray

    @property
    def info(self) -> SourceInfo:
        return SourceInfo("view", (self.image.shape[1], self.image.shape[0]), 1, 0.0, False)

    def __iter__(self) -> Iterator[Frame]:
        yield Frame(0, 0.0, self.image)


def mediapipe_points(image: np.ndarray) -> np.ndarray | None:
    """The `Detector` that MediaPipe offers. Raises MissingDependencyError without it."""
    faces = next(iter(detect_faces(_Picture(image), static=True)))[1]
    if not len(faces):
        return None
    return faces[np.ptp(faces[..., 0], axis=1).argmax(), :, :2].astype(np.float64)


def find_landmarks(
    scan: Scan, head: HeadModel, unit: float | None, std: float, detector: Detector = mediapipe_points
) -> Landmarks:
    """MediaPipe's points that lie on the scan's skin, in its coordinates; the face may look along any axis.

    unit: metres per scan unit, None where unknown. Raises FaceNotFound.
    """
    placement = _first_placement(scan, head, unit, detector)
    # Seen squarely the points are better; from two sides, those that one view sees at a glancing angle.
    for beside in (_BESIDE[:1], _BESIDE):
        positions = _seen_points(placement.place(scan), head, beside, detector)
        if positions is None:
            raise FaceNotFound("no face was found in the frontal view of the scan; give --landmarks FILE")
        positions = placement.to_scan(positions)
        placement, misses = place_by_points(_template_points(head), positions, unit)
    if float(np.nanmedian(misses)) > _LARGEST_MISS:
        raise FaceNotFound("what was found on the scan has not the shape of a face; give --landmarks FILE")
    rows = np.setdiff1d(np.flatnonzero(np.isfinite(positions).all(1)), _OVAL)
    rows = rows[rows < _IRISES]
    names = tuple(f"mediapipe_{row}" for row in rows)
    return Landmarks(names, chosen(head.mediapipe, rows), positions[rows], np.full(len(rows), std))


def _first_placement(scan: Scan, head: HeadModel, unit: float | None, detector: Detector) -> Placement:
    """Where the face is, by pictures from the six sides and with four ups, the usual one (y up, z forward) first."""
    low, high = np.percentile(scan.vertices, [1, 99], axis=0)
    extent = float((high - low).max())
    middle = (low + high) / 2
    scale = extent / SPAN
    normalised = Placement(scale, np.eye(3), middle)
    placed = normalised.place(scan)
    for roll, (beside, above), zoom in product(range(4), _DIRECTIONS, _ZOOMS):
        # Heads on shoulders stand in the upper half.
        centre = np.zeros(3) if zoom == 1.0 else np.asarray([0.0, 0.15 * SPAN, 0.0])
        view = look(placed, camera_at(centre, _FIRST_SIDE, beside, above, 1.25 * SPAN * zoom, roll))
        pixels = detector(view.image)
        if pixels is None:
            continue
        points, _ = view.lift(pixels)
        points[list(range(_IRISES, len(points))) + list(_OVAL)] = np.nan
        if np.isfinite(points).all(1).sum() < _FEWEST_POINTS:
            continue
        placement, misses = place_by_points(_template_points(head), normalised.to_scan(points), unit)
        if float(np.nanmedian(misses)) < _LARGEST_MISS:
            return placement
    raise FaceNotFound("no face was found on the scan from any side; give --landmarks FILE")


def _seen_points(placed: Scan, head: HeadModel, angles: tuple[float, ...], detector: Detector) -> np.ndarray | None:
    """MediaPipe's points [478,3] m on a scan in the head's frame: means over views, by how squarely each sees them."""
    centre = np.asarray(head.template, np.float64)[np.asarray(head.regions["face"])].mean(0)
    total, weight = np.zeros((head.mediapipe.count, 3)), np.zeros(head.mediapipe.count)
    for beside in angles:
        view = look(placed, camera_at(centre, _SIDE, beside))
        pixels = detector(view.image)
        if pixels is None:
            if beside == 0.0:
                return None
            continue
        points, cosine = view.lift(pixels)
        # A detector is trained on the near side of faces that turn away, but mostly on frontal ones.
        share = cosine**4 * (1.0 if beside == 0.0 else 0.25)
        total += np.nan_to_num(points) * share[:, None]
        weight += share
    return np.where(weight[:, None] > 0, total / np.maximum(weight, 1e-12)[:, None], np.nan)


def _template_points(head: HeadModel) -> np.ndarray:
    return positions_of(head.mediapipe, np.asarray(head.template, np.float64))
