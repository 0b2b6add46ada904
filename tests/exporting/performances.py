"""A made-up performance: the built-in head, moving in front of two cameras, one frame without a face."""

from __future__ import annotations

import functools
import json

import jaxlie
import numpy as np

from flowface_jax.cameras.model import make_cameras
from flowface_jax.exporting.performance import Performance
from flowface_jax.fitting.track import Track, head_fingerprint
from flowface_jax.heads.generic import generic_head

FRAMES, WIDTH, HEIGHT = 4, 640, 480


@functools.cache
def made_up_cameras():
    """Two cameras beside each other whose principal points are not at the centre."""
    aside = np.asarray(jaxlie.SO3.exp(np.float32([0.05, 0.3, 0.02])).as_matrix())
    return make_cameras(
        [900.0, 1100.0],
        [[330.0, 225.0], [300.0, 260.0]],
        np.stack([np.eye(3), aside]),
        [[0.0, 0.0, 0.0], [-0.2, 0.02, 0.05]],
        [[WIDTH, HEIGHT], [WIDTH, HEIGHT]],
        ["front", "left side"],
    )


def made_up_track(head, turning=("left_eye", "right_eye"), joint_spread=0.1, offset_m=0.001):
    """Four frames of a head whose named joints turn, with offsets on the nose; the third frame shows no face."""
    draw = np.random.default_rng(0)
    joints = np.zeros((FRAMES, head.joint_count, 3), np.float32)
    for joint in turning:
        joints[:, head.joint_names.index(joint)] = joint_spread * draw.normal(size=(FRAMES, 3))
    limits = np.asarray(head.expression_limits)
    expression = np.asarray(head.expression_std) * draw.normal(size=(FRAMES, head.expression_size))
    offsets = offset_m * draw.normal(size=(head.vertex_count, 3)) * np.asarray(head.regions["nose"])[:, None]
    observed = np.ones((2, FRAMES), bool)
    observed[:, 2] = False
    upright = np.asarray(jaxlie.SO3.exp(np.float32([np.pi, 0, 0])).as_matrix())
    turns = [np.asarray(jaxlie.SO3.exp(np.float32([0.05, 0.2 * f - 0.3, 0.02 * f])).as_matrix()) for f in range(FRAMES)]
    rotation = [np.asarray(jaxlie.SO3.from_matrix(upright @ turn).log()) for turn in turns]
    fingerprint = np.asarray(head_fingerprint(head)).tolist()
    return Track(
        identity=draw.normal(size=head.identity_size).astype(np.float32),
        expression=np.clip(expression, limits[:, 0], limits[:, 1]).astype(np.float32),
        joint_rotations=joints,
        head_rotation=np.float32(rotation),
        head_translation=np.float32([[0.01 * f, 0.0, 0.7 + 0.02 * f] for f in range(FRAMES)]),
        offsets=offsets.astype(np.float32),
        cameras=made_up_cameras(),
        observed=observed,
        residual_px=np.where(observed, 1.0, np.nan).astype(np.float32),
        residual_p90_px=np.where(observed, 2.0, np.nan).astype(np.float32),
        face_width_px=np.where(observed, 150.0, np.nan).astype(np.float32),
        frame_times=np.arange(FRAMES) / 30.0,
        frame_ids=np.arange(FRAMES) + 7,
        energy_history=np.float32([2.0, 1.0]),
        record=json.dumps({"head": {"name": head.name, "fingerprint": fingerprint}, "flags": [], "notes": []}),
    )


@functools.cache
def performance():
    """The built-in head's; its eyes turn."""
    return Performance(made_up_track(generic_head()), generic_head(), (), "made up")


def image_vertices(subject=None):
    """Where its vertices are in the images: [C,F,V,2] px, what every export has to agree with."""
    subject = subject or performance()
    frames = range(subject.track.frame_count)
    return np.stack([np.asarray(subject.track.image_vertices(subject.head, f)) for f in frames], axis=1)


def projected(points, focal, centre):
    """Points [...,3] of OpenCV's camera frame to px, written out."""
    return focal * points[..., :2] / points[..., 2:] + np.asarray(centre)
