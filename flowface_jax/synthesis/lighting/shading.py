"""Light reflected to the camera at every pixel: soft diffuse light, gloss, reflections in eyes and glasses, hair.

Vectors and colours are planes [3,H,W] here: the compiler turns planes into vector instructions and interleaved channels
not.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from flowface_jax.synthesis.lighting import environment as environments
from flowface_jax.synthesis.lighting.lights import LIGHT_COUNT, Lighting
from flowface_jax.synthesis.noise import worked_out
from flowface_jax.synthesis.scene import Finish, Surface

Planes = jax.Array
"""[3,H,W]: the components of a vector or the channels of a colour."""

SKIN_REFLECTANCE = 0.028
"""Fresnel reflectance of skin at normal incidence (index of refraction 1.4)."""

_BLEED = (0.28, 0.12, 0.07)
"""How far light creeps round the terminator in skin, by channel: red travels furthest (Jensen et al., 2001)."""

_SECOND_LOBE = 0.35
_MIRROR_ROUGHNESS = 0.2
_HAIR_WRAP = 0.6

_MIRRORED_LAMPS = 2
"""The lamps whose shape is seen in eyes; the third stands behind the head."""


class _Lamp(NamedTuple):
    """One lamp: its number, unit directions [3,H,W] towards it, strength by distance [H,W], share seen [H,W]."""

    index: jax.Array
    towards: Planes
    strength: jax.Array
    seen: jax.Array


class _View(NamedTuple):
    """What the shading of every lamp shares, as planes."""

    position: Planes
    normal: Planes
    soft_normal: Planes
    camera: Planes
    mirrored: Planes
    tangent: Planes
    facing: jax.Array
    tangent_camera: jax.Array
    reflectance: jax.Array
    albedo: Planes
    openness: jax.Array


def shade(
    surface: Surface,
    finish: Finish,
    lighting: Lighting,
    visibility: jax.Array,
    contact: jax.Array | None = None,
) -> jax.Array:
    """Linear radiance [H,W,3] of what is seen, relative to a white diffuse surface; 0 where nothing is seen.

    lighting: in the camera's frame. visibility: [H,W,K] share of the first K ≤ 3 lamps that each pixel sees; the others
    are dimmed by the pixel's openness. contact: [H,W] further openness, or None.
    """
    gate = lighting.nearness[0] > -1.0
    view = _view(surface, finish, contact)
    seen = worked_out(gate, lambda: _seen(view, visibility))

    def lit(index: jax.Array, total: Planes) -> Planes:
        lamp = _lamp(lighting, view, seen[index], index)
        return total + _direct(view, finish, lighting, lamp, surface.detail[..., 2], gate)

    def add(index: jax.Array, total: Planes) -> Planes:
        shining = lighting.colour[index].max() > 0
        return jax.lax.cond(shining, lambda total: lit(index, total), lambda total: total, total)

    total = jax.lax.fori_loop(0, LIGHT_COUNT, add, worked_out(gate, lambda: _ambient(view, finish, lighting)))
    return jnp.moveaxis(jnp.where(surface.seen, total, 0.0), 0, -1)


def _planes(image: jax.Array) -> Planes:
    return jnp.moveaxis(image, -1, 0)


def _dot(a: Planes, b: Planes) -> jax.Array:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _each(values: jax.Array) -> jax.Array:
    """One number per component [3] beside planes [3,H,W]."""
    return values[:, None, None]


def _fifth(x: jax.Array) -> jax.Array:
    square = x * x
    return square * square * x


def _view(surface: Surface, finish: Finish, contact: jax.Array | None) -> _View:
    """Directions and factors that do not depend on the lamp."""
    interleaved = (surface.position, finish.normal, surface.normal, surface.tangent, finish.albedo)
    position, normal, coarse, tangent, albedo = (_planes(image) for image in interleaved)
    camera = -position * jax.lax.rsqrt(_dot(position, position) + 1e-12)
    facing = _dot(normal, camera)
    return _View(
        position=position,
        normal=normal,
        # Light that has gone through skin forgets its fine relief.
        soft_normal=normal + 0.6 * finish.translucency * (coarse - normal),
        camera=camera,
        mirrored=2.0 * facing * normal - camera,
        tangent=tangent,
        facing=jnp.clip(facing, 0.0, 1.0),
        tangent_camera=_dot(tangent, camera),
        reflectance=SKIN_REFLECTANCE * finish.specular,
        albedo=albedo,
        openness=surface.openness if contact is None else surface.openness * contact,
    )


def _seen(view: _View, visibility: jax.Array) -> jax.Array:
    """Share [L,H,W] of each lamp that pixels see: as given, and by openness where it is not."""
    share = jnp.clip(1.6 * view.openness - 0.15, 0.0, 1.0)
    open_share = share * share * (3.0 - 2.0 * share)
    given = [visibility[..., k] for k in range(visibility.shape[-1])]
    return jnp.stack(given + [open_share] * (LIGHT_COUNT - len(given)))


def _ambient(view: _View, finish: Finish, lighting: Lighting) -> Planes:
    """Light from all round: diffuse with interreflection in hollows, and its reflection by Fresnel's law."""
    diffuse = environments.evaluate_planes(environments.irradiance(lighting.environment), view.soft_normal)
    glossy = environments.evaluate_planes(lighting.environment, view.mirrored)
    smooth = 1.0 - finish.roughness
    # Rough surfaces hide their own grazing reflection.
    grazing = jnp.maximum(smooth * smooth - view.reflectance, 0.0) * (view.reflectance > 0)
    fresnel = (view.reflectance + 0.6 * grazing * _fifth(1.0 - view.facing)) * view.openness
    reached = _interreflected(view.openness, view.albedo)
    blurred = diffuse + smooth * (glossy - diffuse)
    return (1.0 - fresnel) * view.albedo * diffuse * reached + fresnel * blurred


def _interreflected(openness: jax.Array, albedo: jax.Array) -> jax.Array:
    """Openness with the light that bounces inside a hollow of this albedo (Jimenez et al., 2016)."""
    a, b, c = 2.0404 * albedo - 0.3324, -4.7951 * albedo + 0.6417, 2.7552 * albedo + 0.6903
    return jnp.maximum(openness, ((openness * a + b) * openness + c) * openness)


def _lamp(lighting: Lighting, view: _View, seen: jax.Array, index: jax.Array) -> _Lamp:
    """Where lamp `index` is from each pixel, how strong, and how much of it is seen."""
    offset = view.position - _each(lighting.centre)
    vector = _each(lighting.direction[index]) - lighting.nearness[index] * offset
    inverse = 1.0 / jnp.maximum(_dot(vector, vector), 0.05)
    return _Lamp(index=index, towards=vector * jnp.sqrt(inverse), strength=inverse, seen=seen)


def _direct(view: _View, finish: Finish, lighting: Lighting, lamp: _Lamp, lock: jax.Array, gate: jax.Array) -> Planes:
    """What one lamp adds."""
    size = lighting.extent[lamp.index].mean()

    def shared() -> tuple[jax.Array, ...]:
        gloss = _gloss(view, finish, lamp, size)
        gloss = gloss + jnp.where(lamp.index < _MIRRORED_LAMPS, _panel(view, finish, lighting, lamp), 0.0)
        return _dot(view.soft_normal, lamp.towards), gloss * lamp.seen, *_strands(view, lamp, size, lock)

    cosine, gloss, primary, secondary = worked_out(gate, shared)
    light = lamp.strength * _each(lighting.colour[lamp.index])
    bleed = finish.translucency * _each(jnp.asarray(_BLEED))
    diffuse = _wrapped(cosine, size, bleed, lamp.seen, view.openness)
    body = (1.0 - view.reflectance) * view.albedo * diffuse + gloss
    wrap = jnp.maximum(cosine + _HAIR_WRAP, 0.0) * (lamp.seen / (1.0 + _HAIR_WRAP))
    hair = wrap * (view.albedo * (0.55 + 1.6 * secondary) + primary)
    return light * (body + finish.strand * (hair - body))


def _wrapped(cosine: jax.Array, size: jax.Array, bleed: jax.Array, seen: jax.Array, openness: jax.Array) -> jax.Array:
    """Cosine law softened round the terminator by the lamp's size and by light inside the skin, energy kept."""
    width = 0.4 * size + bleed
    square = width * width
    soft = 0.5 * (cosine + jnp.sqrt(cosine * cosine + square) - 0.5 * square)
    # A shadow map cannot tell the terminator from a shadow; there the softened cosine decides, within open places.
    turning = jnp.clip(0.5 - 3.0 * cosine, 0.0, 1.0) * openness
    lit = seen + (1.0 - seen) * jnp.clip(turning * bleed * 1.2, 0.0, 1.0) + bleed * seen * (1.0 - seen)
    return jnp.maximum(soft, 0.0) * lit / (1.0 + square)


def _gloss(view: _View, finish: Finish, lamp: _Lamp, size: jax.Array) -> jax.Array:
    """Highlight of a lamp: GGX in Kelemen and Szirmay-Kalos' form, a broad second lobe for skin; × π as colours."""
    half = lamp.towards + view.camera
    inverse = 1.0 / jnp.maximum(_dot(half, half), 1e-4)
    half_normal = jnp.maximum(_dot(view.normal, half), 0.0)
    # |L + V|² / 4 is the squared cosine between lamp and half vector.
    cosine_square = 0.25 / inverse
    fresnel = view.reflectance + (1.0 - view.reflectance) * _fifth(1.0 - jnp.sqrt(cosine_square)) * (
        view.reflectance > 0
    )
    square = half_normal * half_normal * inverse
    alpha = finish.roughness * finish.roughness
    sharp = alpha * alpha + 0.25 * size * size
    broad = jnp.minimum(4.0 * sharp, 1.0)
    share = _SECOND_LOBE * finish.translucency
    lobe = _ggx(square, sharp) * (1.0 - share) + _ggx(square, broad) * share
    cosine = jnp.maximum(_dot(view.normal, lamp.towards), 0.0)
    return fresnel * lobe * cosine * 0.25 / jnp.maximum(cosine_square, 0.05)


def _ggx(half_square: jax.Array, alpha_square: jax.Array) -> jax.Array:
    """π × GGX's distribution by squared cosine of the half vector and squared α (Walter et al., 2007)."""
    base = half_square * (alpha_square - 1.0) + 1.0
    return alpha_square / (base * base)


def _panel(view: _View, finish: Finish, lighting: Lighting, lamp: _Lamp) -> jax.Array:
    """Mirror image of the lamp's rectangle on glossy things, above all the catch light in an eye; beside `_gloss`."""
    index = lamp.index
    up = jnp.cross(lighting.direction[index], lighting.right[index])
    along = _dot(view.mirrored, lamp.towards)
    inverse = 1.0 / jnp.maximum(along, 0.05)
    edge = 1.0 / (0.03 + finish.roughness)
    inside, panes = jnp.ones_like(along), jnp.ones_like(along)
    for axis, axis_extent in (
        (lighting.right[index], lighting.extent[index, 0]),
        (up, lighting.extent[index, 1]),
    ):
        place = jnp.abs(_dot(view.mirrored, axis) * inverse)
        inside = inside * jnp.clip((axis_extent - place) * edge + 0.5, 0.0, 1.0)
        panes = panes * jnp.clip(place * 12.0, 0.0, 1.0)
    inside = inside * (1.0 + lighting.panes[index] * (panes - 1.0))
    solid_angle = 4.0 * lighting.extent[index, 0] * lighting.extent[index, 1]
    radiance = jnp.minimum(jnp.pi / solid_angle, 60.0)
    fresnel = view.reflectance + (1.0 - view.reflectance) * _fifth(1.0 - view.facing)
    glossy = jnp.clip((_MIRROR_ROUGHNESS - finish.roughness) * 12.0, 0.0, 1.0) * (along > 0.05)
    return glossy * fresnel * inside * radiance


def _strands(view: _View, lamp: _Lamp, size: jax.Array, lock: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Highlights along hair, white near the surface and coloured from inside, apart (Marschner et al., 2003)."""
    middle = 0.5 * (_dot(view.tangent, lamp.towards) + view.tangent_camera) + 0.16 * (lock - 0.5)
    narrow = 1.0 / (0.1 + 0.3 * size)
    first = 1.0 / (1.0 + ((middle + 0.06) * narrow) ** 2)
    second = 1.0 / (1.0 + ((middle - 0.1) * (0.5 * narrow)) ** 2)
    return 0.06 * first * first, second * second
