"""The chamfer distance of FlowFace's tracking benchmark: from the truth's vertices to the predicted surface.

FlowFace (CVPR 2024), section 3.3, "3D Reconstruction": the tracked mesh is laid on the true one, rigidly, by seven key
points and ICP, and the distance of every true vertex from the predicted surface is averaged for each region; details
are NoW's. So, for each frame by itself: Procrustes on the key points without scale; then the sum of squared
distances to the surface is minimised over rotation and translation, over the true vertices in NoW's circle round the
middle of the face (the rest of a head would pull the face away). Distances are then taken from the vertices of each
region, those outside the circle (ears) as well.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from flowface_jax.conventions import METRES_TO_MILLIMETRES
from flowface_jax.errors import InputError
from flowface_jax.evaluation.geometry import Similarity
from flowface_jax.evaluation.mesh_sequence import MeshSequence, check_sequence
from flowface_jax.evaluation.reconstruction.face_circle import CIRCLE, in_face_circle
from flowface_jax.evaluation.reconstruction.key_points import place_key_points
from flowface_jax.evaluation.reconstruction.placement import procrustes, refine_placement
from flowface_jax.evaluation.reconstruction.surface import Surface
from flowface_jax.evaluation.ssme import REGIONS
from flowface_jax.heads.model import SurfacePoints


@dataclasses.dataclass(frozen=True)
class ChamferConfig:
    """How the distance is measured.

    circle: radius of the vertices that ICP uses, relative to NoW's mean of eye distance and nose length; None: all
    vertices that triangles use. with_scale: let the prediction change its size. iterate: False stops after the key
    points. stride: measure every so manieth frame.
    """

    circle: float | None = CIRCLE
    with_scale: bool = False
    iterate: bool = True
    stride: int = 1

    def __post_init__(self) -> None:
        if self.stride < 1 or (self.circle is not None and not self.circle > 0):
            raise InputError(f"chamfer: expected a stride and circle above 0, found {self.stride} and {self.circle}")


@dataclasses.dataclass(frozen=True, eq=False)
class ChamferResult:
    """Distances of R regions over F frames. Host arrays.

    regions: names. mean_mm: [R], over the frames that count. per_frame_mm: [F,R] mean over the region's vertices, NaN
    where a frame does not count. frames: [F] bool, those that count. scale: [F] of the alignment, NaN likewise.
    """

    regions: tuple[str, ...]
    mean_mm: np.ndarray
    per_frame_mm: np.ndarray
    frames: np.ndarray
    scale: np.ndarray

    def of(self, region: str) -> float:
        """The mean distance of one region, mm. Raises InputError for a region that was not measured."""
        if region not in self.regions:
            raise InputError(f"expected a region of {', '.join(self.regions)}, found '{region}'")
        return float(self.mean_mm[self.regions.index(region)])


def chamfer(
    prediction: MeshSequence,
    truth: MeshSequence,
    prediction_key_points: SurfacePoints | np.ndarray,
    truth_key_points: SurfacePoints | np.ndarray,
    config: ChamferConfig | None = None,
) -> ChamferResult:
    """The chamfer distance of a prediction from the truth, mm, for those of the paper's regions that the truth names.

    Both over the same F frames; numbers of vertices and triangles may differ. Key points: on each mesh (see
    `head_key_points`), or places [7,3] or [F,7,3] m in the order of KEY_POINT_NAMES. Frames count that are valid in
    both. Raises InputError for sequences that `check_sequence` refuses, different numbers of frames, no frame valid in
    both, regions that are empty or of another mesh, and key points that do not fit.
    """
    config = ChamferConfig() if config is None else config
    check_sequence(prediction), check_sequence(truth)
    counted = _counted_frames(prediction, truth, config)
    masks = region_masks(truth)
    used = np.zeros(truth.vertices.shape[1], bool)
    used[truth.triangles.ravel()] = True
    ours = place_key_points(prediction_key_points, prediction.vertices, prediction.name)
    theirs = place_key_points(truth_key_points, truth.vertices, truth.name)
    per_frame = np.full((truth.frame_count, len(masks)), np.nan)
    scale = np.full(truth.frame_count, np.nan)
    for frame in np.flatnonzero(counted):
        true = truth.vertices[frame].astype(np.float64)
        surface = Surface(prediction.vertices[frame], prediction.triangles, prediction.name or "the prediction")
        placed = _placed(surface, ours[frame], true, theirs[frame], used, config)
        wanted = np.any(list(masks.values()), axis=0)
        local = (true[wanted] - placed.translation) @ placed.rotation / placed.scale
        distance = np.full(len(true), np.nan)
        distance[wanted] = METRES_TO_MILLIMETRES * placed.scale * surface.nearest(local).distance
        per_frame[frame] = [distance[mask].mean() for mask in masks.values()]
        scale[frame] = placed.scale
    return ChamferResult(tuple(masks), per_frame[counted].mean(0), per_frame, counted, scale)


def region_masks(truth: MeshSequence) -> dict[str, np.ndarray]:
    """Those of the paper's regions that the truth names: [V] bool each.

    Raises InputError where it names none, or one is empty or of another mesh.
    """
    count = truth.vertices.shape[1]
    masks = {name: np.asarray(truth.regions[name]) for name in REGIONS if name in truth.regions}
    if not masks:
        raise InputError(f"{truth.name or 'the truth'}: expected masks of {', '.join(REGIONS)}, found none of them")
    for name, mask in masks.items():
        if mask.shape != (count,) or mask.dtype != bool:
            raise InputError(
                f"region '{name}': expected true or false for each of the truth's {count} vertices, found "
                f"{mask.dtype} {list(mask.shape)}"
            )
        if not mask.any():
            raise InputError(f"region '{name}' is empty: it holds no vertex of the truth; leave it out")
    return masks


def _counted_frames(prediction: MeshSequence, truth: MeshSequence, config: ChamferConfig) -> np.ndarray:
    if prediction.frame_count != truth.frame_count:
        raise InputError(
            f"expected a prediction for each of the truth's {truth.frame_count} frames, found "
            f"{prediction.frame_count}; give frames without a result as invalid ones"
        )
    counted = prediction.valid & truth.valid
    counted &= np.arange(truth.frame_count) % config.stride == 0
    if not counted.any():
        raise InputError("expected at least one frame that is valid in both prediction and truth, found none")
    return counted


def _placed(
    surface: Surface,
    our_points: np.ndarray,
    true: np.ndarray,
    their_points: np.ndarray,
    used: np.ndarray,
    config: ChamferConfig,
) -> Similarity:
    """What takes the prediction to the truth in one frame."""
    start = procrustes(our_points, their_points, config.with_scale)
    if not config.iterate:
        return start
    near = used
    if config.circle is not None:
        near = used & in_face_circle(true, their_points, config.circle)
    if near.sum() < 7:
        raise InputError(f"only {int(near.sum())} true vertices lie about the key points; they are of another mesh")
    return refine_placement(true[near], surface, start, config.with_scale).similarity
