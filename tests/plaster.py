"""The simplest renderer of captures, for tests of what is round it: any mesh in plaster before grey."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.cameras.model import Cameras
from flowface_jax.heads.model import HeadModel
from flowface_jax.synthesis.filming import FilmSettings, Moment, Renderer, View
from flowface_jax.synthesis.materials.surfaces import triangle_materials
from flowface_jax.synthesis.rasteriser import interpolate, project, rasterise, vertex_normals, visible_vertices
from flowface_jax.synthesis.sequences import Motion
from flowface_jax.synthesis.truth import Segment, triangle_segments

_LIGHT = (-0.30, -0.45, -0.84)
_AMBIENT = 0.25
_GROUND = 0.35
_COLOURS = {Segment.SKIN: 0.75, Segment.LIPS: 0.6, Segment.EYES: 0.95, Segment.TEETH: 0.95, Segment.MOUTH_INTERIOR: 0.4}


def make_plaster_renderer(head: HeadModel, motion: Motion, settings: FilmSettings) -> Renderer:
    """A renderer of bare heads; motion and settings change nothing about it."""
    material, drawn = triangle_materials(head)
    lips = np.asarray(head.regions.get("lips", np.zeros(head.vertex_count, bool)))
    triangles = np.asarray(head.triangles)
    segments = jnp.asarray(triangle_segments(material, triangles, lips)[drawn])
    shown = jnp.asarray(triangles[drawn])
    paint = jnp.asarray([_COLOURS.get(segment, 0.75) for segment in Segment])

    def draw(moment: Moment, cameras: Cameras) -> list[View]:
        points = np.asarray(cameras.to_camera(jnp.asarray(moment.world(), jnp.float32)))
        views = []
        for c in range(cameras.count):
            width, height = (int(n) for n in cameras.image_size[c])
            drawn = _draw(
                points[c], shown, segments, paint, cameras.focal[c], cameras.principal_point[c], (width, height)
            )
            views.append(View(*(np.asarray(value) for value in drawn)))
        return views

    return draw


@jax.jit(static_argnames="size")
def _draw(
    points: jax.Array,
    triangles: jax.Array,
    segments: jax.Array,
    paint: jax.Array,
    focal: jax.Array,
    principal_point: jax.Array,
    size: tuple[int, int],
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array, jax.Array]:
    """The fields of a `View` of points [V,3] m in the camera's frame."""
    pixels, depth = project(points, focal, principal_point)
    fragments = rasterise(pixels, depth, triangles, size)
    seen = fragments.triangle >= 0
    normals = interpolate(fragments, triangles, vertex_normals(points, triangles))
    normals = normals / jnp.maximum(jnp.linalg.norm(normals, axis=-1, keepdims=True), 1e-9)
    segmentation = jnp.where(seen, segments[jnp.maximum(fragments.triangle, 0)], int(Segment.BACKGROUND))
    light = jnp.asarray(_LIGHT) / np.linalg.norm(_LIGHT)
    lit = _AMBIENT + (1.0 - _AMBIENT) * jnp.abs(jnp.sum(normals * light, axis=-1))
    grey = jnp.where(seen, paint[segmentation] * lit, _GROUND)
    image = jnp.repeat(jnp.round(255.0 * jnp.clip(grey, 0.0, 1.0))[..., None], 3, axis=-1).astype(jnp.uint8)
    visible = visible_vertices(fragments, pixels, depth, triangles)
    return image, visible, fragments.depth, normals, segmentation
