"""One picture of a head, from posed vertices to a photograph, and what is known exactly about it."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from flowface_jax.pytrees import pytree_dataclass
from flowface_jax.synthesis.appearance import Appearance
from flowface_jax.synthesis.assets import RenderAssets
from flowface_jax.synthesis.geometry import Shot, assemble
from flowface_jax.synthesis.image.backgrounds import build_background
from flowface_jax.synthesis.image.edges import smooth_edges
from flowface_jax.synthesis.image.filters import pixels, planes, resolve
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
from flowface_jax.synthesis.noise import worked_out
from flowface_jax.synthesis.rasteriser import Fragments, interpolate, project, rasterise
from flowface_jax.synthesis.scene import Material, Part, Surface
from flowface_jax.synthesis.skin.texture import SkinTexture
from flowface_jax.synthesis.truth import Truth, describe, segments_of_materials
from flowface_jax.synthesis.wearables import Glasses

EYE_SETBACK = 0.0012
"""Metres that eyeballs are taken to lie further back where it is decided what hides what."""
SHADOW_CASTERS = 1
"""Lamps with a shadow map of their own; the others are dimmed by how open a place is."""
OPAQUE = 0.5
"""Lenses that keep back more of the light than this hide what is behind them."""


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
    fragments = see_scene(assets, scene, shot, fine, supersampling)
    surface = surface_of(scene, shot, fragments, supersampling)
    finish = evaluate_materials(surface, skin, appearance.eyes, appearance.mouth)
    shadows = [
        visibility(shadow_map(lighting, scene.vertices, scene.triangles, k), surface) for k in range(SHADOW_CASTERS)
    ]
    radiance = shade(surface, finish, lighting, jnp.stack(shadows, axis=-1), _contact(surface))
    share = resolve(fragments.seen.astype(jnp.float32)[..., None], supersampling)
    behind = build_background(appearance.background, size) if behind is None else behind
    light = resolve(radiance, supersampling) + (1.0 - share) * behind
    glass = see(lenses, shot, fine, supersampling)
    light = look_through(light, glass, fragments.depth, lenses, appearance.glasses, lighting, supersampling)
    if supersampling == 1:
        light = pixels(smooth_edges(planes(light)))
    own = fragments if supersampling == 1 else see_scene(assets, scene, shot, size, 1)
    own_glass = glass if supersampling == 1 else see(lenses, shot, size, 1)
    veiled = own_glass.seen & (own_glass.depth < own.depth) & (appearance.glasses.opacity > OPAQUE)
    occluded = jnp.zeros(own.depth.shape)
    if occluders is not None:
        light, occluded = apply_occluders(light, occluders)
    image = photograph(light, own.depth, appearance.photography, noise_key)
    return Picture(image, _truth(assets, scene, shot, own, occluded, veiled))


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

    def through(light: jax.Array) -> jax.Array:
        normal = jnp.moveaxis(interpolate(glass, lenses.triangles, lenses.normals), -1, 0)
        normal = normal / jnp.sqrt((normal * normal).sum(0) + 1e-12)
        # Lenses are looked at almost head-on: the mirrored direction is taken for a camera straight ahead.
        towards_lens = jnp.asarray([0.0, 0.0, 1.0])[:, None, None]
        mirrored = towards_lens - 2.0 * normal[2] * normal
        sky = environment.evaluate_planes(lighting.environment, mirrored)
        shine = (mirrored * lighting.direction[0][:, None, None]).sum(0)
        window = jnp.clip((shine - 0.93) * 30.0, 0.0, 1.0) * (4.0 * lighting.colour[0])[:, None, None]
        mirror = jnp.moveaxis(glasses.reflectance * jnp.maximum(sky + window, 0.0) * clear, 0, -1)
        share = resolve(clear.astype(jnp.float32)[..., None], supersampling)
        passed = 1.0 - share * glasses.opacity * (1.0 - glasses.tint)
        return light * passed + resolve(mirror, supersampling)

    return jax.lax.cond(clear.any(), through, lambda light: light, light)


def _truth(
    assets: RenderAssets, scene: Part, shot: Shot, fragments: Fragments, occluded: jax.Array, veiled: jax.Array
) -> Truth:
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
        veiled,
        assets.head.regions["face"],
        assets.drawn,
        shot.focal,
        shot.principal_point,
        shot.rotation,
        shot.translation,
    )


def see(scene: Part, shot: Shot, size: tuple[int, int], scale: int, back: jax.Array | float = 0.0) -> Fragments:
    """What the camera sees of a scene in its frame.

    scale: pixels of `size` per pixel of the shot. back: [N] m by which vertices count as further away.
    """
    pixels, depth = project(scene.vertices, shot.focal, shot.principal_point)
    return rasterise(pixels * scale, depth + back, scene.triangles, size, near=0.01)


def see_scene(assets: RenderAssets, scene: Part, shot: Shot, size: tuple[int, int], scale: int) -> Fragments:
    """As `see`, of a scene that begins with the head's own surface: eyeballs do not poke through shut lids."""
    eye = assets.surface.eye
    back = jnp.zeros(scene.vertices.shape[0]).at[: eye.shape[0]].set(EYE_SETBACK * eye)
    fragments = see(scene, shot, size, scale, back)
    on_eye = fragments.seen & (scene.material[jnp.maximum(fragments.triangle, 0)] == Material.EYE)
    return dataclasses.replace(fragments, depth=fragments.depth - EYE_SETBACK * on_eye)


def surface_of(scene: Part, shot: Shot, fragments: Fragments, scale: int) -> Surface:
    """Per-pixel attributes of what is seen."""
    attributes = jnp.concatenate(
        [scene.normals, scene.tangents, scene.detail, scene.colour, scene.openness[:, None]], axis=1
    )
    values = jnp.moveaxis(interpolate(fragments, scene.triangles, attributes), -1, 0)
    seen = fragments.seen
    depth = jnp.where(seen, fragments.depth, 1.0)
    height, width = seen.shape
    column = (jnp.arange(width) + 0.5) / scale - shot.principal_point[0]
    row = (jnp.arange(height) + 0.5) / scale - shot.principal_point[1]
    gate = shot.focal > 0

    def turned() -> tuple[jax.Array, jax.Array]:
        x, y = column[None, :] * depth / shot.focal, row[:, None] * depth / shot.focal
        position, normal = jnp.stack([x, y, depth]), values[0:3]
        normal = normal * jnp.where((normal * position).sum(0) > 0, -1.0, 1.0)
        return position, normal * jax.lax.rsqrt((normal * normal).sum(0) + 1e-12)

    values = worked_out(gate, lambda: values)
    position, normal = worked_out(gate, turned)
    image = lambda planes: jnp.moveaxis(planes, 0, -1)
    return Surface(
        seen=seen,
        material=jnp.where(seen, scene.material[jnp.maximum(fragments.triangle, 0)], 0),
        position=image(position),
        normal=image(normal),
        tangent=image(values[3:6]),
        detail=image(values[6:9]),
        colour=image(values[9:12]),
        openness=values[12],
    )


def _contact(surface: Surface) -> jax.Array:
    """`contact_openness` [H,W] of pictures of any size, with nothing beyond their lower and right edges."""
    height, width = surface.seen.shape
    more = ((0, -height % 4), (0, -width % 4))
    grown = jax.tree.map(lambda value: jnp.pad(value, (*more, *((0, 0),) * (value.ndim - 2))), surface)
    return contact_openness(grown)[:height, :width]
