"""What a person adds to a fit: key points that it holds on to, focal lengths known beforehand, frames' own times."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from flowface_jax.alignment.key_points import KeyPoint, with_key_points
from flowface_jax.errors import InputError
from flowface_jax.fitting.config import FitConfig
from flowface_jax.fitting.fit import fit
from flowface_jax.fitting.focal_prior import (
    STATED_STD,
    FocalPrior,
    checked_prior,
    focal_stds,
    std_with_prior,
    weighed_stds,
)
from flowface_jax.fitting.problem import make_problem
from flowface_jax.fitting.timing import REGULAR, acceleration_stencils, irregularity_note
from tests.fitting.small import small_cameras, small_head, small_performance

QUICK = {"error_bars": False}


def _distance(track, head, frame, vertex, place):
    return float(np.linalg.norm(np.asarray(track.image_vertices(head, frame))[0, vertex] - place))


@pytest.fixture(scope="module")
def head():
    return small_head()


@pytest.mark.parametrize("solver", ["levenberg_marquardt", pytest.param("adamw", marks=pytest.mark.minutes)])
def test_the_fit_goes_to_a_key_point_far_from_where_the_aligner_has_it(head, solver):
    cameras = small_cameras(1)
    config = FitConfig(solver=solver, temporal_weight=0.0, **QUICK)
    alignment = small_performance(head, cameras=cameras, point_set="vertices")
    vertex = int(np.argmax(np.asarray(head.template)[:, 2]))
    place = alignment.mean[0, 2, vertex] + [25.0, 0.0]
    before = fit(alignment, head, cameras, config)
    assert 20 < _distance(before, head, 2, vertex, place) < 30
    point = KeyPoint(2, f"vertex:{vertex}", *map(float, place), std=0.05)
    after = fit(with_key_points(alignment, head, [point]), head, cameras, config)
    assert _distance(after, head, 2, vertex, place) < 5
    # Other frames hardly notice.
    assert _distance(after, head, 4, vertex, alignment.mean[0, 4, vertex]) < 3
    assert after.summary["alignment"]["placed_by_hand"] == 1


@pytest.mark.minutes
def test_a_frame_without_a_face_is_placed_by_its_key_points(head):
    cameras = small_cameras(1)
    whole = small_performance(head, cameras=cameras, point_set="vertices", frames=6, noise=0.2)
    valid = whole.valid.copy()
    valid[0, 5] = False
    blind = dataclasses.replace(whole, valid=valid, std=np.where(valid[..., None], whole.std, np.inf))
    seen = np.flatnonzero(np.asarray(head.template)[:, 2] > 0)[:8]
    points = [KeyPoint(5, f"vertex:{v}", *map(float, whole.mean[0, 5, v]), std=0.3) for v in seen]
    config = FitConfig(**QUICK)
    lost = fit(blind, head, cameras, config)
    held = fit(with_key_points(blind, head, points), head, cameras, config)
    off = lambda track: np.linalg.norm(np.asarray(track.image_vertices(head, 5))[0] - whole.mean[0, 5], axis=-1).mean()
    assert not lost.observed[0, 5] and held.observed[0, 5]
    assert off(held) < 3 and off(held) < 0.5 * off(lost)


def test_points_by_hand_count_fully_and_bend_no_kernel(head):
    alignment = small_performance(head, point_set="vertices")
    low = int(np.argmin(np.asarray(head.vertex_weights)))
    placed = with_key_points(alignment, head, [KeyPoint(0, f"vertex:{low}", 9.0, 9.0, camera="camera0")])
    problem = make_problem(placed, head, placed.image_size / 2, FitConfig())
    assert problem.point_weight[-1] == 1.0 and problem.point_weight[low] < 0.5
    assert (np.asarray(problem.kernel_width[:-1]) == 1).all() and problem.kernel_width[-1] > 100


def test_a_focal_length_known_beforehand_holds_where_images_do_not_tell(head):
    cameras = small_cameras(1)
    alignment = small_performance(head, cameras=cameras, frames=1)
    true = float(cameras.focal[0])
    config = FitConfig(max_iterations=40)
    free = fit(alignment, head, None, config)
    told = fit(alignment, head, None, config, focal_prior=FocalPrior((true,)))
    off = lambda track: abs(np.log(float(track.cameras.focal[0]) / true))
    assert off(told) < 2 * STATED_STD and off(told) <= off(free) + 0.01
    record = told.summary
    assert record["focal_prior"] == [
        {"camera": "camera0", "focal_px": true, "relative_std": STATED_STD, "fitted_px": float(told.cameras.focal[0])}
    ]
    assert record["focal_relative_std"][0] <= STATED_STD < free.summary["focal_relative_std"][0]
    assert "focal_prior" not in free.summary
    assert any("focal length cannot be observed" in note for note in free.summary["notes"])
    assert not any("focal length cannot be observed" in note for note in record["notes"])


def test_a_prior_of_one_camera_leaves_the_others_alone(head):
    alignment = small_performance(head)
    stds = weighed_stds(FocalPrior((None, 410.0), std=0.1), FitConfig(), alignment)
    problem = make_problem(alignment, head, alignment.image_size / 2, FitConfig(), focal_stds=stds)
    assert problem.focal_prior_weight[0] == 1 and problem.focal_prior_weight[1] > 9
    plain = make_problem(alignment, head, alignment.image_size / 2, FitConfig())
    assert np.asarray(plain.focal_prior_weight).tolist() == [1, 1]


def test_a_lens_weighs_as_much_against_many_points_as_against_few(head):
    few = small_performance(head, point_set="vertices", frames=4)
    many = dataclasses.replace(few, mean=few.mean.repeat(4, 1).repeat(3, 2), std=few.std.repeat(4, 1).repeat(3, 2),
                               valid=few.valid.repeat(4, 1))  # fmt: skip
    prior, config = FocalPrior((400.0, 400.0)), FitConfig()
    ratio = weighed_stds(prior, config, few) / weighed_stds(prior, config, many)
    assert np.allclose(ratio[0], np.sqrt(4 * 3))
    assert (weighed_stds(None, config, many) == config.focal_prior_std).all()


def test_priors_that_mean_nothing_are_refused(head):
    alignment = small_performance(head)
    with pytest.raises(InputError, match="of 1 camera"):
        fit(alignment, head, None, FitConfig(), focal_prior=FocalPrior((400.0,)))
    for focal, std in (((0.0,), 0.1), ((float("nan"),), 0.1), ((400.0,), 0.0)):
        with pytest.raises(InputError, match="above 0"):
            FocalPrior(focal, std)


def test_known_cameras_need_no_prior():
    assert checked_prior(FocalPrior((999.0,)), 1, are_known=True) is None
    assert checked_prior(FocalPrior((None, None)), 2, are_known=False) is None
    assert checked_prior(FocalPrior((999.0,)), 1, are_known=False) is not None


def test_without_any_prior_on_the_focal_length_there_is_none_from_photographs_either():
    config = FitConfig(focal_prior_std=0.0)
    assert focal_stds(FocalPrior((999.0,)), config, 1).tolist() == [0.0]
    assert std_with_prior(np.asarray([0.4]), FocalPrior((999.0,)), config).tolist() == [0.4]


@pytest.mark.parametrize("times", [np.arange(9) / 30, np.round(np.arange(9) / 60, 3), np.arange(9) * 3.0 + 2])
def test_even_times_give_the_plain_second_difference(times):
    stencils = acceleration_stencils(times)
    assert (stencils[1:-1] == REGULAR).all() and (stencils[[0, -1]] == 0).all()
    assert irregularity_note(times) is None


def test_uneven_times_give_the_acceleration_of_a_parabola():
    times = np.asarray([0, 1, 2, 4, 5, 6, 7.5, 8.5, 9.5]) / 30
    moved = 3 + 2 * times - 5 * times**2
    stencils = acceleration_stencils(times)
    found = stencils[1:-1, 0] * moved[:-2] + stencils[1:-1, 1] * moved[1:-1] + stencils[1:-1, 2] * moved[2:]
    assert np.allclose(found, -10 / 30**2, rtol=1e-4)


def test_frames_at_nearly_one_time_are_not_glued_together_and_far_ones_stay_linked():
    stencils = acceleration_stencils(np.asarray([0, 1, 1.0001, 3, 4, 5, 500, 501]) / 10)
    assert np.abs(stencils).max() <= 2 * 4**2 and (np.abs(stencils[1:-1]).min(1) > 0.01).all()
    assert len(acceleration_stencils(np.asarray([0.0, 1.0]))) == 2


def test_a_strongly_irregular_rate_is_noted():
    random = np.random.default_rng(0)
    times = np.cumsum(random.choice([0.033, 0.1], 40, p=[0.7, 0.3]))
    assert "uneven in time" in irregularity_note(times) and "33 ms" in irregularity_note(times)
    dropped = np.delete(np.arange(100) / 30, [40])
    assert irregularity_note(dropped) is None


@pytest.mark.minutes
def test_steady_motion_costs_nothing_at_uneven_times(head):
    """A head that moves at constant speed, filmed with dropped frames, is followed without lag."""
    cameras = small_cameras(1)
    ticks = np.delete(np.arange(30), [5, 6, 13, 21, 22, 23])
    still = small_performance(head, cameras=cameras, frames=1, noise=0.01)
    speed = np.asarray([3.0, 0.0])
    mean = still.mean + (ticks[:, None] * speed)[None, :, None]
    uneven = dataclasses.replace(
        still,
        mean=mean.astype(np.float32),
        std=np.full((1, len(ticks), still.point_count), 1.0, np.float32),
        valid=np.ones((1, len(ticks)), bool),
        frame_times=ticks / 30,
        frame_ids=ticks,
    )
    config = FitConfig(temporal_weight=2e5, joint_pose="fixed", expression="shared", **QUICK)
    aware = fit(uneven, head, cameras, config)
    blind = fit(dataclasses.replace(uneven, frame_times=np.arange(len(ticks)) / 30), head, cameras, config)
    assert float(np.median(aware.residual_px)) < 0.5 * float(np.median(blind.residual_px))
    assert (aware.frame_times == uneven.frame_times).all()
    assert any("uneven in time" in note for note in aware.summary["notes"])
