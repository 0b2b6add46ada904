"""The small network for processors: its maps, its start, its warped grid."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.heads.generic import generic_head
from flowface_jax.network import AlignmentNetwork, NetworkConfig, initial_variables, parameter_count, points_of
from flowface_jax.network.nano import (
    COLUMN_DENSITY,
    MODES,
    ROW_DENSITY,
    SHIFT,
    SoftMatches,
    gathered,
    grid_places,
    spread,
)

SMALL = NetworkConfig(
    backbone="nano",
    image_size=96,
    uv_size=32,
    iterations=2,
    feature_size=16,
    hidden_size=16,
    texture_size=4,
    correlation_levels=2,
    correlation_radius=1,
)


@pytest.fixture(scope="module")
def variables():
    return initial_variables(AlignmentNetwork(SMALL), 0)


@pytest.fixture(scope="module")
def images():
    return jnp.asarray(np.random.default_rng(0).uniform(size=(2, 96, 96, 3)), jnp.float32)


def test_the_answer_is_a_map_for_the_first_guess_and_for_every_iteration(variables, images) -> None:
    output = AlignmentNetwork(SMALL).apply(variables, images)
    assert output.flow.shape == (3, 2, 32, 32, 2)
    assert output.log_std.shape == (3, 2, 32, 32)
    assert output.cell == 3.0


def test_before_training_every_face_is_the_one_that_the_start_says(variables, images) -> None:
    start = variables["params"]["start"]
    bias = np.linspace(-0.3, 0.3, start["bias"].size).astype(np.float32)
    changed = {"params": {**variables["params"], "start": {**start, "bias": bias}}}
    output = AlignmentNetwork(SMALL).apply(changed, images)
    expected = spread(jnp.asarray(bias).reshape(1, 8, 8, 2) + 0.5, 32)[0] * 96
    for iteration in range(3):
        np.testing.assert_allclose(output.mean[iteration, 0], expected, atol=1e-3)
        np.testing.assert_allclose(output.mean[iteration, 1], expected, atol=1e-3)


def test_matches_follow_features_that_are_elsewhere() -> None:
    """Features that answer to a key, moved by a cell, move where the key is found by a cell."""
    side, depth = 12, 8
    module, mean = SoftMatches(), jnp.full((2, 2, 2), 0.5)
    keys = jnp.asarray(np.random.default_rng(2).standard_normal((2, 2, depth)), jnp.float32)
    change = jnp.zeros((2, MODES)).at[0, 0].set(1.0).at[1, 1].set(1.0)
    params = {
        "keys": {"kernel": jnp.eye(depth), "bias": jnp.zeros(depth)},
        "change": {"kernel": change, "bias": jnp.zeros(MODES)},
    }
    where = lambda row, column: jnp.zeros((1, side, side, depth)).at[0, row, column].set(100 * keys[0, 0])
    first = module.apply({"params": params}, keys, mean, where(5, 6))[0]
    moved = module.apply({"params": params}, keys, mean, where(7, 3))[0]
    np.testing.assert_allclose((moved - first)[:2], [-3 / side / SHIFT, 2 / side / SHIFT], atol=1e-4)


def test_every_parameter_is_reached_by_gradients_once_the_zero_heads_have_moved(variables, images) -> None:
    network, uv = AlignmentNetwork(SMALL), jnp.asarray(generic_head().uv)
    random = np.random.default_rng(1)
    moved = jax.tree.map(lambda leaf: leaf + 0.05 * random.standard_normal(leaf.shape).astype(np.float32), variables)

    def loss(variables: dict) -> jax.Array:
        points = points_of(network.apply(variables, images), uv)
        return (points.mean**2).mean() + (points.log_std**2).mean()

    gradient = jax.jit(jax.grad(loss))(moved)
    still = [
        jax.tree_util.keystr(path)
        for path, leaf in jax.tree_util.tree_leaves_with_path(gradient)
        if not np.abs(np.asarray(leaf)).max() > 0
    ]
    # A key's bias shifts all scores of a query alike, which a softmax does not see.
    assert still == []


def test_iterations_share_their_weights(variables) -> None:
    more = AlignmentNetwork(dataclasses.replace(SMALL, iterations=5))
    assert parameter_count(initial_variables(more, 0)) == parameter_count(variables)


@pytest.mark.parametrize("density", [COLUMN_DENSITY, ROW_DENSITY])
def test_the_grid_runs_through_the_whole_atlas_in_order(density) -> None:
    places = grid_places(24, density)
    assert (np.diff(places) > 0).all()
    assert 0 < places[0] < 0.08
    assert 0.92 < places[-1] < 1


@pytest.mark.parametrize("region", ["left_eye", "right_eye", "lips"])
def test_the_grid_is_denser_at_eyes_and_lips_than_an_even_one(region) -> None:
    head = generic_head()
    uv = np.asarray(head.uv)[np.asarray(head.regions[region])]
    within = lambda places, values: ((places > values.min()) & (places < values.max())).sum()
    cells = within(grid_places(24, COLUMN_DENSITY), uv[:, 0]) * within(grid_places(24, ROW_DENSITY), 1 - uv[:, 1])
    even = (np.arange(24) + 0.5) / 24
    assert cells >= 1.8 * within(even, uv[:, 0]) * within(even, 1 - uv[:, 1])


def test_what_is_linear_over_the_atlas_passes_both_ways_unchanged() -> None:
    centres = (np.arange(96) + 0.5) / 96
    columns, rows = np.meshgrid(centres, centres)
    maps = np.stack([2 * columns - rows, columns + 3 * rows], axis=-1)[None]
    back = spread(gathered(jnp.asarray(maps, jnp.float32), 24), 96)
    np.testing.assert_allclose(back, maps, atol=3e-5)


@pytest.mark.parametrize("change", [{"uv_size": 40}, {"image_size": 64}, {"correlation_levels": 4}, {"depth": True}])
def test_sizes_and_outputs_that_it_does_not_have_are_refused(change) -> None:
    with pytest.raises(InputError, match="nano"):
        dataclasses.replace(SMALL, **change)
