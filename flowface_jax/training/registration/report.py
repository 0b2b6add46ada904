"""What a registration is worth: distances, a verdict, and a picture to look at."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from flowface_jax.heads.model import HeadModel
from flowface_jax.heads.registration import vertex_normals
from flowface_jax.training.registration.config import RegistrationConfig
from flowface_jax.training.registration.propagation import CARRIED, MANUAL
from flowface_jax.training.registration.scans import Scan
from flowface_jax.training.registration.subject import Registered, face_rows
from flowface_jax.training.registration.views import camera_at, look
from flowface_jax.viewing.colours import MESH, TEXT, WARNING, alarm_colours

GOOD, USABLE, POOR, NO_FACE = "good", "usable", "poor", "no face"
LARGEST_SHOWN = 2.0
"""mm at the end of the scale of the residual picture."""
_COVERED = 0.6
_SIDE = 720
_USED = (CARRIED, MANUAL, "annotated", "found")


@dataclass(frozen=True)
class Distances:
    """mm between the face's vertices and the scan where it shows something. covered: share of them where it does."""

    mean: float
    median: float
    percentile_95: float
    covered: float


def distances(registered: Registered) -> Distances:
    """Of one registered scan."""
    seen = registered.distances[np.isfinite(registered.distances)]
    if not seen.size:
        return Distances(np.inf, np.inf, np.inf, 0.0)
    mean, median, high = seen.mean(), np.median(seen), np.percentile(seen, 95)
    return Distances(float(mean), float(median), float(high), seen.size / registered.distances.size)


def verdict(found: Distances, config: RegistrationConfig) -> str:
    """ "good", "usable" or "poor": the mean distance, and whether the scan shows most of the face."""
    if found.covered < _COVERED or found.mean >= config.poor_distance:
        return POOR
    return GOOD if found.mean < config.usable_distance else USABLE


def report_of(registered: Registered, config: RegistrationConfig) -> dict[str, Any]:
    """The plain form that is written beside the mesh, and from which a job goes on."""
    found = distances(registered)
    counts = Counter(point.status for point in registered.points)
    return {
        "verdict": verdict(found, config),
        "distance_mm": {"mean": found.mean, "median": found.median, "95_percent": found.percentile_95},
        "face_covered": found.covered,
        "points_used": sum(counts[status] for status in _USED),
        "points_dropped": {status: count for status, count in sorted(counts.items()) if status not in _USED},
        "notes": list(registered.notes),
        "placement": {
            "scan_units_per_metre": registered.placement.scale,
            "rotation": registered.placement.rotation,
            "translation": registered.placement.translation,
        },
    }


def overlay(scan: Scan, registered: Registered, head: HeadModel) -> np.ndarray:
    """Three pictures side by side [H,3H,3] uint8: the scan with the points, with the mesh, and the distances."""
    vertices = registered.in_head_frame
    camera = camera_at(vertices[np.asarray(head.regions["face"])].mean(0), _SIDE, beside=12.0)
    placed = registered.placement.place(scan)
    view = look(placed, camera)
    with_points, with_mesh = view.image.copy(), view.image.copy()
    for point in registered.points:
        if point.position is not None:
            pixel, _ = camera.project(registered.placement.to_head(np.asarray([point.position])))
            cv2.circle(with_points, np.round(pixel[0] * 16).astype(int).tolist(), 32, MESH, -1, cv2.LINE_AA, 4)
    _draw_mesh(with_mesh, vertices, np.asarray(head.triangles), camera)
    values = np.full(len(vertices), np.nan)
    values[face_rows(head)] = np.where(np.isfinite(registered.distances), registered.distances, np.nan)
    shaded = look(
        _as_scan(vertices, np.asarray(head.triangles), alarm_colours(values, LARGEST_SHOWN), camera.rotation), camera
    )
    picture = np.concatenate([with_points, with_mesh, shaded.image], axis=1)
    found = distances(registered)
    text = f"distance {found.mean:.2f} mm, 95 %: {found.percentile_95:.2f} mm (red: {LARGEST_SHOWN:.0f} mm and more)"
    cv2.putText(picture, text, (2 * _SIDE + 14, 26), cv2.FONT_HERSHEY_SIMPLEX, 0.55, TEXT, 1, cv2.LINE_AA)
    lost = sum(point.position is None for point in registered.points)
    told = f"{len(registered.points) - lost} points, {lost} dropped"
    cv2.putText(
        picture, told, (14, 26), cv2.FONT_HERSHEY_SIMPLEX, 0.55, WARNING if lost > 200 else TEXT, 1, cv2.LINE_AA
    )
    return picture


def _draw_mesh(image: np.ndarray, vertices: np.ndarray, triangles: np.ndarray, camera: Any) -> None:
    """The edges of the triangles that face the camera, half transparent."""
    pixels, _ = camera.project(vertices)
    a, b, c = (pixels[triangles[:, corner]] for corner in range(3))
    ab, ac = b - a, c - a
    # Image y points down, so counter-clockwise seen from outside has a negative determinant.
    front = triangles[ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0] < 0]
    lines = image.copy()
    corners = np.round(pixels[front] * 16).astype(np.int32)
    cv2.polylines(lines, list(corners), True, MESH, 1, cv2.LINE_AA, 4)
    cv2.addWeighted(lines, 0.5, image, 0.5, 0, dst=image)


def _as_scan(vertices: np.ndarray, triangles: np.ndarray, colours: np.ndarray, rotation: np.ndarray) -> Scan:
    """A mesh with colours, shaded a little so that its shape is seen."""
    normals = vertex_normals(vertices, triangles)
    shade = 0.45 + 0.55 * np.clip(-normals @ rotation[2], 0, 1)
    return Scan(
        vertices, triangles, normals, np.zeros(len(vertices), bool), np.zeros((len(triangles), 3, 2)),
        np.full(len(triangles), -1, np.int32), (), (colours * shade[:, None]).astype(np.uint8),
    )  # fmt: skip
