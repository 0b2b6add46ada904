"""Training crops: pictures of made-up people as the network sees faces, a function of seed and index alone."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from flowface_jax.errors import InputError
from flowface_jax.heads.model import vertices
from flowface_jax.pytrees import pytree_dataclass
from flowface_jax.synthesis.appearance import Appearance, sample_appearance
from flowface_jax.synthesis.assets import RenderAssets
from flowface_jax.synthesis.geometry import Shot
from flowface_jax.synthesis.image.backgrounds import background_from_bank, build_background
from flowface_jax.synthesis.image.obstacles import sample_occluders
from flowface_jax.synthesis.people import Face, HeadPose, sample_face, sample_head_pose, torso_translation
from flowface_jax.synthesis.randomness import random_key
from flowface_jax.synthesis.render import Picture, render
from flowface_jax.synthesis.skin.real import mix_real_texture
from flowface_jax.synthesis.skin.texture import build_skin_texture
from flowface_jax.synthesis.viewpoints import Viewpoint, crop_camera, sample_viewpoint

REAL_BACKGROUNDS, REAL_SKINS = 0.5, 0.6
"""Shares of crops before a picture of the bank, and with the skin of real people, where there are any."""
SMALLEST, LARGEST = 16, 4096
"""Px; sides of a crop."""
FACE_CENTRE = (0.0, 0.0, 0.06)
"""Metres, in the head's frame: the point that a viewpoint looks at."""


@pytree_dataclass
class Sitting:
    """Everything about one crop but the pixels. The keys: of the box's jitter,
    of what hides the face, of the picture behind it, of real skin, of the sensor's noise."""

    face: Face
    pose: HeadPose
    viewpoint: Viewpoint
    appearance: Appearance
    crop_key: jax.Array
    occluder_key: jax.Array
    background_key: jax.Array
    skin_key: jax.Array
    noise_key: jax.Array


def sample_sitting(key: jax.Array, assets: RenderAssets) -> Sitting:
    """Draw a person, what their face does, how it is lit, and from where it is photographed."""
    keys = jax.random.split(key, 9)
    pose, viewpoint = sample_head_pose(keys[0]), sample_viewpoint(keys[1])
    camera = -viewpoint.rotation.T @ viewpoint.translation
    return Sitting(
        face=sample_face(keys[2], assets.people, pose.rotation.T @ camera),
        pose=pose,
        viewpoint=viewpoint,
        appearance=sample_appearance(keys[3]),
        crop_key=keys[4],
        occluder_key=keys[5],
        background_key=keys[6],
        skin_key=keys[7],
        noise_key=keys[8],
    )


def shot_of(
    sitting: Sitting,
    posed: jax.Array,
    neutral: jax.Array,
    assets: RenderAssets,
    size: int,
    margin: float | None = None,
) -> tuple[Shot, jax.Array]:
    """The crop's camera before the posed head, vertices [V,3] m in the head's frame, and the face's box
    [4] px in it. margin: see `crops`."""
    pose, viewpoint = sitting.pose, sitting.viewpoint
    with jax.default_matmul_precision("highest"):
        placed = -pose.rotation @ jnp.asarray(FACE_CENTRE)
        torso = torso_translation(pose.rotation, placed, pose.torso_rotation, assets.people.neck)
        to_camera = viewpoint.rotation @ pose.rotation
        translation = viewpoint.rotation @ placed + viewpoint.translation
        face = assets.head.regions["face"]
        seen = posed @ to_camera.T + translation
        # The box is that of the face's vertices: the others are moved to where they change nothing.
        seen = jnp.where(face[:, None], seen, seen[jnp.argmax(face)])
        taken = (seen, viewpoint.focal, viewpoint.principal_point, viewpoint.image_size, size)
        crop = crop_camera(*taken, sitting.crop_key) if margin is None else crop_camera(*taken, margin=margin)
        room = crop.roll @ viewpoint.rotation
        shot = Shot(
            vertices=posed,
            neutral=neutral,
            rotation=crop.roll @ to_camera,
            translation=crop.roll @ translation,
            torso_rotation=room @ pose.torso_rotation,
            torso_translation=room @ torso + crop.roll @ viewpoint.translation,
            room_rotation=room,
            room_translation=crop.roll @ viewpoint.translation,
            focal=crop.focal,
            principal_point=crop.principal_point,
        )
        return shot, crop.face_box


@pytree_dataclass
class RealPictures:
    """What crops may borrow from real pictures, besides what is made up; None for what there is not.

    backgrounds: [N,B,B,3] uint8, see `image.banks.load_background_bank`. albedo: [M,A,A,3] linear and confidence:
    [M,A,A], skins of real people at the assets' texture side, see `textures.load_texture_bank`.
    """

    backgrounds: jax.Array | None = None
    albedo: jax.Array | None = None
    confidence: jax.Array | None = None


def crops(
    assets: RenderAssets,
    seed: jax.Array | int,
    first: jax.Array | int,
    count: int,
    size: int = 256,
    supersampling: int = 1,
    real: RealPictures | None = None,
    margin: float | None = None,
) -> Picture:
    """Crops first … first + count − 1 of an endless collection: the same seed and index give the same picture.

    size: px, 16 to 4096. margin: side of the crop to the longer side of the face's box, for crops that are cut and
    turned later; None: the network's own crops, with the errors of a detector. Returns a batched `Picture`: images
    [count,size,size,3] and their truth. Compiled once per count, size, supersampling and margin (a minute or more on a
    CPU); usable inside jit. Raises InputError for other sizes, and for real skins of another side than the assets'.
    """
    if not (isinstance(size, int) and SMALLEST <= size <= LARGEST):
        raise InputError(f"size: expected {SMALLEST} to {LARGEST} px, found {size}")
    if real is not None and real.albedo is not None and real.albedo.shape[1] != assets.skin.side:
        raise InputError(
            f"expected real skins of {assets.skin.side} texels a side, as the assets', found {real.albedo.shape[1]}; "
            "load the bank with that side"
        )
    return _crops(assets, seed, first, count, size, supersampling, real, margin)


@functools.partial(jax.jit, static_argnames=("count", "size", "supersampling", "margin"))
def _crops(
    assets: RenderAssets,
    seed: jax.Array | int,
    first: jax.Array | int,
    count: int,
    size: int,
    supersampling: int,
    real: RealPictures | None,
    margin: float | None,
) -> Picture:
    """The pictures of `crops`."""
    indices = jnp.asarray(first, jnp.uint32) + jnp.arange(count, dtype=jnp.uint32)
    keys = jax.vmap(lambda index: jax.random.fold_in(random_key(seed), index))(indices)
    sittings = jax.vmap(sample_sitting, in_axes=(0, None))(keys, assets)
    # One matrix product for the whole batch: the bases of a large head are read from memory once.
    posed = jax.vmap(lambda face: vertices(assets.head, face.identity, face.expression, face.joint_rotations))(
        sittings.face
    )
    neutral = jax.vmap(lambda face: vertices(assets.head, face.identity, jnp.zeros(0)))(sittings.face)

    def one(arguments: tuple[Sitting, jax.Array, jax.Array]) -> Picture:
        return photograph_sitting(*arguments, assets, size, supersampling, real, margin)

    return jax.lax.map(one, (sittings, posed, neutral))


def photograph_sitting(
    sitting: Sitting,
    posed: jax.Array,
    neutral: jax.Array,
    assets: RenderAssets,
    size: int,
    supersampling: int = 1,
    real: RealPictures | None = None,
    margin: float | None = None,
) -> Picture:
    """One crop of a sitting whose head is posed as vertices [V,3] and neutral [V,3] m at rest."""
    real = real or RealPictures()
    skin = build_skin_texture(sitting.appearance.skin, assets.skin)
    if real.albedo is not None and real.confidence is not None:
        borrowed = mix_real_texture(sitting.skin_key, skin, real.albedo, real.confidence, assets.skin)
        use = jax.random.bernoulli(sitting.skin_key, REAL_SKINS)
        skin = jax.tree.map(lambda theirs, own: jnp.where(use, theirs, own), borrowed, skin)
    shot, face_box = shot_of(sitting, posed, neutral, assets, size, margin)
    behind = None
    if real.backgrounds is not None:
        drawn = build_background(sitting.appearance.background, size)
        use = jax.random.bernoulli(sitting.background_key, REAL_BACKGROUNDS)
        behind = jnp.where(use, background_from_bank(sitting.background_key, real.backgrounds, size), drawn)
    occluders = sample_occluders(sitting.occluder_key, face_box, real.backgrounds)
    return render(
        assets, sitting.appearance, skin, shot, sitting.noise_key, (size, size), supersampling, behind, occluders
    )
