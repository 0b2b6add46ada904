"""3D face tracking from video in JAX: dense alignments and a differentiable head-model fit.

from flowface_jax import align, fit, load_head

head = load_head("generic")
alignment = align("mediapipe", ["clip.mp4"])
track = fit(alignment, head)
track.save("track")
"""

from flowface_jax.aligners import align
from flowface_jax.alignment import Alignment, load_alignment
from flowface_jax.cameras import Cameras, load_cameras
from flowface_jax.errors import FlowfaceError, InputError, MissingAssetError, MissingDependencyError
from flowface_jax.fitting import FitConfig, Track, differentiable_fit, fit
from flowface_jax.heads import HeadModel, SurfacePoints, load_head, save_head, vertices
from flowface_jax.pipeline import track

__all__ = [
    "Alignment",
    "Cameras",
    "FitConfig",
    "FlowfaceError",
    "HeadModel",
    "InputError",
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
    "save_head",
    "track",
    "vertices",
]
