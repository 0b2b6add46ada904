"""Converted pieces go into a network's variables, each in its place, and nothing goes anywhere else."""

from __future__ import annotations

import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.network.alignment_network import AlignmentNetwork
from flowface_jax.network.config import NetworkConfig
from flowface_jax.network.weights import merge_pieces
from flowface_jax.network.weights.convert import convert_tensors
from flowface_jax.network.weights.store import Weights
from flowface_jax.network.weights.trees import flatten, module_shapes, unflatten
from tests.network.weights.checkpoints import filled, mica_shapes, mit_shapes, raft_shapes


def _network(**settings):
    config = NetworkConfig(**{"backbone": "mit_b0", "image_size": 64, "uv_size": 8, **settings})
    shapes = module_shapes(AlignmentNetwork(config), (1, 64, 64, 3))
    return unflatten({path: np.full(shape, np.float32(9)) for path, shape in shapes.items()})


@pytest.fixture(scope="module")
def encoder():
    return convert_tensors(filled(mit_shapes("mit_b0", head=256)), "b0")


@pytest.fixture(scope="module")
def update():
    return convert_tensors(filled(raft_shapes()), "raft")


def test_pieces_fill_their_parts_and_leave_the_rest(encoder, update):
    network = _network()
    merged, report = merge_pieces(network, [encoder, update])
    before, after = flatten(network), flatten(merged)
    given = flatten(encoder.variables) | flatten(update.variables)
    assert list(before) == list(after) and all((values == 9).all() for values in before.values())
    for path, values in after.items():
        np.testing.assert_array_equal(values, given.get(path, before[path]), err_msg=path)
    fresh = {path.split("/")[1] for path in set(after) - set(given)}
    assert fresh == {"decode_head", "uv_features", "uv_context", "uv_hidden", "update"}
    assert len(report.loaded) == len(given) and not report.skipped


def test_of_raft_whatever_fits_is_taken(update):
    merged, report = merge_pieces(_network(uncertainty_input="appended", correlation_levels=3), [update])
    reasons = {entry.name.removeprefix("params/update/motion_encoder/"): entry.reason for entry in report.skipped}
    assert reasons == {
        "combine/kernel": "expected shape [3, 3, 256, 125], found [3, 3, 256, 126]",
        "combine/bias": "expected shape [125], found [126]",
        "correlation_1/kernel": "expected shape [1, 1, 243, 256], found [1, 1, 324, 256]",
    }
    kernel = merged["params"]["update"]["motion_encoder"]["flow_1"]["kernel"]
    theirs = update.variables["params"]["update"]["motion_encoder"]["flow_1"]["kernel"]
    np.testing.assert_array_equal(kernel, theirs[:, :, :2])


def test_an_encoder_of_another_size_is_refused(encoder):
    with pytest.raises(InputError, match="mit_b0 does not fit this network .*choose another backbone"):
        merge_pieces(_network(backbone="mit_b1"), [encoder])


def test_two_pieces_for_one_place_are_refused(encoder, update):
    with pytest.raises(InputError, match="both raft and raft give params/update"):
        merge_pieces(_network(), [update, encoder, update])


def test_whole_networks_of_other_kinds_are_refused():
    mica = convert_tensors(filled(mica_shapes()), "mica")
    for piece in (mica, Weights("network", {}, {})):
        with pytest.raises(InputError, match=f"weights of kind {piece.kind} are no part of an alignment network"):
            merge_pieces(_network(), [piece])
