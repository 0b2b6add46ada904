"""Every config resolves, and one step of it has the shapes that it should."""

import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from flowface_jax.errors import InputError
from flowface_jax.fitting.config import config_from_mapping
from flowface_jax.heads.generic import generic_head
from flowface_jax.network import network_shapes
from flowface_jax.training.batches import CropBatch
from flowface_jax.training.config import TrainingConfig, training_config
from flowface_jax.training.devices import AXIS
from flowface_jax.training.experiment import as_config_dict, as_training_config
from flowface_jax.training.optimiser import learning_rate, make_optimiser
from flowface_jax.training.run import make_network
from flowface_jax.training.state import initial_state
from flowface_jax.training.step import Recipe, device_step
from flowface_jax.training.supervision import make_supervision

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def _module(name):
    spec = importlib.util.spec_from_file_location(name, CONFIGS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


QUICK = ("small_rendered", "mit_b1", "nano")
"""The others take long to trace."""
ROWS = [
    pytest.param(name, row, marks=[] if (row or name) in QUICK else [pytest.mark.minutes], id=row or name)
    for name, row in [
        ("flowface_b5", ""),
        ("small_rendered", ""),
        ("nano", ""),
        ("nano", "real"),
        ("nano", "bent"),
        ("small_size", "nano"),
        ("small_size", "resnet101"),
        *(("table4", row) for row in _module("table4").ROWS),
    ]
]


def _config(name, row):
    module = _module(name)
    return as_training_config(module.get_config(row) if row else module.get_config())


def _step_shapes(config, crops=2):
    """Shapes of the state before and after a step, and of the terms; nothing is computed."""
    network, head = make_network(config), generic_head()
    optimiser = make_optimiser(config.optimiser, 10)
    recipe = Recipe(network, config.loss, optimiser, 0, 1, config.run.average_decay)
    shapes = network_shapes(network)
    state = jax.eval_shape(lambda v: initial_state(v, optimiser, config.run.average_decay > 0), shapes)
    supervision = make_supervision(head, config.model.map_size)
    side, count = config.model.image_size, head.vertex_count
    batch = CropBatch(
        jax.ShapeDtypeStruct((crops, side, side, 3), jnp.float32),
        jax.ShapeDtypeStruct((crops, count, 2), jnp.float32),
        jax.ShapeDtypeStruct((crops, count), bool),
    )
    step = device_step(recipe, lambda _, batch, key: batch)
    mapped = jax.vmap(step, in_axes=(None, None, 0), out_axes=None, axis_size=1, axis_name=AXIS)
    one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((1, *leaf.shape), leaf.dtype), batch)
    return state, *jax.eval_shape(mapped, state, (supervision, None), one)


@pytest.mark.parametrize(("name", "row"), ROWS)
def test_a_step_of_every_config_keeps_the_shapes_of_its_state(name, row):
    config = _config(name, row)
    if config.model.vertex_count != generic_head().vertex_count and config.model.backbone == "resnet101":
        config = training_config({"model": {"backbone": "resnet101", "vertex_count": generic_head().vertex_count}})
    before, after, terms = _step_shapes(config)
    assert jax.tree.structure(before) == jax.tree.structure(after)
    for a, b in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
    assert {"loss", "vertex", "error_px", "gradient_norm"} <= set(terms)


def test_settings_go_through_ml_collections_and_json_unchanged():
    config = TrainingConfig()
    assert as_training_config(as_config_dict(config)) == config
    assert training_config(config.to_mapping()) == config


def test_a_misspelt_setting_is_refused_with_the_names_that_there_are():
    with pytest.raises(InputError, match="unknown setting run.batchsize; known: .*batch_size"):
        training_config({"run": {"batchsize": 3}})
    with pytest.raises(InputError, match="unknown section network; known: model"):
        training_config({"network": {}})
    with pytest.raises(InputError, match="rendered_share"):
        training_config({"data": {"rendered_share": 0.5}})
    with pytest.raises(InputError, match=r"run.route: expected one of pmap, shard_map"):
        training_config({"run": {"route": "vmap"}})


def test_the_published_run_decays_twice_by_ten():
    """Section 4: 1e-4, times 0.1 every 2 of 6 epochs."""
    config = _config("flowface_b5", "")
    assert (config.model.backbone, config.model.image_size, config.model.uv_size) == ("mit_b5", 512, 64)
    assert (config.model.iterations, config.run.epochs) == (3, 6)
    rate = learning_rate(config.optimiser, 600)
    at = [float(rate(step)) for step in (0, 199, 201, 399, 401, 599)]
    assert at == pytest.approx([1e-4, 1e-4, 1e-5, 1e-5, 1e-6, 1e-6], rel=1e-4)


def test_the_rows_of_table_5_are_settings_of_the_fit():
    module = _module("table5")
    for row in module.ROWS:
        values = module.get_config(row)
        config_from_mapping(values.fit.to_dict())
        assert isinstance(values.neutral, bool)
    assert config_from_mapping(module.get_config("without_offsets").fit.to_dict()).offsets == "fixed"
    with pytest.raises(ValueError, match="expected a row"):
        module.get_config("all")
