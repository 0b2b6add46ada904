"""A head of FLAME's sizes with made-up shapes, and a long performance of it: the job of the paper's appendix F."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from flowface_jax.alignment.alignment import Alignment
from flowface_jax.cameras.model import Cameras
from flowface_jax.fitting.problem import FLAME_VERTICES
from flowface_jax.heads.generic import generic_head
from flowface_jax.heads.model import HeadModel, vertices
from flowface_jax.synthesis.rigs import arc

IDENTITY, EXPRESSION = 300, 100
CHUNK_FRAMES = 40


@dataclasses.dataclass(frozen=True)
class LongPerformance:
    """world: [F,V,3] float32 m, the truth. cameras: C. alignment: of all vertices."""

    world: np.ndarray
    cameras: Cameras
    alignment: Alignment


def flame_sized_head(seed: int = 0) -> HeadModel:
    """The built-in head's surface with 5,023 vertices, FLAME's five joints, and 300 + 100 smooth random shapes whose
    size decays with their number; eyes turn by their joints alone.
    """
    random, head = np.random.default_rng(seed), generic_head()
    ends = _longest_edges(head, FLAME_VERTICES - head.vertex_count)
    extend = lambda values: np.concatenate([np.asarray(values), np.asarray(values)[ends].mean(1)])
    template = extend(head.template)
    skull = extend(np.asarray(head.regions["eyeballs"], np.float64)) == 0
    # Expressions live on the front of the face, and not on the eyeballs.
    face = skull * np.exp(-(((template - template[template[:, 2].argmax()]) / 0.08) ** 2).sum(1))
    identity = _shapes(template, np.ones(len(template)), IDENTITY, 0.004, random)
    expression = _shapes(template, face, EXPRESSION, 0.002, random)
    nearest = cKDTree(template).query(np.asarray(head.joint_template), k=50)[1]
    as_float = lambda values: jnp.asarray(values, jnp.float32)
    return dataclasses.replace(
        head,
        template=as_float(template),
        identity_basis=as_float(identity),
        expression_basis=as_float(expression),
        expression_std=jnp.ones(EXPRESSION),
        expression_limits=jnp.tile(jnp.asarray([-jnp.inf, jnp.inf]), (EXPRESSION, 1)),
        joint_identity=as_float(identity[nearest].mean(1)),
        joint_expression=as_float(expression[nearest].mean(1)),
        pose_correctives=as_float(_shapes(template, face, 9 * head.joint_count, 0.002, random)),
        skinning_weights=as_float(extend(head.skinning_weights)),
        uv=as_float(extend(head.uv)),
        vertex_weights=as_float(extend(head.vertex_weights)),
        regions={name: jnp.asarray(extend(np.asarray(mask, np.float64)) == 1) for name, mask in head.regions.items()},
        expression_names=tuple(f"expression_{k}" for k in range(EXPRESSION)),
        name="FLAME-sized",
        licence="made up",
    )


def _longest_edges(head: HeadModel, count: int) -> np.ndarray:
    """Ends [count,2] of the longest edges; their middles become vertices."""
    triangles, template = np.asarray(head.triangles), np.asarray(head.template)
    edges = np.unique(
        np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])), axis=0
    )
    length = np.linalg.norm(template[edges[:, 0]] - template[edges[:, 1]], axis=1)
    return edges[np.argsort(-length, kind="stable")[:count]]


def _shapes(
    template: np.ndarray, mask: np.ndarray, count: int, largest: float, random: np.random.Generator
) -> np.ndarray:
    """Orthogonal smooth displacements [V,3,count] m, the first of `largest` RMS, the k-th smaller by k^0.8."""
    waves = 6
    fields = np.empty((len(template), 3, count))
    for k in range(count):
        frequency = random.normal(size=(waves, 3)) * (8.0 + 0.2 * k)
        phase = random.uniform(0, 2 * np.pi, waves)
        fields[:, :, k] = mask[:, None] * (np.cos(template @ frequency.T + phase) @ random.normal(size=(waves, 3)))
    orthogonal, _ = np.linalg.qr(fields.reshape(-1, count))
    size = largest * np.sqrt(len(template)) / np.arange(1, count + 1) ** 0.8
    return (orthogonal * size).reshape(len(template), 3, count)


def perform(head: HeadModel, frames: int, cameras: int, seed: int = 1, outlier_share: float = 0.01) -> LongPerformance:
    """A turning, speaking head before `cameras` cameras; every vertex observed in every image, noise 1 px where it
    faces the camera and up to 3 px where it does not. Nothing is ever held in float64, nor twice.
    """
    random = np.random.default_rng(seed)
    rig = arc(cameras, 1024, 512.0, random)
    identity = random.normal(size=head.identity_size).clip(-2.5, 2.5)
    expression = _waves(random, frames, head.expression_size)
    joints = np.zeros((frames, head.joint_count, 3))
    joints[:, [name.endswith("eye") for name in head.joint_names], :2] = 0.15 * _waves(random, frames, 2)[:, None]
    rotation = Rotation.from_rotvec(_waves(random, frames, 3) * [0.12, 0.25, 0.08]).as_matrix()
    translation = 0.01 * _waves(random, frames, 3)
    posed = jax.jit(jax.vmap(vertices, in_axes=(None, None, 0, 0)))
    world = np.empty((frames, head.vertex_count, 3), np.float32)
    for first in range(0, frames, CHUNK_FRAMES):
        part = slice(first, first + CHUNK_FRAMES)
        arguments = (jnp.asarray(values, jnp.float32) for values in (identity, expression[part], joints[part]))
        local = np.asarray(posed(head, *arguments))
        world[part] = local @ rotation[part].transpose(0, 2, 1) + translation[part, None]
    alignment = _observe(head, world, rotation.astype(np.float32), rig, outlier_share, random)
    return LongPerformance(world, rig, alignment)


def _waves(random: np.random.Generator, frames: int, count: int, seconds: float = 1.2) -> np.ndarray:
    """Smooth curves [F,count] of unit spread at 25 frames a second."""
    time = np.arange(frames)[:, None] / 25.0
    total = np.zeros((frames, count))
    for _ in range(4):
        total += np.sin(2 * np.pi * time * random.uniform(0.3, 1.0, count) / seconds + random.uniform(0, 6.3, count))
    return total / np.sqrt(2.0)


def _observe(
    head: HeadModel,
    world: np.ndarray,
    rotation: np.ndarray,
    rig: Cameras,
    outlier_share: float,
    random: np.random.Generator,
) -> Alignment:
    shape = (rig.count, *world.shape[:2])
    mean, std = np.empty((*shape, 2), np.float32), np.empty(shape, np.float32)
    normals, centres = _normals(head), np.asarray(rig.centres(), np.float32)
    fields = (
        np.asarray(field, np.float32) for field in (rig.rotation, rig.translation, rig.focal, rig.principal_point)
    )
    for c, (turn, shift, focal, middle) in enumerate(zip(*fields, strict=True)):
        for f in range(len(world)):
            towards = centres[c] - world[f]
            cosine = (normals @ rotation[f].T * towards).sum(1) / np.linalg.norm(towards, axis=1)
            std[c, f] = 1.0 + 2.0 * (1.0 - np.clip(cosine, 0.0, 1.0))
            camera = world[f] @ turn.T + shift
            noise = random.standard_normal((len(camera), 2), np.float32)
            noise[random.random(len(camera), np.float32) < outlier_share] *= 50.0
            mean[c, f] = camera[:, :2] / camera[:, 2:] * focal + middle + std[c, f, :, None] * noise
    frames = len(world)
    return Alignment(
        mean=mean,
        std=std,
        valid=np.ones(shape[:2], bool),
        image_size=np.asarray(rig.image_size),
        vertex_ids=np.zeros((0, 3), np.int32),
        barycentric=np.zeros((0, 3), np.float32),
        frame_times=np.arange(frames) / 25.0,
        frame_ids=np.arange(frames),
        point_set="vertices",
        camera_names=rig.names,
        source="synthetic observations",
    )


def _normals(head: HeadModel) -> np.ndarray:
    """Unit normals [V,3] of the neutral head; outward from its middle where no triangle is."""
    template, triangles = np.asarray(head.template), np.asarray(head.triangles)
    corners = template[triangles]
    crossed = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(template)
    for k in range(3):
        np.add.at(normals, triangles[:, k], crossed)
    bare = (normals == 0).all(1)
    normals[bare] = (template - template.mean(0))[bare]
    return normals / np.linalg.norm(normals, axis=1, keepdims=True)
