"""From a solver's parameters to the numbers that a track holds: all vertices, real frames, axis-angle."""

from __future__ import annotations

import json
from typing import Any

import jax
import numpy as np
from scipy.spatial.transform import Rotation

from flowface_jax.alignment.alignment import Alignment
from flowface_jax.cameras.model import Cameras, make_cameras
from flowface_jax.fitting.parameters import Chart, Parameters
from flowface_jax.fitting.problem import FitProblem
from flowface_jax.fitting.track import Track, head_fingerprint
from flowface_jax.heads.model import HeadModel


def decoded(
    parameters: Parameters, alignment: Alignment, head: HeadModel, problem: FitProblem, base: Parameters
) -> dict[str, Any]:
    """The fields of `Track` that parameters decide, or the alignment. base: whose cameras are taken where those that
    were found are not finite.
    """
    real = alignment.frame_count
    offsets = np.zeros((head.vertex_count, 3), np.float32)
    offsets[np.asarray(problem.vertex_ids)] = np.asarray(parameters.offsets)
    joints = np.zeros((real, head.joint_count, 3), np.float32)
    if parameters.joint_rotations.shape[1]:
        joints = np.asarray(parameters.joint_rotations)[:real]
    return {
        "identity": _padded(np.asarray(parameters.identity), head.identity_size),
        "expression": _padded(np.asarray(parameters.expression)[:real], head.expression_size),
        "joint_rotations": joints,
        "head_rotation": _rotation_vectors(np.asarray(parameters.head_rotation)[:real]),
        "head_translation": np.asarray(parameters.head_translation)[:real],
        "offsets": offsets,
        "cameras": _cameras(alignment, problem, parameters, base),
        "observed": alignment.valid.copy(),
        "frame_times": alignment.frame_times,
        "frame_ids": alignment.frame_ids,
    }


def unfinished_track(
    parameters: Parameters,
    energies: np.ndarray,
    alignment: Alignment,
    head: HeadModel,
    problem: FitProblem,
    chart: Chart,
) -> Track:
    """What a solver has found so far, with nothing judged: residuals are NaN. energies: [n] so far."""
    fields = decoded(jax.tree.map(np.array, parameters), alignment, head, problem, chart.base)
    unknown = np.full(fields["observed"].shape, np.nan, np.float32)
    record = {"head": head_record(head), "unfinished": True}
    return Track(
        **fields,
        residual_px=unknown,
        residual_p90_px=unknown,
        face_width_px=unknown,
        energy_history=np.asarray(energies, np.float32),
        record=json.dumps(record, sort_keys=True),
    )


def head_record(head: HeadModel) -> dict[str, Any]:
    """What a track's record says of its head."""
    return {
        "name": head.name,
        "fingerprint": head_fingerprint(head),
        "vertices": head.vertex_count,
        "licence": head.licence,
    }


def _cameras(alignment: Alignment, problem: FitProblem, found: Parameters, base: Parameters) -> Cameras:
    """The cameras that were found, or those that the fit began with where it ended in numbers that are not finite."""
    values = [
        (np.asarray(p.focal), np.asarray(p.camera_rotation), np.asarray(p.camera_translation)) for p in (found, base)
    ]
    sound = all(np.isfinite(array).all() for array in values[0])
    focal, rotation, translation = values[0] if sound else values[1]
    principal_point = np.asarray(problem.principal_point)
    return make_cameras(focal, principal_point, rotation, translation, alignment.image_size, alignment.camera_names)


def _padded(values: np.ndarray, size: int) -> np.ndarray:
    """Zero-pad the last axis: coefficients that were not solved for are zero."""
    widths = [(0, 0)] * (values.ndim - 1) + [(0, size - values.shape[-1])]
    return np.pad(values, widths)


def _rotation_vectors(matrices: np.ndarray) -> np.ndarray:
    """Axis-angle [F,3] of rotation matrices [F,3,3]; NaN where a matrix holds numbers that are not finite."""
    known = np.isfinite(matrices).all((1, 2))
    rotations = Rotation.from_matrix(np.where(known[:, None, None], matrices, np.eye(3)))
    return np.where(known[:, None], rotations.as_rotvec(), np.nan).astype(np.float32)
