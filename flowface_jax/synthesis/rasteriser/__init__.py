"""The one rasteriser: meshes to pixels, natively on CPUs and in plain JAX elsewhere, under jit and vmap."""

from flowface_jax.synthesis.rasteriser.attributes import barycentrics, interpolate
from flowface_jax.synthesis.rasteriser.fragments import Fragments, rasterise
from flowface_jax.synthesis.rasteriser.maps import depth_map, normal_map, project, visible_points, visible_vertices
from flowface_jax.synthesis.rasteriser.normals import vertex_normals
from flowface_jax.synthesis.rasteriser.sampling import sample_texture

__all__ = [
    "Fragments",
    "barycentrics",
    "depth_map",
    "interpolate",
    "normal_map",
    "project",
    "rasterise",
    "sample_texture",
    "vertex_normals",
    "visible_points",
    "visible_vertices",
]
