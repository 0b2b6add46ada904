import cv2
import jax
import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.synthesis.image.backgrounds import background_from_bank, build_background
from flowface_jax.synthesis.image.banks import load_background_bank
from flowface_jax.synthesis.image.settings import sample_background

KEYS = jax.random.split(jax.random.key(0), 200)


def write(path, colour, size=(20, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((*size, 3), colour[::-1], np.uint8))


def test_surroundings_are_finite_light_and_all_different():
    build = jax.jit(lambda keys: jax.lax.map(lambda key: build_background(sample_background(key), 24), keys))
    images = np.asarray(build(KEYS))
    assert images.shape == (200, 24, 24, 3) and np.isfinite(images).all() and images.min() >= 0
    assert len(np.unique(images.mean((1, 2, 3)).round(7))) > 190
    assert images.tobytes() == np.asarray(build(KEYS)).tobytes()


@pytest.mark.parametrize("size", [(1, 1), (7, 5)])
def test_any_size_can_be_built(size):
    image = jax.jit(lambda key: build_background(sample_background(key), size))(KEYS[0])
    assert image.shape == (size[1], size[0], 3) and np.isfinite(image).all()


def test_a_larger_picture_shows_the_same_place():
    builds = jax.jit(lambda key: [build_background(sample_background(key), size) for size in (32, 64)])
    small, large = (np.asarray(image) for image in builds(KEYS[5]))
    again = large.reshape(32, 2, 32, 2, 3).mean((1, 3))
    assert np.abs(small - again).mean() < 0.1 * large.mean()


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
