"""From a person's skin parameters to a texture over the atlas."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from flowface_jax.pytrees import pytree_dataclass
from flowface_jax.synthesis.noise import smooth_noise, window, worked_out
from flowface_jax.synthesis.skin.assets import SkinAssets
from flowface_jax.synthesis.skin.make_up import lay_make_up, make_up_layers
from flowface_jax.synthesis.skin.parameters import CREASES, SkinParameters
from flowface_jax.synthesis.skin.pigments import log_skin
from flowface_jax.synthesis.skin.short_hair import hair_height, hair_layers, lay_hair

_CREASE_DEPTH = (0.55, 0.6, 0.45, 0.8, 0.6, 0.5, 0.5)


@pytree_dataclass
class SkinTexture:
    """A person's skin over the atlas, row 0 at the top.

    albedo: [A,A,3] linear reflectance. roughness: [A,A] 0.05 to 1. specular: [A,A] as in `Finish`. relief: [A,A] mm
    that the skin rises above the mesh.
    """

    albedo: jax.Array
    roughness: jax.Array
    specular: jax.Array
    relief: jax.Array

    @property
    def stacked(self) -> jax.Array:
        """[A,A,6]: albedo, roughness, specular, relief, for one look-up."""
        rest = jnp.stack([self.roughness, self.specular, self.relief])
        return jnp.moveaxis(jnp.concatenate([jnp.moveaxis(self.albedo, -1, 0), rest]), 0, -1)


def build_skin_texture(parameters: SkinParameters, assets: SkinAssets) -> SkinTexture:
    """The texture of one person's skin on one head, at the resolution of the assets."""
    side, even = assets.side, assets.masks["even"]
    gate = parameters.age > -1.0
    coarse_key, middle_key, window_key, hair_key = jax.random.split(parameters.seed, 4)
    noises = smooth_noise(coarse_key, side, 9, 3) + smooth_noise(middle_key, side, 30, 2)
    grain = window(assets.grain, window_key, side)
    noises = worked_out(gate, lambda: [noise * even for noise in (*noises, *grain)])
    coarse, middle, (pores, specks, fibres, blotches) = noises[:3], noises[3:5], noises[5:]
    creases = worked_out(gate, lambda: _creases(parameters, assets))
    melanin, blood = worked_out(
        gate, lambda: _pigments(parameters, assets, coarse, middle, pores, specks, blotches, creases)
    )
    shade = worked_out(gate, lambda: _baked_shade(parameters, assets, creases))
    make_up = worked_out(gate, lambda: make_up_layers(parameters, assets, middle[0]))
    hair = worked_out(gate, lambda: hair_layers(parameters, assets, hair_key, fibres, middle[1]))

    def paint() -> list[jax.Array]:
        carotene = parameters.carotene + 0.06 * coarse[2]
        colour = [jnp.exp(channel) * shade for channel in log_skin(melanin, blood, carotene)]
        colour = lay_hair(parameters, hair, lay_make_up(parameters, make_up, colour))
        return [jnp.clip(channel, 0.002, 0.95) for channel in colour]

    def relief() -> jax.Array:
        fine = 0.05 * parameters.pores * pores * (1 - 0.7 * assets.masks["eyelid"]) + 0.02 * parameters.age * fibres
        return fine - creases["depth"] + hair_height(parameters, hair)

    gloss = worked_out(gate, lambda: _gloss(parameters, assets, coarse[2], pores) * (1 - 0.6 * make_up["shadow"]))
    covered = jnp.maximum(jnp.maximum(hair["brow"], hair["beard"]), hair["scalp"])
    return SkinTexture(
        albedo=jnp.moveaxis(jnp.stack(worked_out(gate, paint)), 0, -1),
        roughness=jnp.clip(0.62 - 0.30 * gloss + 0.2 * covered + 0.02 * pores, 0.15, 0.95),
        specular=jnp.clip((0.75 + 0.7 * gloss) * (1 - 0.6 * covered), 0.1, 2.0),
        relief=worked_out(gate, relief),
    )


def _creases(parameters: SkinParameters, assets: SkinAssets) -> dict[str, jax.Array]:
    """All wrinkles together: `depth` mm and `strength` 0 to 1."""
    depth = jnp.zeros(())
    for i, (name, deepest) in enumerate(zip(CREASES, _CREASE_DEPTH, strict=True)):
        depth = depth + assets.wrinkles[name] * (parameters.creases[i] * deepest)
    lips = assets.wrinkles["lips"] * (0.10 + 0.12 * parameters.age)
    return {"depth": depth + lips, "strength": depth + 1.3 * lips}


def _pigments(
    parameters: SkinParameters,
    assets: SkinAssets,
    coarse: list[jax.Array],
    middle: list[jax.Array],
    pores: jax.Array,
    specks: jax.Array,
    blotches: jax.Array,
    creases: dict[str, jax.Array],
) -> tuple[jax.Array, jax.Array]:
    """Melanin and blood at every texel [A,A]."""
    p, masks = parameters, assets.masks
    uneven = (1 - 0.8 * p.foundation) * p.blotches
    dark_spots = specks * (0.30 * p.freckles * masks["freckled"] + 0.05 * p.age) * (1 - 0.55 * p.melanin)
    melanin = p.melanin + uneven * (0.12 * coarse[0] + 0.10 * blotches) + 0.008 * pores + dark_spots
    melanin = melanin + p.shadows * (0.055 * masks["under_eye"] + 0.05 * masks["socket"])
    melanin = melanin + 0.03 * masks["nasolabial"] - 0.02 * masks["forehead"] + _moles(p.moles, assets.side)
    melanin = melanin + (p.lip_melanin - 0.35 * p.melanin**2 * (1 - assets.lip_upper) * 0.5) * masks["lips"]
    blood = p.blood + uneven * (0.6 * coarse[1] + 0.7 * middle[0] + 0.5 * blotches) + 0.02 * pores
    flushed = masks["cheeks"] + 0.9 * masks["nose_tip"] + 1.1 * masks["ears"] + 0.5 * masks["chin"]
    blood = blood + (0.06 + p.flush) * flushed * (1 - 0.6 * p.foundation) + 0.10 * masks["nasolabial"]
    blood = blood + 0.16 * p.shadows * masks["under_eye"] + 0.08 * masks["eyelid"] + 0.12 * creases["strength"]
    vein = jnp.exp(-25.0 * coarse[2] ** 2) * jnp.maximum(masks["eyelid"], masks["under_eye"])
    blood = blood + 0.12 * p.veins * vein + 0.4 * masks["wet_rim"] * (1 - masks["lips"])
    lip = p.lips * (1 + 0.10 * middle[0]) - 0.06 * assets.lip_upper
    return melanin, blood + lip * masks["lips"]


def _moles(moles: jax.Array, side: int) -> jax.Array:
    """Extra melanin [A,A] of moles [MOLES,4]; round spots are products of one-dimensional ones."""
    at = (jnp.arange(side) + 0.5) / side
    width = 1.0 / moles[:, 2:3]
    across = jnp.exp(-(((at - moles[:, 0:1]) * width) ** 2))
    down = jnp.exp(-(((1 - at - moles[:, 1:2]) * width) ** 2)) * moles[:, 3:4]
    return down.T @ across * 0.7


def _baked_shade(parameters: SkinParameters, assets: SkinAssets, creases: dict[str, jax.Array]) -> jax.Array:
    """Share of light [A,A] that reaches places too small for the renderer's own shadows."""
    between_lips = jnp.exp(-((assets.lip_line / 1.1) ** 2)) * assets.masks["lips"]
    # The root of the lashes, and the crease above the upper lid.
    lash_root = jnp.exp(-((assets.eye_distance / 1.0) ** 2)) * (0.25 + 0.55 * assets.eye_above)
    fold = jnp.exp(-(((assets.eye_distance - 6.0) / 2.0) ** 2)) * assets.eye_above
    fold = fold * jnp.exp(-(((assets.eye_along - 0.5) / 0.5) ** 4))
    shade = (1 - 0.55 * between_lips) * (1 - lash_root) * (1 - 0.24 * fold)
    return shade * (1 - 0.93 * assets.masks["nostrils"]) * (1 - jnp.clip(0.30 * creases["strength"], 0, 0.4))


def _gloss(parameters: SkinParameters, assets: SkinAssets, noise: jax.Array, pores: jax.Array) -> jax.Array:
    """How much each texel shines [A,A], 0 to 1."""
    masks = assets.masks
    oily = 0.25 + 0.75 * jnp.clip(masks["t_zone"] + 0.6 * masks["nose_tip"] + 0.3 * masks["cheeks"], 0, 1)
    gloss = parameters.oil * oily * (1 + 0.15 * noise + 0.1 * pores) * (1 - 0.5 * parameters.foundation)
    gloss = gloss + masks["lips"] * (0.25 + 0.9 * parameters.lip_gloss - gloss)
    return gloss + masks["wet_rim"] * 0.6
