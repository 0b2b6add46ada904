"""From a photograph of a head whose mesh is known to a training sample."""

from __future__ import annotations

import cv2
import numpy as np

from flowface_jax.cameras.calibration import Calibration, distort_points
from flowface_jax.heads.model import HeadModel
from flowface_jax.training.datasets.rendering import silhouette
from flowface_jax.training.datasets.source import Mesh, View
from flowface_jax.training.samples import (
    BACKGROUND,
    Cut,
    Refusal,
    Sample,
    SampleConfig,
    cut_image,
    face_cut,
    make_sample,
)

ELSEWHERE = "the scan is not where the face is"
_LEAST_COVERED = 0.5
"""Share of the face's points in the picture that must lie on the scan, seen or hidden: nearly all of them do."""


def label(view: View, head: HeadModel, config: SampleConfig) -> Sample | Refusal:
    """The sample of a view, or why there is none. Vertices behind the camera, and those that the lens shows nowhere,
    are unknown; hidden ones are known.
    """
    face = np.asarray(head.regions["face"])
    pixels, _ = photographed(view.calibration, view.camera, view.vertices)
    known = np.isfinite(pixels).all(-1)
    height, width = view.image.shape[:2]
    cut = face_cut(pixels, known, face, (width, height), config)
    if isinstance(cut, Refusal):
        return cut
    mask = None if view.surface is None else foreground(view, view.surface, cut, config.margin)
    if mask is not None and not _covers(mask, cut.points(pixels[known & face]), cut, (width, height)):
        return Refusal(ELSEWHERE)
    return make_sample(cut_image(view.image, cut), cut, pixels, known, mask, face, head.name, view.source)


def photographed(calibration: Calibration, camera: int, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where points [N,3] of the world are in a photograph as taken: px [N,2] (NaN where nowhere) and depths [N].

    The points are moved by the lens, not the picture straightened: that is exact, keeps the picture sharp, and the
    network meets lenses after training too.
    """
    cameras = calibration.cameras
    rotation = np.asarray(cameras.rotation[camera], np.float64)
    placed = points @ rotation.T + np.asarray(cameras.translation[camera], np.float64)
    depth = placed[:, 2]
    before = depth > 0
    plane = placed[:, :2] / np.where(before, depth, 1.0)[:, None]
    ideal = plane * float(cameras.focal[camera]) + np.asarray(cameras.principal_point[camera], np.float64)
    pixels = distort_points(calibration, camera, ideal)
    return np.where(before[:, None], pixels, np.nan), depth


def foreground(view: View, surface: Mesh, cut: Cut, margin: float) -> np.ndarray:
    """The mask of a cut [R,R] uint8: 255 on the surface, widened as the view says; 0 beyond the photograph.

    margin: side of the cut to the longer side of the face box.
    """
    pixels, depth = photographed(view.calibration, view.camera, surface.vertices)
    mask = silhouette(cut.points(pixels), depth, surface.triangles, cut.side)
    radius = round(view.widening * cut.side / margin)
    if radius:
        mask = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)))
    columns, rows = np.meshgrid(*(2 * [np.arange(cut.side) + 0.5]))
    x, y = columns / cut.scale + cut.square.left, rows / cut.scale + cut.square.top
    height, width = view.image.shape[:2]
    mask[(x < 0) | (y < 0) | (x >= width) | (y >= height)] = BACKGROUND
    return mask


def _covers(mask: np.ndarray, face: np.ndarray, cut: Cut, size: tuple[int, int]) -> bool:
    """Whether a mask [R,R] covers the face's points [N,2] px that are inside the photograph: a scan in other
    coordinates than the registration would declare the face to be background.
    """
    photograph = face / cut.scale + (cut.square.left, cut.square.top)
    inside = face[((photograph >= 0) & (photograph < size)).all(-1)]
    x, y = np.clip(inside.astype(int), 0, cut.side - 1).T
    return bool((mask[y, x] > 0).mean() >= _LEAST_COVERED)
