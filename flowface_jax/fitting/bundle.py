"""A small bundle adjustment: it turns rough poses into a starting point for the full fit.

Gauss-Newton in float64 on the host over head poses, expressions and, as wanted, identity, focal lengths and camera
poses, with robust weights and the frames eliminated. It sees a few dozen key frames, or more frames in chunks.
No temporal term, no joints, no offsets: those are the full fit's.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.spatial.transform import Rotation


@dataclasses.dataclass(frozen=True)
class BundleObservations:
    """points: [P,3] m, identity_basis: [P,3,S] m, expression_basis: [P,3,E] m, expression_std: [E], expression_limits:
    [E,2], pixels: [C,F,P,2], weights: [C,F,P] 1/px² (λ/σ², 0 = unseen), principal_point: [C,2] px.
    """

    points: np.ndarray
    identity_basis: np.ndarray
    expression_basis: np.ndarray
    expression_std: np.ndarray
    expression_limits: np.ndarray
    pixels: np.ndarray
    weights: np.ndarray
    principal_point: np.ndarray

    def of_frames(self, frames: np.ndarray) -> BundleObservations:
        return dataclasses.replace(self, pixels=self.pixels[:, frames], weights=self.weights[:, frames])


@dataclasses.dataclass(frozen=True)
class BundleState:
    """identity: [S]; expression: [F,E]; head poses [F,3,3], [F,3]; world-to-camera poses [C,3,3], [C,3]; focal: [C] px.
    All float64.
    """

    identity: np.ndarray
    expression: np.ndarray
    head_rotation: np.ndarray
    head_translation: np.ndarray
    camera_rotation: np.ndarray
    camera_translation: np.ndarray
    focal: np.ndarray

    def of_frames(self, frames: np.ndarray) -> BundleState:
        return dataclasses.replace(
            self,
            expression=self.expression[frames],
            head_rotation=self.head_rotation[frames],
            head_translation=self.head_translation[frames],
        )

    def with_frames(self, frames: np.ndarray, other: BundleState) -> BundleState:
        """This state with the shared groups of `other`, and its rows at `frames`."""
        rows = {}
        for field in ("expression", "head_rotation", "head_translation"):
            rows[field] = getattr(self, field).copy()
            rows[field][frames] = getattr(other, field)
        return dataclasses.replace(other, **rows)


@dataclasses.dataclass(frozen=True)
class Freedom:
    """Which groups move beside the head poses, and the priors that hold them (as in FitConfig); focal_prior_std may be
    [C].
    """

    expression: bool = False
    identity: bool = False
    focal: bool = False
    shared_focal: bool = False
    camera_pose: bool = False
    prior_weight: float = 0.5
    identity_scale: float = 1.0
    focal_prior_std: float | np.ndarray = 0.3


def residuals(observations: BundleObservations, state: BundleState) -> np.ndarray:
    """Pixel residuals [C,F,P,2]."""
    return _linearise(observations, state)[0]


def adjust(
    observations: BundleObservations, state: BundleState, freedom: Freedom, rounds: int = 15, tolerance: float = 1e-4
) -> tuple[BundleState, np.ndarray]:
    """Damped Gauss-Newton from `state`; returns the best state and each frame's median normalised residual [F]."""
    guess = state.focal
    damping = 1e-3
    scale = _robust_scale(observations, state)
    cost = _cost(observations, state, freedom, guess, scale)
    for _ in range(rounds):
        step = _step(observations, state, freedom, guess, scale, damping)
        candidate = _retract(observations, state, step, freedom)
        candidate_cost = _cost(observations, candidate, freedom, guess, scale)
        if np.isfinite(candidate_cost) and candidate_cost < cost:
            finished = cost - candidate_cost < tolerance * cost
            state, damping = candidate, max(damping / 5, 1e-9)
            scale = _robust_scale(observations, state)
            cost = _cost(observations, state, freedom, guess, scale)
            if finished:
                break
        else:
            damping *= 8
            if damping > 1e6:
                break
    return state, frame_error(observations, state)


def frame_error(observations: BundleObservations, state: BundleState) -> np.ndarray:
    """Median residual of each frame in standard deviations [F]; infinite where nothing is seen."""
    normalised = np.linalg.norm(residuals(observations, state), axis=-1) * np.sqrt(observations.weights)
    normalised = np.where(observations.weights > 0, normalised, np.nan).transpose(1, 0, 2)
    flat = normalised.reshape(len(normalised), -1)
    result = np.full(len(flat), np.inf)
    seen = np.isfinite(flat).any(1)
    result[seen] = np.nanmedian(flat[seen], axis=1)
    return result


def _linearise(observations: BundleObservations, state: BundleState) -> tuple[np.ndarray, ...]:
    """Residuals and the geometry that every Jacobian is made of."""
    neutral = observations.points + observations.identity_basis @ state.identity
    count, size = len(neutral), state.expression.shape[1]
    moved = state.expression @ observations.expression_basis.reshape(count * 3, size).T
    shape = neutral + moved.reshape(-1, count, 3)
    turned = shape @ state.head_rotation.transpose(0, 2, 1)
    world = turned + state.head_translation[:, None]
    rotated = (world.reshape(1, -1, 3) @ state.camera_rotation.transpose(0, 2, 1)).reshape(-1, *world.shape)
    camera = rotated + state.camera_translation[:, None, None]
    depth = np.maximum(camera[..., 2], 0.02)
    image = camera[..., :2] / depth[..., None]
    pixels = state.focal[:, None, None, None] * image + observations.principal_point[:, None, None]
    return pixels - observations.pixels, turned, rotated, image, depth


def _robust_scale(observations: BundleObservations, state: BundleState) -> float:
    """Where the kernel bends, in standard deviations: some multiples of the typical residual."""
    normalised = np.linalg.norm(residuals(observations, state), axis=-1) * np.sqrt(observations.weights)
    return 3.0 * max(float(np.median(normalised[observations.weights > 0])), 1.0)


def _cost(
    observations: BundleObservations, state: BundleState, freedom: Freedom, guess: np.ndarray, scale: float
) -> float:
    squared = (residuals(observations, state) ** 2).sum(-1) * observations.weights
    total = 0.5 * (squared / (1 + squared / scale**2)).sum()
    if freedom.identity:
        total += freedom.prior_weight * freedom.identity_scale * (state.identity**2).sum()
    if freedom.expression:
        total += freedom.prior_weight * ((state.expression / observations.expression_std) ** 2).sum()
    if freedom.focal and np.all(freedom.focal_prior_std):
        total += 0.5 * ((np.log(state.focal / guess) / freedom.focal_prior_std) ** 2).sum()
    return float(total)


def _jacobians(
    observations: BundleObservations, state: BundleState, freedom: Freedom, scale: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whitened, robustly weighted rows per frame: residual [F,C·P·2], frame Jacobian [F,C·P·2,6 (+E)] (rotation,
    translation, expression) and shared Jacobian [F,C·P·2,B].
    """
    residual, turned, rotated, image, depth = _linearise(observations, state)
    cameras, frames, count = depth.shape
    squared = (residual**2).sum(-1) * observations.weights
    root = np.sqrt(observations.weights) / (1 + squared / scale**2)
    zoom = root * state.focal[:, None, None] / depth
    to_pixels = np.zeros((cameras, frames, count, 2, 3))
    to_pixels[..., 0, 0] = to_pixels[..., 1, 1] = zoom
    to_pixels[..., 2] = -zoom[..., None] * image
    from_world = (to_pixels.reshape(cameras, -1, 3) @ state.camera_rotation).reshape(to_pixels.shape)
    # Frames first from here on: every product is then one large matrix product per frame or per point.
    by_frame = from_world.transpose(1, 0, 2, 3, 4)
    from_head = by_frame.reshape(frames, -1, 3) @ state.head_rotation
    by_point = from_head.reshape(frames, cameras, count, 2, 3).transpose(2, 0, 1, 3, 4).reshape(count, -1, 3)

    def through(basis: np.ndarray) -> np.ndarray:
        moved = (by_point @ basis).reshape(count, frames, cameras, 2, basis.shape[-1])
        return moved.transpose(1, 2, 0, 3, 4).reshape(frames, cameras * count * 2, basis.shape[-1])

    frame = [_turning(by_frame, turned[:, None]).reshape(frames, -1, 3), by_frame.reshape(frames, -1, 3)]
    if freedom.expression:
        frame.append(through(observations.expression_basis))
    shared = [np.zeros((frames, cameras * count * 2, 0))]
    if freedom.identity:
        shared.append(through(observations.identity_basis))
    if freedom.focal:
        block = np.zeros((frames, cameras, count, 2, 1 if freedom.shared_focal else cameras))
        for c in range(cameras):
            block[:, c, ..., 0 if freedom.shared_focal else c] = root[c, ..., None] * state.focal[c] * image[c]
        shared.append(block.reshape(frames, -1, block.shape[-1]))
    if freedom.camera_pose and cameras > 1:
        block = np.zeros((frames, cameras, count, 2, 6 * (cameras - 1)))
        for c in range(1, cameras):
            block[:, c, ..., 6 * (c - 1) : 6 * c - 3] = _turning(to_pixels[c], rotated[c])
            block[:, c, ..., 6 * c - 3 : 6 * c] = to_pixels[c]
        shared.append(block.reshape(frames, -1, block.shape[-1]))
    whitened = (residual * root[..., None]).transpose(1, 0, 2, 3).reshape(frames, -1)
    return whitened, np.concatenate(frame, axis=-1), np.concatenate(shared, axis=-1)


def _turning(rows: np.ndarray, arm: np.ndarray) -> np.ndarray:
    """Derivative of rows · (exp(ω) arm) at ω = 0: rows [...,2,3] and arm [...,3] → [...,2,3]."""
    return np.cross(arm[..., None, :], rows)


@dataclasses.dataclass(frozen=True)
class _NormalEquations:
    """Blocks of the Gauss-Newton system: frame-frame [F,N,N], frame-shared [F,N,B], shared-shared [B,B], gradients."""

    h_ff: np.ndarray
    h_fs: np.ndarray
    h_ss: np.ndarray
    g_f: np.ndarray
    g_s: np.ndarray


def _normal_equations(
    observations: BundleObservations, state: BundleState, freedom: Freedom, guess: np.ndarray, scale: float
) -> _NormalEquations:
    residual, frame, shared = _jacobians(observations, state, freedom, scale)
    frame_t = frame.transpose(0, 2, 1)
    h_ff, g_f = frame_t @ frame, (frame_t @ residual[..., None])[..., 0]
    stacked = shared.reshape(residual.size, shared.shape[-1])
    h_ss, g_s = stacked.T @ stacked, stacked.T @ residual.ravel()
    prior, pull = _shared_prior(state, freedom, guess, len(g_s))
    if freedom.expression:
        curvature = 2 * freedom.prior_weight / observations.expression_std**2
        h_ff[:, 6:, 6:] += np.diag(curvature)
        g_f[:, 6:] += curvature * state.expression
    return _NormalEquations(h_ff, frame_t @ shared, h_ss + np.diag(prior), g_f, g_s + pull)


def _step(
    observations: BundleObservations,
    state: BundleState,
    freedom: Freedom,
    guess: np.ndarray,
    scale: float,
    damping: float,
) -> tuple[np.ndarray, np.ndarray]:
    """One damped Gauss-Newton step: shared [B] and per frame [F,6 (+E)], by eliminating the frames."""
    system = _normal_equations(observations, state, freedom, guess, scale)
    h_ff = _damped(system.h_ff, damping)
    eliminated = np.linalg.solve(h_ff, np.concatenate([system.h_fs, system.g_f[..., None]], axis=-1))
    to_shared = system.h_fs.transpose(0, 2, 1)
    reduced = _damped(system.h_ss, damping) - (to_shared @ eliminated[..., :-1]).sum(0)
    right = system.g_s - (to_shared @ eliminated[..., -1:]).sum(0)[:, 0]
    step_s = -np.linalg.solve(reduced, right) if len(right) else np.zeros(0)
    return step_s, -eliminated[..., -1] - eliminated[..., :-1] @ step_s


def shared_covariance(
    observations: BundleObservations, state: BundleState, freedom: Freedom, share: float
) -> np.ndarray:
    """Posterior covariance [B,B] of the shared unknowns (identity, log focal, camera poses, in this order), everything
    else free; the observation noise is taken as the larger of σ and of what the residuals show, and every observation
    counts as `share` of one.
    """
    scale = _robust_scale(observations, state)
    residual, _, _ = _jacobians(observations, state, freedom, scale)
    observed = np.abs(residual[residual != 0])
    # 0.6745: median of |x| for a unit normal.
    inflation = max(1.0, float(np.median(observed)) / 0.6745) ** 2 if observed.size else 1.0
    inflation /= share
    # Scaling the priors up and the result down is the same as scaling the observations' weight down.
    loosened = dataclasses.replace(freedom, prior_weight=freedom.prior_weight * inflation, focal_prior_std=0.0)
    system = _normal_equations(observations, state, loosened, state.focal, scale)
    h_ff = _damped(system.h_ff, 0.0)
    reduced = system.h_ss - (system.h_fs.transpose(0, 2, 1) @ np.linalg.solve(h_ff, system.h_fs)).sum(0)
    root = np.sqrt(np.maximum(np.diag(reduced), 1e-12))
    return inflation * np.linalg.pinv(reduced / np.outer(root, root), rcond=1e-12) / np.outer(root, root)


def _damped(matrices: np.ndarray, damping: float) -> np.ndarray:
    """Marquardt's scaled damping, and a hair more so that an unobserved direction stays solvable."""
    eye = np.eye(matrices.shape[-1])
    return matrices + damping * matrices * eye + 1e-9 * eye


def _shared_prior(state: BundleState, freedom: Freedom, guess: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Diagonal curvature and gradient of the priors on the shared unknowns."""
    curvature, gradient = np.zeros(size), np.zeros(size)
    at = 0
    if freedom.identity:
        at = len(state.identity)
        curvature[:at] = 2 * freedom.prior_weight * freedom.identity_scale
        gradient[:at] = curvature[:at] * state.identity
    if freedom.focal and np.all(freedom.focal_prior_std):
        stiffness = np.broadcast_to(1 / np.square(freedom.focal_prior_std), state.focal.shape)
        pull = stiffness * np.log(state.focal / guess)
        if freedom.shared_focal:
            curvature[at], gradient[at] = stiffness.sum(), pull.sum()
        else:
            curvature[at : at + len(pull)], gradient[at : at + len(pull)] = stiffness, pull
    return curvature, gradient


def _retract(
    observations: BundleObservations, state: BundleState, step: tuple[np.ndarray, np.ndarray], freedom: Freedom
) -> BundleState:
    shared, frame = step
    cameras, at = len(state.focal), 0
    changes: dict[str, np.ndarray] = {
        "head_rotation": Rotation.from_rotvec(frame[:, :3]).as_matrix() @ state.head_rotation,
        "head_translation": state.head_translation + frame[:, 3:6],
    }
    if freedom.expression:
        low, high = observations.expression_limits.T
        changes["expression"] = np.clip(state.expression + frame[:, 6:], low, high)
    if freedom.identity:
        at = len(state.identity)
        changes["identity"] = state.identity + shared[:at]
    if freedom.focal:
        count = 1 if freedom.shared_focal else cameras
        changes["focal"] = state.focal * np.exp(np.clip(shared[at : at + count], -0.3, 0.3))
        at += count
    if freedom.camera_pose and cameras > 1:
        moves = shared[at:].reshape(cameras - 1, 6)
        turned = Rotation.from_rotvec(moves[:, :3]).as_matrix() @ state.camera_rotation[1:]
        changes["camera_rotation"] = np.concatenate([state.camera_rotation[:1], turned])
        shifted = state.camera_translation[1:] + moves[:, 3:]
        changes["camera_translation"] = np.concatenate([state.camera_translation[:1], shifted])
    return dataclasses.replace(state, **changes)
