"""Light: environments and lamps, how much of them each place sees, and what it sends to the camera."""

from flowface_jax.synthesis.lighting.contact import contact_openness
from flowface_jax.synthesis.lighting.environment import Environment
from flowface_jax.synthesis.lighting.lights import LIGHT_COUNT, Lighting, exposed, placed, received
from flowface_jax.synthesis.lighting.openness import OcclusionAssets, make_occlusion_assets, openness
from flowface_jax.synthesis.lighting.sampling import PLACES, sample_lighting
from flowface_jax.synthesis.lighting.shading import shade
from flowface_jax.synthesis.lighting.shadows import ShadowMap, shadow_map, visibility

__all__ = [
    "LIGHT_COUNT",
    "PLACES",
    "Environment",
    "Lighting",
    "OcclusionAssets",
    "ShadowMap",
    "contact_openness",
    "exposed",
    "make_occlusion_assets",
    "openness",
    "placed",
    "received",
    "sample_lighting",
    "shade",
    "shadow_map",
    "visibility",
]
