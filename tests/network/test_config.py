"""Network settings: the paper's by default, unusable ones refused in one line, unchanged by a trip through JSON."""

from __future__ import annotations

import dataclasses
import json

import pytest

from flowface_jax.errors import InputError
from flowface_jax.network.config import NetworkConfig


def test_the_defaults_are_the_papers():
    config = NetworkConfig()
    found = (config.backbone, config.image_size, config.uv_size, config.iterations, config.feature_size)
    assert found == ("mit_b5", 512, 64, 3, 128)
    assert (config.correlation_levels, config.correlation_radius, config.texture_size) == (4, 4, 32)
    assert not (config.depth or config.covariance or config.presence)
    assert config.channel_count == 3 and config.map_size == 64 and config.is_recurrent


@pytest.mark.parametrize(
    "values",
    [
        {"backbone": "mit_b6"},
        {"backbone": ["mit_b0"]},
        {"uncertainty_input": "sum"},
        {"uncertainty_form": "variance"},
        {"hidden_activation": "gelu"},
        {"context_activation": None},
        {"interpolated": "variance"},
        {"norm_epsilon": "torch"},
        {"image_size": 500},
        {"image_size": 0},
        {"image_size": 512.0},
        {"image_size": True},
        {"uv_size": 0},
        {"uv_size": 48},
        {"uv_size": 256},
        {"uv_size": 4},
        {"uv_size": 8, "correlation_levels": 5},
        {"iterations": 0},
        {"iterations": "3"},
        {"feature_size": -1},
        {"hidden_size": 0},
        {"texture_size": 0},
        {"vertex_count": 0},
        {"correlation_levels": 0},
        {"correlation_levels": 7},
        {"correlation_radius": -1},
        {"correlation_radius": 17},
        {"initial_std": 0.0},
        {"initial_std": float("nan")},
        {"std_scale": 0.0},
        {"std_scale": -1.0},
        {"std_scale": float("inf")},
        {"drop_path": 1.0},
        {"drop_path": -0.1},
        {"head_dropout": float("inf")},
        {"head_dropout": True},
        {"depth": 1},
        {"covariance": "yes"},
        {"presence": None},
        {"backbone": "bisenet_v2", "uv_size": 128},
    ],
)
def test_an_unusable_setting_is_refused_by_its_name_in_one_line(values):
    with pytest.raises(InputError, match=list(values)[-1] if len(values) == 1 else "uv_size") as caught:
        NetworkConfig(**values)
    assert "\n" not in str(caught.value)


def test_an_unknown_setting_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="unknown network setting size, width; known: backbone, "):
        NetworkConfig.from_mapping({"width": 1, "size": 2, "iterations": 3})


@pytest.mark.parametrize(
    "config",
    [
        NetworkConfig(),
        NetworkConfig(backbone="mit_b0", image_size=64, uv_size=16, initial_std=2.5, drop_path=0, depth=True),
        NetworkConfig(backbone="prnet", image_size=256, uncertainty_input="none", interpolated="log_std"),
        NetworkConfig(std_scale=1.7),
    ],
)
def test_settings_survive_json(config):
    text = json.dumps(dataclasses.asdict(config))
    assert NetworkConfig.from_mapping(json.loads(text)) == config
    assert set(json.loads(text)) == {field.name for field in dataclasses.fields(NetworkConfig)}


def test_settings_from_before_the_factor_on_std_leave_it_alone():
    values = dataclasses.asdict(NetworkConfig())
    del values["std_scale"]
    assert NetworkConfig.from_mapping(values).std_scale == 1


def test_direct_regressors_need_no_divisible_grid_and_prnets_map_is_as_large_as_the_crop():
    assert NetworkConfig(backbone="resnet101", uv_size=50).map_size == 50
    config = NetworkConfig(backbone="prnet", image_size=256, depth=True, covariance=True)
    assert (config.map_size, config.channel_count, config.is_recurrent) == (256, 7, False)
