"""A head that is half a ball with the whole atlas on it, pictures of it, and the track that they belong to."""

from __future__ import annotations

import dataclasses

import cv2
import jax.numpy as jnp
import numpy as np
from scipy.spatial.transform import Rotation

from flowface_jax.cameras.model import make_cameras
from flowface_jax.fitting.track import Track
from flowface_jax.synthesis.rasteriser import interpolate, rasterise, sample_texture
from flowface_jax.synthesis.textures.colour import linear_to_srgb
from flowface_jax.synthesis.textures.unwrapping import pose_in_camera
from tests.fitting.small import small_head

GRID = 33
IMAGE_SIDE = 256
RADIUS = 0.09
DISTANCE = 0.6


def dome_head():
    """A HeadModel of GRID² vertices: the front of a ball, u round it, v up it."""
    steps = np.linspace(0, 1, GRID)
    v, u = np.meshgrid(steps, steps, indexing="ij")
    yaw, pitch = (u - 0.5) * np.pi, (v - 0.5) * 0.8 * np.pi
    ball = np.stack([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)], -1) * RADIUS
    corner = (np.arange(GRID - 1)[:, None] * GRID + np.arange(GRID - 1)[None]).ravel()
    lower = np.stack([corner, corner + 1, corner + GRID], 1)
    upper = np.stack([corner + 1, corner + GRID + 1, corner + GRID], 1)
    none = jnp.zeros(GRID * GRID, bool)
    small = small_head(count=GRID * GRID)
    return dataclasses.replace(
        small,
        template=jnp.asarray(ball.reshape(-1, 3), jnp.float32),
        triangles=jnp.asarray(np.concatenate([lower, upper]), jnp.int32),
        uv=jnp.asarray(np.stack([u, v], -1).reshape(-1, 2), jnp.float32),
        identity_basis=small.identity_basis * 0,
        expression_basis=small.expression_basis * 0,
        pose_correctives=small.pose_correctives * 0,
        regions={name: none for name in small.regions},
        name="dome",
    )


def skin_pattern(side):
    """Linear colours [side,side,3] of smooth, different places of skin, not symmetric."""
    place = (np.arange(side) + 0.5) / side
    u, v = place[None, :], 1 - place[:, None]
    wave = 0.12 * np.sin(9 * u) * np.cos(7 * v) + 0.06 * np.sin(23 * u + 5 * v)
    return (np.array([0.42, 0.26, 0.19]) * (1 + wave[..., None])).astype(np.float32)


def head_rotation(yaw_degrees, pitch_degrees=0.0):
    """Axis-angle [3] of a head that looks into the camera, then turns to its left and up."""
    facing = Rotation.from_matrix(np.diag([1.0, -1.0, -1.0]))
    return (facing * Rotation.from_euler("yx", [yaw_degrees, -pitch_degrees], degrees=True)).as_rotvec()


def camera():
    """One camera at the origin, looking along z."""
    middle = [IMAGE_SIDE / 2] * 2
    return make_cameras([700.0], [middle], np.eye(3)[None], np.zeros((1, 3)), [[IMAGE_SIDE] * 2], ["camera"])


def track_of(rotations):
    """The track of a dome that stands DISTANCE before the camera with these rotations [F,3]."""
    count = len(rotations)
    seen = np.ones((1, count), np.float32)
    return Track(
        identity=np.zeros(4, np.float32),
        expression=np.zeros((count, 3), np.float32),
        joint_rotations=np.zeros((count, 5, 3), np.float32),
        head_rotation=np.asarray(rotations, np.float32),
        head_translation=np.tile(np.float32([0, 0, DISTANCE]), (count, 1)),
        offsets=np.zeros((GRID * GRID, 3), np.float32),
        cameras=camera(),
        observed=seen > 0,
        residual_px=seen,
        residual_p90_px=seen,
        face_width_px=100 * seen,
        frame_times=np.arange(count, dtype=np.float32) / 25,
        frame_ids=np.arange(count),
        energy_history=np.zeros(1, np.float32),
        record="{}",
    )


def posed(head, rotation):
    """The dome before the camera with this rotation [3]."""
    points = np.asarray(head.template) @ Rotation.from_rotvec(rotation).as_matrix().T + [0, 0, DISTANCE]
    points = jnp.asarray(points, jnp.float32)
    return pose_in_camera(np.asarray(points), np.asarray(camera().project(points)[0]), head.triangles)


def picture(head, rotation, texture, exposure=1.0):
    """The dome photographed: [H,W,3] sRGB uint8, before green."""
    seen_as = posed(head, rotation)
    size = (IMAGE_SIDE, IMAGE_SIDE)
    fragments = rasterise(jnp.asarray(seen_as.pixels), jnp.asarray(seen_as.depth), head.triangles, size)
    uv = interpolate(fragments, head.triangles, head.uv)
    colour = np.asarray(sample_texture(jnp.asarray(texture), uv)) * exposure
    return linear_to_srgb(np.where(np.asarray(fragments.seen)[..., None], colour, [0.02, 0.7, 0.05]))


def write_pictures(folder, pictures):
    """The pictures as PNG files in a new folder."""
    folder.mkdir()
    for n, image in enumerate(pictures):
        cv2.imwrite(str(folder / f"{n:04}.png"), image[..., ::-1])
    return folder
