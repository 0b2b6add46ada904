"""Made-up performances with known truth: a moving, speaking, blinking head before a rig, and noisy observations."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial.transform import Rotation

from flowface_jax.alignment.alignment import Alignment, make_alignment
from flowface_jax.cameras.model import Cameras
from flowface_jax.heads.model import HeadModel, vertices
from flowface_jax.synthesis.people.acting import Acting, act, smooth
from flowface_jax.synthesis.people.assets import PeopleAssets, make_people_assets
from flowface_jax.synthesis.people.eyes import Gaze
from flowface_jax.synthesis.people.faces import Face, pose_face
from flowface_jax.synthesis.rigs import CameraMotion, arc, carry

FRAMES_PER_SECOND = 30.0
IDENTITY_LIMIT = 2.5
"""Largest identity coefficient of a performer, in standard deviations of the population."""


@dataclasses.dataclass(frozen=True)
class Motion:
    """The truth of a performance. Rotations are matrices, translations in m.

    identity: [S]. expression: [F,E]. joint_rotations: [F,K,3] axis-angle, rad. head_rotation: [F,3,3] and
    head_translation: [F,3], head-to-world. torso_rotation: [F,3,3] and torso_translation: [F,3], the same for a torso
    modelled in the head's frame. room_rotation: [F,3,3] and room_translation: [F,3], room-to-world. cameras: C cameras
    looking at the head. frame_rate: 1/s.

    Cameras never move in the world. Where the rig is carried about, the world is the rig's frame: head, torso and room
    (with its lights and its background) move in it. So one file format serves still and moving cameras, and what the
    images alone can tell is what is stored.
    """

    identity: np.ndarray
    expression: np.ndarray
    joint_rotations: np.ndarray
    head_rotation: np.ndarray
    head_translation: np.ndarray
    torso_rotation: np.ndarray
    torso_translation: np.ndarray
    room_rotation: np.ndarray
    room_translation: np.ndarray
    cameras: Cameras
    frame_rate: float

    @property
    def frame_count(self) -> int:
        """Number of frames F."""
        return len(self.expression)


@dataclasses.dataclass(frozen=True)
class Performance(Motion):
    """A motion with all its vertices. world: [F,V,3] m."""

    world: np.ndarray


def make_performance(
    head: HeadModel, seed: int, frames: int, cameras: int, image_px: int = 1024, face_px: float = 512.0
) -> Performance:
    """A random person of the model's population, turning the head, speaking and blinking before `cameras` cameras."""
    motion = make_motion(head, seed, frames, cameras, image_px, face_px)
    identity = jnp.asarray(motion.identity, jnp.float32)
    local = np.asarray(
        _posed_vertices(head, identity, jnp.asarray(motion.expression), jnp.asarray(motion.joint_rotations))
    )
    world = np.einsum("fij,fvj->fvi", motion.head_rotation, local) + motion.head_translation[:, None]
    fields = {field.name: getattr(motion, field.name) for field in dataclasses.fields(motion)}
    return Performance(**fields, world=world)


def make_motion(
    head: HeadModel,
    seed: int,
    frames: int,
    cameras: int,
    image_px: int = 1024,
    face_px: float = 512.0,
    frame_rate: float = FRAMES_PER_SECOND,
    camera_motion: CameraMotion = "still",
    spread: float = 1.0,
) -> Motion:
    """The motion alone, whatever the size of the mesh. spread: of the identity, in the population's.

    The same arguments give the same motion; more frames of one seed are another motion.
    """
    random = np.random.default_rng(seed)
    identity = (spread * random.normal(size=head.identity_size)).clip(-IDENTITY_LIMIT, IDENTITY_LIMIT)
    assets = make_people_assets(head)
    acting = act(assets, frames, frame_rate, random)
    face = _faces(identity, acting, assets)
    neck = np.asarray(assets.neck, np.float64)
    head_rotation, torso_rotation = (
        Rotation.from_euler("YXZ", angles).as_matrix() for angles in (acting.head_angles, acting.torso_angles)
    )
    # Heads turn about the neck, and the neck sways with the body.
    joint = neck + 0.01 * smooth(random, frames, 3, 0.8, frame_rate)
    rig = arc(cameras, image_px, face_px, random)
    room_rotation, room_translation = carry(camera_motion, frames, frame_rate, random)
    moved = {}
    for name, rotation in (("head", head_rotation), ("torso", torso_rotation)):
        translation = joint - rotation @ neck
        moved[f"{name}_rotation"] = room_rotation @ rotation
        moved[f"{name}_translation"] = np.einsum("fij,fj->fi", room_rotation, translation) + room_translation
    return Motion(
        identity=identity,
        expression=np.asarray(face.expression),
        joint_rotations=np.asarray(face.joint_rotations),
        room_rotation=room_rotation,
        room_translation=room_translation,
        cameras=rig,
        frame_rate=frame_rate,
        **moved,
    )


def _faces(identity: np.ndarray, acting: Acting, assets: PeopleAssets) -> Face:
    """The curves made consistent, frame by frame."""
    gaze = Gaze(*(jnp.asarray(x, jnp.float32) for x in (acting.gaze_yaw, acting.gaze_pitch, acting.gaze_distance)))
    expression, closure, jaw = (jnp.asarray(x, jnp.float32) for x in (acting.expression, acting.closure, acting.jaw))
    return _posed_faces(jnp.asarray(identity, jnp.float32), expression, gaze, closure, jaw, assets)


_posed_faces = jax.jit(jax.vmap(pose_face, in_axes=(None, 0, 0, 0, 0, None)))
_posed_vertices = jax.jit(jax.vmap(vertices, in_axes=(None, None, 0, 0)))


def observe(
    performance: Performance,
    head: HeadModel,
    seed: int,
    noise_px: float = 1.0,
    outlier_share: float = 0.0,
    dropout_share: float = 0.0,
    points: np.ndarray | None = None,
) -> Alignment:
    """What an alignment network would tell: every vertex (or `points` [P]) with noise of `noise_px`, gross outliers
    (anywhere within a quarter of the image), and whole images dropped. Points that turn away get larger noise, as
    the network's σ says for them.
    """
    random = np.random.default_rng(seed)
    chosen = np.arange(head.vertex_count) if points is None else np.asarray(points)
    cameras = performance.cameras
    exact = np.asarray(cameras.project(jnp.asarray(performance.world[:, chosen])))
    std = noise_px * (1.0 + 2.0 * _turned_away(performance, head)[:, :, chosen])
    mean = exact + std[..., None] * random.normal(size=exact.shape)
    outlier = random.random(std.shape) < outlier_share
    size = np.asarray(cameras.image_size, np.float64)
    mean += outlier[..., None] * random.uniform(-0.25, 0.25, exact.shape) * size[:, None, None]
    valid = random.random(std.shape[:2]) >= dropout_share
    everything = points is None
    return make_alignment(
        mean,
        std,
        valid,
        size.astype(np.int32),
        "vertices" if everything else "surface",
        vertex_ids=None if everything else np.repeat(chosen[:, None], 3, axis=1),
        barycentric=None if everything else np.tile([[1.0, 0.0, 0.0]], (len(chosen), 1)),
        frame_times=np.arange(len(performance.world)) / performance.frame_rate,
        camera_names=cameras.names,
        source=f"synthetic observations, {noise_px:g} px noise",
    )


def _turned_away(performance: Performance, head: HeadModel) -> np.ndarray:
    """How far each vertex turns away from each camera, [C,F,V]: 0 facing it, 1 at the silhouette and beyond."""
    triangles = np.asarray(head.triangles)
    centres = np.asarray(performance.cameras.centres())
    result = np.empty((len(centres), *performance.world.shape[:2]))
    for f, world in enumerate(performance.world):
        corners = world[triangles]
        face_normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normal = np.zeros_like(world)
        for k in range(3):
            np.add.at(normal, triangles[:, k], face_normal)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
        towards = centres[:, None] - world
        towards /= np.linalg.norm(towards, axis=2, keepdims=True)
        result[:, f] = 1.0 - np.clip((normal * towards).sum(2), 0.0, 1.0)
    return result
