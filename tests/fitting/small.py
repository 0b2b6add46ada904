"""A made-up head of 60 vertices with joints, pose correctives and named expressions, and a small problem on it."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from scipy.spatial import ConvexHull
from scipy.spatial.transform import Rotation

from flowface_jax.alignment.alignment import Alignment, make_alignment
from flowface_jax.cameras.model import Cameras, make_cameras
from flowface_jax.heads.model import REGION_NAMES, HeadModel, SurfacePoints


def small_head(seed: int = 0, count: int = 60, identities: int = 4, expressions: int = 3) -> HeadModel:
    """An egg of a head's size with random smooth bases and FLAME's five joints."""
    random = np.random.default_rng(seed)
    directions = random.normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    template = directions * [0.075, 0.11, 0.09]
    triangles = ConvexHull(template).simplices
    corners = template[triangles]
    inward = (np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]) * corners[:, 0]).sum(1) < 0
    triangles[inward] = triangles[inward][:, ::-1]
    weights = random.random((count, 5)) + 0.05
    weights /= weights.sum(1, keepdims=True)
    ids = np.arange(count)[:, None].repeat(3, axis=1)
    corner = np.tile([[1.0, 0.0, 0.0]], (count, 1))
    nose = template[:, 2] > 0.05

    def some(*shape: int, scale: float) -> jnp.ndarray:
        return jnp.asarray(random.normal(size=shape) * scale, jnp.float32)

    return HeadModel(
        template=jnp.asarray(template, jnp.float32),
        identity_basis=some(count, 3, identities, scale=0.004),
        expression_basis=some(count, 3, expressions, scale=0.004),
        expression_std=jnp.asarray([1.0, 0.5, 0.3][:expressions], jnp.float32),
        expression_limits=jnp.tile(jnp.asarray([-jnp.inf, jnp.inf]), (expressions, 1)),
        joint_template=some(5, 3, scale=0.02),
        joint_identity=some(5, 3, identities, scale=0.002),
        joint_expression=some(5, 3, expressions, scale=0.002),
        pose_correctives=some(count, 3, 45, scale=0.001),
        skinning_weights=jnp.asarray(weights, jnp.float32),
        triangles=jnp.asarray(triangles, jnp.int32),
        uv=some(count, 2, scale=0.1),
        vertex_weights=jnp.asarray(np.where(nose, 1.0, 0.2), jnp.float32),
        landmarks=SurfacePoints(jnp.asarray(ids[:0], jnp.int32), jnp.asarray(corner[:0], jnp.float32)),
        mediapipe=SurfacePoints(jnp.asarray(ids[:0], jnp.int32), jnp.asarray(corner[:0], jnp.float32)),
        regions={name: jnp.asarray(nose) for name in REGION_NAMES},
        joint_parents=(-1, 0, 1, 1, 1),
        joint_names=("root", "neck", "jaw", "left_eye", "right_eye"),
        expression_names=tuple(f"e{i}" for i in range(expressions)),
        name="small",
        licence="made up",
    )


def small_cameras(count: int = 2) -> Cameras:
    """Cameras half a metre before the head, some degrees apart."""
    rotations = [
        np.diag([1.0, -1.0, -1.0]) @ Rotation.from_euler("y", 20.0 * c, degrees=True).as_matrix() for c in range(count)
    ]
    translations = [[0.01 * c, 0.02, 0.5] for c in range(count)]
    return make_cameras(
        [400.0 + 10 * c for c in range(count)], [[128.0, 96.0]] * count, rotations, translations, [[256, 192]] * count
    )


def small_alignment(head: HeadModel, cameras: int = 2, frames: int = 5, seed: int = 1) -> Alignment:
    """Random surface points near where the cameras see the head, some unobserved, one image dropped."""
    random = np.random.default_rng(seed)
    triangles = np.asarray(head.triangles)
    barycentric = random.dirichlet([1, 1, 1], size=len(triangles))
    mean = random.uniform(60, 160, (cameras, frames, len(triangles), 2))
    std = random.uniform(0.5, 3.0, mean.shape[:3])
    std[random.random(std.shape) < 0.1] = np.inf
    valid = np.ones((cameras, frames), bool)
    valid[-1, 1] = False
    return make_alignment(
        mean, std, valid, [[256, 192]] * cameras, "surface", triangles, barycentric, frame_times=np.arange(frames) / 30
    )


def as_float64(tree: object) -> object:
    """The same pytree in float64 (under jax.enable_x64)."""
    import jax

    def widened(leaf: object) -> object:
        array = np.asarray(leaf)
        return jnp.asarray(array, jnp.float64) if array.dtype == np.float32 else jnp.asarray(array)

    return jax.tree.map(widened, tree)
