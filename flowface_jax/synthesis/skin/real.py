"""Skin unwrapped from real videos, given another tone and completed by made-up skin."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from flowface_jax.synthesis.noise import smooth_noise
from flowface_jax.synthesis.skin.assets import SkinAssets
from flowface_jax.synthesis.skin.pigments import nearest_skin
from flowface_jax.synthesis.skin.texture import SkinTexture

_FLOOR = 2e-3


def mix_real_texture(
    key: jax.Array,
    procedural: SkinTexture,
    albedo_bank: jax.Array,
    confidence_bank: jax.Array,
    assets: SkinAssets,
    *,
    mixed_share: float = 0.5,
) -> SkinTexture:
    """A made-up skin whose colours come from real people wherever those were seen.

    procedural: the made-up skin, whose tone the real one moves towards and which fills what was not seen.
    albedo_bank: [N,A,A,3] linear. confidence_bank: [N,A,A] in [0,1]. mixed_share: how often two people are mixed,
    smoothly over the face. Both textures are brought to one natural tone between theirs (`pigments.nearest_skin`
    removes colour casts), so that scalp, neck and face meet without a seam. Roughness, gloss and relief stay the
    made-up skin's.
    """
    choice_key, noise_key, tone_key = jax.random.split(key, 3)
    u = jax.random.uniform(choice_key, (3,))
    ids = jnp.minimum((u[:2] * albedo_bank.shape[0]).astype(jnp.int32), albedo_bank.shape[0] - 1)
    tones = [_tone(albedo_bank[i], confidence_bank[i], assets.probe) for i in ids]
    first, second = (
        jnp.log(jnp.clip(albedo_bank[i], _FLOOR, 1.0)) - jnp.log(t) for i, t in zip(ids, tones, strict=True)
    )
    noise = smooth_noise(noise_key, assets.side, 5)[0]
    share = jnp.where(u[2] < mixed_share, jax.nn.sigmoid(3.0 * noise), 0.0)[..., None]
    confidence = (1 - share[..., 0]) * confidence_bank[ids[0]] + share[..., 0] * confidence_bank[ids[1]]
    made_up_tone = _tone(procedural.albedo, jnp.ones_like(confidence), assets.probe)
    keep = jax.random.uniform(tone_key, ())
    tone = jnp.exp(keep * jnp.log(nearest_skin(tones[0])) + (1 - keep) * jnp.log(made_up_tone))
    return _worn(procedural, jnp.exp(first + share * (second - first)) * tone, confidence, tone, assets)


def wear_real_texture(
    procedural: SkinTexture, albedo: jax.Array, confidence: jax.Array, assets: SkinAssets
) -> SkinTexture:
    """One person's real skin, albedo [A,A,3] linear, in its own colours wherever it was seen (confidence [A,A]).

    The made-up skin, brought to the real one's tone, completes it and gives roughness, gloss and relief.
    """
    return _worn(procedural, albedo, confidence, _tone(albedo, confidence, assets.probe), assets)


def _worn(
    procedural: SkinTexture, real: jax.Array, confidence: jax.Array, tone: jax.Array, assets: SkinAssets
) -> SkinTexture:
    """Real colours [A,A,3] of a tone [3] over a made-up skin that is brought to that tone."""
    own = _tone(procedural.albedo, jnp.ones_like(confidence), assets.probe)
    made_up = procedural.albedo * tone / own
    weight = (confidence * assets.masks["even"])[..., None]
    return SkinTexture(
        albedo=jnp.clip(made_up + weight * (real - made_up), _FLOOR, 0.95),
        roughness=procedural.roughness,
        specular=procedural.specular,
        relief=procedural.relief,
    )


def _tone(albedo: jax.Array, confidence: jax.Array, probe: jax.Array) -> jax.Array:
    """Mean colour [3] of the plain skin that was seen in a texture [A,A,3]."""
    weight = probe * confidence + 1e-9 * probe
    return jnp.clip(jnp.einsum("ijc,ij->c", albedo, weight) / weight.sum(), _FLOOR, 1.0)
