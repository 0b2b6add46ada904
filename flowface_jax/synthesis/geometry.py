"""All the geometry of one shot, in the camera's frame."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from flowface_jax.pytrees import pytree_dataclass
from flowface_jax.synthesis.appearance import Appearance
from flowface_jax.synthesis.assets import RenderAssets
from flowface_jax.synthesis.hair import grow_hair, grow_lashes
from flowface_jax.synthesis.lighting import openness
from flowface_jax.synthesis.rasteriser import vertex_normals
from flowface_jax.synthesis.scene import Part, join, moved
from flowface_jax.synthesis.wearables import build_clothes, build_glasses, build_hat, hat_cover

_LASH_COLOUR = (0.012, 0.009, 0.008)


@pytree_dataclass
class Shot:
    """A head at one moment before one camera.

    vertices: [V,3] m, posed, in the head's frame. neutral: [V,3] m, the same person at rest, who carries the torso.
    rotation [3,3] and translation [3] m: the head's frame to the camera's. torso_rotation, torso_translation: the
    torso's frame (the head's at rest) to the camera's. room_rotation, room_translation: the room's axes (y up), in
    which the light stays, to the camera's. focal: px. principal_point: [2] px.
    """

    vertices: jax.Array
    neutral: jax.Array
    rotation: jax.Array
    translation: jax.Array
    torso_rotation: jax.Array
    torso_translation: jax.Array
    room_rotation: jax.Array
    room_translation: jax.Array
    focal: jax.Array
    principal_point: jax.Array


def assemble(assets: RenderAssets, appearance: Appearance, shot: Shot, skin_colour: jax.Array) -> tuple[Part, Part]:
    """The scene (the head's own triangles first) and the lenses to be looked through, in the camera's frame.

    skin_colour: [3] linear reflectance of the person's plain skin, for neck, shoulders and scalp.
    """
    cover = hat_cover(appearance.hat, assets.wearables, shot.vertices)
    eyewear = build_glasses(appearance.glasses, assets.wearables, shot.vertices)
    hair = grow_hair(
        appearance.hair,
        assets.hair,
        shot.vertices,
        covered=cover.amount,
        cover_height=cover.height,
        cover_slope=cover.slope,
        skin_colour=skin_colour,
    )
    on_head = [
        head_part(assets, shot.vertices),
        hair,
        build_hat(appearance.hat, assets.wearables, shot.vertices),
        eyewear.frame,
    ]
    if assets.grows_lashes:
        on_head.append(grow_lashes(appearance.lashes, assets.head.landmarks, shot.vertices))
    clothes = dataclasses.replace(appearance.clothes, skin=skin_colour)
    torso = build_clothes(clothes, assets.wearables, shot.neutral)
    scene = [
        moved(join(on_head), shot.rotation, shot.translation),
        moved(torso, shot.torso_rotation, shot.torso_translation),
    ]
    return join(scene), moved(eyewear.lenses, shot.rotation, shot.translation)


def head_part(assets: RenderAssets, vertices: jax.Array) -> Part:
    """The head's own surface, posed by vertices [V,3], in the head's frame."""
    surface, head = assets.surface, assets.head
    normals = vertex_normals(vertices, head.triangles)
    open_share = openness(assets.openness, vertices, normals, head.landmarks.of(vertices))
    attributes = jnp.concatenate([vertices, normals, open_share[:, None]], axis=1)[surface.vertex_ids]
    return Part(
        vertices=attributes[:, :3],
        normals=attributes[:, 3:6],
        tangents=jnp.zeros_like(attributes[:, :3]),
        detail=surface.detail,
        colour=jnp.broadcast_to(jnp.asarray(_LASH_COLOUR), attributes[:, :3].shape),
        openness=attributes[:, 6],
        triangles=surface.triangles,
        material=surface.material,
    )
