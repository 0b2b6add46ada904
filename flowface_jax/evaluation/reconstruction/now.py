"""The NoW benchmark's error of one prediction: neutral faces from single images against scans.

Sanyal et al., RingNet (CVPR 2019), as its evaluation program computes it, with its peculiarities:

1. The scan is cut to the vertices in a ball round the middle of the face (`face_circle`).
2. The prediction is laid on the scan by Procrustes on seven landmarks, with scale; a reflection is permitted.
3. Rotation, translation and scale are refined by minimising the sum of squared distances from the cut scan's vertices
   to the predicted surface. No distance is left out or weighted down.
4. The error is the distance of each of these vertices from the refined surface, mm.

The metrical variant takes rotation and translation from the same Procrustes *with* scale, puts the unit's factor in
place of the scale, and refines rotation and translation alone. The program's minimiser is a dogleg method; this is
Levenberg-Marquardt on the same function.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.evaluation.geometry import Similarity
from flowface_jax.evaluation.reconstruction.face_circle import in_face_circle
from flowface_jax.evaluation.reconstruction.placement import procrustes, refine_placement
from flowface_jax.evaluation.reconstruction.surface import Surface, checked_points

Unit = Literal["mm", "cm", "m"]
MILLIMETRES = {"mm": 1.0, "cm": 10.0, "m": 1000.0}
CURVE_LIMIT = 8.0
"""mm, where the published cumulative curves end."""
_EYE_DISTANCE = (50.0, 150.0)
"""mm between the outer corners of the eyes of a scan; outside, the unit is another one."""
_UNIT_DOUBT = 3.0


@dataclasses.dataclass(frozen=True, eq=False)
class Scan:
    """A true face: vertices [V,3] mm and landmarks [7,3] mm in the order of KEY_POINT_NAMES."""

    vertices: np.ndarray
    landmarks: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class NowError:
    """distances: [N] mm, of the cut scan's vertices in the scan's order. similarity: prediction to scan; its rotation
    has determinant −1 where a reflection fitted the landmarks better. cut: [V] bool, which vertices these are.
    """

    distances: np.ndarray
    similarity: Similarity
    cut: np.ndarray

    @property
    def reflected(self) -> bool:
        """Whether the prediction was mirrored: its landmarks are in another order, or nearly in a plane."""
        return bool(np.linalg.det(self.similarity.rotation) < 0)


@dataclasses.dataclass(frozen=True)
class NowSummary:
    """The benchmark's numbers: median, mean and standard deviation, mm, over all vertices of all images together.

    images: that were measured. missing: that had no prediction. vertices: over which the numbers are.
    """

    median: float
    mean: float
    std: float
    images: int
    missing: int
    vertices: int


def now_error(
    vertices: np.ndarray,
    triangles: np.ndarray,
    landmarks: np.ndarray,
    scan: Scan,
    metrical_unit: Unit | None = None,
) -> NowError:
    """The error of one predicted neutral face.

    vertices: [V,3], triangles: [T,3], landmarks: [7,3] or [1,7,3], in one unit of any size. metrical_unit: that unit,
    for the metrical challenge; None: the non-metrical challenge, blind to scale. Raises InputError for NaN, wrong
    shapes, a scan that is not in millimetres, or a prediction whose size contradicts its unit.
    """
    theirs = _landmarks(scan.landmarks, "the scan's landmarks")
    ours = _landmarks(landmarks, "the prediction's landmarks")
    eyes = float(np.linalg.norm(theirs[0] - theirs[3]))
    if not _EYE_DISTANCE[0] <= eyes <= _EYE_DISTANCE[1]:
        raise InputError(
            f"the scan: expected its outer eye corners {_EYE_DISTANCE[0]:.0f} to {_EYE_DISTANCE[1]:.0f} mm apart, "
            f"found {eyes:.4g}; scans are in millimetres, landmarks in the order of KEY_POINT_NAMES"
        )
    surface = Surface(vertices, triangles, "the prediction")
    start = procrustes(ours, theirs, reflection=True)
    if metrical_unit is not None:
        start = Similarity(_factor(metrical_unit, start.scale), start.rotation, start.translation)
    every = np.asarray(scan.vertices, np.float64)
    if every.ndim != 2 or every.shape[1] != 3:
        raise InputError(f"the scan: expected vertices [V,3], found {list(every.shape)}")
    cut = in_face_circle(every, theirs)
    placement = refine_placement(every[cut], surface, start, with_scale=metrical_unit is None)
    return NowError(placement.distances, placement.similarity, cut)


def summarise_now(errors: Sequence[NowError | np.ndarray], missing: int = 0) -> NowSummary:
    """The numbers of a table from errors (or distances [N] mm) of all images; images count by their vertices.

    Raises InputError where there is none.
    """
    distances = [np.asarray(e.distances if isinstance(e, NowError) else e, np.float64).ravel() for e in errors]
    if not distances:
        raise InputError(f"expected at least one measured image, found none ({missing} had no prediction)")
    every = np.concatenate(distances)
    return NowSummary(
        float(np.median(every)), float(every.mean()), float(every.std()), len(distances), missing, len(every)
    )


def cumulative_curve(
    errors: Sequence[NowError | np.ndarray], limit: float = CURVE_LIMIT, points: int = 401
) -> tuple[np.ndarray, np.ndarray]:
    """Distances [points] from 0 to `limit` mm, and the percentage [points] of vertices that lie no farther."""
    every = np.sort(np.concatenate([np.asarray(e.distances if isinstance(e, NowError) else e).ravel() for e in errors]))
    places = np.linspace(0, limit, points)
    return places, 100.0 * np.searchsorted(every, places, side="right") / len(every)


def remove_flat_triangles(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Triangles [T',3] that have an area: the evaluation program's optional first step for predictions."""
    corners = np.asarray(vertices, np.float64)[triangles]
    edges = corners[:, 1:] - corners[:, :1]
    length = np.linalg.norm(edges, axis=-1, keepdims=True)
    edges = edges / np.where(length > 0, length, 1)
    return triangles[np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1) > 0]


def _landmarks(points: np.ndarray, name: str) -> np.ndarray:
    points = np.asarray(points, np.float64)
    points = points[0] if points.shape == (1, 7, 3) else points
    if points.shape != (7, 3):
        raise InputError(f"{name}: expected [7,3], found {list(points.shape)}")
    return checked_points(points, name)


def _factor(unit: Unit, fitted: float) -> float:
    """Millimetres of a unit; `fitted` is the scale that the landmarks ask for."""
    if unit not in MILLIMETRES:
        raise InputError(f"expected a unit of {', '.join(get_args(Unit))}, found '{unit}'")
    factor = MILLIMETRES[unit]
    if not 1 / _UNIT_DOUBT < fitted / factor < _UNIT_DOUBT:
        raise InputError(
            f"the prediction is {factor / fitted:.3g} times as large as the scan if it is in {unit}; name its unit"
        )
    return factor
