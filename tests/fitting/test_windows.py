"""A long video solved in windows of frames gives what all its frames solved together give."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from flowface_jax.fitting import levenberg_marquardt
from flowface_jax.fitting.columns import columns_of, retract
from flowface_jax.fitting.config import FitConfig
from flowface_jax.fitting.fit import fit, make_chart, make_layout
from flowface_jax.fitting.hand_over import carried, difference
from flowface_jax.fitting.initialise import initialise
from flowface_jax.fitting.problem import make_problem
from flowface_jax.fitting.windows import plan_windows
from flowface_jax.heads.model import vertices
from tests.fitting.small import small_cameras, small_head, small_performance

# Several long compilations.
pytestmark = pytest.mark.minutes

FRAMES = 60
TOGETHER = FitConfig(window_frames=0, energy_tolerance=1e-7, error_bars=False)
IN_WINDOWS = dataclasses.replace(TOGETHER, window_frames=16)


@pytest.fixture(scope="module")
def head():
    """A small head whose second expression is held by a limit now and then."""
    head = small_head()
    return dataclasses.replace(head, expression_limits=head.expression_limits.at[1].set(jnp.asarray([-0.3, 0.3])))


@pytest.fixture(scope="module")
def camera():
    return small_cameras(1)


def _clip(head, cameras, frames=FRAMES, unseen=()):
    alignment = small_performance(head, 3, cameras, frames=frames, outliers=0.03)
    valid = alignment.valid.copy()
    valid[:, list(unseen)] = False
    return dataclasses.replace(alignment, valid=valid)


def _world(track, head):
    """World vertices of every frame [F,V,3] m."""
    posed = jax.vmap(vertices, in_axes=(None, None, 0, 0, None))
    local = posed(head, *(jnp.asarray(x) for x in (track.identity, track.expression)), track.joint_rotations,
                  jnp.asarray(track.offsets))  # fmt: skip
    turned = np.einsum("fij,fvj->fvi", Rotation.from_rotvec(track.head_rotation).as_matrix(), np.asarray(local))
    return turned + track.head_translation[:, None]


def _assert_same(windows, together, head, largest_mm=0.1, median_mm=0.02):
    distance = 1000 * np.linalg.norm(_world(windows, head) - _world(together, head), axis=-1)
    assert np.median(distance) < median_mm
    assert distance.max() < largest_mm
    np.testing.assert_allclose(windows.identity, together.identity, atol=1e-3)
    energies = [sum(track.summary["solver"]["energy"].values()) for track in (windows, together)]
    assert energies[0] < energies[1] * (1 + 2e-6)
    assert windows.summary["solver"]["windows"] > 2
    assert together.summary["solver"]["windows"] == 0
    assert windows.summary["solver"]["converged"]


@pytest.mark.parametrize(
    ("unseen", "largest_mm"),
    [
        ((), 0.1),
        (range(13, 17), 0.1),
        # Where a face stays unseen for long, little more than its acceleration says where it is.
        (range(10, 48), 0.5),
        (range(0, 16), 10.0),
        (range(50, 60), 10.0),
    ],
    ids=["all seen", "a gap over a hand-over", "gap of two windows", "unseen beginning", "unseen end"],
)
def test_windows_reach_the_solution_of_all_frames_together(head, camera, unseen, largest_mm):
    alignment = _clip(head, camera, unseen=unseen)
    windows, together = (fit(alignment, head, camera, config) for config in (IN_WINDOWS, TOGETHER))
    _assert_same(windows, together, head, largest_mm)


def test_photos_without_order_in_time_are_solved_in_windows_too(head, camera):
    alignment = dataclasses.replace(_clip(head, camera), frame_times=np.zeros(FRAMES))
    _assert_same(*(fit(alignment, head, camera, config) for config in (IN_WINDOWS, TOGETHER)), head)


def test_cameras_and_offsets_are_shared_by_all_windows(head):
    alignment = _clip(head, small_cameras(2), unseen=range(13, 17))
    windows, together = (fit(alignment, head, None, config) for config in (IN_WINDOWS, TOGETHER))
    _assert_same(windows, together, head)
    np.testing.assert_allclose(windows.cameras.focal, together.cameras.focal, rtol=1e-4)
    np.testing.assert_allclose(windows.offsets, together.offsets, atol=2e-5)


def test_programs_and_so_device_memory_are_those_of_one_window_however_long_the_video(head, camera):
    programs = levenberg_marquardt._advance_jit
    fit(_clip(head, camera), head, camera, IN_WINDOWS)
    compiled = programs._cache_size()
    fit(_clip(head, camera, frames=2 * FRAMES), head, camera, IN_WINDOWS)
    assert programs._cache_size() == compiled


def test_windows_give_the_same_bytes_again(head, camera):
    first, second = (fit(_clip(head, camera), head, camera, IN_WINDOWS) for _ in range(2))
    for name in ("identity", "expression", "head_rotation", "head_translation", "energy_history"):
        assert getattr(first, name).tobytes() == getattr(second, name).tobytes()


def test_windows_cover_all_frames_and_end_where_a_face_is_seen():
    seen = np.ones(100, bool)
    seen[25:40] = False
    windows = plan_windows(seen, 30)
    assert [w.first for w in windows] == [0, 25, 55, 85]
    assert [w.count for w in windows] == [25, 30, 30, 15]
    assert [w.last for w in windows] == [False, False, False, True]


def test_the_difference_of_two_states_is_the_step_between_them(head):
    alignment = _clip(head, small_cameras(2), frames=8)
    config = FitConfig(joints=("jaw",))
    layout = make_layout(alignment, head, None, config)
    state, _ = initialise(alignment, head, None, layout, config)
    problem = make_problem(alignment, head, alignment.image_size / 2.0, config)
    chart = make_chart(problem, head, state, layout, config)
    columns = columns_of(chart)
    anchor = carried(chart.base)
    size = 2 * columns.frame_size + columns.shared_size
    step = 0.1 * jnp.asarray(np.random.default_rng(0).normal(size=size), jnp.float32)
    rows, shared = step[: 2 * columns.frame_size].reshape(2, -1), step[2 * columns.frame_size :]
    there_and_back = jax.jit(lambda: difference(retract(anchor, shared, rows, chart, columns), anchor, chart, columns))
    np.testing.assert_allclose(there_and_back(), step, atol=2e-5)
