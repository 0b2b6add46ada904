import cv2
import jax
import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.synthesis.image.backgrounds import background_from_bank, build_background
from flowface_jax.synthesis.image.banks import load_background_bank
from flowface_jax.synthesis.image.settings import sample_background
from flowface_jax.synthesis.randomness import random_key

COUNT = 100
KEYS = jax.random.split(random_key(0), COUNT)


def write(path, colour, size=(20, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((*size, 3), colour[::-1], np.uint8))


@pytest.fixture(scope="module")
def surroundings():
    """Sampled surroundings, stacked."""
    return jax.jit(jax.vmap(sample_background))(KEYS)


build_all = jax.jit(
    lambda settings, side: jax.lax.map(lambda one: build_background(one, side), settings), static_argnums=1
)


def test_surroundings_are_finite_light_and_all_different(surroundings):
    images = np.asarray(build_all(surroundings, 24))
    assert images.shape == (COUNT, 24, 24, 3) and np.isfinite(images).all() and images.min() >= 0
    assert len(np.unique(images.mean((1, 2, 3)).round(7))) > 0.95 * COUNT
    assert images.tobytes() == np.asarray(build_all(surroundings, 24)).tobytes()


def test_a_larger_picture_shows_the_same_place(surroundings):
    small, large = (np.asarray(build_all(surroundings, side)) for side in (24, 48))
    coarse = small.reshape(COUNT, 6, 4, 6, 4, 3).mean((2, 4))
    difference = np.abs(coarse - large.reshape(COUNT, 6, 8, 6, 8, 3).mean((2, 4))).mean((1, 2, 3))
    assert np.median(difference / coarse.mean((1, 2, 3))) < 0.1
    assert np.median(np.abs(coarse - coarse[::-1]).mean((1, 2, 3)) / coarse.mean((1, 2, 3))) > 0.4


@pytest.mark.parametrize("size", [(1, 1), (7, 5)])
def test_any_size_can_be_built(surroundings, size):
    image = jax.jit(build_background, static_argnums=1)(jax.tree.map(lambda leaf: leaf[0], surroundings), size)
    assert image.shape == (size[1], size[0], 3) and np.isfinite(image).all()


def test_a_texture_data_set_is_read_by_class_and_by_its_lists(tmp_path):
    write(tmp_path / "images" / "banded" / "banded_0001.jpg", (200, 10, 10))
    write(tmp_path / "images" / "dotted" / "dotted_0001.jpg", (10, 200, 10))
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "train1.txt").write_text("dotted/dotted_0001.jpg\n")
    bank = load_background_bank(tmp_path, side=8)
    assert bank.shape == (2, 8, 8, 3) and bank.dtype == np.uint8
    assert bank[0, ..., 0].mean() > 180 and bank[1, ..., 1].mean() > 180
    assert load_background_bank(tmp_path, side=8, split="train1")[0, ..., 1].mean() > 180
    with pytest.raises(InputError, match="train2"):
        load_background_bank(tmp_path, side=8, split="train2")


def test_a_damaged_file_is_skipped_and_the_limit_holds(tmp_path, caplog):
    for index in range(6):
        write(tmp_path / "a" / "b" / f"{index}.png", (index, index, index))
    (tmp_path / "a" / "0bad.png").write_bytes(b"nothing")
    assert load_background_bank(tmp_path, side=4).shape[0] == 6
    assert "0bad.png" in caplog.text
    assert load_background_bank(tmp_path, side=4, limit=3).shape[0] <= 3


def test_an_empty_or_missing_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="found none"):
        load_background_bank(tmp_path)
    with pytest.raises(InputError, match="found none"):
        load_background_bank(tmp_path / "absent")


def test_the_bank_gives_varied_cuts_of_its_pictures():
    bank = np.random.default_rng(0).integers(0, 255, (3, 16, 16, 3), dtype=np.uint8)
    cuts = jax.jit(jax.vmap(lambda key: background_from_bank(key, jax.numpy.asarray(bank), (20, 12))))(KEYS[:8])
    assert cuts.shape == (8, 12, 20, 3) and np.isfinite(cuts).all()
    assert np.asarray(cuts).std(0).mean() > 0.01
