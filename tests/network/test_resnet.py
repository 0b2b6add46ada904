"""The direct regressor is as large as the paper's and answers for every point; its norms follow what they see."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.network.resnet import DenseRegressor, ResNetTrunk
from tests.network.random_weights import random_variables

pytestmark = pytest.mark.usefixtures("quick_compilation_of_module")
SMALL = {"depths": (1, 2), "width": 4}


def _images(side=32):
    return jnp.asarray(np.random.default_rng(0).normal(size=(2, side, side, 3)), jnp.float32)


def test_the_parameters_are_those_of_the_papers_table():
    variables = jax.eval_shape(DenseRegressor(point_count=5023).init, jax.random.key(0), jnp.zeros((1, 64, 64, 3)))
    count = lambda tree: sum(leaf.size for leaf in jax.tree.leaves(tree))
    assert count(variables["params"]["trunk"]) == 42_500_160
    assert count(variables["params"]) == 73_376_541
    block = variables["params"]["trunk"]["stage_3"]["block_0"]
    assert block["convolution_2"]["kernel"].shape == (3, 3, 256, 256)
    assert block["downsample_convolution"]["kernel"].shape == (1, 1, 512, 1024)


def test_every_point_gets_its_numbers():
    module = DenseRegressor(point_count=7, outputs=5, **SMALL)
    variables = random_variables(module, (2, 32, 32, 3))
    numbers = jax.jit(module.apply)(variables, _images())
    assert numbers.shape == (2, 7, 5) and numbers.dtype == jnp.float32
    trunk = {name: tree["trunk"] for name, tree in variables.items()}
    features = jax.jit(ResNetTrunk(**SMALL).apply)(trunk, _images())
    assert features.shape == (2, 32)
    head = variables["params"]["head"]
    np.testing.assert_allclose(numbers[:, 3, 2], (features @ head["kernel"] + head["bias"])[:, 3 * 5 + 2], rtol=1e-5)


def test_batch_statistics_move_in_training_and_count_in_evaluation():
    module = ResNetTrunk(**SMALL)
    variables = random_variables(module, (2, 32, 32, 3))
    train = jax.jit(lambda variables, images: module.apply(variables, images, train=True, mutable=["batch_stats"]))
    _, moved = train(variables, _images() + 1)
    before, after = variables["batch_stats"]["stem"]["norm"], moved["batch_stats"]["stem"]["norm"]
    assert float(jnp.abs(before["mean"] - after["mean"]).max()) > 1e-3
    evaluate = jax.jit(module.apply)
    difference = evaluate(variables, _images()) - evaluate({**variables, **moved}, _images())
    assert float(jnp.abs(difference).max()) > 1e-4
