"""The last step of every reader: arrays from a file become a `HeadModel`, bound to the atlas or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp
import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.heads.model import FOCUS_WEIGHT, OTHER_WEIGHT, REGION_NAMES, HeadModel, SurfacePoints

MEDIAPIPE_COUNT = 478


@dataclass(frozen=True)
class HeadParts:
    """What a reader found in its file, in NumPy, metres and the conventions of `HeadModel`.

    Shapes and units as in `HeadModel`. expression_limits None: unlimited. landmarks None: the source has none.
    mediapipe: rows [N] of MediaPipe's 478 points that the source itself knows, with their surface points.
    regions: [V] bool masks that the source itself names; they win over those of the binding.
    never_face: [V] bool, vertices that no outer region may claim (eyeballs, teeth, inside of the mouth).
    """

    name: str
    licence: str
    template: np.ndarray
    identity_basis: np.ndarray
    expression_basis: np.ndarray
    triangles: np.ndarray
    joint_template: np.ndarray
    joint_identity: np.ndarray
    joint_expression: np.ndarray
    skinning_weights: np.ndarray
    pose_correctives: np.ndarray
    joint_parents: Sequence[int]
    joint_names: Sequence[str]
    expression_names: Sequence[str]
    expression_std: np.ndarray | float = 1.0
    expression_limits: tuple[float, float] = (-np.inf, np.inf)
    landmarks: SurfacePoints | None = None
    mediapipe_rows: np.ndarray | None = None
    mediapipe: SurfacePoints | None = None
    regions: Mapping[str, np.ndarray] = field(default_factory=dict)
    never_face: np.ndarray | None = None


def assemble(parts: HeadParts, bind_to_atlas: bool) -> HeadModel:
    """The `HeadModel` of the parts. Unbound it has zero UVs, only the source's own regions, and MediaPipe's points only
    where the source itself knows all of them.

    Raises InputError where the arrays disagree, or where the head has no landmarks and is to be bound.
    """
    _check(parts)
    vertex_count, expression_size = len(parts.template), parts.expression_basis.shape[-1]
    regions = {name: np.zeros(vertex_count, bool) for name in REGION_NAMES}
    uv, weights, mediapipe = np.zeros((vertex_count, 2), np.float32), None, no_points()
    if bind_to_atlas:
        binding = _bind(parts)
        uv, weights, mediapipe = binding.uv, np.asarray(binding.vertex_weights), binding.mediapipe
        regions |= {name: np.asarray(mask, bool) for name, mask in binding.regions.items()}
    regions |= {name: np.asarray(mask, bool) for name, mask in parts.regions.items()}
    return HeadModel(
        template=_float(parts.template),
        identity_basis=_float(parts.identity_basis),
        expression_basis=_float(parts.expression_basis),
        expression_std=_float(np.broadcast_to(parts.expression_std, (expression_size,))),
        expression_limits=_float(np.broadcast_to(parts.expression_limits, (expression_size, 2))),
        joint_template=_float(parts.joint_template),
        joint_identity=_float(parts.joint_identity),
        joint_expression=_float(parts.joint_expression),
        pose_correctives=_float(parts.pose_correctives),
        skinning_weights=_float(parts.skinning_weights),
        triangles=jnp.asarray(parts.triangles, jnp.int32),
        uv=_float(uv),
        vertex_weights=_float(_vertex_weights(regions, weights, parts)),
        landmarks=parts.landmarks if parts.landmarks is not None else no_points(),
        mediapipe=_with_own_mediapipe(mediapipe, parts),
        regions={name: jnp.asarray(mask) for name, mask in _exclusive(regions, parts.never_face).items()},
        joint_parents=tuple(int(parent) for parent in parts.joint_parents),
        joint_names=tuple(str(name) for name in parts.joint_names),
        expression_names=tuple(str(name) for name in parts.expression_names),
        name=parts.name,
        licence=parts.licence,
    )


def surface_points(vertex_ids: np.ndarray, barycentric: np.ndarray, vertex_count: int, kind: str) -> SurfacePoints:
    """Checked surface points from [P,3] vertex ids and weights. Raises InputError naming `kind`."""
    vertex_ids, barycentric = np.asarray(vertex_ids), np.asarray(barycentric, np.float64)
    if vertex_ids.ndim != 2 or vertex_ids.shape[1] != 3 or barycentric.shape != vertex_ids.shape:
        raise InputError(
            f"{kind}: expected vertex ids and barycentric weights of shape (P,3), "
            f"found {vertex_ids.shape} and {barycentric.shape}"
        )
    if vertex_ids.size and not (vertex_ids.min() >= 0 and vertex_ids.max() < vertex_count):
        raise InputError(
            f"{kind}: names vertex {int(vertex_ids.max())} of a head with {vertex_count} vertices; it belongs to "
            "another mesh"
        )
    sums = barycentric.sum(axis=1, keepdims=True)
    if not np.all(np.abs(sums - 1) < 0.02):
        raise InputError(f"{kind}: barycentric weights must sum to 1, found sums up to {float(np.abs(sums).max()):.3g}")
    return SurfacePoints(jnp.asarray(vertex_ids, jnp.int32), _float(barycentric / sums))


def no_points() -> SurfacePoints:
    """Surface points with zero rows: the head does not know them."""
    return SurfacePoints(jnp.zeros((0, 3), jnp.int32), jnp.zeros((0, 3), jnp.float32))


def quads_to_triangles(faces: np.ndarray) -> np.ndarray:
    """[T,3] triangles of [F,4] faces whose fourth id is -1 where the face is a triangle; winding kept, order kept."""
    faces = np.asarray(faces, np.int64)
    both = np.stack([faces[:, [0, 1, 2]], faces[:, [0, 2, 3]]], axis=1)
    keep = np.stack([np.ones(len(faces), bool), faces[:, 3] >= 0], axis=1)
    return both[keep].astype(np.int32)


def _bind(parts: HeadParts) -> Any:
    from flowface_jax.heads.binding import bind

    if parts.landmarks is None:
        raise InputError(
            f"head {parts.name} has no 68 landmarks, which binding it to the atlas needs; give its landmark file"
        )
    return bind(np.asarray(parts.template, np.float64), np.asarray(parts.triangles), parts.landmarks)


def _with_own_mediapipe(bound: SurfacePoints, parts: HeadParts) -> SurfacePoints:
    """The bound points with those rows replaced that the source itself knows; all of them where it knows all."""
    ids, barycentric = np.array(bound.vertex_ids, np.int32), np.array(bound.barycentric, np.float32)
    if parts.mediapipe is not None and parts.mediapipe_rows is not None:
        if parts.mediapipe.count == MEDIAPIPE_COUNT:
            ids, barycentric = np.zeros((MEDIAPIPE_COUNT, 3), np.int32), np.zeros((MEDIAPIPE_COUNT, 3), np.float32)
        if len(ids) == MEDIAPIPE_COUNT:
            ids[parts.mediapipe_rows] = parts.mediapipe.vertex_ids
            barycentric[parts.mediapipe_rows] = parts.mediapipe.barycentric
    return SurfacePoints(jnp.asarray(ids), jnp.asarray(barycentric))


def _exclusive(regions: dict[str, np.ndarray], never_face: np.ndarray | None) -> dict[str, np.ndarray]:
    """The regions with the named vertices taken out of the outer ones."""
    if never_face is None:
        return regions
    outer = set(REGION_NAMES) - {"eyeballs"}
    return {name: mask & ~never_face if name in outer else mask for name, mask in regions.items()}


def _vertex_weights(regions: dict[str, np.ndarray], bound: np.ndarray | None, parts: HeadParts) -> np.ndarray:
    """λ per vertex: the binding's unless the source itself names face or ears; 1 everywhere if nothing is known."""
    weights = bound
    if bound is None or {"face", "ears"} & set(parts.regions):
        focus = regions["face"] | regions["ears"]
        weights = np.where(focus, FOCUS_WEIGHT, OTHER_WEIGHT) if focus.any() else np.ones(len(focus))
    return weights if parts.never_face is None else np.where(parts.never_face, OTHER_WEIGHT, weights)


def _check(parts: HeadParts) -> None:
    """Shapes agree, numbers are finite, triangles and parents point at what exists."""
    vertices, joints = len(parts.template), len(parts.joint_names)
    identity, expression = parts.identity_basis.shape[-1], parts.expression_basis.shape[-1]
    correctives = parts.pose_correctives.shape[-1] if parts.pose_correctives.ndim == 3 else -1
    expected = {
        "template": (vertices, 3),
        "identity_basis": (vertices, 3, identity),
        "expression_basis": (vertices, 3, expression),
        "joint_template": (joints, 3),
        "joint_identity": (joints, 3, identity),
        "joint_expression": (joints, 3, expression),
        "skinning_weights": (vertices, joints),
        "pose_correctives": (vertices, 3, correctives if correctives in (0, 9 * joints) else 9 * joints),
    }
    for name, shape in expected.items():
        array = getattr(parts, name)
        if array.shape != shape:
            raise InputError(f"head {parts.name}: expected {name} of shape {shape}, found {array.shape}")
        if not np.isfinite(array).all():
            raise InputError(f"head {parts.name}: {name} holds numbers that are not finite; the file is damaged")
    triangles = np.asarray(parts.triangles)
    is_mesh = triangles.ndim == 2 and triangles.shape[1:] == (3,) and triangles.size and triangles.dtype.kind in "iu"
    if not is_mesh or not 0 <= triangles.min() <= triangles.max() < vertices:
        raise InputError(
            f"head {parts.name}: triangles must be (T,3) vertex ids from 0 to {vertices - 1}, "
            f"found {triangles.dtype} of shape {triangles.shape}; the file is damaged"
        )
    if not all(-1 <= parent < k for k, parent in enumerate(parts.joint_parents)) or len(parts.joint_parents) != joints:
        raise InputError(
            f"head {parts.name}: every joint's parent must come before it; found {tuple(parts.joint_parents)}"
        )
    if vertices and np.abs(parts.skinning_weights.sum(axis=1) - 1).max() > 1e-3:
        raise InputError(f"head {parts.name}: skinning weights of every vertex must sum to 1; the file is damaged")


def _float(array: np.ndarray) -> Any:
    return jnp.asarray(np.ascontiguousarray(array, np.float32))
