"""A network made ready for a head: what it is given, what it answers, and how often it is compiled."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.aligners import prediction
from flowface_jax.aligners.prediction import NetworkPredictor, load_predictor
from flowface_jax.errors import InputError
from flowface_jax.network.alignment_network import AlignmentNetwork, initial_variables
from flowface_jax.network.config import NetworkConfig
from flowface_jax.network.outputs import AlignmentMaps
from flowface_jax.network.weights.store import save_weights
from tests.aligners.dots import dots_head

TINY = NetworkConfig(
    "mit_b0", 64, 16, 1, feature_size=16, hidden_size=16, texture_size=4, presence=True, covariance=True
)

pytestmark = pytest.mark.usefixtures("quick_compilation_of_module")


@pytest.fixture(scope="module")
def variables():
    return initial_variables(AlignmentNetwork(TINY), 0)


@pytest.fixture(scope="module")
def crops():
    return np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), np.uint8)


@pytest.fixture(scope="module")
def traces():
    """How often the network was traced, which is how often it is compiled."""
    return []


@pytest.fixture(scope="module")
def predictor(variables, traces):
    plain = prediction.predict_points

    def counted(*arguments):
        traces.append(1)
        return plain(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prediction, "predict_points", counted)
        yield NetworkPredictor(TINY, variables, dots_head(), batch_size=2)


def test_the_answer_is_that_of_the_last_iteration_at_the_heads_vertices():
    """Maps whose values are known: the last iteration moves everything by one cell of 4 px and is half as sure."""

    def known(variables, images):
        flow = jnp.stack([jnp.full((2, 16, 16, 2), value) for value in (7.0, 1.0)])
        log_std = jnp.log(jnp.stack([jnp.full((2, 16, 16), value) for value in (0.1, 0.5)]))
        return AlignmentMaps(flow, log_std, None, None, jnp.asarray([0.0, 2.0]), 4.0)

    uv = jnp.asarray([[0.25, 0.75], [0.5, 0.5]])
    mean, std, presence = prediction.predict_points(TINY, known, {}, uv, None)
    # u = 0.25 is a quarter of the way across, v = 0.75 a quarter of the way down.
    assert np.allclose(mean, [[[16 + 4, 16 + 4], [32 + 4, 32 + 4]]] * 2, atol=1e-4)
    assert np.allclose(std, 2.0) and np.allclose(presence, [0.5, 0.880797])
    # A factor found after training changes every standard deviation and nothing else.
    recalibrated = prediction.predict_points(dataclasses.replace(TINY, std_scale=1.5), known, {}, uv, None)
    assert np.allclose(recalibrated[1], 3.0)
    assert np.array_equal(recalibrated[0], mean) and np.array_equal(recalibrated[2], presence)


def test_any_number_of_crops_is_compiled_once_and_none_disturbs_another(predictor, crops, traces):
    whole = predictor.predict(crops)
    assert whole.mean.shape == (5, 3, 2) and whole.std.shape == (5, 3) and whole.presence.shape == (5,)
    assert (whole.std > 0).all() and ((whole.presence > 0) & (whole.presence < 1)).all()
    for count in (1, 2, 3):
        part = predictor.predict(crops[:count])
        assert part.mean.shape[0] == count and (part.mean == whole.mean[:count]).all()
        assert (part.std == whole.std[:count]).all() and (part.presence == whole.presence[:count]).all()
    assert len(traces) == 1


def test_images_and_weights_reach_the_device_once_and_as_they_are(predictor, crops):
    """No float copy of the crops is made on the host, and the weights stay on the device between calls."""
    running = []
    plain = predictor._run
    predictor._run = lambda *given: (running.append(given), plain(*given))[1]
    try:
        predictor.predict(crops[:2])
    finally:
        predictor._run = plain
    variables, _, given = running[0]
    assert given.dtype == np.uint8
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(variables))


def test_wrong_crops_are_refused(predictor, crops):
    for wrong in (crops[:1, :32], crops[:1].astype(np.float32), crops[:0], crops[:3]):
        with pytest.raises(InputError, match="expected 1 to 2 crops"):
            predictor.start(wrong)
    with pytest.raises(InputError, match="batch_size: expected 1"):
        NetworkPredictor(TINY, {}, dots_head(), batch_size=0)


def test_a_regressor_serves_the_head_that_it_was_trained_for():
    config = NetworkConfig("resnet101", 64, vertex_count=5)
    with pytest.raises(InputError, match="regresses the 5 vertices .* but head 'dots' has 3"):
        NetworkPredictor(config, {}, dots_head())
    assert NetworkPredictor(dataclasses.replace(config, vertex_count=3), {}, dots_head()).point_count == 3


def test_a_file_is_loaded_with_its_settings(variables, predictor, crops, tmp_path):
    path = tmp_path / "tiny.safetensors"
    save_weights(path, "network", variables, dataclasses.asdict(TINY))
    loaded = load_predictor(path, dots_head(), batch_size=2)
    assert loaded.config == TINY and loaded.name == "flowface mit_b0 tiny.safetensors"
    assert loaded.image_size == 64 and loaded.point_count == 3
    assert load_predictor(path, dots_head(), name="flowface-tiny").name == "flowface-tiny"
    same = jax.tree.map(np.array_equal, *jax.device_get((loaded._bound[0], predictor._bound[0])))
    assert jax.tree.all(same)


def test_files_that_are_no_trained_network_are_refused(variables, tmp_path):
    def refused(expected, kind="network", values=variables, config=None):
        path = tmp_path / "weights.safetensors"
        save_weights(path, kind, values, dataclasses.asdict(TINY) if config is None else config)
        with pytest.raises(InputError, match=expected) as error:
            load_predictor(path, dots_head())
        assert "\n" not in str(error.value)

    refused("holds mit_b0, which is only a part of an alignment network: train it first", kind="mit_b0")
    refused("holds s3fd, which aligns nothing", kind="s3fd")
    refused("unknown network setting speed; .* another version", config={"speed": 1})
    refused("does not fit AlignmentNetwork", config={**dataclasses.asdict(TINY), "texture_size": 8})
    refused("does not fit AlignmentNetwork", values={"params": variables["params"]})
    foreign = tmp_path / "model.pth"
    foreign.write_bytes(b"PK\x03\x04 something")
    with pytest.raises(InputError, match="convert"):
        load_predictor(foreign, dots_head())
