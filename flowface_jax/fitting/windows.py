"""Long videos: the energy of all frames minimised a window of frames at a time, in bounded memory.

Forward through the video, each window is solved together with the shared unknowns, given what the windows before it
hand over (see `hand_over`); then shared unknowns have seen everything, and backward each window's frames are solved
given them and the two frames that the window after it has settled. Hand-overs are exact to second order at the point
where they were taken, so rounds that take them again at the solution, and so need no forward solving, lead to the
minimum of all frames together. Every window has one shape: the programs compile once for a video of any length.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.alignment.alignment import Alignment
from flowface_jax.fitting.config import FitConfig
from flowface_jax.fitting.energy import EnergyTerms, EnergyWeights, energy
from flowface_jax.fitting.hand_over import CARRIED, HandOver, hand_over, nothing_handed_over
from flowface_jax.fitting.levenberg_marquardt import LevenbergState, minimise, start
from flowface_jax.fitting.objective import Objective, make_objective
from flowface_jax.fitting.parameters import Chart, Layout, Parameters
from flowface_jax.fitting.problem import FitProblem, inverse_standard_deviations, padded_length, temporal_stencils
from flowface_jax.fitting.solution import Solution

ROWS = ("expression", "joint_rotations", "head_rotation", "head_translation")
"""Fields of Parameters with one row per frame."""

MAXIMUM_ROUNDS = 6
NEGLIGIBLE_PER_FRAME = 1.0
"""Energy per frame of which the solver's tolerance is a fraction where a window shows next to nothing."""

LARGEST_DAMPING = 1e-2

Progress = Callable[[int, float, float], None]


@dataclasses.dataclass(frozen=True)
class Window:
    """`count` new frames from `first` on. last: whether the video ends with it."""

    first: int
    count: int
    last: bool

    @property
    def end(self) -> int:
        return self.first + self.count


@dataclasses.dataclass(frozen=True)
class Video:
    """What does not change from window to window, and the parameters of all frames, which are written in place.

    template: the objective of any window, its observations to be replaced. parameters: Parameters in NumPy arrays, rows
    for all F frames. images: [F] how many cameras see a face. windows: in order. initial_focal: [C] px, the focal
    lengths that the initial poses belong to. stencils: [F,3] of the accelerations of all frames.
    """

    alignment: Alignment
    template: Objective
    config: FitConfig
    parameters: Parameters
    images: np.ndarray
    windows: list[Window]
    initial_focal: np.ndarray
    stencils: np.ndarray

    @property
    def size(self) -> int:
        """Frames of a window, carried ones and padding included."""
        return self.template.problem.frame_count


def solved_in_windows(frames: int, layout: Layout, config: FitConfig) -> bool:
    """Whether a video of so many frames is solved in windows: by the second-order solver, where memory demands it."""
    long = config.window_frames > 0 and frames > 2 * window_size(config)
    return long and config.solver == "levenberg_marquardt" and layout.head_pose != "shared"


def window_size(config: FitConfig) -> int:
    """Frames of a window, carried ones included."""
    return padded_length(max(config.window_frames, 8))


def first_frames(alignment: Alignment, count: int) -> Alignment:
    """The first `count` frames of an alignment."""
    return dataclasses.replace(
        alignment,
        mean=alignment.mean[:, :count],
        std=alignment.std[:, :count],
        valid=alignment.valid[:, :count],
        frame_times=alignment.frame_times[:count],
        frame_ids=alignment.frame_ids[:count],
    )


def with_all_frames(problem: FitProblem, alignment: Alignment) -> FitProblem:
    """The first window's problem with the observations of every frame, left on the host."""
    frames = alignment.frame_count
    return dataclasses.replace(
        problem,
        mean=alignment.mean,
        inverse_std=inverse_standard_deviations(alignment.std, alignment.valid),
        real_frame=np.ones(frames, bool),
        temporal_stencil=temporal_stencils(alignment),
    )


def plan_windows(seen: np.ndarray, size: int) -> list[Window]:
    """Windows of at most `size` new frames over frames [F]; each ends where two frames are seen, if it can.

    A gap in the observations is bridged best with both of its sides in one window.
    """
    frames, first, windows = len(seen), 0, []
    while first < frames:
        end = min(first + size, frames)
        if end < frames:
            later = np.arange(first + max(size // 2, CARRIED), end + 1)
            sound = later[seen[later - 1] & seen[later - 2]]
            end = int(sound[-1]) if len(sound) else end
        windows.append(Window(first, end - first, end == frames))
        first = end
    return windows


def solve_in_windows(
    alignment: Alignment,
    problem: FitProblem,
    chart: Chart,
    parameters: Parameters,
    config: FitConfig,
    focal_guess: jax.Array,
    progress: Progress | None = None,
) -> Solution:
    """Minimise the energy of all frames of `alignment` from `parameters` (NumPy, rows for all frames).

    problem, chart: of the first `window_size` frames; the chart's depths [C] are those of all frames.
    history: the energy of all frames after each round. Parameters come back as NumPy arrays.
    """
    video = _video(alignment, problem, chart, parameters, config, focal_guess)
    report = _counted(progress)
    history: list[float] = []
    finished = True
    for number in range(MAXIMUM_ROUNDS):
        before = jax.tree.map(np.copy, video.parameters)
        total, finished = _one_round(video, number == 0, report)
        if history and not total < history[-1]:
            # The hand-overs' quadratic models have nothing more to say.
            video = dataclasses.replace(video, parameters=before)
            break
        history.append(total)
        if _settled_down(history, config.energy_tolerance):
            break
    else:
        finished = False
    return Solution(video.parameters, np.asarray(history, np.float32), finished, _terms(video), len(video.windows))


def _settled_down(history: list[float], tolerance: float) -> bool:
    """Whether another round would lower the energy by less than `tolerance` of it, if falls shrink as before."""
    falls = -np.diff(history)
    if not len(falls):
        return False
    shrinking = min(falls[-1] / falls[-2], 1.0) if len(falls) > 1 else 1.0
    return bool(falls[-1] * shrinking <= tolerance * history[-1])


def _video(
    alignment: Alignment,
    problem: FitProblem,
    chart: Chart,
    parameters: Parameters,
    config: FitConfig,
    focal_guess: jax.Array,
) -> Video:
    observed = np.stack(
        [(np.isfinite(std).any(-1) & valid) for std, valid in zip(alignment.std, alignment.valid, strict=True)]
    )
    images = observed.sum(0)
    rows = {name: np.array(getattr(parameters, name), np.float32) for name in ROWS}
    for name, mode in (("expression", chart.layout.expression), ("joint_rotations", chart.layout.joint_pose)):
        if mode == "shared":
            rows[name][:] = rows[name].mean(0, keepdims=True)
    parameters = dataclasses.replace(jax.tree.map(lambda x: np.array(x, np.float32), parameters), **rows)
    return Video(
        alignment=alignment,
        template=make_objective(problem, chart, EnergyWeights.of(config), focal_guess),
        config=config,
        parameters=parameters,
        images=images,
        windows=plan_windows(images > 0, problem.frame_count - CARRIED),
        initial_focal=parameters.focal.copy(),
        stencils=temporal_stencils(alignment),
    )


def _one_round(video: Video, solving: bool, report: Progress) -> tuple[float, bool]:
    """Forward (solving each window, or only taking its hand-over) and backward: the energy of all frames after it, and
    whether every window converged.
    """
    received = nothing_handed_over(_window_parameters(video, video.windows[0]), video.template.columns)
    given: list[HandOver] = []
    focal_at: list[np.ndarray] = []
    total, finished = 0.0, True
    for window in video.windows:
        if solving:
            _follow_focal(video, window.first, window.end, video.initial_focal)
        objective = _objective(video, window, received)
        given.append(received.on_frames(video.template.columns))
        if solving or window.last:
            if not window.last:
                objective = dataclasses.replace(objective, free_rows=jnp.asarray(_waiting(video, window)))
            state = _minimised(objective, video, report)
            finished &= bool(state.finished)
            _store(video, window, state.parameters)
        else:
            state = start(objective, video.config.max_iterations)
        focal_at.append(video.parameters.focal.copy())
        if not window.last:
            received = _handed_over(state, objective, window.count + CARRIED)
    total = _own_energy(state)
    for window, received, focal in list(zip(video.windows, given, focal_at, strict=True))[-2::-1]:
        _follow_focal(video, max(window.first - CARRIED, 0), window.end - CARRIED, focal)
        state = _minimised(_settled(_objective(video, window, received.padded()), window), video, report)
        finished &= bool(state.finished)
        _store(video, window, state.parameters)
        total += _own_energy(state)
    return total, finished


def _minimised(objective: Objective, video: Video, report: Progress) -> LevenbergState:
    return minimise(objective, video.config, NEGLIGIBLE_PER_FRAME * video.size, report)


def _own_energy(state: LevenbergState) -> float:
    """The window's energy without the last part, what it received: that is counted by the windows before it."""
    return float(np.asarray(state.energies[:-1], np.float64).sum())


def _objective(video: Video, window: Window, received: HandOver) -> Objective:
    """The window's objective at the video's present parameters, with every unknown free."""
    template, first = video.template, window.first == 0
    problem, weights = template.problem, template.weights
    if not first:
        # Priors that count once for the whole video came with the first window.
        weights = dataclasses.replace(weights, offset=jnp.asarray(0.0), focal_prior_std=jnp.asarray(float("inf")))
    span = slice(window.first, window.end)
    inverse_std = inverse_standard_deviations(video.alignment.std[:, span], video.alignment.valid[:, span])
    images = int(video.images[span].sum())
    count = float(first) if video.config.identity_prior == "once" else float(images)
    problem = dataclasses.replace(
        problem,
        mean=_placed(video.alignment.mean[:, span], video.size),
        inverse_std=_placed(inverse_std, video.size),
        real_frame=jnp.asarray(_is_new(window, video.size)),
        temporal_stencil=jnp.asarray(_stencils(video, window)),
        identity_scale=jnp.float32(count),
    )
    free = np.ones((video.size, template.columns.frame_size), bool)
    return dataclasses.replace(
        template,
        problem=problem,
        weights=weights,
        chart=dataclasses.replace(template.chart, base=_window_parameters(video, window)),
        received=jax.tree.map(jnp.asarray, received),
        free_rows=jnp.asarray(free),
        free_shared=jnp.ones((template.columns.shared_size,), bool),
    )


def _settled(objective: Objective, window: Window) -> Objective:
    """The window's objective once the shared unknowns and its last two frames are final."""
    free = np.ones(objective.free_rows.shape, bool)
    free[window.count :] = False
    return dataclasses.replace(
        objective, free_rows=jnp.asarray(free), free_shared=jnp.zeros_like(objective.free_shared)
    )


def _waiting(video: Video, window: Window) -> np.ndarray:
    """Which unknowns [T,d] move on the first way forward: frames after the last that is seen wait for the next that is.

    They would be extrapolated, ever farther from where a linear model of them holds.
    """
    free = np.ones((video.size, video.template.columns.frame_size), bool)
    seen = np.flatnonzero(video.images[window.first : window.end])
    free[CARRIED + (int(seen[-1]) + 1 if len(seen) else 0) :] = False
    return free


def _is_new(window: Window, size: int) -> np.ndarray:
    place = np.arange(size) - CARRIED
    return (place >= 0) & (place < window.count)


def _stencils(video: Video, window: Window) -> np.ndarray:
    """Factors [T,3] of the accelerations that a new frame takes part in; zero elsewhere."""
    frame = window.first - CARRIED + np.arange(video.size)
    inside = (frame >= 1) & (frame + 1 >= window.first) & (frame + 1 < window.end)
    return np.where(inside[:, None], video.stencils[np.clip(frame, 0, len(video.stencils) - 1)], np.float32(0))


def _placed(values: np.ndarray, size: int) -> jax.Array:
    """Observations [C,n,...] of the new frames in a window's T: none of the carried ones and of padding."""
    whole = np.zeros((values.shape[0], size, *values.shape[2:]), np.float32)
    whole[:, CARRIED : CARRIED + values.shape[1]] = values
    return jnp.asarray(whole)


def _window_parameters(video: Video, window: Window) -> Parameters:
    """The present parameters of a window's frames; the first's carried frames, and padding, repeat their neighbour."""
    rows = np.clip(window.first - CARRIED + np.arange(video.size), 0, window.end - 1)
    picked = {name: getattr(video.parameters, name)[rows] for name in ROWS}
    return jax.tree.map(jnp.asarray, dataclasses.replace(video.parameters, **picked))


def _store(video: Video, window: Window, parameters: Parameters) -> None:
    """Write a window's solution into the video's parameters."""
    layout = video.template.chart.layout
    first = max(window.first - CARRIED, 0)
    skipped = first - (window.first - CARRIED)
    for field in dataclasses.fields(Parameters):
        values, whole = np.asarray(getattr(parameters, field.name)), getattr(video.parameters, field.name)
        shared = {"expression": layout.expression, "joint_rotations": layout.joint_pose}.get(field.name) == "shared"
        if field.name not in ROWS:
            whole[...] = values
        elif shared:
            whole[...] = values[:1]
        else:
            whole[first : window.end] = values[skipped : CARRIED + window.count]


def _follow_focal(video: Video, first: int, end: int, focal: np.ndarray) -> None:
    """Move heads that were placed for other focal lengths [C] as the chart does (see `parameters.assemble`)."""
    chart, parameters = video.template.chart, video.parameters
    if chart.layout.focal_moves_depth(len(focal)):
        zoom = (parameters.focal[0] / focal[0] - 1.0) * float(chart.depth[0])
        parameters.head_translation[first:end] += zoom * parameters.camera_rotation[0, 2]


@jax.jit
def _eliminated(state: LevenbergState, objective: Objective, end: jax.Array, damping: jax.Array) -> HandOver:
    system, parameters = state.system, state.parameters
    held, _ = objective.at_limit(parameters, system)
    # The two frames that are handed over may still leave a limit that they lie at.
    held = held & (jnp.arange(held.shape[0]) < end - CARRIED)[:, None]
    return hand_over(system, parameters, end, (~held).astype(system.gradient_rows.dtype), damping, objective.columns)


def _handed_over(state: LevenbergState, objective: Objective, end: int) -> HandOver:
    """The exact hand-over, or the nearest to it where what was seen leaves a direction open."""
    damping = 0.0
    while True:
        result = _eliminated(state, objective, jnp.int32(end), jnp.asarray(damping, state.damping.dtype))
        if bool(jnp.isfinite(result.root).all() & jnp.isfinite(result.residual).all()) or damping > LARGEST_DAMPING:
            return result
        damping = max(1e-6, 10.0 * damping)


def _terms(video: Video) -> EnergyTerms:
    """The energy of all frames by term."""
    parts = []
    for window in video.windows:
        objective = _objective(video, window, nothing_handed_over(_window_parameters(video, window),
                                                                  video.template.columns))  # fmt: skip
        arguments = (objective.chart.base, objective.problem, objective.weights, objective.focal_guess)
        parts.append(jax.tree.map(lambda x: np.asarray(x, np.float64), _energy(*arguments)))
    return jax.tree.map(lambda *values: np.float32(sum(values)), *parts)


_energy = jax.jit(energy)


def _counted(progress: Progress | None) -> Progress:
    """`progress` called with the number of all iterations so far, whichever window they belong to."""
    count = 0

    def report(iteration: int, value: float, damping: float) -> None:
        nonlocal count
        count += 1
        if progress is not None:
            progress(count, value, damping)

    return report
