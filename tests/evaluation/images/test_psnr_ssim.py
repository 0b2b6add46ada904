"""PSNR, SSIM and MS-SSIM."""

from __future__ import annotations

import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.evaluation.images import ms_ssim, psnr, ssim
from tests.evaluation.images.pictures import blurred, noisy, picture


def test_psnr_is_the_mean_square_in_decibels():
    images = np.full((2, 8, 8, 3), 0.5, np.float32)
    worse = images.copy()
    worse[0] += 0.1
    np.testing.assert_allclose(psnr(worse, images)[0], 20, rtol=1e-5)
    assert psnr(worse, images)[1] == np.inf
    eight_bits = np.full((4, 4, 3), 100, np.uint8)
    assert psnr(eight_bits + 1, eight_bits)[0] == pytest.approx(20 * np.log10(255))


def test_psnr_counts_only_the_mask():
    images = np.zeros((1, 4, 4, 3), np.float32)
    worse = images.copy()
    worse[0, 0, 0] = 0.1
    mask = np.zeros((4, 4), bool)
    mask[0, :2] = True
    np.testing.assert_allclose(psnr(worse, images, mask), 10 * np.log10(2 / 0.01), rtol=1e-5)
    with pytest.raises(InputError, match="empty"):
        psnr(worse, images, np.zeros((4, 4), bool))
    with pytest.raises(InputError, match="mask"):
        psnr(worse, images, np.ones((5, 4), bool))


def test_equal_pictures_are_wholly_similar_and_worse_ones_less():
    images = picture(count=2)
    for measure in (ssim, ms_ssim):
        np.testing.assert_allclose(measure(images, images), 1, atol=1e-5)
        slight, strong = measure(noisy(images, 0.02), images), measure(noisy(images, 0.1), images)
        assert (strong < slight).all() and (slight < 1).all()
    # Blurring loses what only the finest scale shows.
    assert (ms_ssim(blurred(images), images) > ssim(blurred(images), images)).all()


def test_similarity_of_flat_pictures_is_that_of_their_brightness():
    dark, bright = (np.full((1, 176, 176, 3), v, np.float32) for v in (0.4, 0.6))
    expected = (2 * 0.24 + 1e-4) / (0.16 + 0.36 + 1e-4)
    np.testing.assert_allclose(ssim(dark, bright), expected, rtol=1e-4)
    np.testing.assert_allclose(ms_ssim(dark, bright), expected**0.1333, rtol=1e-4)


def test_many_pictures_are_measured_as_one_by_one():
    images = picture(24, count=11)
    worse = noisy(images)
    np.testing.assert_allclose(ssim(worse, images)[10], ssim(worse[10], images[10])[0], rtol=1e-5)


@pytest.mark.parametrize(
    ("images", "references", "message"),
    [
        (np.zeros((1, 16, 16, 3)), np.zeros((1, 16, 17, 3)), "one shape"),
        (np.zeros((1, 16, 16, 1)), np.zeros((1, 16, 16, 1)), "N,H,W,3"),
        (np.full((16, 16, 3), 200.0), np.zeros((16, 16, 3)), "0,1"),
        (np.full((16, 16, 3), np.nan), np.zeros((16, 16, 3)), "0,1"),
        (np.zeros((16, 16, 3), np.int32), np.zeros((16, 16, 3)), "uint8"),
        (np.zeros((8, 16, 3)), np.zeros((8, 16, 3)), "11 px"),
        (np.zeros((0, 16, 16, 3)), np.zeros((0, 16, 16, 3)), "at least one"),
    ],
)
def test_wrong_inputs_are_named(images, references, message):
    with pytest.raises(InputError, match=message):
        ssim(images, references)


def test_pictures_too_small_for_five_scales_are_named():
    with pytest.raises(InputError, match="176"):
        ms_ssim(np.zeros((175, 200, 3)), np.zeros((175, 200, 3)))
