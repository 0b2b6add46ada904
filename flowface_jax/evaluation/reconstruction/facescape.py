"""The FaceScape benchmark's errors of one image: chamfer distance, mean normal error and completeness.

Zhu et al., FaceScape (TPAMI 2023), as the published program computes them. The prediction, in the image's camera, is
moved in depth alone until its depth map agrees with the truth's: in the lab, by scaling it about the camera, so that
its outline stays (`lab_errors`); in the wild, where cameras are orthographic, by a shift (`wild_errors`). Both meshes
are then unrolled onto a cylinder about the head's centre and compared there, over the whole head, not what is seen:

- CD: mean, mm, over the vertices of the two cylinder meshes cut to where both are, of their distances from the other's
  surface.
- MNE: mean angle, rad, between normals of the triangles that both maps show, after n ← (n + 1)/‖n + 1‖. That makes
  angles smaller than they are; it is kept, since the published values are such.
- CR: share of the truth's cells at which the prediction is.

FlowFace's Table 1 has the means of CD and MNE over the lab's 660 images.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from flowface_jax.conventions import METRES_TO_MILLIMETRES
from flowface_jax.errors import InputError
from flowface_jax.evaluation.mesh_sequence import MeshSequence
from flowface_jax.evaluation.reconstruction.cylinder import CylinderMap, cylinder_map, cylinder_mesh
from flowface_jax.evaluation.reconstruction.depth_shift import (
    DepthShift,
    depth_shift,
    orthographic_depth,
    pinhole_depth,
)
from flowface_jax.evaluation.reconstruction.surface import Surface, checked_mesh

PUPIL_DISTANCE = (64.0 + 61.7) / 2
"""mm: mean of men's and women's; the lab's meshes have it as their unit."""


@dataclasses.dataclass(frozen=True)
class FacescapeErrors:
    """chamfer: mm (CD). normal: rad (MNE). completeness: 0 to 1 (CR). shift: mm in depth, before the comparison."""

    chamfer: float
    normal: float
    completeness: float
    shift: float


@dataclasses.dataclass(frozen=True)
class FacescapeSummary:
    """Means over the images with a prediction; `missing` have none (the published lists hold NaN for them)."""

    chamfer: float
    normal: float
    completeness: float
    images: int
    missing: int


@dataclasses.dataclass(frozen=True, eq=False)
class LabView:
    """intrinsics: K [3,3] px of a picture of 256 px. head_centre: [3] mm in the camera's frame. rotation: [3,3], of the
    head in the camera's frame: its transpose makes the head upright, y up.
    """

    intrinsics: np.ndarray
    head_centre: np.ndarray
    rotation: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class WildView:
    """pupil_scale: mm of half the picture's width. head_centre: [3] in half widths. rotation: [3,3], as in LabView."""

    pupil_scale: float
    head_centre: np.ndarray
    rotation: np.ndarray


Mesh = tuple[np.ndarray, np.ndarray]
"""Vertices [V,3] and triangles [T,3], counter-clockwise seen from outside."""


def mesh_in_camera(sequence: MeshSequence, frame: int = 0, camera: int = 0) -> Mesh:
    """One frame of a sequence as the lab wants predictions: mm in the OpenCV camera, which has to be the image's own.

    Raises InputError for a sequence without such a frame or camera, or without a result in it.
    """
    name = sequence.name or "the prediction"
    if sequence.cameras is None or not 0 <= camera < sequence.cameras.count:
        raise InputError(f"{name}: expected a pinhole camera {camera}, found none; track with the image's intrinsics")
    if not 0 <= frame < sequence.frame_count or not sequence.valid[frame]:
        raise InputError(f"{name}: expected a result in frame {frame}, found none of {sequence.frame_count} frames")
    rotation, translation = (
        np.asarray(one, np.float64)[camera] for one in (sequence.cameras.rotation, sequence.cameras.translation)
    )
    vertices = sequence.vertices[frame].astype(np.float64) @ rotation.T + translation
    return METRES_TO_MILLIMETRES * vertices, sequence.triangles


def facescape_errors(prediction: Mesh, truth: Mesh, view: LabView | WildView) -> FacescapeErrors:
    """The benchmark's errors of one image.

    Lab: both meshes in mm in the image's OpenCV camera (x right, y down, z forward). Wild: both in half picture widths,
    x right, y up, z towards the viewer. Raises InputError for meshes that are not usable, and for a prediction that
    shares no pixel or no cell with the truth.
    """
    if isinstance(view, LabView):
        return lab_errors(prediction, truth, view)
    return wild_errors(prediction, truth, view)


def lab_errors(prediction: Mesh, truth: Mesh, view: LabView) -> FacescapeErrors:
    """See `facescape_errors`. The prediction is scaled about the camera, by the truth's mean depth over that less the
    shift, so its absolute size hardly matters: the shift is a median, not a mean, which leaves some parts in a hundred
    of a large difference in size.
    """
    ours, theirs = checked_mesh(*prediction, "the prediction"), checked_mesh(*truth, "the truth")
    intrinsics = np.asarray(view.intrinsics, np.float64)
    found = depth_shift(pinhole_depth(*theirs, intrinsics), pinhole_depth(*ours, intrinsics))
    if not found.true_depth > found.shift:
        raise InputError(
            f"the prediction lies {found.shift:.4g} mm too near, the truth {found.true_depth:.4g} mm away; "
            "expected both in mm in the image's camera"
        )
    scaled = ours[0] * found.true_depth / (found.true_depth - found.shift)
    return _compared((scaled, ours[1]), theirs, np.asarray(view.head_centre), view.rotation, found)


def wild_errors(prediction: Mesh, truth: Mesh, view: WildView) -> FacescapeErrors:
    """See `facescape_errors`. Meshes are in half widths of the picture; errors are in mm."""
    ours, theirs = checked_mesh(*prediction, "the prediction"), checked_mesh(*truth, "the truth")
    scale = float(view.pupil_scale)
    ours, theirs = (ours[0] * scale, ours[1]), (theirs[0] * scale, theirs[1])
    found = depth_shift(orthographic_depth(*theirs, scale), orthographic_depth(*ours, scale))
    moved = ours[0] - [0, 0, found.shift]
    return _compared((moved, ours[1]), theirs, np.asarray(view.head_centre) * scale, view.rotation, found)


def summarise_facescape(errors: Sequence[FacescapeErrors | None]) -> FacescapeSummary:
    """Means over images; None stands for one without a prediction. Raises InputError where nothing was predicted."""
    found = [error for error in errors if error is not None]
    if not found:
        raise InputError(f"expected at least one image with a prediction, found none of {len(errors)}")
    values = np.asarray([(error.chamfer, error.normal, error.completeness) for error in found])
    return FacescapeSummary(*(float(v) for v in values.mean(0)), len(found), len(errors) - len(found))


def _compared(ours: Mesh, theirs: Mesh, centre: np.ndarray, rotation: np.ndarray, found: DepthShift) -> FacescapeErrors:
    # Row vectors times R are columns times its transpose.
    maps = [
        cylinder_map((vertices - centre) @ np.asarray(rotation), triangles) for vertices, triangles in (ours, theirs)
    ]
    predicted, true = maps
    both = (predicted.radius != 0) & (true.radius != 0)
    if not both.any():
        raise InputError("truth and prediction share no direction from the head's centre; check centre and rotation")
    completeness = float(both.sum() / (true.radius != 0).sum())
    cut = [cylinder_mesh(one.radius * both) for one in maps]
    return FacescapeErrors(_chamfer(*cut), normal_error(predicted, true), completeness, found.shift)


def _chamfer(one: Mesh, other: Mesh) -> float:
    if not len(one[1]) or not len(other[1]):
        raise InputError("truth and prediction share too few directions from the head's centre to make a surface")
    there = Surface(*other).nearest(one[0]).distance
    back = Surface(*one).nearest(other[0]).distance
    return float(np.concatenate([there, back]).mean())


def normal_error(predicted: CylinderMap, true: CylinderMap) -> float:
    """The benchmark's mean normal error, rad, over cells at which both maps show a triangle (see this module)."""
    both = (predicted.normal != 0).any(-1) & (true.normal != 0).any(-1)
    shifted = [one.normal[both] + 1 for one in (predicted, true)]
    units = [one / np.maximum(np.linalg.norm(one, axis=1, keepdims=True), 1e-12) for one in shifted]
    # Rounding takes the cosine of equal normals above 1; the published program then yields NaN.
    return float(np.arccos(np.clip((units[0] * units[1]).sum(1), -1, 1)).mean())
