"""What the renderer's stages hand to each other: pieces of geometry, per-pixel surfaces, and how they reflect light."""

from __future__ import annotations

import enum

import jax
import jax.numpy as jnp

from flowface_jax.pytrees import pytree_dataclass


class Material(enum.IntEnum):
    """What a triangle is made of; decides how its pixels get colour and gloss."""

    SKIN = 0
    EYE = 1
    TEETH = 2
    MOUTH = 3
    HAIR = 4
    CLOTH = 5
    FRAME = 6
    LASH = 7


@pytree_dataclass
class Part:
    """A piece of geometry. All pieces of a scene are concatenated and rasterised together.

    vertices: [N,3] m. normals: [N,3] unit. tangents: [N,3] unit direction along hair, 0 elsewhere.
    detail: [N,3] coordinates that the material understands. SKIN: (u, v, 0) of the atlas. EYE: direction from the
    eyeball's centre in its own frame, z towards the pupil. TEETH and MOUTH: see `materials.surfaces.HeadSurface`.
    HAIR and LASH: (0 at the root to 1 at the tip, 0 to 1 across, random number of the lock). CLOTH and FRAME: position
    in the part's own frame, m.
    colour: [N,3] linear reflectance; SKIN and EYE ignore it.
    openness: [N] share of the sky that the place sees (ambient occlusion), 1 in the open.
    triangles: [T,3] int32, counter-clockwise from outside. material: [T] int32 of `Material`.
    """

    vertices: jax.Array
    normals: jax.Array
    tangents: jax.Array
    detail: jax.Array
    colour: jax.Array
    openness: jax.Array
    triangles: jax.Array
    material: jax.Array


@pytree_dataclass
class Surface:
    """What is seen at each pixel, in the camera's frame. Values where nothing is seen are unusable but finite.

    seen: [H,W] bool. material: [H,W] int32. position: [H,W,3] m. normal: [H,W,3] unit, facing the camera.
    tangent, detail, colour: [H,W,3] and openness: [H,W], as in `Part`, interpolated.
    """

    seen: jax.Array
    material: jax.Array
    position: jax.Array
    normal: jax.Array
    tangent: jax.Array
    detail: jax.Array
    colour: jax.Array
    openness: jax.Array


@pytree_dataclass
class Finish:
    """How each pixel's surface reflects light.

    albedo: [H,W,3] linear diffuse reflectance. roughness: [H,W] 0.05 (mirror-like) to 1. specular: [H,W] strength of
    the highlight, 1 as skin's Fresnel reflectance at normal incidence (0.028). translucency: [H,W] 0 opaque, 1 as soft
    as skin (light bleeds red round the terminator). normal: [H,W,3] unit, with the material's fine relief. strand:
    [H,W] 1 where light scatters as on hair, about `Surface.tangent`, else 0.
    """

    albedo: jax.Array
    roughness: jax.Array
    specular: jax.Array
    translucency: jax.Array
    normal: jax.Array
    strand: jax.Array


def join(parts: list[Part]) -> Part:
    """One part of all the pieces [N1+N2+…], triangles renumbered."""
    starts = [0]
    for part in parts[:-1]:
        starts.append(starts[-1] + part.vertices.shape[0])
    fields = {
        name: jnp.concatenate([getattr(part, name) for part in parts])
        for name in ("vertices", "normals", "tangents", "detail", "colour", "openness", "material")
    }
    triangles = jnp.concatenate([part.triangles + start for part, start in zip(parts, starts, strict=True)])
    return Part(**fields, triangles=triangles)


def moved(part: Part, rotation: jax.Array, translation: jax.Array) -> Part:
    """The part turned by rotation [3,3] and then shifted by translation [3] m."""
    with jax.default_matmul_precision("highest"):
        turned = {name: getattr(part, name) @ rotation.T for name in ("vertices", "normals", "tangents")}
    return Part(
        vertices=turned["vertices"] + translation,
        normals=turned["normals"],
        tangents=turned["tangents"],
        detail=part.detail,
        colour=part.colour,
        openness=part.openness,
        triangles=part.triangles,
        material=part.material,
    )
