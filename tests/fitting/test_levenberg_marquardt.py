"""Levenberg-Marquardt finds the minimum that a dense float64 solver finds, says so, and survives bad input."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.cameras.model import make_cameras
from flowface_jax.errors import InputError
from flowface_jax.fitting.config import FitConfig
from flowface_jax.fitting.fit import fit
from flowface_jax.fitting.levenberg_marquardt import solve_levenberg_marquardt
from flowface_jax.heads.model import HeadModel
from tests.fitting.dense import plan_float64, solve_dense
from tests.fitting.small import small_cameras, small_head, small_performance

JOINTS = {"joints": ("jaw", "left_eye", "right_eye")}
EVERYTHING = JOINTS | {"offsets": "shared", "focal": "free", "camera_pose": "free"}
"""Settings under which every group moves."""


@dataclasses.dataclass(frozen=True)
class Case:
    """One problem. settings: of the fit. cameras: how many. known: whether they are given. limits: of expressions.
    neutral: whether a neutral head is given. sparse: whether joints move only a part of the head, and which joints
    `auto` chooses is left to them. times: whether frames have times. others: how the performance is spoilt.
    """

    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    cameras: int = 2
    known: bool = True
    frames: int = 5
    point_set: str = "surface"
    limits: tuple[float, float] | None = None
    neutral: bool = False
    sparse: bool = False
    times: bool = True
    others: dict[str, float] = dataclasses.field(default_factory=dict)

    def head(self) -> HeadModel:
        head = small_head()
        if self.limits is not None:
            head = dataclasses.replace(head, expression_limits=jnp.tile(jnp.asarray(self.limits, jnp.float32), (3, 1)))
        if self.sparse:
            lower = np.asarray(head.template)[:, 1] < 0
            weights = np.where(lower[:, None], np.asarray(head.skinning_weights), [0.5, 0.5, 0.0, 0.0, 0.0])
            correctives = np.where(lower[:, None, None], np.asarray(head.pose_correctives), 0.0)
            head = dataclasses.replace(
                head,
                skinning_weights=jnp.asarray(weights / weights.sum(1, keepdims=True), jnp.float32),
                pose_correctives=jnp.asarray(correctives, jnp.float32),
                regions={**head.regions, "eyeballs": jnp.zeros(head.vertex_count, bool)},
            )
        return head

    def plan(self) -> tuple:
        """Problem, chart and focal guess in float64, and the settings; under jax.enable_x64."""
        head, cameras = self.head(), small_cameras(self.cameras)
        alignment = small_performance(
            head, 0, cameras, self.frames, point_set=self.point_set, **({"noise": 0.5} | self.others)
        )
        if not self.times:
            alignment = dataclasses.replace(alignment, frame_times=np.zeros(self.frames))
        neutral = None
        if self.neutral:
            noise = np.random.default_rng(2).normal(size=head.template.shape)
            neutral = np.asarray(head.template) * 1.01 + 0.001 * noise
        config = FitConfig(**({"temporal_vertices": 20} | self.settings))
        return *plan_float64(alignment, head, cameras if self.known else None, config, neutral), config


def _check(case: Case) -> None:
    """Where the solver converges to is the polished minimum, and the one that the oracle reaches by itself; with its
    usual tolerance it stops close to it.
    """
    with jax.enable_x64(True):
        problem, chart, guess, config = case.plan()
        # The same number of iterations, so that both run the same compiled program.
        usual = dataclasses.replace(config, max_iterations=300)
        usually = solve_levenberg_marquardt(problem, chart, usual, guess)
        strict = dataclasses.replace(usual, energy_tolerance=1e-10)
        strictly = solve_levenberg_marquardt(problem, chart, strict, guess)
        polished = solve_dense(problem, chart, config, guess, start=strictly.parameters)
        alone = solve_dense(problem, chart, config, guess)
        low, high = (np.asarray(side) for side in problem.head.expression_limits.T)
    for solution, tolerance in ((usually, 1e-5), (strictly, 1e-6)):
        reached, expression = float(solution.terms.total), np.asarray(solution.parameters.expression)
        assert solution.converged
        history = np.append(solution.history, reached)
        assert (np.diff(history) <= 1e-12 * history[:-1]).all()
        # Limits are kept to the last bit but one: a step is added to where it starts.
        assert (expression >= low - 1e-15).all() and (expression <= high + 1e-15).all()
        assert reached == pytest.approx(polished.energy, rel=tolerance)
        assert reached == pytest.approx(alone.energy, rel=tolerance)
    if case.limits is not None:
        assert ((expression <= low) | (expression >= high)).any(), "the case is meant to press against a limit"


# One layout and one set of shapes, so that all of these run the same compiled programs.
QUICK = {
    "all but joints moves": Case(known=False, neutral=True),
    "limits are active": Case(known=False, neutral=True, limits=(-0.2, 0.4)),
    "no temporal term, a fifth unobserved": Case(
        {"temporal_weight": 0.0}, known=False, neutral=True, others={"dropout": 0.2, "noise": 2.0}
    ),
}
_FIXED_CAMERAS = {"focal": "fixed", "camera_pose": "fixed"}
THOROUGH = {
    "everything moves": Case(EVERYTHING, known=False, neutral=True),
    "everything moves, joints a part of the head": Case(EVERYTHING, known=False, neutral=True, sparse=True),
    "everything moves, within limits": Case(EVERYTHING, known=False, neutral=True, limits=(0.0, 0.4)),
    "calibrated rig": Case(),
    "uncalibrated rig": Case(known=False),
    "three uncalibrated cameras": Case(cameras=3, known=False),
    "one camera": Case(cameras=1, known=False),
    "one camera of known focal length": Case(cameras=1),
    "single image": Case(cameras=1, known=False, frames=1),
    "identity fixed": Case({"identity": "fixed"}),
    "identity fixed, all else": Case(EVERYTHING | {"identity": "fixed"}, known=False, neutral=True),
    "expression shared": Case({"expression": "shared"}),
    "expression fixed": Case({"expression": "fixed"}),
    "joints chosen by the head": Case({"joints": ("auto",)}, sparse=True),
    "joints move a part of the head": Case(JOINTS, sparse=True),
    "joints of vertices": Case(JOINTS, sparse=True, point_set="vertices"),
    "joint pose shared": Case(JOINTS | {"joint_pose": "shared"}, sparse=True),
    "joint pose fixed": Case(JOINTS | {"joint_pose": "fixed"}),
    "head pose shared": Case({"head_pose": "shared"}),
    "head pose fixed": Case({"head_pose": "fixed"}),
    "only poses": Case({"identity": "fixed", "expression": "fixed", "offsets": "fixed"}),
    "only identity": Case({"expression": "fixed", "head_pose": "fixed", "offsets": "fixed"}),
    "only shared groups": Case(
        EVERYTHING | {"expression": "shared", "joint_pose": "shared", "head_pose": "shared"}, known=False
    ),
    "one camera, only shared groups": Case(
        JOINTS | {"expression": "shared", "joint_pose": "shared", "head_pose": "shared"}, cameras=1, known=False
    ),
    "focal shared": Case({"focal": "shared"}, known=False),
    "focal free, poses known": Case({"focal": "free"}),
    "focal shared, poses known": Case({"focal": "shared"}),
    "focal known, poses free": Case({"camera_pose": "free"}),
    "focal free, head and cameras fixed": Case({"focal": "free", "head_pose": "fixed"}),
    "cameras guessed and kept": Case(_FIXED_CAMERAS, known=False),
    "no offsets": Case({"offsets": "fixed"}),
    "offsets of one camera": Case({"offsets": "shared"}, cameras=1, known=False),
    "photos without times": Case(known=False, times=False),
    "every vertex in the temporal term": Case({"temporal_vertices": 0, "temporal_weight": 2000.0}, known=False),
    "neutral head": Case({"offsets": "fixed"}, neutral=True),
    "neutral head and offsets": Case({"offsets": "shared"}, neutral=True),
    "neutral head, identity fixed": Case({"offsets": "shared", "identity": "fixed"}, neutral=True),
    "square": Case({"robust": "none"}, known=False),
    "Huber": Case({"robust": "huber", "robust_scale": 1.5}, known=False, others={"outliers": 0.1}),
    "Geman-McClure": Case({"robust_scale": 3.0}, others={"outliers": 0.1}),
    "vertices": Case(point_set="vertices", known=False),
    "no prior on the focal length, identity prior once": Case(
        {"focal_prior_std": 0.0, "identity_prior": "once"}, known=False
    ),
    "limits": Case(limits=(0.0, 0.4)),
    "limits, truth far beyond": Case(limits=(0.0, 1.0), others={"spread": 4.0}),
    "limits, expression shared": Case({"expression": "shared"}, limits=(0.05, 0.1), others={"spread": 2.0}),
}


@pytest.mark.parametrize(
    "name", [name if name.startswith("all") else pytest.param(name, marks=pytest.mark.minutes) for name in QUICK]
)
def test_the_energy_is_that_of_a_dense_solver(name):
    _check(QUICK[name])


@pytest.mark.thorough
@pytest.mark.parametrize("name", THOROUGH)
def test_the_energy_is_that_of_a_dense_solver_whatever_moves(name):
    _check(THOROUGH[name])


# What users hand to `fit`, in float32. One set of shapes again.
CONFIG = FitConfig(temporal_vertices=20)
FRAMES = 5


@pytest.fixture(scope="module")
def head():
    return small_head()


@pytest.fixture(scope="module")
def alignment(head):
    return small_performance(head, frames=FRAMES)


@pytest.fixture(scope="module")
def track(alignment, head):
    return fit(alignment, head, config=CONFIG)


def test_convergence_is_said_after_few_iterations_that_never_raise_the_energy(track):
    solver = track.summary["solver"]
    assert solver["name"] == "levenberg_marquardt" and solver["converged"]
    assert solver["steps"] == len(track.energy_history) < 30
    assert (np.diff(track.energy_history) <= 0).all()
    final = sum(v for v in solver["energy"].values())
    assert final <= track.energy_history[-1] * (1 + 1e-6)


@pytest.mark.minutes
def test_too_few_iterations_are_not_convergence(alignment, head, track):
    short = fit(alignment, head, config=dataclasses.replace(CONFIG, max_iterations=2))
    assert not short.summary["solver"]["converged"]
    np.testing.assert_array_equal(short.energy_history, track.energy_history[:2])


def test_progress_is_told_after_every_iteration(alignment, head):
    told = []
    track = fit(alignment, head, config=CONFIG, progress=lambda *values: told.append(values))
    assert [iteration for iteration, _, _ in told] == list(range(1, len(track.energy_history) + 1))
    np.testing.assert_allclose([e for _, e, _ in told][:-1], track.energy_history[1:], rtol=1e-6)


def test_the_same_input_gives_the_same_bytes(alignment, head, track, tmp_path):
    track.save(tmp_path / "a")
    fit(alignment, head, config=CONFIG).save(tmp_path / "b")
    assert (tmp_path / "a/track.npz").read_bytes() == (tmp_path / "b/track.npz").read_bytes()


_SOLVED = ("identity", "expression", "joint_rotations", "head_rotation", "head_translation", "offsets")


def _is_sound(track) -> None:
    """Every parameter is a number, and so is every energy."""
    for name in _SOLVED:
        assert np.isfinite(getattr(track, name)).all(), name
    for name in ("focal", "rotation", "translation"):
        assert np.isfinite(np.asarray(getattr(track.cameras, name))).all(), name
    assert np.isfinite(track.energy_history).all()
    assert all(math.isfinite(value) for value in track.summary["solver"]["energy"].values())
    rotations = np.asarray(track.cameras.rotation)
    np.testing.assert_allclose(rotations @ rotations.transpose(0, 2, 1), np.eye(3)[None].repeat(2, 0), atol=1e-4)


def _only(alignment, camera: int, frame: int, point: int):
    std = np.full_like(alignment.std, np.inf)
    std[camera, frame, point] = 1.0
    return dataclasses.replace(alignment, std=std)


def _twice(alignment):
    """Two cameras at the same place."""
    return dataclasses.replace(
        alignment, **{name: getattr(alignment, name)[[0, 0]] for name in ("mean", "std", "valid", "image_size")}
    )


def _unseen(alignment, frame: int):
    valid, std = alignment.valid.copy(), alignment.std.copy()
    valid[:, frame], std[:, frame] = False, np.inf
    return dataclasses.replace(alignment, valid=valid, std=std)


def _nothing_in_a_frame(alignment, frame: int):
    """A face is said to be there, but none of its points is observed."""
    std = alignment.std.copy()
    std[:, frame] = np.inf
    return dataclasses.replace(alignment, std=std)


BAD = {
    "two cameras at the same place": _twice,
    "all standard deviations huge": lambda a: dataclasses.replace(a, std=np.full_like(a.std, 1e6)),
    "all standard deviations tiny": lambda a: dataclasses.replace(a, std=np.full_like(a.std, 1e-30)),
    "means far outside of the image": lambda a: dataclasses.replace(a, mean=np.full_like(a.mean, 1e30)),
    "some means far outside of the image": lambda a: dataclasses.replace(
        a, mean=np.where(np.arange(a.point_count)[:, None] % 7 == 3, np.float32(1e30), a.mean)
    ),
    "one point at the same place everywhere": lambda a: dataclasses.replace(a, mean=np.full_like(a.mean, 100.0)),
    "one observed point": lambda a: _only(a, 0, 2, 5),
    "a frame without a face": lambda a: _unseen(a, 3),
    "the first frame without a face": lambda a: _unseen(a, 0),
    "a frame without an observed point": lambda a: _nothing_in_a_frame(a, 3),
    "mirrored": lambda a: dataclasses.replace(a, mean=a.mean * np.float32([-1, 1]) + np.float32([256, 0])),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gives_a_finite_track_or_one_line(name, alignment, head):
    try:
        result = fit(BAD[name](alignment), head, config=CONFIG)
    except InputError as error:
        assert "\n" not in str(error)
        return
    _is_sound(result)
    unseen = ~(np.isfinite(BAD[name](alignment).std).any(-1) & BAD[name](alignment).valid).any(0)
    flagged = {flag["frame"] for flag in result.summary["flags"]}
    assert set(np.flatnonzero(unseen)) <= flagged


def test_a_fit_in_which_nothing_may_move_keeps_its_start(alignment, head):
    nothing = FitConfig(identity="fixed", expression="fixed", joint_pose="fixed", head_pose="fixed", offsets="fixed")
    track = fit(alignment, head, small_cameras(), nothing)
    _is_sound(track)
    assert not track.expression.any() and not track.identity.any() and not track.offsets.any()
    assert track.summary["solver"]["converged"]


@pytest.mark.minutes
def test_a_camera_behind_the_head_does_not_break_the_fit(alignment, head):
    """Known cameras that look away from where the head must be: no image can be explained."""
    cameras = small_cameras()
    away = make_cameras(
        cameras.focal, cameras.principal_point, cameras.rotation, -np.asarray(cameras.translation), cameras.image_size
    )
    try:
        _is_sound(fit(alignment, head, away, CONFIG))
    except InputError as error:
        assert "\n" not in str(error)
