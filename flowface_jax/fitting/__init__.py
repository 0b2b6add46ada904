"""Stage 2: the energy over all frames and cameras, its starting point, its solver, and the track that comes out."""

from flowface_jax.fitting.config import FitConfig, config_from_mapping
from flowface_jax.fitting.fit import fit
from flowface_jax.fitting.track import Track

__all__ = ["FitConfig", "Track", "config_from_mapping", "fit"]
