"""Measures of speech-driven animation: lip vertex error and upper-face dynamics deviation.

As CodeTalker (CVPR 2023) computes them. Both leave the unit squared: a published LVE of 3.13e-5 for FLAME in metres is
the square of 5.6 mm. Which vertices are lips and upper face differs between publications and decides the number: name
the list beside it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from flowface_jax.conventions import METRES_TO_MILLIMETRES
from flowface_jax.errors import InputError
from flowface_jax.evaluation.mesh_sequence import MeshSequence


@dataclasses.dataclass(frozen=True, eq=False)
class LipVertexError:
    """squared: m², as published. millimetres: mean of the largest distances themselves. per_frame: of each sequence,
    [F] m², NaN for frames that do not count. vertices: number of lip vertices.
    """

    squared: float
    millimetres: float
    per_frame: tuple[np.ndarray, ...]
    vertices: int


def lip_vertex_error(
    predictions: Sequence[MeshSequence] | MeshSequence,
    truths: Sequence[MeshSequence] | MeshSequence,
    lips: np.ndarray,
) -> LipVertexError:
    """LVE: the largest squared distance of a lip vertex in a frame, averaged over all frames of all sequences, m².

    lips: mask [V] bool, or vertex numbers (repeated ones count once). Frames count that are valid in both. Meshes are
    compared as they lie, vertex by vertex: bring head pose and identity to what was published first. Raises InputError
    for other topologies, different numbers of frames or sequences, no frame that counts, or no lip vertex.
    """
    pairs = _pairs(predictions, truths)
    chosen = _chosen(lips, pairs[0][1].vertices.shape[1], "lips")
    per_frame = []
    for prediction, truth in pairs:
        counted = prediction.valid & truth.valid
        apart = prediction.vertices[:, chosen].astype(np.float64) - truth.vertices[:, chosen]
        per_frame.append(np.where(counted, (apart**2).sum(-1).max(-1), np.nan))
    every = _counted(np.concatenate(per_frame))
    return LipVertexError(
        float(every.mean()), METRES_TO_MILLIMETRES * float(np.sqrt(every).mean()), tuple(per_frame), len(chosen)
    )


def upper_face_dynamics_deviation(
    predictions: Sequence[MeshSequence] | MeshSequence,
    truths: Sequence[MeshSequence] | MeshSequence,
    templates: Sequence[np.ndarray] | np.ndarray,
    upper_face: np.ndarray,
) -> float:
    """FDD: how much less the upper face moves than in truth, m²; negative where it moves more.

    Per sequence: over the frames, the standard deviation of each vertex' squared distance from the subject's neutral
    template [V,3] m; its mean over the vertices, in truth less in prediction. Averaged over sequences. templates: one
    for each sequence, or one for all. upper_face: mask [V] bool, or vertex numbers. Raises InputError as
    `lip_vertex_error`.
    """
    pairs = _pairs(predictions, truths)
    count = pairs[0][1].vertices.shape[1]
    chosen = _chosen(upper_face, count, "upper face")
    neutral = [np.asarray(templates)] * len(pairs) if np.ndim(templates) == 2 else list(map(np.asarray, templates))
    if len(neutral) != len(pairs) or any(one.shape != (count, 3) or not np.isfinite(one).all() for one in neutral):
        raise InputError(f"expected a finite template [{count},3] for all or for each of {len(pairs)} sequences")
    differences = []
    for (prediction, truth), template in zip(pairs, neutral, strict=True):
        counted = prediction.valid & truth.valid
        if not counted.any():
            raise InputError(f"{truth.name or 'a sequence'}: no frame is valid in both prediction and truth")
        spreads = []
        for sequence in (truth, prediction):
            moved = sequence.vertices[counted][:, chosen].astype(np.float64) - template[chosen]
            spreads.append(float((moved**2).sum(-1).std(0).mean()))
        differences.append(spreads[0] - spreads[1])
    return float(np.mean(differences))


def _pairs(
    predictions: Sequence[MeshSequence] | MeshSequence, truths: Sequence[MeshSequence] | MeshSequence
) -> list[tuple[MeshSequence, MeshSequence]]:
    ours = [predictions] if isinstance(predictions, MeshSequence) else list(predictions)
    theirs = [truths] if isinstance(truths, MeshSequence) else list(truths)
    if len(ours) != len(theirs) or not ours:
        raise InputError(f"expected a prediction for each of {len(theirs)} sequences, found {len(ours)}")
    count = theirs[0].vertices.shape[1]
    for prediction, truth in zip(ours, theirs, strict=True):
        name = truth.name or "a sequence"
        if prediction.vertices.shape != truth.vertices.shape or truth.vertices.shape[1] != count:
            raise InputError(
                f"{name}: expected prediction and truth of one topology and length, found "
                f"{list(prediction.vertices.shape)} and {list(truth.vertices.shape)}"
            )
        both = prediction.valid & truth.valid
        if not (np.isfinite(prediction.vertices[both]).all() and np.isfinite(truth.vertices[both]).all()):
            raise InputError(f"{name}: vertices of a valid frame are not finite; mark such frames as invalid")
    return list(zip(ours, theirs, strict=True))


def _chosen(vertices: np.ndarray, count: int, name: str) -> np.ndarray:
    """Vertex numbers, each once."""
    vertices = np.asarray(vertices)
    if vertices.dtype == bool:
        if vertices.shape != (count,):
            raise InputError(f"{name}: expected a mask of {count} vertices, found {list(vertices.shape)}")
        vertices = np.flatnonzero(vertices)
    if vertices.dtype.kind not in "iu" or not vertices.size:
        raise InputError(
            f"{name}: expected a mask or vertex numbers, at least one, found {vertices.dtype}, none chosen"
        )
    if vertices.min() < 0 or vertices.max() >= count:
        raise InputError(f"{name}: expected vertices 0 to {count - 1}, found {vertices.min()} to {vertices.max()}")
    return np.unique(vertices)


def _counted(values: np.ndarray) -> np.ndarray:
    values = values[np.isfinite(values)]
    if not values.size:
        raise InputError("expected at least one frame that is valid in both prediction and truth, found none")
    return values
