"""Depthwise convolutions are what the definition says, by either route, and so are their gradients."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.network.depthwise import DepthwiseConvolution, depthwise_convolve

pytestmark = pytest.mark.usefixtures("quick_compilation_of_module")

CASES = [((2, 5, 6, 3), 1, 1), ((1, 6, 5, 3), 2, 1), ((1, 7, 6, 2), 2, 3)]
"""Shape of the images, stride, multiplier; odd and even sizes."""


def _inputs(shape, multiplier):
    random = np.random.default_rng(0)
    images = random.normal(size=shape).astype(np.float32)
    return images, random.normal(size=(3, 3, 1, shape[-1] * multiplier)).astype(np.float32)


def _by_loops(images, kernel, stride):
    batch, height, width, channels = images.shape
    multiplier = kernel.shape[-1] // channels
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    result = np.zeros((batch, -(-height // stride), -(-width // stride), kernel.shape[-1]), np.float32)
    for row, column, feature in np.ndindex(*result.shape[1:]):
        y, x = row * stride, column * stride
        window = padded[:, y : y + 3, x : x + 3, feature // multiplier]
        result[:, row, column, feature] = (window * kernel[:, :, 0, feature]).sum((1, 2))
    return result


@pytest.mark.parametrize(("shape", "stride", "multiplier"), CASES)
@pytest.mark.parametrize("route", ["auto", "shifts", "grouped"])
def test_every_route_is_the_convolution_of_each_channel(shape, stride, multiplier, route):
    images, kernel = _inputs(shape, multiplier)
    expected = _by_loops(images, kernel, stride)
    found = depthwise_convolve(jnp.asarray(images), jnp.asarray(kernel), stride, route)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize(("shape", "stride", "multiplier"), CASES)
def test_the_routes_have_the_same_gradients(shape, stride, multiplier):
    images, kernel = _inputs(shape, multiplier)
    cotangent = jnp.cos(depthwise_convolve(jnp.asarray(images), jnp.asarray(kernel), stride, "grouped"))
    gradients = {}
    for route in ("auto", "shifts", "grouped"):
        convolve = partial(depthwise_convolve, stride=stride, route=route)
        pull_back = jax.jit(lambda images, kernel, convolve=convolve: jax.vjp(convolve, images, kernel)[1](cotangent))
        gradients[route] = pull_back(images, kernel)
    for route in ("auto", "shifts"):
        for found, expected in zip(gradients[route], gradients["grouped"], strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-5)


def test_half_precision_is_kept_and_summed_in_single():
    images, kernel = (jnp.asarray(values, jnp.bfloat16) for values in _inputs((1, 4, 4, 2), 1))
    found = depthwise_convolve(images, kernel)
    assert found.dtype == jnp.bfloat16
    single = depthwise_convolve(images.astype(jnp.float32), kernel.astype(jnp.float32))
    np.testing.assert_array_equal(found, single.astype(jnp.bfloat16))


def test_the_module_has_one_kernel_and_bias_whatever_its_route():
    images = jnp.ones((1, 4, 4, 3))
    for route in ("auto", "grouped"):
        module = DepthwiseConvolution(stride=2, multiplier=2, route=route)
        variables = jax.eval_shape(module.init, jax.random.key(0), images)
        shapes = jax.tree.map(jnp.shape, variables)
        assert shapes == {"params": {"kernel": (3, 3, 1, 6), "bias": (6,)}}
    variables = {"params": {"kernel": jnp.zeros((3, 3, 1, 6)), "bias": jnp.arange(6.0)}}
    np.testing.assert_array_equal(module.apply(variables, images)[0, 1, 1], np.arange(6.0))


def test_an_unfitting_kernel_or_route_is_refused():
    images = jnp.zeros((1, 4, 4, 3))
    with pytest.raises(InputError, match="C=3"):
        depthwise_convolve(images, jnp.zeros((3, 3, 1, 4)))
    with pytest.raises(InputError, match="fastest"):
        depthwise_convolve(images, jnp.zeros((3, 3, 1, 3)), route="fastest")
