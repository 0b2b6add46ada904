"""One picture of a head, from posed vertices to a photograph, and what is known exactly about it."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from flowface_jax.pytrees import pytree_dataclass
from flowface_jax.synthesis.appearance import Appearance
from flowface_jax.synthesis.assets import RenderAssets
from flowface_jax.synthesis.geometry import Shot, assemble
from flowface_jax.synthesis.image.backgrounds import build_background
from flowface_jax.synthesis.image.filters import resolve
from flowface_jax.synthesis.image.occluders import Occluders, apply_occluders
from flowface_jax.synthesis.image.photography import photograph
from flowface_jax.synthesis.lighting import (
    Lighting,
    contact_openness,
    environment,
    placed,
    shade,
    shadow_map,
    visibility,
)
from flowface_jax.synthesis.materials.evaluation import evaluate_materials
from flowface_jax.synthesis.rasteriser import Fragments, interpolate, project, rasterise
from flowface_jax.synthesis.scene import Part, Surface
from flowface_jax.synthesis.skin.texture import SkinTexture
from flowface_jax.synthesis.truth import Truth, describe, segments_of_materials
from flowface_jax.synthesis.wearables import Glasses

SHADOW_CASTERS = 1
"""Lamps with a shadow map of their own; the others are dimmed by how open a place is."""


@pytree_dataclass
class Picture:
    """image: [H,W,3] sRGB in [0,1]. truth: what is known about it."""

    image: jax.Array
    truth: Truth


def render(
    assets: RenderAssets,
    appearance: Appearance,
    skin: SkinTexture,
    shot: Shot,
    noise_key: jax.Array,
    size: tuple[int, int],
    supersampling: int = 1,
    behind: jax.Array | None = None,
    occluders: Occluders | None = None,
) -> Picture:
    """Photograph the shot at size (width, height) px.

    noise_key: of the sensor's noise, another for every frame. behind: [H,W,3] linear, instead of the appearance's own
    background. occluders: what is held before the face.
    """
    skin_colour = jnp.einsum("ij,ijc->c", assets.skin.probe, skin.albedo)
    scene, lenses = assemble(assets, appearance, shot, skin_colour)
    lighting = placed(appearance.lighting, shot.room_rotation, shot.room_translation)
    fine = (size[0] * supersampling, size[1] * supersampling)
    fragments = see(scene, shot, fine, supersampling)
    surface = surface_of(scene, shot, fragments, supersampling)
    finish = evaluate_materials(surface, skin, appearance.eyes, appearance.mouth)
    shadows = [
        visibility(shadow_map(lighting, scene.vertices, scene.triangles, k), surface) for k in range(SHADOW_CASTERS)
    ]
    radiance = shade(surface, finish, lighting, jnp.stack(shadows, axis=-1), contact_openness(surface))
    share = resolve(fragments.seen.astype(jnp.float32)[..., None], supersampling)
    behind = build_background(appearance.background, size) if behind is None else behind
    light = resolve(radiance, supersampling) + (1.0 - share) * behind
    glass = see(lenses, shot, fine, supersampling)
    light = look_through(light, glass, fragments.depth, lenses, appearance.glasses, lighting, supersampling)
    own = fragments if supersampling == 1 else see(scene, shot, size, 1)
    occluded = jnp.zeros(own.depth.shape)
    if occluders is not None:
        light, occluded = apply_occluders(light, occluders)
    image = photograph(light, own.depth, appearance.photography, noise_key)
    return Picture(image, _truth(assets, scene, shot, own, occluded))


def look_through(
    light: jax.Array,
    glass: Fragments,
    depth: jax.Array,
    lenses: Part,
    glasses: Glasses,
    lighting: Lighting,
    supersampling: int,
) -> jax.Array:
    """The light [H,W,3] after the lenses: tinted by what passes, brightened by what they mirror."""
    clear = glass.seen & (glass.depth < depth)
    normal = interpolate(glass, lenses.triangles, lenses.normals)
    normal = normal / jnp.sqrt((normal * normal).sum(-1, keepdims=True) + 1e-12)
    # Lenses are looked at almost head-on: the mirrored direction is taken for a camera straight ahead.
    mirrored = tuple(2.0 * normal[..., 2] * normal[..., c] - (1.0 if c == 2 else 0.0) for c in range(3))
    mirrored = tuple(-m for m in mirrored)
    sky = jnp.stack(environment.evaluate(lighting.environment, mirrored), axis=-1)
    shine = jnp.stack([sum(m * d for m, d in zip(mirrored, lighting.direction[k], strict=True)) for k in range(1)], -1)
    window = jnp.clip((shine - 0.93) * 30.0, 0.0, 1.0) @ (4.0 * lighting.colour[:1])
    mirror = glasses.reflectance * jnp.maximum(sky + window, 0.0) * clear[..., None]
    share = resolve(clear.astype(jnp.float32)[..., None], supersampling)
    passed = 1.0 - share * glasses.opacity * (1.0 - glasses.tint)
    return light * passed + resolve(mirror, supersampling)


def _truth(assets: RenderAssets, scene: Part, shot: Shot, fragments: Fragments, occluded: jax.Array) -> Truth:
    """What is known about the picture of a scene whose first triangles are the head's."""
    others = segments_of_materials(scene.material[assets.segments.shape[0] :])
    with jax.default_matmul_precision("highest"):
        points = shot.vertices @ shot.rotation.T + shot.translation
    return describe(
        points,
        assets.dense,
        fragments,
        *project(scene.vertices, shot.focal, shot.principal_point),
        scene.triangles,
        scene.normals,
        jnp.concatenate([assets.segments, others]),
        occluded,
        assets.head.regions["face"],
        shot.focal,
        shot.principal_point,
        shot.rotation,
        shot.translation,
    )


def see(scene: Part, shot: Shot, size: tuple[int, int], scale: int) -> Fragments:
    """What the camera sees of a scene in its frame; scale: pixels of `size` per pixel of the shot."""
    pixels, depth = project(scene.vertices, shot.focal, shot.principal_point)
    return rasterise(pixels * scale, depth, scene.triangles, size, near=0.01)


def surface_of(scene: Part, shot: Shot, fragments: Fragments, scale: int) -> Surface:
    """Per-pixel attributes of what is seen."""
    attributes = jnp.concatenate(
        [scene.normals, scene.tangents, scene.detail, scene.colour, scene.openness[:, None]], axis=1
    )
    values = interpolate(fragments, scene.triangles, attributes)
    seen = fragments.seen
    depth = jnp.where(seen, fragments.depth, 1.0)
    height, width = seen.shape
    column = (jnp.arange(width) + 0.5) / scale - shot.principal_point[0]
    row = (jnp.arange(height) + 0.5) / scale - shot.principal_point[1]
    x, y = column[None, :] * depth / shot.focal, row[:, None] * depth / shot.focal
    position = jnp.stack([x, y, depth], axis=-1)
    normal = values[..., 0:3]
    facing = (normal * position).sum(-1, keepdims=True)
    normal = normal * jnp.where(facing > 0, -1.0, 1.0)
    normal = normal / jnp.sqrt((normal * normal).sum(-1, keepdims=True) + 1e-12)
    return Surface(
        seen=seen,
        material=jnp.where(seen, scene.material[jnp.maximum(fragments.triangle, 0)], 0),
        position=position,
        normal=normal,
        tangent=values[..., 3:6],
        detail=values[..., 6:9],
        colour=values[..., 9:12],
        openness=values[..., 12],
    )
