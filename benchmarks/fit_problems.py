"""The problems that the benchmarks of the fit solve: made-up performances, initialised as `fit` does."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.alignment.alignment import Alignment, make_alignment
from flowface_jax.cameras.model import Cameras
from flowface_jax.fitting.config import FitConfig
from flowface_jax.fitting.fit import make_chart, make_layout
from flowface_jax.fitting.initialise import initialise
from flowface_jax.fitting.parameters import Chart
from flowface_jax.fitting.problem import FitProblem, make_problem
from flowface_jax.heads.generic import generic_head
from flowface_jax.heads.model import HeadModel, restrict, vertices
from flowface_jax.synthesis.sequences import Motion, make_motion, make_performance, observe

OUTLIERS = 0.02
SEED = 1


@dataclasses.dataclass(frozen=True)
class Preset:
    """What is fitted. points: "mediapipe" or "vertices"."""

    cameras: int
    calibrated: bool
    frames: int
    points: str
    says: str


PRESETS = {
    "small": Preset(1, False, 60, "mediapipe", "1 camera of unknown focal length, 60 frames, MediaPipe's 478 points"),
    "rig": Preset(4, True, 30, "vertices", "4 calibrated cameras, 30 frames, all 4,933 vertices"),
    "uncalibrated": Preset(3, False, 30, "vertices", "3 cameras of which nothing is known, 30 frames, 4,933 vertices"),
}


@dataclasses.dataclass(frozen=True)
class Case:
    """A problem at its starting point. Arrays are NumPy's, so that it can be sent to another process."""

    problem: FitProblem
    chart: Chart
    focal_guess: np.ndarray
    config: FitConfig

    def on_device(self) -> Case:
        """The same with JAX's arrays."""
        problem, chart, guess = jax.device_put((self.problem, self.chart, self.focal_guess))
        return dataclasses.replace(self, problem=problem, chart=chart, focal_guess=guess)

    def without_limits(self) -> Case:
        """The same where every coefficient of the head is meaningful, for solvers that know no limits."""
        limits = np.asarray(self.problem.head.expression_limits)
        head = dataclasses.replace(
            self.problem.head,
            expression_limits=np.broadcast_to(np.asarray([-np.inf, np.inf], np.float32), limits.shape),
        )
        return dataclasses.replace(self, problem=dataclasses.replace(self.problem, head=head))


def make_case(preset: Preset, config: FitConfig, seed: int = SEED) -> Case:
    """The preset's performance, observed and initialised."""
    head = generic_head()
    if preset.points == "mediapipe":
        motion = make_motion(head, seed, preset.frames, preset.cameras)
        alignment = observe_mediapipe(motion, head, seed + 1, OUTLIERS)
    else:
        motion = make_performance(head, seed, preset.frames, preset.cameras)
        alignment = observe(motion, head, seed + 1, outlier_share=OUTLIERS)
    return initialised_case(alignment, head, motion.cameras if preset.calibrated else None, config)


def initialised_case(alignment: Alignment, head: HeadModel, cameras: Cameras | None, config: FitConfig) -> Case:
    """What `fit` gives to its solver."""
    layout = make_layout(alignment, head, cameras, config)
    state, guess = initialise(alignment, head, cameras, layout, config)
    principal_point = alignment.image_size / 2.0 if cameras is None else np.asarray(cameras.principal_point)
    problem = make_problem(alignment, head, principal_point, config)
    chart = make_chart(problem, head, state, layout, config)
    return to_host(Case(problem, chart, np.asarray(guess, np.float32), config))


def to_host(case: Case) -> Case:
    """The case with NumPy's arrays."""
    problem, chart, guess = jax.tree.map(np.asarray, (case.problem, case.chart, case.focal_guess))
    return dataclasses.replace(case, problem=problem, chart=chart, focal_guess=guess)


def observe_mediapipe(
    motion: Motion, head: HeadModel, seed: int, outlier_share: float = 0.0, noise_px: float = 1.0
) -> Alignment:
    """MediaPipe's points of a motion with noise of `noise_px`, some of them anywhere within a quarter image."""
    random = np.random.default_rng(seed)
    identity = jnp.asarray(motion.identity, jnp.float32)
    surface = head.mediapipe
    corners = jnp.asarray(np.asarray(surface.vertex_ids).reshape(-1))
    drawn, count = restrict(head, corners), surface.count
    posed = jax.jit(jax.vmap(vertices, in_axes=(None, None, 0, 0)))
    local = np.asarray(posed(drawn, identity, jnp.asarray(motion.expression), jnp.asarray(motion.joint_rotations)))
    local = np.einsum("fpki,pk->fpi", local.reshape(-1, count, 3, 3), np.asarray(surface.barycentric))
    world = np.einsum("fij,fvj->fvi", motion.head_rotation, local) + motion.head_translation[:, None]
    exact = np.asarray(motion.cameras.project(jnp.asarray(world, jnp.float32)))
    mean = exact + noise_px * random.normal(size=exact.shape)
    size = np.asarray(motion.cameras.image_size)
    outlier = random.random(exact.shape[:3]) < outlier_share
    mean += outlier[..., None] * random.uniform(-0.25, 0.25, exact.shape) * size[:, None, None]
    return make_alignment(
        mean,
        np.full(exact.shape[:3], noise_px),
        np.ones(exact.shape[:2], bool),
        size,
        "mediapipe",
        frame_times=np.arange(exact.shape[1]) / motion.frame_rate,
    )


def sizes(case: Case) -> dict[str, Any]:
    """How large a case is."""
    cameras, padded, points = case.problem.mean.shape[:3]
    head = case.problem.head
    return {
        "cameras": cameras,
        "frames": int(case.problem.real_frame.sum()),
        "padded_frames": padded,
        "points": points,
        "evaluated_vertices": head.vertex_count,
        "identity": head.identity_size,
        "expression": head.expression_size,
        "observations": int((np.asarray(case.problem.inverse_std) > 0).sum()),
    }
