"""A made-up head of 60 vertices with joints, pose correctives and named expressions, and a small problem on it."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from scipy.spatial import ConvexHull
from scipy.spatial.transform import Rotation

from flowface_jax.alignment.alignment import Alignment, make_alignment
from flowface_jax.cameras.model import Cameras, make_cameras
from flowface_jax.heads.model import REGION_NAMES, HeadModel, SurfacePoints, vertices


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


def small_performance(
    head: HeadModel,
    seed: int = 0,
    cameras: Cameras | None = None,
    frames: int = 5,
    noise: float = 0.5,
    outliers: float = 0.0,
    dropout: float = 0.0,
    point_set: str = "surface",
    spread: float = 1.0,
) -> Alignment:
    """What `cameras` (two by default) see of a small head that turns and talks, so that the head model explains it.

    Surface points (the triangles' middles, nearly) or all vertices, `noise` px off, a share of `outliers` anywhere in
    the image, a share of `dropout` points unobserved; of several cameras the last misses the second frame. spread: of
    the expressions, in the standard deviations that the head model states.
    """
    random = np.random.default_rng(seed)
    cameras = small_cameras() if cameras is None else cameras
    identity = jnp.asarray(random.normal(size=head.identity_size), jnp.float32)

    def wave(*shape: int) -> np.ndarray:
        phase, speed = random.uniform(0, 2 * np.pi, shape), random.uniform(0.3, 0.9, shape)
        return np.sin(phase + speed * np.arange(frames).reshape(-1, *(1,) * len(shape)))

    expression = spread * wave(head.expression_size) * np.asarray(head.expression_std)
    joints = 0.1 * wave(head.joint_count, 3) * np.asarray([0, 0, 1, 1, 1])[: head.joint_count, None]
    rotation = Rotation.from_rotvec([0.15, 0.25, 0.1] * wave(3)).as_matrix()
    translation = 0.01 * wave(3)
    local = [
        vertices(head, identity, jnp.asarray(e, jnp.float32), jnp.asarray(j, jnp.float32))
        for e, j in zip(expression, joints, strict=True)
    ]
    world = np.einsum("fij,fvj->fvi", rotation, np.asarray(local)) + translation[:, None]
    triangles = np.asarray(head.triangles)
    barycentric = random.dirichlet([5, 5, 5], size=len(triangles))
    if point_set == "surface":
        world = np.einsum("ftki,tk->fti", world[:, triangles], barycentric)
    exact = np.asarray(cameras.project(jnp.asarray(world, jnp.float32)))
    std = noise * random.uniform(0.7, 1.5, exact.shape[:3])
    mean = exact + std[..., None] * random.normal(size=exact.shape)
    size = np.asarray(cameras.image_size)
    wrong = random.random(std.shape) < outliers
    mean = np.where(wrong[..., None], random.random(exact.shape) * size[:, None, None], mean)
    std[random.random(std.shape) < dropout] = np.inf
    valid = np.ones(std.shape[:2], bool)
    if cameras.count > 1 and frames > 1:
        valid[-1, 1] = False
    surface = {"vertex_ids": triangles, "barycentric": barycentric} if point_set == "surface" else {}
    return make_alignment(mean, std, valid, size, point_set, frame_times=np.arange(frames) / 30, **surface)


def as_float64(tree: object) -> object:
    """The same pytree in float64 (under jax.enable_x64)."""
    import jax

    def widened(leaf: object) -> object:
        array = np.asarray(leaf)
        return jnp.asarray(array, jnp.float64) if array.dtype == np.float32 else jnp.asarray(array)

    return jax.tree.map(widened, tree)
