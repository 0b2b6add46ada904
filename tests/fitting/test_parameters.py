"""The chart between variables and parameters keeps what is fixed and shares what is shared."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.fitting.config import FitConfig, config_from_mapping
from flowface_jax.fitting.fit import make_chart, make_layout
from flowface_jax.fitting.initialise import initialise
from flowface_jax.fitting.parameters import assemble, initial_variables
from flowface_jax.fitting.problem import make_problem, padded_length
from tests.fitting.small import small_alignment, small_cameras, small_head


def _chart(config, cameras=None):
    head = small_head()
    alignment = small_alignment(head)
    layout = make_layout(alignment, head, cameras, config)
    state, _ = initialise(alignment, head, cameras, layout, config)
    problem = make_problem(alignment, head, alignment.image_size / 2.0, config)
    return make_chart(problem, head, state, layout, config)


def test_zero_change_gives_the_starting_point():
    chart = _chart(FitConfig())
    parameters = assemble(initial_variables(chart), chart)
    for name, value in vars(chart.base).items():
        np.testing.assert_allclose(np.asarray(getattr(parameters, name)), np.asarray(value), atol=1e-6, err_msg=name)


@pytest.mark.parametrize("group", ["identity", "expression", "head_pose", "offsets", "joint_pose"])
def test_a_fixed_group_has_no_variables(group):
    config = FitConfig(**{group: "fixed"}, joints=("jaw",))
    names = set(initial_variables(_chart(config)))
    gone = {"head_pose": {"head_rotation", "head_translation"}, "joint_pose": {"joint_rotations"}}.get(group, {group})
    assert not names & gone
    assert names | gone > gone


def test_shared_groups_are_the_same_in_every_frame():
    chart = _chart(FitConfig(expression="shared", head_pose="shared", focal="shared"))
    variables = initial_variables(chart)
    variables = {name: value + 0.1 for name, value in variables.items()}
    parameters = assemble(variables, chart)
    assert np.ptp(np.asarray(parameters.expression), axis=0).max() == 0
    assert np.ptp(np.log(np.asarray(parameters.focal)) - np.log(np.asarray(chart.base.focal))) < 1e-6


def test_known_cameras_are_not_moved():
    cameras = small_cameras()
    chart = _chart(FitConfig(), cameras)
    assert not {"log_focal", "camera_rotation"} & set(initial_variables(chart))
    np.testing.assert_array_equal(np.asarray(chart.base.focal), np.asarray(cameras.focal))


def test_a_change_of_focal_keeps_the_heads_size_in_every_image():
    chart = _chart(FitConfig())
    variables = initial_variables(chart)
    zoomed = dict(variables, log_focal=variables["log_focal"] + jnp.asarray([0.2, -0.1]))
    sizes = []
    for v in (variables, zoomed):
        p = assemble(v, chart)
        depth = (
            jnp.einsum("cij,fj->cfi", p.camera_rotation, p.head_translation)[..., 2] + p.camera_translation[:, None, 2]
        )
        sizes.append(np.median(np.asarray(p.focal[:, None] / depth), axis=1))
    np.testing.assert_allclose(sizes[1], sizes[0], rtol=0.02)


def test_settings_are_parsed_and_unknown_ones_refused():
    config = config_from_mapping({"temporal_weight": "1e3", "joints": "jaw,neck", "max_steps": "10", "focal": "shared"})
    assert (config.temporal_weight, config.joints, config.max_steps, config.focal) == (
        1e3,
        ("jaw", "neck"),
        10,
        "shared",
    )
    with pytest.raises(InputError, match="unknown setting fit.temporal_wait"):
        config_from_mapping({"temporal_wait": 1})
    with pytest.raises(InputError, match=r"fit.focal: expected one of .* found 'loose'"):
        config_from_mapping({"focal": "loose"})
    with pytest.raises(InputError, match=r"fit.max_steps: expected int, found 'many'"):
        config_from_mapping({"max_steps": "many"})
    with pytest.raises(InputError, match="one person has one identity"):
        FitConfig(identity="free")


def test_an_unknown_joint_or_region_is_named():
    with pytest.raises(InputError, match="has no joint tail"):
        _chart(FitConfig(joints=("tail",)))
    with pytest.raises(InputError, match="has no region 'chin'"):
        _chart(FitConfig(offset_region="chin"))


def test_padding_wastes_few_frames_and_few_lengths_occur():
    lengths = {padded_length(n) for n in range(1, 1000)}
    assert len(lengths) <= 48
    assert all(n <= padded_length(n) <= max(n + 7, 1.13 * n) for n in range(2, 1000))
    assert padded_length(1) == 1
