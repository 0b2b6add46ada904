"""PRNet gives a map as large as the image, and its quick transposed convolution is the textbook's."""

from __future__ import annotations

from functools import reduce
from operator import getitem

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.network.prnet import PRNet, transposed_convolve
from tests.network.random_weights import random_variables

pytestmark = pytest.mark.usefixtures("quick_compilation_of_module")


def test_layers_are_the_published_ones():
    variables = jax.eval_shape(PRNet().init, jax.random.key(0), jnp.zeros((1, 64, 64, 3)))
    params = variables["params"]
    widths = [params["decoder"][f"convolution_{index}"]["kernel"].shape[-1] for index in range(17)]
    assert widths == [512, 256, 256, 256, 128, 128, 128, 64, 64, 64, 32, 32, 16, 16, 3, 3, 3]
    assert params["encoder"]["stage_5_block_0"]["convolution_2"]["kernel"].shape == (4, 4, 256, 256)
    assert params["encoder"]["stage_1_block_0"]["shortcut"]["kernel"].shape == (1, 1, 16, 32)
    assert "shortcut" not in params["encoder"]["stage_1_block_1"]


@pytest.mark.parametrize("side", [64, 256])
def test_the_map_is_as_large_as_the_image(side):
    images = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
    found, _ = jax.eval_shape(PRNet(outputs=5).init_with_output, jax.random.key(0), images)
    assert found.shape == (1, side, side, 5)
    with pytest.raises(InputError, match="multiples of 32"):
        jax.eval_shape(PRNet().init, jax.random.key(0), jnp.zeros((1, 40, 64, 3)))


def test_batch_statistics_move_in_training_and_count_in_evaluation():
    images = jnp.asarray(np.random.default_rng(0).random((2, 32, 32, 3)), jnp.float32)
    evaluated, trained = PRNet(finest=2), PRNet(finest=2, final_activation="sigmoid")
    variables = random_variables(evaluated, images.shape)
    train = jax.jit(lambda variables: trained.apply(variables, images, train=True, mutable=["batch_stats"]))
    maps, after = train(variables)
    names = ("batch_stats", "decoder", "norm_16", "var")
    assert float(jnp.abs(reduce(getitem, names, after) - reduce(getitem, names, variables)).max()) > 1e-3
    evaluate = jax.jit(lambda variables: evaluated.apply(variables, images))
    raw = evaluate(variables)
    assert float(jnp.abs(raw - evaluate({**variables, **after})).max()) > 1e-4
    # Only the sigmoid confines the map.
    assert 0 < float(maps.min()) and float(maps.max()) < 1
    assert float(raw.min()) < 0


@pytest.mark.parametrize("stride", [1, 2])
def test_transposed_convolution_and_its_gradient_are_the_textbooks(stride):
    random = np.random.default_rng(0)
    images = jnp.asarray(random.normal(size=(2, 3, 5, 4)), jnp.float32)
    kernel = jnp.asarray(random.normal(size=(4, 4, 4, 3)), jnp.float32)
    textbook = lambda images, kernel: jax.lax.conv_transpose(
        images, kernel, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    quick = lambda images, kernel: transposed_convolve(images, kernel, stride)
    expected, pull_expected = jax.vjp(textbook, images, kernel)
    found, pull_found = jax.vjp(quick, images, kernel)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    for ours, theirs in zip(pull_found(jnp.cos(found)), pull_expected(jnp.cos(found)), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
