"""A starting point from the alignment alone: focal lengths, relative camera poses, head pose per frame."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from flowface_jax.alignment.alignment import Alignment
from flowface_jax.cameras.model import Cameras
from flowface_jax.errors import InputError
from flowface_jax.fitting.bundle import BundleObservations, BundleState, Freedom, adjust
from flowface_jax.fitting.config import FitConfig
from flowface_jax.fitting.focal_prior import FocalPrior, focal_guesses, weighed_stds
from flowface_jax.fitting.parameters import Layout
from flowface_jax.fitting.problem import identity_scale
from flowface_jax.fitting.procrustes import weak_perspective_poses
from flowface_jax.fitting.sparse import SparseObservations, chunks, sparse_observations
from flowface_jax.heads.model import HeadModel

TYPICAL_FOCAL = 1.5
"""Focal length over the longer image side of a common phone or web camera, cropped or not: the first guess."""
MAXIMUM_POINTS = 960
MAXIMUM_KEY_FRAMES = 20
IDENTITY_SIZE = 60


def initialise(
    alignment: Alignment,
    head: HeadModel,
    cameras: Cameras | None,
    layout: Layout,
    config: FitConfig,
    focal_prior: FocalPrior | None = None,
) -> tuple[BundleState, np.ndarray]:
    """Poses for every frame, cameras for every view, and the focal guess [C] px about which a weak prior is held, or a
    firmer one where `focal_prior` knows more.

    Known `cameras` are kept except for the groups that `layout` moves. Raises InputError where no frame shows a face
    or where the views never see it at the same time.
    """
    observations = observations_of(alignment, head, cameras, config)
    if not observations.seen.size:
        raise InputError("no frame of any camera has a visible face; nothing can be fitted")
    guess = focal_guesses(focal_prior, TYPICAL_FOCAL * alignment.image_size.max(1).astype(np.float64))
    if cameras is not None:
        guess = np.asarray(cameras.focal, np.float64)
    poses = _poses_per_image(observations, guess)
    if cameras is not None and layout.camera_pose == "fixed":
        camera_rotation = np.asarray(cameras.rotation, np.float64)
        camera_translation = np.asarray(cameras.translation, np.float64)
    else:
        camera_rotation, camera_translation = _relative_cameras(poses, alignment.camera_names)
    head_rotation, head_translation = _world_poses(poses, observations, camera_rotation, camera_translation)
    state = BundleState(
        identity=np.zeros(observations.common.identity_basis.shape[-1]),
        expression=np.zeros((alignment.frame_count, observations.common.expression_basis.shape[-1])),
        head_rotation=head_rotation,
        head_translation=head_translation,
        camera_rotation=camera_rotation,
        camera_translation=camera_translation,
        focal=guess,
    )
    freedom = freedom_of(observations, layout, config)
    stds = weighed_stds(focal_prior, config, alignment)
    state = _refine(observations, state, dataclasses.replace(freedom, focal_prior_std=stds), layout)
    return _fill_gaps(state, alignment.valid.any(0)), guess


def freedom_of(observations: SparseObservations, layout: Layout, config: FitConfig) -> Freedom:
    """Which groups the bundle adjustment moves, and its priors, for the modes of the full fit."""
    return Freedom(
        expression=layout.expression != "fixed",
        identity=layout.identity != "fixed",
        focal=layout.focal != "fixed",
        shared_focal=layout.focal == "shared",
        camera_pose=layout.camera_pose != "fixed",
        prior_weight=config.prior_weight,
        identity_scale=identity_scale(observations.weight[..., None] > 0, config),
        focal_prior_std=config.focal_prior_std,
    )


def _refine(observations: SparseObservations, state: BundleState, freedom: Freedom, layout: Layout) -> BundleState:
    """Poses alone, then everything on key frames (rigid first), then poses and expressions with what was found."""
    if layout.head_pose == "fixed":
        return state
    seen = observations.seen
    held = Freedom(prior_weight=freedom.prior_weight)
    state, error = _each_frame(observations, state, seen, held)
    keys = seen[_key_frames(error)]
    before = state.of_frames(keys)
    observed = observations.of_frames(keys)
    rigid = dataclasses.replace(freedom, identity=False, expression=False)
    key_state, _ = adjust(observed, before, rigid, rounds=15)
    share = len(keys) / max(len(seen), 1)
    everything = dataclasses.replace(freedom, identity_scale=max(1.0, freedom.identity_scale * share))
    key_state, _ = adjust(observed, key_state, everything, rounds=15)
    state = _follow_focal(state, before, key_state).with_frames(keys, key_state)
    state, _ = _each_frame(observations, state, seen, held)
    if freedom.expression:
        state, _ = _each_frame(observations, state, seen, dataclasses.replace(held, expression=True))
    return state


def _each_frame(
    observations: SparseObservations, state: BundleState, frames: np.ndarray, freedom: Freedom
) -> tuple[BundleState, np.ndarray]:
    """Adjust every one of `frames` with the shared groups held, in chunks of bounded memory; their errors [N]."""
    adjusted, errors = [], []
    for chunk in chunks(frames):
        part, error = adjust(observations.of_frames(chunk), state.of_frames(chunk), freedom, rounds=8)
        adjusted.append(part)
        errors.append(error)
    rows = ("expression", "head_rotation", "head_translation")
    together = {name: np.concatenate([getattr(part, name) for part in adjusted]) for name in rows}
    return state.with_frames(frames, dataclasses.replace(state, **together)), np.concatenate(errors)


def _follow_focal(state: BundleState, before: BundleState, after: BundleState) -> BundleState:
    """Move all frames towards or away from a single camera as the key frames moved when its focal length changed."""
    if len(state.focal) > 1:
        return state
    ratio = np.median(after.head_translation[:, 2] / before.head_translation[:, 2])
    return dataclasses.replace(state, head_translation=state.head_translation * [1.0, 1.0, ratio])


def observations_of(
    alignment: Alignment, head: HeadModel, cameras: Cameras | None, config: FitConfig
) -> SparseObservations:
    """Well-weighted points, spread over the head, at most MAXIMUM_POINTS over all views, and its leading directions."""
    surface = alignment.points_on(head)
    ids, barycentric = np.asarray(surface.vertex_ids), np.asarray(surface.barycentric, np.float64)

    def at_points(values: np.ndarray) -> np.ndarray:
        return np.einsum("pk...,pk->p...", np.asarray(values, np.float64)[ids], barycentric)

    template = at_points(np.asarray(head.template))
    weight = at_points(np.asarray(head.vertex_weights)[:, None])[:, 0]
    if alignment.point_set in ("mediapipe", "landmarks"):
        weight = np.ones_like(weight)
    count = max(MAXIMUM_POINTS // max(2, alignment.camera_count), 60)
    # A few points placed by hand do not make a pose; the full fit has them.
    weight = weight[: alignment.point_count - alignment.placed]
    chosen = _spread(template, np.flatnonzero(weight >= 0.5 * weight.max()), count)
    identity = min(config.identity_size or IDENTITY_SIZE, IDENTITY_SIZE)
    expression = config.expression_size or head.expression_size
    share = len(template) / len(chosen) if len(chosen) else 1.0
    if cameras is None:
        principal_point = alignment.image_size / 2.0
    else:
        principal_point = np.asarray(cameras.principal_point, np.float64)
    nothing = np.zeros((alignment.camera_count, 0, len(chosen)))
    common = BundleObservations(
        points=template[chosen],
        identity_basis=at_points(np.asarray(head.identity_basis[..., :identity]))[chosen],
        expression_basis=at_points(np.asarray(head.expression_basis[..., :expression]))[chosen],
        expression_std=np.asarray(head.expression_std[:expression], np.float64),
        expression_limits=np.asarray(head.expression_limits[:expression], np.float64),
        pixels=np.zeros((*nothing.shape, 2)),
        weights=nothing,
        principal_point=principal_point,
    )
    return sparse_observations(alignment, common, chosen, share * weight[chosen])


def _spread(points: np.ndarray, candidates: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of the candidates, evenly spread (farthest-point sampling, deterministic)."""
    if len(candidates) <= count:
        return candidates
    chosen = [int(candidates[0])]
    distance = np.linalg.norm(points[candidates] - points[chosen[0]], axis=1)
    while len(chosen) < count:
        chosen.append(int(candidates[np.argmax(distance)]))
        distance = np.minimum(distance, np.linalg.norm(points[candidates] - points[chosen[-1]], axis=1))
    return np.sort(np.asarray(chosen))


def _poses_per_image(observations: SparseObservations, focal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Head-to-camera poses [C,F,3,3], [C,F,3] of each image on its own; NaN where nothing is seen."""
    cameras, frames = observations.weight.shape
    rotations, translations = np.empty((cameras, frames, 3, 3)), np.empty((cameras, frames, 3))
    for chunk in chunks(np.arange(frames)):
        part = observations.of_frames(chunk)
        rotation, translation = weak_perspective_poses(
            part.points,
            part.pixels.reshape(cameras * len(chunk), -1, 2),
            part.weights.reshape(cameras * len(chunk), -1),
            np.repeat(focal, len(chunk)),
            np.repeat(part.principal_point, len(chunk), axis=0),
        )
        rotations[:, chunk] = rotation.reshape(cameras, -1, 3, 3)
        translations[:, chunk] = translation.reshape(cameras, -1, 3)
    return rotations, translations


def _relative_cameras(poses: tuple[np.ndarray, np.ndarray], names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """World-to-camera poses in the first camera's frame, linked along the pairs that share the most frames."""
    rotation, translation = poses
    seen = np.isfinite(translation).all(-1)
    cameras = len(seen)
    camera_rotation, camera_translation = np.tile(np.eye(3), (cameras, 1, 1)), np.zeros((cameras, 3))
    linked = {0}
    together = (seen[:, None] & seen[None]).sum(-1)
    while len(linked) < cameras:
        pairs = [(int(together[a, b]), -a, -b) for a in sorted(linked) for b in range(cameras) if b not in linked]
        shared, a, b = max(pairs)
        a, b = -a, -b
        if shared == 0:
            lost = [names[c] for c in range(cameras) if c not in linked]
            raise InputError(
                f"camera(s) {', '.join(lost)} never see the face in the same frame as the others, so their position "
                "cannot be found; give --cameras or leave them out"
            )
        both = seen[a] & seen[b]
        relative = rotation[b, both] @ rotation[a, both].transpose(0, 2, 1)
        turn = _mean_rotation(relative)
        shift = np.median(translation[b, both] - np.einsum("ij,fj->fi", turn, translation[a, both]), axis=0)
        camera_rotation[b] = turn @ camera_rotation[a]
        camera_translation[b] = turn @ camera_translation[a] + shift
        linked.add(b)
    return camera_rotation, camera_translation


def _mean_rotation(rotations: np.ndarray, rounds: int = 5) -> np.ndarray:
    """Robust (L1-like) mean of rotations [N,3,3]."""
    weights = np.ones(len(rotations))
    mean = np.eye(3)
    for _ in range(rounds):
        mean = Rotation.from_matrix(rotations).mean(weights).as_matrix()
        angle = Rotation.from_matrix(rotations @ mean.T).magnitude()
        weights = 1.0 / np.maximum(angle, 0.01)
    return mean


def _world_poses(
    poses: tuple[np.ndarray, np.ndarray],
    observations: SparseObservations,
    camera_rotation: np.ndarray,
    camera_translation: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Head pose in the world per frame, from the camera that sees the most weight of points in it."""
    rotation, translation = poses
    weight = np.where(np.isfinite(translation).all(-1), observations.weight, 0.0)
    best = weight.argmax(0)
    frames = np.arange(len(best))
    back = camera_rotation[best].transpose(0, 2, 1)
    head_rotation = back @ rotation[best, frames]
    shifted = translation[best, frames] - camera_translation[best]
    return head_rotation, np.einsum("fij,fj->fi", back, shifted)


def _key_frames(error: np.ndarray) -> np.ndarray:
    """Up to MAXIMUM_KEY_FRAMES of the better-fitting frames, spread over the sequence."""
    finite = np.flatnonzero(np.isfinite(error))
    if len(finite) <= MAXIMUM_KEY_FRAMES:
        return finite
    better = np.sort(
        finite[np.argsort(error[finite], kind="stable")[: max(MAXIMUM_KEY_FRAMES, int(0.6 * len(finite)))]]
    )
    return better[np.linspace(0, len(better) - 1, MAXIMUM_KEY_FRAMES).round().astype(int)]


def _fill_gaps(state: BundleState, seen: np.ndarray) -> BundleState:
    """Poses of unseen frames, interpolated between their neighbours (held at the ends)."""
    known = np.flatnonzero(seen & np.isfinite(state.head_translation).all(1))
    frames = np.arange(len(seen))
    translation = np.stack([np.interp(frames, known, state.head_translation[known, d]) for d in range(3)], axis=1)
    rotations = Rotation.from_matrix(state.head_rotation[known])
    if len(known) == 1:
        rotation = np.repeat(rotations.as_matrix(), len(frames), axis=0)
    else:
        rotation = Slerp(known, rotations)(np.clip(frames, known[0], known[-1])).as_matrix()
    return dataclasses.replace(state, head_rotation=rotation, head_translation=translation)
