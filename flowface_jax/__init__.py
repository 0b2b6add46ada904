"""3D face tracking from video in JAX: dense alignments and a differentiable head-model fit.

from flowface_jax import align, fit, load_head

head = load_head("generic")
alignment = align("mediapipe", ["clip.mp4"])
track = fit(alignment, head)
track.save("track")
"""

from flowface_jax.aligners import align
from flowface_jax.alignment import Alignment, KeyPoint, load_alignment, read_key_points, with_key_points
from flowface_jax.cameras import Cameras, load_cameras
from flowface_jax.errors import FlowfaceError, InputError, MissingAssetError, MissingDependencyError
from flowface_jax.fitting import FitConfig, FocalPrior, Track, differentiable_fit, fit
from flowface_jax.guidance import Guidance
from flowface_jax.heads import HeadModel, SurfacePoints, load_head, save_head, vertices
from flowface_jax.pipeline import track

__all__ = [
    "Alignment",
    "Cameras",
    "FitConfig",
    "FlowfaceError",
    "FocalPrior",
    "Guidance",
    "HeadModel",
    "InputError",
    "KeyPoint",
    "MissingAssetError",
    "MissingDependencyError",
    "SurfacePoints",
    "Track",
    "align",
    "differentiable_fit",
    "fit",
    "load_alignment",
    "load_cameras",
    "load_head",
    "read_key_points",
    "save_head",
    "track",
    "vertices",
    "with_key_points",
]
