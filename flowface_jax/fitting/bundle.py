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
    """Which groups move beside the head poses, and the priors that hold them (as in FitConfig)."""

    expression: bool = False
    identity: bool = False
    focal: bool = False
    shared_focal: bool = False
    camera_pose: bool = False
    prior_weight: float = 0.5
    identity_scale: float = 1.0
    focal_prior_std: float = 0.3


def residuals(observations: BundleObservations, state: BundleState) -> np.ndarray:
    """Pixel residuals [C,F,P,2]."""
    return _linearise(observations, state)[0]


def adjust(
    observations: BundleObservations, state: BundleState, freedom: Freedom, rounds: int = 15
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
            finished = cost - candidate_cost < 1e-6 * cost
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
    rotated = np.einsum("cij,fpj->cfpi", state.camera_rotation, world)
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
    if freedom.focal and freedom.focal_prior_std > 0:
        total += 0.5 * (np.log(state.focal / guess) ** 2).sum() / freedom.focal_prior_std**2
    return float(total)


def _cross(v: np.ndarray) -> np.ndarray:
    """[...,3] → [...,3,3] with _cross(a) @ b = a × b."""
    zero = np.zeros_like(v[..., 0])
    rows = [zero, -v[..., 2], v[..., 1], v[..., 2], zero, -v[..., 0], -v[..., 1], v[..., 0], zero]
    return np.stack(rows, -1).reshape(*v.shape[:-1], 3, 3)


def _jacobians(
    observations: BundleObservations, state: BundleState, freedom: Freedom
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Residuals [C,F,P,2], frame Jacobian [C,F,P,2,6 (+E)] (rotation, translation, expression), shared [C,F,P,2,B]."""
    residual, turned, rotated, image, depth = _linearise(observations, state)
    cameras, frames, count = depth.shape
    scale = state.focal[:, None, None] / depth
    to_pixels = np.zeros((cameras, frames, count, 2, 3))
    to_pixels[..., 0, 0] = to_pixels[..., 1, 1] = scale
    to_pixels[..., 2] = -scale[..., None] * image
    from_world = np.einsum("cfpij,cjk->cfpik", to_pixels, state.camera_rotation)
    from_head = np.einsum("cfpij,fjk->cfpik", from_world, state.head_rotation)
    frame = np.concatenate([-from_world @ _cross(turned), from_world], axis=-1)
    if freedom.expression:
        frame = np.concatenate([frame, from_head @ observations.expression_basis], axis=-1)
    shared = []
    if freedom.identity:
        shared.append(from_head @ observations.identity_basis)
    if freedom.focal:
        per_camera = np.zeros((cameras, frames, count, 2, 1 if freedom.shared_focal else cameras))
        for c in range(cameras):
            per_camera[c, ..., 0 if freedom.shared_focal else c] = state.focal[c] * image[c]
        shared.append(per_camera)
    if freedom.camera_pose and cameras > 1:
        block = np.zeros((cameras, frames, count, 2, 6 * (cameras - 1)))
        for c in range(1, cameras):
            block[c, ..., 6 * (c - 1) : 6 * c - 3] = -to_pixels[c] @ _cross(rotated[c])
            block[c, ..., 6 * c - 3 : 6 * c] = to_pixels[c]
        shared.append(block)
    empty = np.zeros((cameras, frames, count, 2, 0))
    return residual, frame, np.concatenate(shared, axis=-1) if shared else empty


def _step(
    observations: BundleObservations,
    state: BundleState,
    freedom: Freedom,
    guess: np.ndarray,
    scale: float,
    damping: float,
) -> tuple[np.ndarray, np.ndarray]:
    """One damped Gauss-Newton step: shared [B] and per frame [F,6 (+E)], by eliminating the frames."""
    residual, frame, shared = _jacobians(observations, state, freedom)
    squared = (residual**2).sum(-1) * observations.weights
    root = np.sqrt(observations.weights) / (1 + squared / scale**2)
    residual = _rows_by_frame(residual[..., None] * root[..., None, None])
    frame, shared = _rows_by_frame(frame * root[..., None, None]), _rows_by_frame(shared * root[..., None, None])
    frame_t, shared_t = frame.transpose(0, 2, 1), shared.transpose(0, 2, 1)
    h_ff, h_fs, g_f = frame_t @ frame, frame_t @ shared, (frame_t @ residual)[..., 0]
    h_ss, g_s = (shared_t @ shared).sum(0), (shared_t @ residual)[..., 0].sum(0)
    prior, pull = _shared_prior(state, freedom, guess, len(g_s))
    h_ss, g_s = h_ss + np.diag(prior), g_s + pull
    if freedom.expression:
        curvature = 2 * freedom.prior_weight / observations.expression_std**2
        h_ff[:, 6:, 6:] += np.diag(curvature)
        g_f[:, 6:] += curvature * state.expression
    h_ff = h_ff + damping * h_ff * np.eye(h_ff.shape[-1]) + 1e-9 * np.eye(h_ff.shape[-1])
    h_ss = h_ss + damping * h_ss * np.eye(len(g_s)) + 1e-9 * np.eye(len(g_s))
    eliminated = np.linalg.solve(h_ff, np.concatenate([h_fs, g_f[..., None]], axis=-1))
    reduced = h_ss - np.einsum("fis,fit->st", h_fs, eliminated[..., :-1])
    right = g_s - np.einsum("fis,fi->s", h_fs, eliminated[..., -1])
    step_s = -np.linalg.solve(reduced, right) if len(g_s) else np.zeros(0)
    return step_s, -eliminated[..., -1] - eliminated[..., :-1] @ step_s


def _rows_by_frame(values: np.ndarray) -> np.ndarray:
    """[C,F,P,2,N] → [F, C·P·2, N], so that each frame's normal matrix is one matrix product."""
    cameras, frames, count, _, columns = values.shape
    return values.transpose(1, 0, 2, 3, 4).reshape(frames, cameras * count * 2, columns)


def _shared_prior(state: BundleState, freedom: Freedom, guess: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Diagonal curvature and gradient of the priors on the shared unknowns."""
    curvature, gradient = np.zeros(size), np.zeros(size)
    at = 0
    if freedom.identity:
        at = len(state.identity)
        curvature[:at] = 2 * freedom.prior_weight * freedom.identity_scale
        gradient[:at] = curvature[:at] * state.identity
    if freedom.focal and freedom.focal_prior_std > 0:
        offset = np.log(state.focal / guess) / freedom.focal_prior_std**2
        if freedom.shared_focal:
            curvature[at], gradient[at] = len(offset) / freedom.focal_prior_std**2, offset.sum()
        else:
            curvature[at : at + len(offset)] = 1 / freedom.focal_prior_std**2
            gradient[at : at + len(offset)] = offset
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
