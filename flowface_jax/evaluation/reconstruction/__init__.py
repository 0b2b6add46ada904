"""How near a predicted surface lies to the true one: chamfer distance, NoW, the FaceScape benchmark."""

from flowface_jax.evaluation.reconstruction.chamfer import ChamferConfig, ChamferResult, chamfer
from flowface_jax.evaluation.reconstruction.facescape import (
    FacescapeErrors,
    LabView,
    WildView,
    facescape_errors,
    mesh_in_camera,
    summarise_facescape,
)
from flowface_jax.evaluation.reconstruction.key_points import head_key_points, read_key_points, vertex_key_points
from flowface_jax.evaluation.reconstruction.now import Scan, cumulative_curve, now_error, summarise_now
from flowface_jax.evaluation.reconstruction.now_files import (
    evaluate_now,
    neutral_face,
    read_image_list,
    write_submission,
)

__all__ = [
    "ChamferConfig",
    "ChamferResult",
    "FacescapeErrors",
    "LabView",
    "Scan",
    "WildView",
    "chamfer",
    "cumulative_curve",
    "evaluate_now",
    "facescape_errors",
    "head_key_points",
    "mesh_in_camera",
    "neutral_face",
    "now_error",
    "read_image_list",
    "read_key_points",
    "summarise_facescape",
    "summarise_now",
    "vertex_key_points",
    "write_submission",
]
