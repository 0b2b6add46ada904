"""Made-up performances with known truth: a moving, speaking, blinking head before a rig, and noisy observations."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from flowface_jax.alignment.alignment import Alignment, make_alignment
from flowface_jax.cameras.model import Cameras, make_cameras
from flowface_jax.heads.model import HeadModel, vertices

FRAMES_PER_SECOND = 30.0
FACE_DISTANCE = 0.7
"""Metres from the cameras to the head."""
LOOKED_AT = (0.0, 0.0, 0.06)
"""Metres, in the head's frame: the point behind the nose at which the cameras are aimed."""
FACE_WIDTH = 0.15
"""Metres; a face of this width spans `face_px` pixels."""
SPEECH_SHAPES = {
    "jawOpen": 0.35,
    "mouthFunnel": 0.3,
    "mouthPucker": 0.3,
    "mouthSmileLeft": 0.3,
    "mouthSmileRight": 0.3,
    "mouthStretchLeft": 0.2,
    "mouthStretchRight": 0.2,
    "mouthLowerDownLeft": 0.25,
    "mouthLowerDownRight": 0.25,
    "mouthUpperUpLeft": 0.15,
    "mouthUpperUpRight": 0.15,
    "browInnerUp": 0.3,
    "browOuterUpLeft": 0.2,
    "browOuterUpRight": 0.2,
    "browDownLeft": 0.2,
    "browDownRight": 0.2,
}
"""Typical amplitude of the ARKit shapes that a talking face mixes."""


@dataclasses.dataclass(frozen=True)
class Performance:
    """The truth. identity: [S]. expression: [F,E]. head_rotation: [F,3,3], head_translation: [F,3] m, head-to-world.
    cameras: C cameras looking at the head. world: [F,V,3] m vertices.
    """

    identity: np.ndarray
    expression: np.ndarray
    head_rotation: np.ndarray
    head_translation: np.ndarray
    cameras: Cameras
    world: np.ndarray


def make_performance(
    head: HeadModel, seed: int, frames: int, cameras: int, image_px: int = 1024, face_px: float = 512.0
) -> Performance:
    """A random person of the model's population, turning the head, speaking and blinking before `cameras` cameras."""
    random = np.random.default_rng(seed)
    identity = random.normal(size=head.identity_size).clip(-2.5, 2.5)
    expression = _expressions(head, frames, random)
    angles = np.radians([18.0, 10.0, 6.0]) * _smooth(random, frames, 3, seconds=0.8)
    rotation = Rotation.from_euler("yxz", angles).as_matrix()
    translation = 0.012 * _smooth(random, frames, 3, seconds=0.8)
    pose = jax.jit(jax.vmap(lambda e: vertices(head, jnp.asarray(identity, jnp.float32), e)))
    local = np.asarray(pose(jnp.asarray(expression, jnp.float32)))
    world = np.einsum("fij,fvj->fvi", rotation, local) + translation[:, None]
    return Performance(identity, expression, rotation, translation, _rig(cameras, image_px, face_px, random), world)


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
        frame_times=np.arange(len(performance.world)) / FRAMES_PER_SECOND,
        camera_names=cameras.names,
        source=f"synthetic observations, {noise_px:g} px noise",
    )


def _smooth(random: np.random.Generator, frames: int, channels: int, seconds: float) -> np.ndarray:
    """Smooth random curves [F,channels] of unit spread that change on the scale of `seconds`."""
    margin = int(4 * seconds * FRAMES_PER_SECOND)
    curves = gaussian_filter1d(
        random.normal(size=(frames + 2 * margin, channels)), 0.5 * seconds * FRAMES_PER_SECOND, axis=0
    )
    return (curves / curves.std(axis=0))[margin : margin + frames]


def _expressions(head: HeadModel, frames: int, random: np.random.Generator) -> np.ndarray:
    """Speech-like curves and blinks on ARKit names; smooth random coefficients on a statistical basis."""
    names = list(head.expression_names)
    result = np.zeros((frames, head.expression_size))
    if "jawOpen" not in names:
        leading = min(20, head.expression_size)
        result[:, :leading] = _smooth(random, frames, leading, 0.3) / np.sqrt(1 + np.arange(leading))
        return result
    curves = _smooth(random, frames, len(SPEECH_SHAPES), 0.25)
    for column, (name, amplitude) in enumerate(SPEECH_SHAPES.items()):
        if name in names:
            result[:, names.index(name)] = amplitude * np.clip(0.5 + 0.8 * curves[:, column], 0.0, 1.6)
    start = int(random.integers(5, 25))
    times = np.arange(frames)
    blink = np.zeros(frames)
    while start < frames:
        blink = np.maximum(blink, np.exp(-0.5 * ((times - start) / 1.6) ** 2))
        start += int(random.integers(35, 60))
    for name in ("eyeBlinkLeft", "eyeBlinkRight"):
        if name in names:
            result[:, names.index(name)] = blink
    return result


def _rig(count: int, image_px: int, face_px: float, random: np.random.Generator) -> Cameras:
    """Cameras on an arc of ±40° before the face, each looking at it, with focal lengths a few per cent apart."""
    yaw = np.radians(np.linspace(-40, 40, count)) if count > 1 else np.zeros(1)
    yaw = yaw[np.argsort(np.abs(yaw), kind="stable")]
    pitch = np.radians(random.uniform(-12, 12, count)) if count > 1 else np.zeros(1)
    rotations, translations = [], []
    for y, p in zip(yaw, pitch, strict=True):
        # From head axes (y up, z out of the face) to a camera in front of it (y down, z forward).
        rotation = np.diag([1.0, -1.0, -1.0]) @ Rotation.from_euler("xy", [p, y]).as_matrix()
        rotations.append(rotation)
        aside = [*random.uniform(-0.01, 0.01, 2), FACE_DISTANCE + random.uniform(-0.05, 0.05)]
        translations.append(np.asarray(aside) - rotation @ np.asarray(LOOKED_AT))
    focal = face_px / FACE_WIDTH * FACE_DISTANCE * (1.0 + random.uniform(-0.05, 0.05, count))
    size = np.full((count, 2), image_px)
    return make_cameras(focal, size / 2.0, rotations, translations, size)


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
