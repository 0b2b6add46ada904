"""metrical-tracker's folder (Zielonka et al. 2022): one `.frame` file a frame, read by INSTA's scripts and many others.

The head stays in FLAME's own frame and the camera moves, so the head's pose is part of it. The camera stands in the
file twice: PyTorch3D's (6D rotation, NDC) and OpenCV's. Arrays are NumPy's, as the tracker itself saves them.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from flowface_jax.cameras.conversion import intrinsic_matrix, pytorch3d_from_opencv, rows_6d_from_rotation
from flowface_jax.exporting.flame import (
    EXPRESSION,
    IDENTITY,
    JAW,
    LEFT_EYE,
    NECK,
    RIGHT_EYE,
    canonical,
    filled,
    flame_pose,
    posed,
    require_camera,
    require_flame,
    written_frames,
)
from flowface_jax.exporting.mesh_sequences import obj_bytes
from flowface_jax.exporting.performance import Performance
from flowface_jax.exporting.pictures import depth_picture, drawn, image_size, write_png
from flowface_jax.exporting.ply import write_ply
from flowface_jax.exporting.target import Target
from flowface_jax.foreign.torch_writer import torch_bytes
from flowface_jax.reporting import Reporter
from flowface_jax.storage import write_bytes

NAME = "metrical-tracker"
OPEN_JAW_RAD = math.radians(12.0)
"""How far the canonical mesh opens its jaw."""
TEXTURE = 140
"""Coefficients of the tracker's texture model, which are all 0 here."""
_HARMONICS = 9


@dataclasses.dataclass(frozen=True)
class MetricalTrackerSettings:
    """camera: number of the one to write. images: copy the clip's pictures into input/ (needs --video). depth: write
    depth/. tensors: hold PyTorch's tensors instead of NumPy's arrays, which PyTorch since 2.6 loads without
    weights_only=False, but which the tracker itself cannot continue from.
    """

    camera: int = 0
    images: bool = True
    depth: bool = True
    tensors: bool = False


def write_metrical_tracker(
    performance: Performance, folder: Path, settings: MetricalTrackerSettings, reporter: Reporter
) -> None:
    """Write the folder. Raises InputError without a FLAME head, and where pictures lack."""
    require_flame(performance, NAME)
    require_camera(performance, settings.camera, NAME)
    track, head = performance.track, performance.head
    chosen = set(written_frames(performance, NAME).tolist())
    write_bytes(folder / "canonical.obj", obj_bytes(canonical(performance, OPEN_JAW_RAD), head, "unit: metre", False))
    pictures = performance.pictures(settings.camera) if settings.images else itertools.repeat(None)
    bar = reporter.bar(NAME, track.frame_count, "frames")
    for frame, picture in zip(range(track.frame_count), pictures, strict=False):
        if frame in chosen:
            name = f"{int(track.frame_ids[frame]):05d}"
            pose = flame_pose(performance, frame)
            record = frame_record(performance, settings.camera, frame, name)
            write_bytes(folder / "checkpoint" / f"{name}.frame", torch_bytes(record, settings.tensors))
            write_ply(folder / "mesh" / f"{name}.ply", posed(performance, pose), np.asarray(head.triangles))
            if settings.depth:
                world = np.asarray(track.world_vertices(head, frame))
                depth = depth_picture(drawn(performance, settings.camera, world))
                write_png(folder / "depth" / f"{name}.png", depth)
            if picture is not None:
                write_png(folder / "input" / f"{name}.png", picture)
        bar.advance_to(frame + 1)
    bar.close()


def frame_record(performance: Performance, camera: int, frame: int, name: str) -> dict[str, Any]:
    """What one .frame file holds. A turned neck, which the tracker has not, stands beside the others as Pixel3DMM's."""
    track, pose = performance.track, flame_pose(performance, frame)
    cameras = track.cameras
    turn = np.asarray(cameras.rotation, np.float64)[camera]
    rotation = turn @ pose.rotation
    translation = turn @ pose.translation + np.asarray(cameras.translation, np.float64)[camera]
    focal, centre = float(cameras.focal[camera]), np.asarray(cameras.principal_point, np.float64)[camera]
    size = np.asarray(image_size(performance, camera))
    other = pytorch3d_from_opencv(rotation, translation, focal, centre, size)
    six = rows_6d_from_rotation(Rotation.from_rotvec(pose.joints).as_matrix())
    flame = {
        "exp": filled(pose.expression, EXPRESSION),
        "shape": filled(track.identity, IDENTITY),
        "tex": np.zeros(TEXTURE),
        "sh": np.zeros((_HARMONICS, 3)),
        "eyes": np.concatenate([six[LEFT_EYE], six[RIGHT_EYE]]),
        "eyelids": np.zeros(2),
        "jaw": six[JAW],
    }
    if pose.joints[NECK].any():
        flame["neck"] = six[NECK]
    lens = {
        "R": rows_6d_from_rotation(other.rotation),
        "t": other.translation,
        "fl": other.focal[:1],
        "pp": other.principal_point,
    }
    opencv = {"R": rotation, "t": translation, "K": intrinsic_matrix(np.asarray(focal), centre)}
    batched = lambda table: {key: np.asarray(value, np.float32)[None] for key, value in table.items()}
    return {
        "flame": batched(flame),
        "camera": batched(lens),
        "opencv": batched(opencv),
        "img_size": size[::-1].astype(np.int64),
        "frame_id": name,
        "global_step": frame,
    }


TARGET = Target(
    NAME, "metrical-tracker's .frame files, meshes and depth (FLAME heads)", MetricalTrackerSettings,
    write_metrical_tracker,
)  # fmt: skip
