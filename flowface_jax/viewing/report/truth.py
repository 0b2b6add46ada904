"""The track beside the truth: errors of vertices, where both are one mesh, and of motion over the image."""

from __future__ import annotations

import dataclasses

import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.evaluation.geometry import fit_similarity, vertex_errors_mm
from flowface_jax.evaluation.mesh_sequence import MeshSequence
from flowface_jax.evaluation.scoring.meshes import benchmark_regions
from flowface_jax.evaluation.ssme import SsmeConfig, SsmeResult, sequence_motion_error


@dataclasses.dataclass(frozen=True, eq=False)
class VertexErrors:
    """Distances between corresponding vertices. placed_mm: [V] mean over frames after one similarity (rotation,
    translation, scale) of the face in each frame; in_place_mm: [V] without any. placed_by_frame_mm and
    in_place_by_frame_mm: [F] mean over the face, NaN where either has no result.
    """

    placed_mm: np.ndarray
    in_place_mm: np.ndarray
    placed_by_frame_mm: np.ndarray
    in_place_by_frame_mm: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class TruthComparison:
    """name: of the truth. motion: the screen space motion error. vertices: None where the meshes do not correspond."""

    name: str
    motion: SsmeResult
    vertices: VertexErrors | None


def compare_with_truth(
    tracked: MeshSequence, truth: MeshSequence, camera: int = 0, config: SsmeConfig | None = None
) -> TruthComparison:
    """Measure the track against the truth, in one of the truth's cameras.

    Raises InputError for other numbers of frames, and as `sequence_motion_error` does.
    """
    if tracked.frame_count != truth.frame_count:
        raise InputError(
            f"{truth.name or 'the truth'} has {truth.frame_count} frames, the track {tracked.frame_count}; "
            "give the truth of the same frames"
        )
    motion = sequence_motion_error(tracked, truth, config, camera, benchmark_regions(truth, None))
    same = tracked.vertices.shape == truth.vertices.shape and np.array_equal(tracked.triangles, truth.triangles)
    return TruthComparison(truth.name, motion, _vertex_errors(tracked, truth) if same else None)


def _vertex_errors(tracked: MeshSequence, truth: MeshSequence) -> VertexErrors:
    """Of meshes with one list of vertices, frame by frame."""
    count, vertices = tracked.frame_count, tracked.vertices.shape[1]
    face = np.asarray(truth.regions.get("face", np.ones(vertices, bool)))
    face = face if face.any() else np.ones(vertices, bool)
    both = np.flatnonzero(tracked.valid & truth.valid)
    sums, by_frame = np.zeros((2, vertices)), np.full((2, count), np.nan)
    for f in both:
        predicted, true = (side.vertices[f].astype(np.float64) for side in (tracked, truth))
        placed = vertex_errors_mm(_placed(predicted, true, face), true, align=False)
        in_place = vertex_errors_mm(predicted, true, align=False)
        sums += placed, in_place
        by_frame[:, f] = placed[face].mean(), in_place[face].mean()
    means = sums / len(both) if len(both) else np.full((2, vertices), np.nan)
    return VertexErrors(*means, *by_frame)


def _placed(predicted: np.ndarray, true: np.ndarray, face: np.ndarray) -> np.ndarray:
    return fit_similarity(predicted[face], true[face]).apply(predicted)
