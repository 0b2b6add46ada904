"""Captures through the renderer: one person in one place, of whom only the face, the poses and the noise change."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.cameras.model import Cameras
from flowface_jax.heads.model import HeadModel, vertices
from flowface_jax.synthesis.appearance import sample_appearance
from flowface_jax.synthesis.assets import make_render_assets
from flowface_jax.synthesis.filming import FilmSettings, Moment, Photographs, Renderer, View
from flowface_jax.synthesis.geometry import Shot
from flowface_jax.synthesis.image.backgrounds import build_background
from flowface_jax.synthesis.image.photography import Photography, sample_photography
from flowface_jax.synthesis.image.settings import sample_background
from flowface_jax.synthesis.randomness import random_key
from flowface_jax.synthesis.render import Picture, render
from flowface_jax.synthesis.sequences import Motion
from flowface_jax.synthesis.skin.texture import build_skin_texture

FINE_PX = 400
"""Pictures with a longer side get four times as many locks of hair."""
SUPERSAMPLED_PX = 2048
"""Pictures with a longer side are sampled once a pixel, others four times."""
_TEXTURE_SIDES = ((128, 256), (FINE_PX, 512))
"""Longest side of a picture, and texels along a side of the skin's texture that suffice for it."""
_FINEST_TEXTURE = 1024


def make_film_renderer(head: HeadModel, motion: Motion, settings: FilmSettings) -> Renderer:
    """A renderer of photographs of a made-up person, dressed and lit.

    The light stays in the room, also where the rig is carried through it. Every camera has a background of its own,
    which stays with it. Exposure and colours are constant. A picture depends on the settings, the moment and its camera
    alone, not on what was drawn before. Raises InputError for a head that cannot be drawn.
    """
    sizes = [(int(width), int(height)) for width, height in np.asarray(motion.cameras.image_size)]
    largest = max(max(size) for size in sizes)
    side = next((side for limit, side in _TEXTURE_SIDES if largest <= limit), _FINEST_TEXTURE)
    supersampling = 2 if largest <= SUPERSAMPLED_PX else 1
    assets = make_render_assets(head, "fine" if largest > FINE_PX else "training", side)
    person_key, camera_key, room_key, noise_key = (jax.random.fold_in(random_key(settings.seed), k) for k in range(4))
    person = _sample_appearance(person_key, float(settings.accessories))
    skin = _build_skin_texture(person.skin, assets.skin)
    neutral = vertices(head, jnp.asarray(motion.identity, jnp.float32), jnp.zeros(0))
    appearances = [
        dataclasses.replace(person, photography=photography)
        for photography in camera_settings(camera_key, len(sizes), settings.photographs)
    ]
    behind = [_sample_room(jax.random.fold_in(room_key, c), size) for c, size in enumerate(sizes)]

    def draw(moment: Moment, cameras: Cameras) -> list[View]:
        views = []
        for c, size in enumerate(sizes):
            noise = jax.random.fold_in(jax.random.fold_in(noise_key, moment.frame), c)
            shot = shot_of(moment, neutral, cameras, c)
            views.append(_view(_render(assets, appearances[c], skin, shot, noise, size, supersampling, behind[c])))
        return views

    return draw


def shot_of(moment: Moment, neutral: jax.Array, cameras: Cameras, camera: int) -> Shot:
    """The moment before one camera. neutral: [V,3] m, the person at rest."""
    turn, shift = (np.asarray(value[camera], np.float64) for value in (cameras.rotation, cameras.translation))

    def seen(rotation: np.ndarray, translation: np.ndarray) -> tuple[jax.Array, jax.Array]:
        return jnp.asarray(turn @ rotation, jnp.float32), jnp.asarray(turn @ translation + shift, jnp.float32)

    head = seen(moment.head_rotation, moment.head_translation)
    torso = seen(moment.torso_rotation, moment.torso_translation)
    room = seen(moment.room_rotation, moment.room_translation)
    return Shot(
        jnp.asarray(moment.vertices, jnp.float32),
        neutral,
        *head,
        *torso,
        *room,
        focal=cameras.focal[camera],
        principal_point=cameras.principal_point[camera],
    )


def camera_settings(key: jax.Array, count: int, photographs: Photographs) -> list[Photography]:
    """Settings of `count` cameras of one make: the exposure is fixed, gains differ by a few per cent."""
    make = sample_photography(key)
    steady = {"metering": 0.0, "motion": (0.0, 0.0), "exposure": jnp.clip(make.exposure, -0.5, 0.5)}
    if photographs == "clean":
        steady |= {
            "exposure": 0.1,
            "white_balance": make.white_balance**0.4,
            "vignette": 0.3 * make.vignette,
            "background_blur": 0.0,
            "focus": 0.15,
            "aberration": 0.0,
            "shot": 0.006,
            "read": 0.0015,
            "blotches": 0.3,
            "noise_colour": 0.5,
            "shoulder": 0.8,
            "gamma": 1.0,
            "contrast": 0.15,
            "black": 0.0,
            "saturation": 1.0,
            "toning": np.zeros((2, 3)),
            "grey": 0.0,
            "sharpening": 0.25,
            "quality": 100.0,
            "video": 0.0,
            "resolution": 1.0,
        }
    make = dataclasses.replace(make, **{name: jnp.asarray(value, jnp.float32) for name, value in steady.items()})
    gains = np.exp(0.02 * np.asarray(jax.random.normal(jax.random.fold_in(key, 1), (count, 4))))
    return [
        dataclasses.replace(
            make,
            exposure=make.exposure + jnp.float32(np.log2(gain[0])),
            white_balance=make.white_balance * jnp.asarray(gain[1:]),
        )
        for gain in gains
    ]


def _view(picture: Picture) -> View:
    """What a capture stores of a picture."""
    truth = picture.truth
    return View(
        image=np.round(255.0 * np.asarray(picture.image)).astype(np.uint8),
        visible=np.asarray(truth.visible),
        depth=np.asarray(truth.depth),
        normals=np.asarray(truth.normals),
        segmentation=np.asarray(truth.segmentation),
    )


_sample_appearance = jax.jit(sample_appearance)
_build_skin_texture = jax.jit(build_skin_texture)
_render = jax.jit(render, static_argnames=("size", "supersampling"))


@functools.partial(jax.jit, static_argnames="size")
def _sample_room(key: jax.Array, size: tuple[int, int]) -> jax.Array:
    """Linear RGB [H,W,3]."""
    return build_background(sample_background(key), size)
