"""A turning half ball in front of one camera or two, its clip, and the folder that holds its track."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np

from flowface_jax.cameras.model import make_cameras
from flowface_jax.fitting.uncertainty import Uncertainty
from flowface_jax.heads.store import save_head
from flowface_jax.viewing.video_writer import write_video
from tests.synthesis.domes import IMAGE_SIDE
from tests.viewing.report.reported import observations, reported_head, reported_track

FRAMES = 5


def shaped_head():
    """The half ball with coefficients that move it: identity 0 makes it longer, expression 0 moves it up, in m."""
    head = reported_head()
    identity = np.zeros(head.identity_basis.shape, np.float32)
    identity[..., 0] = 0.1 * np.asarray(head.template) * [0, 0, 1]
    expression = np.zeros(head.expression_basis.shape, np.float32)
    expression[:, 1, 0] = 0.01
    return dataclasses.replace(head, identity_basis=jnp.asarray(identity), expression_basis=jnp.asarray(expression))


def shown_track(**changes):
    """Five frames, the last without a face, with error bars that grow downwards."""
    track = reported_track()
    vertices = len(track.offsets)
    std = np.linspace(2, 1, vertices, dtype=np.float32)
    zero = lambda field: np.zeros(np.asarray(getattr(track, field)).shape, np.float32)
    uncertainty = Uncertainty(
        **{
            name: zero(name)
            for name in ("identity", "expression", "joint_rotations", "head_rotation", "head_translation", "offsets")
        },
        camera_rotation=np.zeros((1, 3), np.float32),
        camera_translation=np.zeros((1, 3), np.float32),
        focal=np.ones(1, np.float32),
        vertices_mm=np.tile(std, (FRAMES, 1)).astype(np.float16),
        neutral_mm=std / 2,
    )
    return dataclasses.replace(track, **({"uncertainty": uncertainty} | changes))


def two_camera_track():
    """The same seen by a second camera too, a quarter of a metre to the right, whose axis is not in its middle."""
    track = shown_track(uncertainty=None)
    one = track.cameras
    aside = np.asarray(one.translation)[0] - [0.25, 0, 0]
    cameras = make_cameras(
        [float(one.focal[0])] * 2,
        np.stack([np.asarray(one.principal_point)[0], np.asarray(one.principal_point)[0] + [9.0, -5.0]]),
        np.repeat(np.asarray(one.rotation), 2, axis=0),
        np.stack([np.asarray(one.translation)[0], aside]),
        np.repeat(np.asarray(one.image_size), 2, axis=0),
        ["left", "right"],
    )
    twice = lambda values: np.repeat(np.asarray(values), 2, axis=0)
    fields = ("observed", "residual_px", "residual_p90_px", "face_width_px")
    return dataclasses.replace(track, cameras=cameras, **{name: twice(getattr(track, name)) for name in fields})


def clip_frames(count=FRAMES):
    """Pictures whose brightness says which frame they are: 40 + 30 · frame."""
    return [np.full((IMAGE_SIDE, IMAGE_SIDE, 3), 40 + 30 * f, np.uint8) for f in range(count)]


def frame_of(picture):
    """Which frame a picture of `clip_frames` is."""
    return round((float(np.mean(picture)) - 40) / 30)


def write_show(place, track=None):
    """A folder `track` with its alignment, `head.npz` and `clip.mp4`; their paths."""
    head, track = shaped_head(), track or shown_track()
    save_head(head, place / "head.npz")
    track.save(place / "track")
    if track.cameras.count == 1:
        observations(track, head).save(place / "track" / "alignment.npz")
    write_video(place / "clip.mp4", clip_frames(), 25, quality=10)
    return place / "track", place / "head.npz", place / "clip.mp4"
