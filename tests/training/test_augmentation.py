"""Training crops out of stored samples: everything moves together, nothing depends on the batch."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.conventions import BOX_MARGIN
from flowface_jax.training.augmentation import AugmentationConfig, augment, augmentation_preset, plain_crops
from tests.training.marked_samples import dotted_samples, heads, measured

pytestmark = pytest.mark.usefixtures("quick_compilation_of_module")
NONE = augmentation_preset("none")
MOVED = dataclasses.replace(NONE, scale=0.2, shift=0.1, rotation=25.0)
EVERYTHING = dataclasses.replace(
    AugmentationConfig(),
    **{f.name: 1.0 for f in dataclasses.fields(AugmentationConfig) if f.name.endswith("_probability")}
    | {"grey_probability": 0.5, "held_probability": 0.4, "see_through_probability": 0.5},
)
BENT = dataclasses.replace(MOVED, bend=0.5)
SIMPLE = dataclasses.replace(MOVED, background_probability=0.5, noise_probability=0.5, colour_probability=0.5)
SIDE, SIZE = 60, 48
PICTURES = jnp.asarray(np.random.default_rng(2).integers(0, 256, (4, 40, 40, 3)).astype(np.uint8))
KEY = jax.random.key(3)


@pytest.fixture(scope="module")
def changed():
    """Eight samples with every kind of change."""
    return augment(KEY, heads(8, SIDE, texture=True), EVERYTHING, PICTURES, SIZE)


@pytest.mark.parametrize("config", [NONE, MOVED, BENT], ids=["plain", "moved", "bent"])
@pytest.mark.parametrize("side", [160, 470], ids=["enlarged", "shrunk"])
def test_points_land_where_the_marks_land(config, side):
    samples = dotted_samples(4, side, spread=side / 90)
    crops = augment(KEY, samples, config, None, 128)
    errors = []
    for image, points in zip(np.asarray(crops.image), np.asarray(crops.points), strict=True):
        found, inside = measured(image[..., 0], points, reach=8)
        errors.append(np.abs(found - points[inside]))
    errors = np.concatenate(errors)
    assert len(errors) > 20
    assert errors.max() < 0.1


def test_a_bent_crop_has_other_proportions_and_folds_nowhere():
    grid = np.stack(np.meshgrid(*2 * (np.linspace(20.0, 70.0, 26),)), -1).astype(np.float32)
    samples = heads(32, 90)
    points = jnp.tile(jnp.asarray(grid.reshape(1, -1, 2)), (32, 1, 1))
    samples = dataclasses.replace(samples, points=points, known=jnp.ones(points.shape[:2], bool))
    crops = augment(KEY, samples, dataclasses.replace(NONE, bend=0.5), None, 90)
    plain = plain_crops(samples, 90)
    step = np.asarray(plain.points)[0, 1, 0] - np.asarray(plain.points)[0, 0, 0]
    across = np.diff(np.asarray(crops.points).reshape(32, 26, 26, 2), axis=2)[..., 0] / step
    assert across.min() > 1 / 1.5 - 1e-3 and across.max() < 1 / 0.5 + 1e-3
    assert across.min() < 0.9 and across.max() > 1.1
    assert len(np.unique(np.asarray(crops.image).sum((1, 2, 3)))) == 32


def test_moved_faces_keep_their_place_within_the_jitter():
    samples = heads(64, 24)
    corners = np.tile(np.asarray([[12.0, 12.0]], np.float32), (64, 1, 1))
    samples = dataclasses.replace(samples, points=corners, known=np.ones((64, 1), bool))
    middle = np.asarray(augment(KEY, samples, MOVED, None, 20).points)[:, 0] / 20
    assert np.abs(middle - 0.5).max() <= MOVED.shift + 1e-5
    assert np.abs(middle - 0.5).max() > 0.5 * MOVED.shift


def test_without_changes_it_is_the_plain_crop_to_the_bit():
    samples = heads(3, SIDE, texture=True)
    plain, same = plain_crops(samples, SIZE), augment(KEY, samples, NONE, PICTURES, SIZE)
    for one, other in zip(jax.tree.leaves(plain), jax.tree.leaves(same), strict=True):
        assert np.array_equal(one, other)
    assert plain.image.shape == (3, SIZE, SIZE, 3) and plain.image.dtype == jnp.float32
    assert np.array_equal(plain.known, samples.known)


def test_the_plain_crop_is_the_face_box_enlarged_by_a_fifth():
    samples = heads(1, SIDE)
    box = samples.face_box[0]
    samples = dataclasses.replace(samples, points=box.reshape(1, 2, 2), known=np.ones((1, 2), bool))
    low, high = np.asarray(plain_crops(samples, SIZE).points)[0]
    assert np.allclose((low + high) / 2, SIZE / 2, atol=1e-4)
    assert np.isclose((high - low).max(), SIZE / BOX_MARGIN, atol=1e-3)


def test_a_samples_crop_does_not_depend_on_its_batch(changed):
    samples = heads(8, SIDE, texture=True)
    backwards = jax.tree.map(lambda values: values[::-1], samples)
    again = jax.tree.map(lambda values: values[::-1], augment(KEY, backwards, EVERYTHING, PICTURES, SIZE))
    assert np.array_equal(again.image, changed.image) and np.array_equal(again.points, changed.points)


def test_keys_and_numbers_change_the_crop(changed):
    samples = heads(8, SIDE, texture=True)
    others = augment(jax.random.key(4), samples, EVERYTHING, PICTURES, SIZE)
    renumbered = dataclasses.replace(samples, index=samples.index + 8)
    for crops in (others, augment(KEY, renumbered, EVERYTHING, PICTURES, SIZE)):
        assert (np.abs(np.asarray(crops.points - changed.points)).max((1, 2)) > 0.1).all()
        assert (np.abs(np.asarray(crops.image - changed.image)).mean((1, 2, 3)) > 0.01).all()


def test_crops_are_finite_and_within_black_and_white(changed):
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(changed))
    assert changed.image.min() >= 0 and changed.image.max() <= 1
    assert np.asarray(changed.image).std((1, 2, 3)).min() > 0.01


@pytest.mark.parametrize(
    "config",
    [SIMPLE, pytest.param(EVERYTHING, marks=pytest.mark.thorough)],
    ids=["simple", "everything"],
)
def test_all_at_once_agrees_with_one_by_one(config):
    """Accelerators work on the whole batch at once, CPUs on one sample after the other."""
    samples = heads(4, SIDE, texture=True)
    alone = jax.tree.map(lambda values: values[:, None], samples)
    together = jax.vmap(lambda sample: augment(KEY, sample, config, PICTURES, SIZE))(alone)
    in_turn = augment(KEY, samples, config, PICTURES, SIZE)
    assert np.allclose(together.points[:, 0], in_turn.points, atol=1e-3)
    # Rounding in compressed pictures may turn a difference in the last digit into one level of a few pixels.
    difference = np.abs(np.asarray(together.image[:, 0] - in_turn.image))
    assert difference.mean() < 1e-3 and (difference > 0.02).mean() < 1e-2


def test_what_lies_beyond_the_picture():
    """A face at the edge of what is stored: its border is repeated, or black, or new background."""
    samples = heads(1, SIDE, known=False)
    samples = dataclasses.replace(samples, face_box=samples.face_box - np.float32(SIDE / 2))
    beyond = np.s_[0, : SIZE // 4, : SIZE // 4]
    border = np.asarray(augment(KEY, samples, NONE, None, SIZE).image)[beyond]
    assert np.allclose(border, samples.image[0, 0, 0] / 255, atol=1e-6)
    turned = dataclasses.replace(NONE, outside="black")
    assert augment(KEY, samples, turned, None, SIZE).image[beyond].max() == 0
    known = dataclasses.replace(samples, foreground=samples.foreground.copy())
    known.foreground[0, -1, -1] = 0
    blue = jnp.zeros((1, 8, 8, 3), jnp.uint8).at[..., 2].set(200)
    replaced = np.asarray(augment(KEY, known, dataclasses.replace(NONE, background_probability=1.0), blue, SIZE).image)
    assert replaced[beyond][..., :2].max() == 0 and replaced[beyond][..., 2].min() > 0.2
