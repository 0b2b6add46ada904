"""From what is seen at each pixel to how it reflects light."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from flowface_jax.synthesis.materials.eyes import EyeParameters, eye_albedo
from flowface_jax.synthesis.materials.mouths import MouthParameters, mouth_albedo, tooth_albedo
from flowface_jax.synthesis.materials.relief import with_relief
from flowface_jax.synthesis.noise import in_strips, worked_out
from flowface_jax.synthesis.rasteriser import sample_texture
from flowface_jax.synthesis.scene import Finish, Material, Surface
from flowface_jax.synthesis.skin.texture import SkinTexture

_ROUGHNESS = (0.5, 0.12, 0.22, 0.28, 0.38, 0.9, 0.2, 0.4)
_SPECULAR = (1.0, 1.25, 1.6, 1.0, 0.6, 0.25, 1.8, 0.5)
_TRANSLUCENCY = (1.0, 0.25, 0.4, 0.8, 0.0, 0.0, 0.0, 0.0)


def evaluate_materials(surface: Surface, texture: SkinTexture, eyes: EyeParameters, mouth: MouthParameters) -> Finish:
    """The reflectance of every pixel [H,W]: skin from its texture, everything else from its detail coordinates."""
    made_of = {m: surface.material == int(m) for m in Material}
    skin = made_of[Material.SKIN]
    gate = texture.roughness[0, 0] > -1.0
    stacked = worked_out(gate, lambda: texture.stacked)
    uv = jnp.clip(surface.detail[..., :2], 0.0, 1.0)
    looked_up = worked_out(gate, lambda: jnp.moveaxis(sample_texture(stacked, uv), -1, 0))
    detail, colour = jnp.moveaxis(surface.detail, -1, 0), jnp.moveaxis(surface.colour, -1, 0)
    position, coarse = jnp.moveaxis(surface.position, -1, 0), jnp.moveaxis(surface.normal, -1, 0)

    def of(material: Material, function: Callable[[jax.Array], Any]) -> Any:
        """What a function makes of the detail of the pixels that are of a material."""
        wanted = made_of[material] & surface.seen
        return in_strips(wanted, lambda detail: function(jnp.moveaxis(detail, 0, -1)), detail)

    eye, iris = of(Material.EYE, lambda detail: eye_albedo(eyes, detail))
    teeth = of(Material.TEETH, lambda detail: tooth_albedo(mouth, detail))
    wet = of(Material.MOUTH, lambda detail: mouth_albedo(mouth, detail))
    strands, weave = of(Material.HAIR, _strand_shade), of(Material.CLOTH, _weave)

    def albedo() -> jax.Array:
        value = jnp.where(made_of[Material.HAIR], colour * strands, colour)
        value = jnp.where(made_of[Material.CLOTH], colour * weave, value)
        for material, planes in ((Material.EYE, eye), (Material.TEETH, teeth), (Material.MOUTH, wet)):
            value = jnp.where(made_of[material], jnp.stack(planes), value)
        return jnp.clip(jnp.where(skin, looked_up[:3], value), 0.0, 1.0)

    relief = jnp.where(skin, looked_up[5] * 1e-3, 0.0)
    normal = worked_out(gate, lambda: with_relief(coarse, position, relief, skin & surface.seen))
    strand = made_of[Material.HAIR] | made_of[Material.LASH]
    pick = _picker(made_of)
    roughness = jnp.where(skin, looked_up[3], pick(_ROUGHNESS))
    # The cornea is smoother than the white of the eye.
    roughness = jnp.where(made_of[Material.EYE], 0.20 - 0.12 * iris, roughness)
    return Finish(
        albedo=jnp.moveaxis(worked_out(gate, albedo), 0, -1),
        roughness=jnp.clip(roughness, 0.05, 1.0),
        specular=jnp.where(skin, looked_up[4], pick(_SPECULAR)),
        translucency=pick(_TRANSLUCENCY),
        normal=jnp.moveaxis(normal, 0, -1),
        strand=strand.astype(jnp.float32),
    )


def _picker(made_of: dict[Material, jax.Array]) -> Callable[[tuple[float, ...]], jax.Array]:
    """A function from one number per material to the number of each pixel [H,W]."""

    def pick(values: tuple[float, ...]) -> jax.Array:
        result = jnp.full(made_of[Material.SKIN].shape, values[0], jnp.float32)
        for material in list(Material)[1:]:
            result = jnp.where(made_of[material], values[int(material)], result)
        return result

    return pick


def _strand_shade(detail: jax.Array) -> jax.Array:
    """Brightness [H,W] of hair: darker roots, every lock its own shade, streaks along it."""
    along, across, lock = detail[..., 0], detail[..., 1], detail[..., 2]
    shade = 0.78 + 0.44 * lock
    streak = jnp.sin(across * 29.0 + lock * 40.0 + along * 2.0) + 0.7 * jnp.sin(
        across * 61.0 - lock * 90.0 + along * 3.0
    )
    return shade * (0.72 + 0.28 * jnp.clip(along * 2.5, 0.0, 1.0)) * (1 + 0.16 * streak)


def _weave(detail: jax.Array) -> jax.Array:
    """Brightness [H,W] of cloth: threads and soft unevenness."""
    x, y, z = (detail[..., c] for c in range(3))
    threads = jnp.sin((x + 0.4 * z) * 2600.0) * jnp.sin((y + 0.3 * z) * 2600.0)
    folds = jnp.sin(x * 61.0 + 2.0 * jnp.sin(y * 37.0)) * jnp.sin(y * 53.0 + z * 41.0)
    return 1 + 0.10 * threads + 0.05 * folds
