"""INSTA (Zielonka et al., CVPR 2023): pictures, meshes, depth, segmentation and a camera for every frame of one clip.

INSTA's world is the head: FLAME's own frame, in which the head rests and the camera moves. Matrices are
camera-to-world with OpenCV's axes, unlike those of other transforms.json files.
"""

from __future__ import annotations

import dataclasses
import io
import itertools
import math
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from flowface_jax.cameras.conversion import camera_to_world
from flowface_jax.errors import InputError
from flowface_jax.exporting.flame import (
    canonical,
    flame_pose,
    posed,
    require_camera,
    require_flame,
    written_frames,
)
from flowface_jax.exporting.insta_regions import CODES, codes_of_labels, region_painter
from flowface_jax.exporting.mesh_sequences import obj_bytes
from flowface_jax.exporting.metrical_tracker import OPEN_JAW_RAD
from flowface_jax.exporting.performance import Performance
from flowface_jax.exporting.pictures import (
    depth_picture,
    drawn,
    follow_frames,
    image_size,
    with_matte,
    write_png,
)
from flowface_jax.exporting.target import Target
from flowface_jax.network.face_parser import load_face_parser
from flowface_jax.reporting import Reporter
from flowface_jax.storage import write_bytes, write_json

NAME = "insta"
_LAST_TEST, _VALIDATION = 350, 20
_LEAST_EXPRESSIONS = 16
_SMOOTHED_PX, _CLOTH_EDGE_PX = 5, 3
_HALF, _OPAQUE = 127, 255


@dataclasses.dataclass(frozen=True)
class InstaSettings:
    """camera: number of the one to write. images: copy the clip's pictures (needs --video). matte: film or folder of
    pictures, white where the person is; without it pictures stay opaque. parser: face-parsing.PyTorch's 79999_iter.pth,
    which makes seg_mask; or labels: folder of another parser's label maps (19 classes of CelebAMask-HQ); without either
    seg_mask shows the tracked head's own regions. split: the test frames are the "last" ones, or the "middle" ones.
    test_frames: how many; 0 for INSTA's 350 but at most a fifth, and for "middle" a fifth.
    """

    camera: int = 0
    images: bool = True
    matte: str = ""
    parser: str = ""
    labels: str = ""
    split: Literal["last", "middle"] = "last"
    test_frames: int = 0


def write_insta(performance: Performance, folder: Path, settings: InstaSettings, reporter: Reporter) -> None:
    """Write the folder that INSTA's trainers load. Raises InputError without a FLAME head, and where pictures lack."""
    require_flame(performance, NAME)
    require_camera(performance, settings.camera, NAME)
    if settings.parser and (settings.labels or not settings.images):
        raise InputError(
            "insta.parser: expected neither labels nor images=false beside it; it makes labels of pictures"
        )
    chosen = written_frames(performance, NAME)
    test = split(len(chosen), settings)
    write_bytes(folder / "canonical.obj", _obj(canonical(performance, OPEN_JAW_RAD), performance))
    entries = _write_frames(performance, folder, settings, set(chosen.tolist()), reporter)
    shared = intrinsics(performance, settings.camera)
    train = [entry for number, entry in enumerate(entries) if number not in test]
    tested = [entry for number, entry in enumerate(entries) if number in test]
    lists = {"": entries, "_train": train, "_test": tested, "_val": tested[-_VALIDATION:]}
    for name, frames in lists.items():
        write_json(folder / f"transforms{name}.json", {**shared, "frames": frames})


def split(count: int, settings: InstaSettings) -> range:
    """Which of so many frames are tested with. Raises InputError where none would be left to train on."""
    test = settings.test_frames
    if not test:
        fifth = max(1, round(count / 5))
        test = fifth if settings.split == "middle" else min(_LAST_TEST, fifth)
    if test >= count:
        raise InputError(f"insta.test_frames: expected fewer than the {count} frames that show a face, found {test}")
    first = (count - test) // 2 if settings.split == "middle" else count - test
    return range(first, first + test)


def intrinsics(performance: Performance, camera: int) -> dict[str, float]:
    """The lens as INSTA's transforms.json states it: px, rad and degrees."""
    width, height = image_size(performance, camera)
    focal = float(performance.track.cameras.focal[camera])
    centre = np.asarray(performance.track.cameras.principal_point, np.float64)[camera]
    angle_x, angle_y = (2 * math.atan(side / (2 * focal)) for side in (width, height))
    return {
        "w": float(width),
        "h": float(height),
        "cx": float(centre[0]),
        "cy": float(centre[1]),
        "fl_x": focal,
        "fl_y": focal,
        "camera_angle_x": angle_x,
        "camera_angle_y": angle_y,
        "x_fov": math.degrees(angle_x),
        "y_fov": math.degrees(angle_y),
        "integer_depth_scale": 0.001,
    }


def _write_frames(
    performance: Performance, folder: Path, settings: InstaSettings, chosen: set[int], reporter: Reporter
) -> list[dict[str, Any]]:
    track, camera = performance.track, settings.camera
    nothing = itertools.repeat(None)
    pictures = performance.pictures(camera) if settings.images else nothing
    mattes = follow_frames(performance, camera, settings.matte, "insta.matte") if settings.matte else nothing
    labels = follow_frames(performance, camera, settings.labels, "insta.labels") if settings.labels else nothing
    painter = region_painter(performance.head)
    parser = load_face_parser(settings.parser) if settings.parser else None
    entries = []
    bar = reporter.bar(NAME, track.frame_count, "frames")
    for frame, picture, matte, label in zip(range(track.frame_count), pictures, mattes, labels, strict=False):
        if frame in chosen:
            name = f"{int(track.frame_ids[frame]):05d}"
            entries.append(_write_geometry(performance, folder, camera, frame, name))
            world = np.asarray(track.world_vertices(performance.head, frame))
            fragments = drawn(performance, camera, world)
            write_png(folder / "depth" / f"{name}.png", depth_picture(fragments))
            if parser is not None:
                label = parser.labels(picture)
            if label is None:
                codes = painter.picture(fragments, np.asarray(track.cameras.project(world))[camera])
            else:
                codes = codes_of_labels(label)
            write_png(folder / "seg_mask" / f"{name}.png", np.dstack([codes, np.zeros((*codes.shape, 2), np.uint8)]))
            if picture is not None:
                _write_pictures(folder, name, picture, matte, codes)
        bar.advance_to(frame + 1)
    bar.close()
    return entries


def _write_geometry(performance: Performance, folder: Path, camera: int, frame: int, name: str) -> dict[str, Any]:
    """The mesh, the expression and the entry of one frame."""
    pose, cameras = flame_pose(performance, frame), performance.track.cameras
    rotation = np.asarray(cameras.rotation, np.float64)[camera]
    translation = np.asarray(cameras.translation, np.float64)[camera]
    matrix = camera_to_world(rotation @ pose.rotation, rotation @ pose.translation + translation)
    write_bytes(folder / "meshes" / f"{name}.obj", _obj(posed(performance, pose), performance))
    numbers = np.zeros(max(_LEAST_EXPRESSIONS, len(pose.expression)))
    numbers[: len(pose.expression)] = pose.expression
    text = io.StringIO()
    np.savetxt(text, numbers, fmt="%.8f")
    write_bytes(folder / "flame" / "exp" / f"{name}.txt", text.getvalue().encode("ascii"))
    return {
        "transform_matrix": matrix.tolist(),
        "file_path": f"images/{name}.png",
        "mesh_path": f"meshes/{name}.obj",
        "exp_path": f"flame/exp/{name}.txt",
        "depth_path": f"depth/{name}.png",
        "seg_mask_path": f"seg_mask/{name}.png",
    }


def _write_pictures(folder: Path, name: str, picture: np.ndarray, matte: np.ndarray | None, codes: np.ndarray) -> None:
    """The picture as it is (background), cut out (matted), and cut out without clothes (images)."""
    write_png(folder / "background" / f"{name}.png", picture)
    if matte is not None:
        write_png(folder / "matted" / f"{name}.png", with_matte(picture, matte))
        matte = without_clothes(matte, codes)
    write_png(folder / "images" / f"{name}.png", with_matte(picture, matte))


def without_clothes(matte: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """The matte [H,W] uint8 as INSTA's scripts leave it: smoothed, opaque from half on, clothes and their edge off."""
    cloth = cv2.medianBlur((codes == CODES["cloth"]).astype(np.uint8), _SMOOTHED_PX)
    cloth = cv2.dilate(cloth, cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)), iterations=_CLOTH_EDGE_PX)
    smooth = cv2.medianBlur(matte, _SMOOTHED_PX)
    return np.where(cloth > 0, 0, np.where(smooth > _HALF, _OPAQUE, smooth)).astype(np.uint8)


def _obj(vertices: np.ndarray, performance: Performance) -> bytes:
    return obj_bytes(vertices, performance.head, "unit: metre, FLAME's frame", with_uv=False)


TARGET = Target(NAME, "INSTA's training folder (FLAME heads)", InstaSettings, write_insta)
