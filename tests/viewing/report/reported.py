"""A small head that turns, its track, what was observed of it, and the folder that holds both."""

from __future__ import annotations

import dataclasses
import json

import jax.numpy as jnp
import numpy as np

from flowface_jax.alignment.alignment import make_alignment
from flowface_jax.heads.model import REGION_NAMES, SurfacePoints
from tests.synthesis.domes import GRID, IMAGE_SIDE, dome_head, head_rotation, track_of

YAW = (0.0, 4.0, 8.0, 12.0, 16.0)
FLAGS = [
    {"frame": 1, "reasons": ["not followed: <lips>"]},
    {"frame": 2, "reasons": ["not followed: <lips>"]},
    {"frame": 4, "reasons": ["no face"]},
]
RECORD = {
    "flags": FLAGS,
    "notes": ["a note & more"],
    "head": {"name": "dome", "licence": "made up"},
    "solver": {"name": "levenberg_marquardt", "steps": 3, "converged": True, "energy": {"alignment": 12.5}},
    "residual": {"median_px": 1.25, "median_percent_of_face_width": 1.25, "p90_percent_of_face_width": 2.5},
    "settings": {"temporal_weight": 200.0},
    "timings": {"solve_s": 1.5},
    "quality": {
        "verdict": "usable",
        "verdict_reasons": ["look at <b>two</b> frames"],
        "regions": {"all": {"points": 1089, "reduced_chi_square": 0.875, "hidden_frames": 0, "not_followed_frames": 2}},
    },
}
RESIDUAL = np.float32([[0.5, 1.0, 1.5, 2.0, np.nan]])


def reported_head():
    """The dome with regions, and 68 landmarks at its first vertices."""
    head = dome_head()
    near = np.asarray(head.template)[:, 2] > 0.04
    ids = jnp.repeat(jnp.arange(68, dtype=jnp.int32)[:, None], 3, axis=1)
    landmarks = SurfacePoints(ids, jnp.tile(jnp.asarray([[1.0, 0.0, 0.0]]), (68, 1)))
    regions = {name: jnp.asarray(near) for name in REGION_NAMES}
    return dataclasses.replace(head, regions=regions, landmarks=landmarks)


def reported_track(**changes):
    """Five frames, the last without a face."""
    track = track_of([head_rotation(yaw) for yaw in YAW])
    observed = np.ones((1, len(YAW)), bool)
    observed[0, -1] = False
    fields = {
        "observed": observed,
        "residual_px": RESIDUAL,
        "residual_p90_px": 2 * RESIDUAL,
        "energy_history": np.float32([1000, 100, 10]),
        "frame_ids": np.arange(len(YAW)),
        "record": json.dumps(RECORD),
    }
    return dataclasses.replace(track, **(fields | changes))


def observations(track, head, offset=(3.0, 4.0)):
    """Every vertex observed `offset` px from where the track puts it, with σ 2 px."""
    mean = np.stack([np.asarray(track.image_vertices(head, f)) for f in range(track.frame_count)], axis=1) + offset
    return make_alignment(
        mean=mean.astype(np.float32),
        std=np.full((1, track.frame_count, GRID * GRID), 2.0, np.float32),
        valid=track.observed,
        image_size=np.asarray([[IMAGE_SIDE, IMAGE_SIDE]]),
        point_set="vertices",
        frame_times=track.frame_times,
        frame_ids=track.frame_ids,
        camera_names=["camera"],
        source="made up",
    )
