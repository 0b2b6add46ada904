"""Where cameras stand: arcs of cameras before a face, and rigs that are carried about."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.spatial.transform import Rotation

from flowface_jax.cameras.model import Cameras, make_cameras
from flowface_jax.synthesis.people.acting import smooth

FACE_DISTANCE = 0.7
"""Metres from the cameras to the head."""
LOOKED_AT = (0.0, 0.0, 0.06)
"""Metres, in the head's frame: the point behind the nose at which the cameras are aimed."""
FACE_WIDTH = 0.15
"""Metres; a face of this width spans `face_px` pixels."""
ARC = 40.0
"""Degrees to either side."""
CameraMotion = Literal["still", "handheld", "orbit"]


def arc(
    count: int, image_px: int, face_px: float, random: np.random.Generator, distance: float = FACE_DISTANCE
) -> Cameras:
    """Cameras on an arc of ±40° before the face, each looking at it, with focal lengths a few per cent apart.

    The first stands nearest to straight ahead. image_px: side of the square images. face_px: width of the face.
    """
    yaw = np.radians(np.linspace(-ARC, ARC, count)) if count > 1 else np.zeros(1)
    yaw = yaw[np.argsort(np.abs(yaw), kind="stable")]
    pitch = np.radians(random.uniform(-12, 12, count)) if count > 1 else np.zeros(1)
    rotations, translations = [], []
    for y, p in zip(yaw, pitch, strict=True):
        # From head axes (y up, z out of the face) to a camera in front of it (y down, z forward).
        rotation = np.diag([1.0, -1.0, -1.0]) @ Rotation.from_euler("xy", [p, y]).as_matrix()
        rotations.append(rotation)
        aside = [*random.uniform(-0.01, 0.01, 2), distance * (1.0 + random.uniform(-0.07, 0.07))]
        translations.append(np.asarray(aside) - rotation @ np.asarray(LOOKED_AT))
    focal = face_px / FACE_WIDTH * distance * (1.0 + random.uniform(-0.05, 0.05, count))
    size = np.full((count, 2), image_px)
    names = [f"camera_{c:02d}" for c in range(count)]
    return make_cameras(focal, size / 2.0, rotations, translations, size, names)


def carry(
    motion: CameraMotion, frames: int, frame_rate: float, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """How the room moves past a carried rig: rotation [F,3,3] and translation [F,3] m, room to rig.

    "still": not at all. "handheld": held by hands that tremble. "orbit": trembling, and walked round the face.
    """
    turn, shift = np.zeros((frames, 3)), np.zeros((frames, 3))
    if motion != "still":
        turn = np.radians(0.9) * smooth(random, frames, 3, 0.7, frame_rate)
        turn += np.radians(0.12) * smooth(random, frames, 3, 0.12, frame_rate)
        shift = 0.008 * smooth(random, frames, 3, 0.9, frame_rate)
    around = np.zeros((frames, 2))
    if motion == "orbit":
        reach = np.radians(random.uniform(25.0, 45.0)) * random.choice([-1.0, 1.0])
        sweep = np.sin(np.pi * (np.linspace(-0.5, 0.5, frames) if frames > 1 else np.zeros(1)))
        around[:, 1] = reach * sweep
        around[:, 0] = np.radians(5.0) * smooth(random, frames, 1, 1.5, frame_rate)[:, 0]
        shift[:, 2] += 0.06 * smooth(random, frames, 1, 1.5, frame_rate)[:, 0]
    # About the face, so that it stays in the picture; trembling hands turn the rig about the camera in front.
    orbit = Rotation.from_euler("xy", around).as_matrix()
    face, camera = np.asarray(LOOKED_AT), np.asarray(LOOKED_AT) + [0.0, 0.0, FACE_DISTANCE]
    tremble = Rotation.from_rotvec(turn).as_matrix()
    rotation = tremble @ orbit
    translation = np.einsum("fij,fj->fi", tremble, face - orbit @ face - camera) + camera + shift
    return rotation, translation
