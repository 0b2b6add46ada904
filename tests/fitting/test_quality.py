"""What a track says of itself: residuals in σ per region, hidden regions, jumps, and one word for the whole."""

from __future__ import annotations

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from flowface_jax.alignment.alignment import make_alignment
from flowface_jax.fitting.config import FitConfig
from flowface_jax.fitting.energy import head_vertices, squared_distances
from flowface_jax.fitting.jumps import find_jumps
from flowface_jax.fitting.parameters import Parameters
from flowface_jax.fitting.problem import make_problem
from flowface_jax.fitting.quality import assess
from flowface_jax.fitting.regions import region_points
from flowface_jax.fitting.residuals import point_statistics, usual_spread
from flowface_jax.fitting.verdict import LIMITS, VERDICTS, Figures, judge
from tests.fitting.small import small_alignment, small_cameras, small_head

STD = 2.0
FRAMES = 24


@pytest.fixture(scope="module")
def head():
    """All of whose points count, with a left and a right half by name."""
    head = small_head(count=160)
    left = np.asarray(head.template)[:, 0] > 0
    regions = {**head.regions, "face": np.ones(len(left), bool), "left_eye": left, "right_eye": ~left}
    return dataclasses.replace(
        head,
        vertex_weights=jnp.ones(head.vertex_count),
        regions={name: jnp.asarray(mask) for name, mask in regions.items()},
    )


def _parameters(head, cameras, frames, evaluated, turn=0.0):
    rotation = np.tile(Rotation.from_euler("y", turn, degrees=True).as_matrix(), (frames, 1, 1))
    return Parameters(
        identity=jnp.zeros(head.identity_size),
        expression=jnp.zeros((frames, head.expression_size)),
        joint_rotations=jnp.zeros((frames, 0, 3)),
        head_rotation=jnp.asarray(rotation, jnp.float32),
        head_translation=jnp.zeros((frames, 3)),
        offsets=jnp.zeros((evaluated, 3)),
        camera_rotation=jnp.asarray(cameras.rotation),
        camera_translation=jnp.asarray(cameras.translation),
        focal=jnp.asarray(cameras.focal),
    )


def _scene(head, count=1, noise=1.0, frames=FRAMES, turn=0.0, change=None):
    """A perfect fit to vertices seen with noise of `noise` times the stated σ, spoilt by `change(mean, std, valid)`."""
    cameras = small_cameras(count)
    world = np.asarray(head.template) @ Rotation.from_euler("y", turn, degrees=True).as_matrix().T
    pixels = np.asarray(cameras.project(jnp.asarray(world, jnp.float32)))
    random = np.random.default_rng(3)
    mean = pixels[:, None] + noise * STD * random.normal(size=(count, frames, head.vertex_count, 2))
    std, valid = np.full(mean.shape[:3], STD), np.ones((count, frames), bool)
    if change is not None:
        change(mean, std, valid)
    alignment = make_alignment(
        mean, std, valid, np.asarray(cameras.image_size), "vertices", frame_times=np.arange(frames) / 25
    )
    problem = make_problem(alignment, head, np.asarray(cameras.principal_point), FitConfig())
    parameters = _parameters(head, cameras, problem.frame_count, len(problem.vertex_ids), turn)
    return parameters, problem, alignment


def _quality(head, *arguments, **settings):
    return assess(*(scene := _scene(head, *arguments, **settings)), head), scene[2]


def test_statistics_equal_plain_ones_whatever_the_chunk(head):
    """Medians, percentiles and χ² against NumPy's, on surface points with gaps, in chunks that do not divide F."""
    alignment = small_alignment(head, cameras=2, frames=11)
    problem = make_problem(alignment, head, alignment.image_size / 2.0, FitConfig())
    parameters = _parameters(head, small_cameras(2), problem.frame_count, len(problem.vertex_ids))
    points = region_points(head, alignment.points_on(head), np.asarray(problem.point_weight))
    usual = usual_spread(alignment, points)
    whole, chunked = (
        point_statistics(parameters, problem, points, usual, 11, chunk_values=2 * values * problem.mean.shape[2])
        for values in (100, 3)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5), whole, chunked)
    world = parameters.to_world(head_vertices(parameters, problem))
    distance = np.sqrt(np.asarray(squared_distances(parameters, problem, world), np.float64))[:, :11]
    distance = np.where(np.isfinite(alignment.std) & alignment.valid[..., None], distance, np.nan)
    seen = alignment.valid
    np.testing.assert_allclose(whole.median_px[seen], np.nanmedian(distance[seen], axis=-1), rtol=1e-4)
    np.testing.assert_allclose(whole.p90_px[seen], np.nanpercentile(distance[seen], 90, axis=-1), rtol=1e-4)
    assert np.isnan(whole.median_px[~seen]).all()
    squared = (distance / alignment.std) ** 2
    for r, name in enumerate(points.names):
        members = np.moveaxis(squared[..., points.chosen[points.members[r] > 0]], 0, 1).reshape(11, -1)
        np.testing.assert_allclose(whole.chi_square[:, r], np.nanmean(members, axis=1) / 2, rtol=1e-4, err_msg=name)
        expected = np.nanmedian(members, axis=1) / (2 * np.log(2))
        np.testing.assert_allclose(whole.chi_square_median[:, r], expected, rtol=1e-4, err_msg=name)


@pytest.mark.parametrize("noise", [1.0, 3.0])
def test_chi_square_is_the_square_of_how_much_too_small_sigma_is(head, noise):
    quality, _ = _quality(head, noise=noise)
    assert np.mean(quality.points.chi_square[:, 0]) == pytest.approx(noise**2, rel=0.05)
    assert np.mean(quality.points.chi_square_median[:, 0]) == pytest.approx(noise**2, rel=0.1)


def test_a_few_outliers_leave_the_median_and_the_verdict_alone(head):
    def spoil(mean, std, valid):
        mean[:, :, ::12] += 60.0

    quality, _ = _quality(head, noise=0.3, change=spoil)
    assert np.median(quality.points.chi_square[:, 0]) > 20
    assert np.median(quality.points.chi_square_median[:, 0]) < 0.2
    assert quality.verdict == "good", quality.reasons
    assert quality.flags == []


def test_a_spoilt_region_is_named_in_its_frames_only(head):
    right = np.asarray(head.regions["right_eye"])

    def spoil(mean, std, valid):
        mean[:, 5:8, right] += np.random.default_rng(0).normal(size=(1, 3, right.sum(), 2)) * 30.0

    quality, alignment = _quality(head, change=spoil)
    chi_square = dict(zip(quality.region_names, quality.points.chi_square.T, strict=True))
    assert (chi_square["right_eye"][5:8] > 20).all() and (chi_square["left_eye"] < 2).all()
    assert [flag["frame"] for flag in quality.flags] == [5, 6, 7]
    assert all(
        "not followed: right_eye" in " ".join(flag["reasons"]) or "not followed: face" in " ".join(flag["reasons"])
        for flag in quality.flags
    )
    assert quality.record(alignment)["regions"]["right_eye"]["not_followed_frames"] == 3


@pytest.mark.parametrize("how", ["unobserved", "uncertain"])
def test_hidden_points_are_noticed_by_absence_and_by_sigma(head, how):
    left = np.asarray(head.regions["left_eye"])

    def hide(mean, std, valid):
        std[:, 10:15, left] = np.inf if how == "unobserved" else 4.0 * STD

    quality, _ = _quality(head, change=hide)
    share = quality.region_hidden[:, quality.region_names.index("left_eye")]
    assert (share[10:15] == 1).all() and (np.delete(share, range(10, 15)) == 0).all()
    assert all(any("hidden" in reason for reason in flag["reasons"]) for flag in quality.flags)
    assert [flag["frame"] for flag in quality.flags] == [10, 11, 12, 13, 14]


def test_what_turns_away_is_not_hidden(head):
    """In profile the far half is unobserved, as it should be; nothing is flagged for it."""
    turned = np.asarray(head.template) @ Rotation.from_euler("y", 80, degrees=True).as_matrix().T

    def unseen(mean, std, valid):
        std[:, :, turned[:, 2] < 0] = np.inf

    quality, _ = _quality(head, turn=80.0, change=unseen)
    assert quality.flags == [] and np.nanmax(quality.region_hidden) < 0.1


def test_one_camera_at_odds_costs_the_good_verdict_but_no_frames(head):
    def spoil(mean, std, valid):
        mean[2] += np.random.default_rng(0).normal(size=mean[2].shape) * 4.0

    quality, _ = _quality(head, count=3, noise=0.2, change=spoil)
    assert quality.verdict == "usable", quality.reasons
    assert "one camera" in " ".join(quality.reasons)
    assert quality.figures.bad_frames == 0


@pytest.mark.parametrize(
    "spoil",
    [
        lambda parameters: dataclasses.replace(parameters, head_rotation=parameters.head_rotation * jnp.nan),
        lambda parameters: dataclasses.replace(parameters, focal=parameters.focal * jnp.inf),
        lambda parameters: dataclasses.replace(parameters, head_translation=parameters.head_translation + 1e30),
    ],
    ids=["NaN", "infinity", "huge"],
)
def test_bad_numbers_fail_and_never_raise(head, spoil):
    parameters, problem, alignment = _scene(head)
    quality = assess(spoil(parameters), problem, alignment, head)
    assert quality.verdict == "failed"
    assert len(quality.flags) == FRAMES
    for record in (quality.record(alignment), quality.residual_record(), quality.flags):
        json.dumps(record, allow_nan=False)


@pytest.mark.parametrize(
    ("name", "verdicts"),
    [(name, VERDICTS if np.isfinite(limit.poor) else VERDICTS[:3]) for name, limit in LIMITS.items()],
)
def test_every_figure_alone_decides_the_verdict_and_says_why(name, verdicts):
    sound = Figures(True, 0.6, 1.2, 0.6, 1.0, 0.0, 0.0, 0.0, 0.0)
    assert judge(sound) == ("good", [])
    limit = LIMITS[name]
    for verdict, bound in zip(verdicts[1:], (limit.good, limit.usable, limit.poor), strict=False):
        found, reasons = judge(dataclasses.replace(sound, **{name: bound * 1.01 + 1e-6}))
        assert found == verdict and len(reasons) == 1 and f"{limit.scale * bound:g}" in reasons[0]
    assert judge(dataclasses.replace(sound, **{name: float("nan")}))[0] == "failed"


def _motion(frames=90, kind="still"):
    """Rotations, positions in m and times of a head, 25 frames a second."""
    random = np.random.default_rng(0)
    t = np.arange(frames) / 25
    position = 5e-4 * random.normal(size=(frames, 3))
    angles = 0.1 * random.normal(size=(frames, 3))
    if kind == "running":
        position[:, 0] += 3.0 * t
        angles[:, 1] += 200.0 * t
    if kind == "shaken":
        # 4 Hz and 6 cm: 20 mm per frame² and more.
        position[:, 0] += 0.03 * np.sin(2 * np.pi * 4 * t)
        angles[:, 1] += 15 * np.sin(2 * np.pi * 4 * t)
    if kind == "starting":
        position[:, 0] += np.where(t < 1.6, 0.0, 0.005 * (np.arange(frames) - 40))
    return Rotation.from_euler("yxz", angles, degrees=True).as_matrix(), position, t


def _jumps(rotation, position, times, seen=None):
    return find_jumps(rotation, position, np.ones(len(position), bool) if seen is None else seen, times)[0]


@pytest.mark.parametrize("kind", ["still", "running", "shaken", "starting"])
def test_real_motion_is_no_jump(kind):
    assert _jumps(*_motion(kind=kind)) == []


@pytest.mark.parametrize("kind", ["still", "running"])
@pytest.mark.parametrize("length", [1, 2, 12])
def test_frames_astray_are_found_exactly(kind, length):
    rotation, position, times = _motion(kind=kind)
    position[40 : 40 + length] += [0.0, 0.02, 0.015]
    (jump,) = _jumps(rotation, position, times)
    assert (jump.frame, jump.last_frame) == (40, 39 + length)
    assert jump.distance_mm == pytest.approx(25, abs=3)
    turned = _motion(kind=kind)[0]
    turned[40 : 40 + length] = turned[40 : 40 + length] @ Rotation.from_euler("x", 12, degrees=True).as_matrix()
    (jump,) = _jumps(turned, _motion(kind=kind)[1], times)
    assert (jump.frame, jump.last_frame) == (40, 39 + length) and jump.angle_degrees == pytest.approx(12, abs=1)


def test_a_cut_is_one_jump_and_gaps_and_photographs_are_none():
    rotation, position, times = _motion()
    position[50:] += 0.1
    (jump,) = _jumps(rotation, position, times)
    assert (jump.frame, jump.last_frame) == (50, 50)
    assert _jumps(rotation, position, np.zeros_like(times)) == []
    assert _jumps(rotation, position, times + 0.5 * (np.arange(len(times)) >= 50)) == []
    unseen = np.ones(len(times), bool)
    unseen[49] = False
    assert _jumps(rotation, position, times, unseen) == []
    assert _jumps(rotation[:1], position[:1], times[:1]) == []
    position[49] = np.nan
    assert _jumps(rotation, position, times) == []
