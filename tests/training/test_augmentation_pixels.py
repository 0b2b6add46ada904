"""Backgrounds, occluders, colours: each changes what it says and nothing else."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.settings import settings_from
from flowface_jax.synthesis.image.occluders import apply_occluders
from flowface_jax.synthesis.randomness import random_key
from flowface_jax.training.augmentation import (
    PRESETS,
    AugmentationConfig,
    augment,
    augmentation_preset,
    made_up_pictures,
    photometric,
    plain_crops,
)
from flowface_jax.training.augmentation.background import clouds
from flowface_jax.training.augmentation.colour import gaussian_noise
from flowface_jax.training.augmentation.occlusion import occlude, sample_face_occluders
from tests.training.marked_samples import BACKGROUND_COLOUR, HEAD_COLOUR, dotted_samples, heads, measured

pytestmark = pytest.mark.usefixtures("quick_compilation_of_module")
NONE = augmentation_preset("none")
SIDE, SIZE = 60, 48
KEY = jax.random.key(5)
KEYS = jax.random.split(KEY, 64)
BLUE = jnp.zeros((2, 8, 8, 3), jnp.uint8).at[..., 2].set(150)
CAMERA = dataclasses.replace(
    NONE,
    colour_probability=1.0,
    noise_probability=1.0,
    blur_probability=1.0,
    coarse_probability=1.0,
    compression_probability=1.0,
)


def test_backgrounds_are_replaced_outside_the_head_alone():
    samples = heads(3, SIDE)
    config = dataclasses.replace(NONE, background_probability=1.0)
    plain = np.asarray(plain_crops(samples, SIZE).image)
    replaced = np.asarray(augment(KEY, samples, config, BLUE, SIZE).image)
    centres = np.arange(SIZE) + 0.5 - SIZE / 2
    # The disc's radius in the stored picture, and px of the crop per stored px.
    distance = np.hypot(centres[:, None], centres[None]) - 0.31 * SIDE * SIZE / (SIDE / 1.5)
    outside, inside = distance > 1, distance < -3
    assert outside.sum() > 50
    assert np.array_equal(replaced[:, inside], plain[:, inside])
    assert replaced[:, outside][..., :2].max() == 0 and replaced[:, outside][..., 2].min() > 0.2
    # Along the seam no old background shows: green comes from the head's colour only.
    assert replaced[..., 1].max() <= HEAD_COLOUR[1] / 255 + 0.1 < BACKGROUND_COLOUR[1] / 255


def test_where_the_head_is_not_known_the_background_stays():
    samples = heads(3, SIDE, known=False)
    config = dataclasses.replace(NONE, background_probability=1.0)
    assert np.array_equal(augment(KEY, samples, config, BLUE, SIZE).image, plain_crops(samples, SIZE).image)


def test_backgrounds_are_made_up_without_pictures():
    picture = np.asarray(jax.jit(clouds, static_argnums=1)(random_key(5), 32))
    assert picture.shape == (3, 32, 32) and picture.min() >= 0 and picture.max() <= 1 and picture.std() > 0.05


@pytest.mark.thorough
def test_a_bank_of_surroundings_can_be_made_up():
    pictures = np.asarray(made_up_pictures(KEY, 3, 16))
    assert pictures.shape == (3, 16, 16, 3) and pictures.dtype == np.uint8
    assert (pictures.std((1, 2)).max(-1) > 2).all() and np.ptp(pictures.mean((1, 2)), axis=0).max() > 10


@pytest.fixture(scope="module")
def occluders():
    config = augmentation_preset("paper")
    box = jnp.asarray([10.0, 20.0, 110.0, 140.0])
    sample = lambda key: sample_face_occluders(key, box, 1.0, None, config)
    return jax.jit(lambda keys: jax.lax.map(sample, keys))(jax.random.split(KEY, 300)), config, np.asarray(box)


def test_random_shapes_keep_to_the_configured_sizes_and_opacities(occluders):
    shapes, config, box = occluders[0].shapes, occluders[1], occluders[2]
    present = np.asarray(shapes.opacity) > 0
    area = (2 * np.asarray(shapes.radius)[present]) ** 2 / ((box[2] - box[0]) * (box[3] - box[1]))
    assert area.min() >= config.smallest_shape - 1e-4 and area.max() <= config.largest_shape + 1e-4
    assert area.min() < 0.6 and area.max() > 0.9
    centres = np.asarray(shapes.centre)[present]
    assert (centres >= box[:2]).all() and (centres <= box[2:]).all()
    opacity = np.asarray(shapes.opacity)[present]
    clear = opacity < 1
    assert opacity[clear].min() >= config.lowest_opacity and opacity[clear].max() <= config.highest_opacity
    assert abs(clear.mean() - config.see_through_probability) < 0.1
    assert abs(present[:, 1].mean() - config.second_shape_probability) < 0.1 and present[:, 0].all()
    # The paper's kinds of occlusion have neither hands nor things.
    assert np.asarray(occluders[0].sticks.radii).max() == 0


def test_soft_shadows_have_no_edges(occluders):
    one = jax.tree.map(lambda values: values[0], occluders[0])
    dark = dataclasses.replace(
        one.shapes,
        opacity=jnp.asarray([0.6, 0.0]),
        centre=jnp.full((2, 2), 24.0),
        radius=jnp.full(2, 12.0),
        swatch=jnp.zeros_like(one.shapes.swatch),
    )

    @jax.jit
    def steepest(softness):
        shaded = dataclasses.replace(one, shapes=dataclasses.replace(dark, softness=jnp.stack([softness, 0.0])))
        light, hidden = apply_occluders(jnp.ones((SIZE, SIZE, 3)), shaded)
        return jnp.abs(jnp.diff(light[..., 0])).max(), light.min(), hidden.max()

    sharp, darkest, hidden = steepest(jnp.float32(0.0))
    soft, shaded, _ = steepest(jnp.float32(4.0))
    assert sharp > 0.2 and soft < 0.1
    assert np.isclose(darkest, 0.4, atol=0.02) and shaded < 0.9
    assert hidden == 0


def test_the_share_of_occluded_faces_and_of_hidden_pixels():
    config = dataclasses.replace(
        NONE, occlusion_probability=0.5, see_through_probability=0.0, smallest_shape=0.3, largest_shape=0.3
    )
    box = jnp.asarray([8.0, 8.0, 40.0, 40.0])
    image = jnp.full((3, SIZE, SIZE), 0.5)
    hide = lambda key: occlude(key, image, box, None, config)
    hidden = np.asarray(jax.jit(lambda keys: jax.lax.map(hide, keys))(KEYS))
    changed = (np.abs(hidden - 0.5).max(1) > 0.02).mean((1, 2)) * SIZE**2 / 32**2
    assert 0.3 < (changed > 0.005).mean() < 0.7
    # The shape lies in its square, with an edge as wide as two pixels.
    assert changed.max() <= (np.sqrt(0.3) + 4 / 32) ** 2
    assert 0.05 < changed[changed > 0.005].mean() < 0.3


@pytest.fixture(scope="module")
def random_images():
    return np.random.default_rng(0).uniform(size=(4, 32, 32, 3)).astype(np.float32)


GREY = dataclasses.replace(CAMERA, grey_probability=1.0)


def test_grey_pictures_are_grey_whatever_else_is_changed(random_images):
    grey = np.asarray(photometric(KEYS[:4], random_images, GREY))
    assert np.ptp(grey, axis=-1).max() < 1e-5 and grey.std((1, 2, 3)).min() > 0.02


def test_a_picture_is_photographed_the_same_in_any_batch(random_images):
    whole = photometric(KEYS[:4], random_images, GREY)
    assert np.array_equal(photometric(KEYS[3::-1], random_images[::-1], GREY), whole[::-1])
    assert np.ptp(np.asarray(photometric(KEYS[:4], random_images[[0] * 4], GREY)), axis=0).mean() > 0.1
    assert np.array_equal(photometric(KEYS[:4], random_images, NONE), random_images)


def test_the_camera_moves_nothing_and_stays_between_black_and_white():
    samples = dotted_samples(4, 120, spread=2.0)
    plain = plain_crops(samples, 128)
    seen = np.asarray(photometric(KEYS[:4], plain.image, dataclasses.replace(CAMERA, noise_probability=0.0)))
    assert np.isfinite(seen).all() and seen.min() >= 0 and seen.max() <= 1
    for image, points in zip(seen, np.asarray(plain.points), strict=True):
        light = image.mean(-1)
        found, inside = measured(np.maximum(light - np.median(light) - 0.02, 0), points, reach=9)
        assert inside.sum() > 3 and np.abs(found - points[inside]).max() < 0.3


def test_noise_is_nearly_gaussian():
    noise = np.asarray(gaussian_noise(KEY, (100, 1000)))
    assert abs(noise.mean()) < 0.02 and abs(noise.std() - 1) < 0.01
    for limit, share in ((1, 0.683), (2, 0.954)):
        assert abs((np.abs(noise) < limit).mean() - share) < 0.02


def test_settings_are_checked_and_presets_known():
    assert augmentation_preset("wild") == AugmentationConfig()
    assert all(isinstance(augmentation_preset(name), AugmentationConfig) for name in PRESETS)
    assert settings_from(AugmentationConfig, {"rotation": "30"}, "augmentation").rotation == 30.0
    for wrong, message in (
        ({"grey_probability": 1.5}, "grey_probability"),
        ({"noise": -0.1}, "noise"),
        ({"smallest_shape": 2.0}, "smallest_shape ≤ largest_shape"),
        ({"highest_opacity": 1.5}, "highest_opacity ≤ 1"),
        ({"outside": "mirror"}, "border, black"),
        ({"scale": 1.0}, "scale"),
        ({"bend": 0.6}, "bend: expected at most 0.5"),
        ({"coarsest": 0.0}, "coarsest"),
        ({"lowest_quality": 99.0}, "lowest_quality"),
    ):
        with pytest.raises(InputError, match=message):
            AugmentationConfig(**wrong)
    with pytest.raises(InputError, match="wild, paper, none"):
        augmentation_preset("tame")
