"""Stage 2: the energy over all frames and cameras, its starting point, its solver, and the track that comes out."""

from flowface_jax.fitting.config import FitConfig, config_from_mapping
from flowface_jax.fitting.differentiable import DifferentiableFit, differentiable_fit
from flowface_jax.fitting.fit import fit
from flowface_jax.fitting.focal_prior import FocalPrior
from flowface_jax.fitting.implicit import ImplicitSettings
from flowface_jax.fitting.track import Track

__all__ = [
    "DifferentiableFit",
    "FitConfig",
    "FocalPrior",
    "ImplicitSettings",
    "Track",
    "config_from_mapping",
    "differentiable_fit",
    "fit",
]
