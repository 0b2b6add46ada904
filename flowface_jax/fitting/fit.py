"""`fit`: an alignment and a head in, a track out."""

from __future__ import annotations

import dataclasses
import functools
import json
import platform
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.alignment.alignment import Alignment
from flowface_jax.cameras.model import Cameras
from flowface_jax.errors import InputError
from flowface_jax.fitting.adamw import solve_adamw
from flowface_jax.fitting.bundle import BundleState
from flowface_jax.fitting.config import FitConfig
from flowface_jax.fitting.credibility import credible
from flowface_jax.fitting.decoding import decoded, head_record, unfinished_track
from flowface_jax.fitting.error_bars import error_bars
from flowface_jax.fitting.focal_prior import (
    FocalPrior,
    checked_prior,
    focal_stds,
    prior_record,
    prior_weights,
    std_with_prior,
    weighed_stds,
)
from flowface_jax.fitting.initialise import freedom_of, initialise, observations_of
from flowface_jax.fitting.levenberg_marquardt import solve_levenberg_marquardt
from flowface_jax.fitting.observability import focal_note, focal_standard_deviation
from flowface_jax.fitting.parameters import Chart, Layout, Parameters
from flowface_jax.fitting.problem import FitProblem, make_problem
from flowface_jax.fitting.quality import Quality, assess
from flowface_jax.fitting.solution import Solution, Watcher
from flowface_jax.fitting.thinning import thinned
from flowface_jax.fitting.timing import irregularity_note
from flowface_jax.fitting.track import Track
from flowface_jax.fitting.windows import (
    first_frames,
    solve_in_windows,
    solved_in_windows,
    window_size,
    with_all_frames,
)
from flowface_jax.heads.model import HeadModel

SOLVERS = {"levenberg_marquardt": solve_levenberg_marquardt, "adamw": solve_adamw}

Progress = Callable[[int, float, float], None]
Watch = Callable[[Callable[[], Track]], None]
"""Called now and then with what makes a track of the solution so far; it costs something only if it is called."""


def fit(
    alignment: Alignment,
    head: HeadModel,
    cameras: Cameras | None = None,
    config: FitConfig | None = None,
    neutral_template: np.ndarray | None = None,
    progress: Progress | None = None,
    devices: Sequence[jax.Device] = (),
    watch: Watch | None = None,
    focal_prior: FocalPrior | None = None,
) -> Track:
    """Fit the head model (and unknown cameras) to an alignment by minimising the energy of section 3.2.2.

    cameras: known cameras, in the alignment's order; None = focal lengths and poses are solved for and the first
    camera is the world. neutral_template: [V,3] m, a metric neutral head for E_MICA. progress: called with
    (step, energy, damping or step scale). devices: spread the frames over these, of one host or several; by default
    the default device does all. Every host must call with the same arguments. watch: of solutions in between; not
    called for videos that are solved in windows, nor with several devices. focal_prior: what is known beforehand of
    focal lengths that are solved for; of no meaning with known `cameras`.
    Raises InputError where counts differ, no face is visible, views cannot be linked, or devices cannot be used.
    """
    config = config or FitConfig()
    if len(devices) > 1 and config.solver != "levenberg_marquardt":
        raise InputError(f"fit.solver={config.solver} runs on one device, found {len(devices)}; use the default solver")
    started = time.perf_counter()
    _check(alignment, cameras)
    focal_prior = checked_prior(focal_prior, alignment.camera_count, are_known=cameras is not None)
    alignment, notes = credible(thinned(alignment, head, config.maximum_points))
    layout = make_layout(alignment, head, cameras, config)
    state, focal_guess = initialise(alignment, head, cameras, layout, config, focal_prior)
    initialised = time.perf_counter()
    principal_point = alignment.image_size / 2.0 if cameras is None else np.asarray(cameras.principal_point)
    focal_guess = jnp.asarray(focal_guess, jnp.float32)
    prepare = functools.partial(
        make_problem,
        head=head,
        principal_point=principal_point,
        config=config,
        neutral_template=neutral_template,
        focal_stds=weighed_stds(focal_prior, config, alignment),
    )
    if len(devices) <= 1 and solved_in_windows(alignment.frame_count, layout, config):
        beginning = first_frames(alignment, window_size(config))
        problem = prepare(beginning)
        chart = make_window_chart(problem, head, state, layout, config)
        solution = solve_in_windows(alignment, problem, chart, _all_frames(chart, state), config, focal_guess, progress)
        problem = with_all_frames(problem, alignment)
    else:
        problem = prepare(alignment, devices=max(len(devices), 1))
        chart = make_chart(problem, head, state, layout, config)
        solve = SOLVERS[config.solver]
        if len(devices) > 1:
            solve = functools.partial(solve, devices=devices)
        elif watch is not None:
            solve = functools.partial(solve, watch=_watching(watch, alignment, head, problem, chart))
        solution = solve(problem, chart, config, focal_guess, progress)
    solved = time.perf_counter()
    timings = {"initialise_s": initialised - started, "solve_s": solved - initialised}
    told = (focal_guess, focal_prior, timings, notes)
    return _make_track(alignment, head, cameras, config, problem, chart, solution, *told)


def _watching(watch: Watch, alignment: Alignment, head: HeadModel, problem: FitProblem, chart: Chart) -> Watcher:
    """What a solver is to call with its parameters and energies so far."""
    make = functools.partial(unfinished_track, alignment=alignment, head=head, problem=problem, chart=chart)
    return lambda so_far: watch(lambda: make(*so_far()))


def make_layout(alignment: Alignment, head: HeadModel, cameras: Cameras | None, config: FitConfig) -> Layout:
    """Turn the settings' `auto` into modes. Raises InputError for a joint or region that the head does not have."""
    unknown_cameras = cameras is None
    focal = config.focal if config.focal != "auto" else ("free" if unknown_cameras else "fixed")
    pose = config.camera_pose if config.camera_pose != "auto" else ("free" if unknown_cameras else "fixed")
    offsets = config.offsets
    if offsets == "auto":
        offsets = "shared" if alignment.camera_count > 1 else "fixed"
    names = config.joints
    if names == ("auto",):
        names = () if expressions_turn_eyes(head) else tuple(n for n in head.joint_names if "eye" in n)
    missing = [name for name in names if name not in head.joint_names]
    if missing:
        raise InputError(f"head '{head.name}' has no joint {', '.join(missing)}; it has {', '.join(head.joint_names)}")
    if offsets != "fixed" and config.offset_region not in head.regions:
        raise InputError(
            f"head '{head.name}' has no region '{config.offset_region}'; it has {', '.join(sorted(head.regions))}"
        )
    return Layout(
        identity=config.identity,
        expression=_over_frames(config.expression, "expression"),
        joint_pose=_over_frames(config.joint_pose, "joint_pose"),
        head_pose=_over_frames(config.head_pose, "head_pose"),
        focal=focal,
        camera_pose="fixed" if alignment.camera_count == 1 else pose,
        offsets=offsets,
        active_joints=tuple(head.joint_names.index(name) for name in names),
    )


def make_chart(problem: FitProblem, head: HeadModel, state: BundleState, layout: Layout, config: FitConfig) -> Chart:
    """The initial state as the point about which the solver counts its variables, frames padded."""
    frames = problem.frame_count
    identity = np.zeros(problem.head.identity_size, np.float32)
    shared = min(len(state.identity), len(identity))
    identity[:shared] = state.identity[:shared]
    joints = head.joint_count if layout.active_joints else 0
    base = Parameters(
        identity=jnp.asarray(identity),
        expression=_extend(state.expression, frames),
        joint_rotations=jnp.zeros((frames, joints, 3)),
        head_rotation=_extend(state.head_rotation, frames),
        head_translation=_extend(state.head_translation, frames),
        offsets=jnp.zeros((problem.head.vertex_count, 3)),
        camera_rotation=jnp.asarray(state.camera_rotation, jnp.float32),
        camera_translation=jnp.asarray(state.camera_translation, jnp.float32),
        focal=jnp.asarray(state.focal, jnp.float32),
    )
    rows, slots = np.zeros(0, np.int32), np.zeros(0, np.int32)
    if layout.offsets != "fixed":
        rows = np.flatnonzero(np.asarray(problem.head.regions[config.offset_region]))
        distinct, slots = np.unique(np.asarray(problem.vertex_ids)[rows], return_inverse=True)
        layout = dataclasses.replace(layout, offset_count=len(distinct))
    return Chart(
        base=base,
        offset_rows=jnp.asarray(rows, jnp.int32),
        offset_slots=jnp.asarray(slots, jnp.int32),
        depth=_typical_depth(state),
        layout=layout,
    )


def make_window_chart(
    problem: FitProblem, head: HeadModel, state: BundleState, layout: Layout, config: FitConfig
) -> Chart:
    """The chart of a long video's first window: its frames of `state`, but the depths of all frames."""
    chart = make_chart(problem, head, state.of_frames(np.arange(problem.frame_count)), layout, config)
    return dataclasses.replace(chart, depth=_typical_depth(state))


def _typical_depth(state: BundleState) -> jax.Array:
    """Median depth of the head in each camera [C] m."""
    positions = np.einsum("cij,fj->cfi", state.camera_rotation, state.head_translation)
    depth = (positions + state.camera_translation[:, None])[..., 2]
    return jnp.asarray(np.median(depth, axis=1), jnp.float32)


def _all_frames(chart: Chart, state: BundleState) -> Parameters:
    """The initial parameters with a row for every frame of `state`, as NumPy arrays."""
    joints = np.zeros((len(state.head_rotation), *chart.base.joint_rotations.shape[1:]), np.float32)
    return dataclasses.replace(
        jax.tree.map(np.asarray, chart.base),
        expression=state.expression.astype(np.float32),
        joint_rotations=joints,
        head_rotation=state.head_rotation.astype(np.float32),
        head_translation=state.head_translation.astype(np.float32),
    )


def _check(alignment: Alignment, cameras: Cameras | None) -> None:
    if cameras is None:
        return
    if cameras.count != alignment.camera_count:
        raise InputError(
            f"the alignment has {alignment.camera_count} camera(s), the calibration {cameras.count}; "
            "give one camera per view, in the same order"
        )
    sizes = np.asarray(cameras.image_size)
    for name, size, expected in zip(alignment.camera_names, alignment.image_size, sizes, strict=True):
        if (size != expected).any():
            raise InputError(
                f"camera '{name}': the images are {size[0]} x {size[1]} px, the calibration is for "
                f"{expected[0]} x {expected[1]}; calibrate at the size of the video"
            )


def expressions_turn_eyes(head: HeadModel) -> bool:
    """Whether some expression moves the eyeballs by more than a millimetre: then it, not the joints, makes the gaze."""
    eyeballs = np.asarray(head.expression_basis)[np.asarray(head.regions["eyeballs"])]
    return bool(eyeballs.size) and float(np.abs(eyeballs).max()) > 1e-3


def _over_frames(mode: str, field: str) -> str:
    if mode == "auto":
        raise InputError(f"fit.{field}: expected free, shared or fixed, found 'auto'")
    return mode


def _extend(rows: np.ndarray, count: int) -> jax.Array:
    """Repeat the last row up to `count` (padding frames are never looked at, but must be sane)."""
    extra = np.repeat(rows[-1:], count - len(rows), axis=0)
    return jnp.asarray(np.concatenate([rows, extra]), jnp.float32)


def _make_track(
    alignment: Alignment,
    head: HeadModel,
    cameras: Cameras | None,
    config: FitConfig,
    problem: FitProblem,
    chart: Chart,
    solution: Solution,
    focal_guess: jax.Array,
    focal_prior: FocalPrior | None,
    timings: dict[str, float],
    notes: list[str],
) -> Track:
    """Everything in the user's terms: full vertices, real frames, axis-angle, with residuals and the record."""
    real, parameters = alignment.frame_count, solution.parameters
    quality = assess(parameters, problem, alignment, head)
    focal_std = _focal_std(alignment, head, cameras, config, chart.layout, parameters)
    focal_std = std_with_prior(focal_std, focal_prior, config)
    record = _record(alignment, head, config, chart.layout, solution, quality, focal_std)
    started, names = time.perf_counter(), alignment.camera_names
    once = prior_weights(focal_stds(focal_prior, config, len(names)), config)
    problem = dataclasses.replace(problem, focal_prior_weight=jnp.asarray(once))
    uncertainty, told = error_bars(parameters, problem, chart, config, focal_guess, head, real, names)
    timings["error_bars_s"] = time.perf_counter() - started
    record |= {"cameras_known": cameras is not None, "timings": timings, "uncertainty": told}
    record["notes"] = notes + record["notes"]
    if focal_prior is not None:
        record["focal_prior"] = prior_record(focal_prior, config, names, np.asarray(parameters.focal))
    return Track(
        **decoded(parameters, alignment, head, problem, chart.base),
        residual_px=quality.points.median_px,
        residual_p90_px=quality.points.p90_px,
        face_width_px=quality.points.face_width_px,
        energy_history=solution.history,
        record=json.dumps(record, sort_keys=True),
        region_names=quality.region_names,
        region_chi_square=quality.points.chi_square,
        region_chi_square_median=quality.points.chi_square_median,
        region_hidden=quality.region_hidden,
        region_astray=quality.region_astray,
        uncertainty=uncertainty,
    )


def _record(
    alignment: Alignment,
    head: HeadModel,
    config: FitConfig,
    layout: Layout,
    solution: Solution,
    quality: Quality,
    focal_std: np.ndarray,
) -> dict[str, Any]:
    """What made the track and how far to trust it."""
    told = [focal_note(focal_std, alignment.camera_names), irregularity_note(alignment.frame_times)]
    terms = {f.name: float(getattr(solution.terms, f.name)) for f in dataclasses.fields(solution.terms)}
    return {
        "head": head_record(head),
        "alignment": {
            "source": alignment.source,
            "point_set": alignment.point_set,
            "points": alignment.point_count - alignment.placed,
            "placed_by_hand": alignment.placed,
        },
        "settings": dataclasses.asdict(config),
        "layout": dataclasses.asdict(layout),
        "solver": {
            "name": config.solver,
            "steps": len(solution.history),
            "converged": solution.converged,
            "windows": solution.windows,
            "energy": terms,
        },
        "focal_relative_std": [float(s) for s in focal_std],
        "notes": [note for note in told if note],
        "flags": quality.flags,
        "residual": quality.residual_record(),
        "quality": quality.record(alignment),
        "versions": versions(),
    }


def _focal_std(
    alignment: Alignment,
    head: HeadModel,
    cameras: Cameras | None,
    config: FitConfig,
    layout: Layout,
    parameters: Parameters,
) -> np.ndarray:
    """Relative standard deviation of each focal length [C] at the solution, as far as the images tell."""
    observations = observations_of(alignment, head, cameras, config)
    real = alignment.frame_count
    arrays = {f.name: np.asarray(getattr(parameters, f.name), np.float64) for f in dataclasses.fields(parameters)}
    state = BundleState(
        identity=arrays["identity"][: observations.common.identity_basis.shape[-1]],
        expression=arrays["expression"][:real],
        head_rotation=arrays["head_rotation"][:real],
        head_translation=arrays["head_translation"][:real],
        camera_rotation=arrays["camera_rotation"],
        camera_translation=arrays["camera_translation"],
        focal=arrays["focal"],
    )
    try:
        return focal_standard_deviation(observations, state, freedom_of(observations, layout, config))
    except np.linalg.LinAlgError:
        # Numbers that are not finite, or too large to multiply: the verdict on the track says so.
        return np.full(alignment.camera_count, np.nan)


def versions() -> dict[str, Any]:
    """Versions of what a result depends on."""
    packages = ("flowface-jax", "jax", "jaxlib", "numpy", "optax")
    return {name: version(name) for name in packages} | {
        "python": platform.python_version(),
        "device": jax.devices()[0].device_kind,
    }
