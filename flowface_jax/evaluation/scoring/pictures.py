"""Pictures of a motion error: curves over the windows, maps over a frame, and the paths of one pixel."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping

import cv2
import numpy as np

from flowface_jax.aligners.video import open_frames
from flowface_jax.errors import InputError
from flowface_jax.evaluation.mesh_sequence import MeshSequence, seen_by
from flowface_jax.evaluation.screen_flow import (
    ScreenMesh,
    flow_error_map,
    screen_mesh,
    seen_triangles,
    trajectory,
)
from flowface_jax.evaluation.ssme import SsmeResult
from flowface_jax.viewing.motion_error import draw_error_map, draw_motion_error_curves, draw_trajectories
from flowface_jax.viewing.shading import shade

MAP_WINDOW = 10
"""Frames over which maps show the error: a third of a second of 30 frames per second."""
_LIMIT_PERCENTILE = 98
_BEHIND = (70, 70, 70)


@dataclasses.dataclass(frozen=True)
class PictureChoice:
    """What maps and paths show. frame: where they begin; None: where the error is largest. window: frames of the maps.
    pixel: (column, row) of the paths; None: one beside the mouth. video: what lies behind; None: the
    true mesh, shaded.
    """

    frame: int | None = None
    window: int | None = None
    pixel: tuple[int, int] | None = None
    video: str | os.PathLike[str] | None = None


def motion_pictures(
    results: Mapping[str, SsmeResult],
    predictions: Mapping[str, MeshSequence],
    truth: MeshSequence,
    regions: Mapping[str, np.ndarray],
    camera: int = 0,
    choice: PictureChoice | None = None,
) -> dict[str, np.ndarray]:
    """Pictures [H,W,3] RGB uint8 by file name: curve_REGION.png, error_NAME.png of each prediction, trajectories.png.

    results: as `score_ssme` made them, with its masks `regions`. Raises InputError for a frame, window or pixel that
    cannot be shown, MissingDependencyError without matplotlib.
    """
    choice = choice or PictureChoice()
    measured = next(iter(results.values())).regions
    rate = truth.frames_per_second
    pictures = {
        f"curve_{region}.png": draw_motion_error_curves(results, region, rate)
        for region in measured
        if all(np.isfinite(result.of(region)) for result in results.values())
    }
    both = truth.valid & np.all([prediction.valid for prediction in predictions.values()], axis=0)
    frame, window = _frame_and_window(results, both, choice)
    if frame is None:
        return pictures
    true = _screen(truth, camera)
    tracked = {name: _screen(prediction, camera) for name, prediction in predictions.items()}
    shown = seen_triangles(true, frame)
    behind = _background(truth, camera, frame, choice.video)
    inside = _inside(np.any(list(regions.values()), axis=0), truth, shown)
    maps = {name: np.where(inside, flow_error_map(mesh, true, frame, window), np.nan) for name, mesh in tracked.items()}
    known = np.concatenate([one[np.isfinite(one)] for one in maps.values()])
    if known.size:
        limit = max(float(np.percentile(known, _LIMIT_PERCENTILE)), 1e-6)
        for name, errors in maps.items():
            if np.isfinite(errors).any():
                caption = f"{name}: frame {frame} to {frame + window}"
                pictures[f"error_{file_stem(name)}.png"] = draw_error_map(behind, errors, limit, caption=caption)
    pixel = choice.pixel or _middle_pixel(regions, truth, shown, maps)
    if pixel is not None:
        reach = min(next(iter(results.values())).windows[-1], truth.frame_count - 1 - frame)
        paths = {name: trajectory(mesh, frame, pixel, int(reach)) for name, mesh in tracked.items()}
        pictures["trajectories.png"] = draw_trajectories(behind, trajectory(true, frame, pixel, int(reach)), paths)
    return pictures


def check_choice(choice: PictureChoice, truth: MeshSequence, camera: int = 0) -> None:
    """Raise InputError for a frame, window or pixel that the truth does not have."""
    last = truth.frame_count - 1
    if choice.frame is not None and not 0 <= choice.frame < last:
        raise InputError(f"pictures: expected a frame of 0 to {last - 1}, found {choice.frame}")
    longest = last - (choice.frame or 0)
    if choice.window is not None and not 1 <= choice.window <= longest:
        raise InputError(f"pictures: expected a window of 1 to {longest} frames, found {choice.window}")
    width, height = seen_by(truth, camera).projected.size
    if choice.pixel is not None and not (0 <= choice.pixel[0] < width and 0 <= choice.pixel[1] < height):
        raise InputError(f"pictures: expected a pixel of {width}x{height} px, found {choice.pixel}")


def file_stem(name: str) -> str:
    """A name as part of a file's name."""
    return re.sub(r"[^\w.-]+", "_", name)


def _screen(sequence: MeshSequence, camera: int) -> ScreenMesh:
    view = seen_by(sequence, camera)
    return screen_mesh(view.projected, sequence.triangles, sequence.valid, view.perspective, sequence.name)


def _frame_and_window(
    results: Mapping[str, SsmeResult], both: np.ndarray, choice: PictureChoice
) -> tuple[int | None, int]:
    """The frame at which the face's error over the window is largest; None where no frame has one."""
    longest = len(both) - 1 - (choice.frame or 0)
    window = choice.window or min(MAP_WINDOW, longest, int(next(iter(results.values())).windows[-1]))
    if choice.frame is not None:
        return choice.frame, window
    starts = np.append(both[:-window] & both[window:], np.zeros(window, bool))
    if not starts.any():
        return None, window
    reach = int(next(iter(results.values())).windows[-1])
    if starts[:-reach].any():
        # Paths run over all windows.
        starts[-reach:] = False
    column = min(window, int(next(iter(results.values())).windows[-1])) - 1
    errors = np.max([np.nan_to_num(result.per_frame[:, column, 0]) for result in results.values()], axis=0)
    return int(np.argmax(np.where(starts, errors, -1))), window


def _inside(mask: np.ndarray, truth: MeshSequence, shown: np.ndarray) -> np.ndarray:
    """[H,W] bool: pixels at which the truth shows a triangle of the mask."""
    return np.append(mask[truth.triangles].all(1), False)[shown]


def _middle_pixel(
    regions: Mapping[str, np.ndarray], truth: MeshSequence, shown: np.ndarray, maps: Mapping[str, np.ndarray]
) -> tuple[int, int] | None:
    """(column, row) inside the mouth's region, or the first one, where all meshes are."""
    covered = np.all([np.isfinite(one) for one in maps.values()], axis=0)
    wanted = _inside(regions.get("mouth", next(iter(regions.values()))), truth, shown) & covered
    if not wanted.any():
        return None
    # Far from every edge all meshes show the same part of the face.
    depth = cv2.distanceTransform(np.pad(wanted.astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(column), int(row)


def _background(truth: MeshSequence, camera: int, frame: int, video: str | os.PathLike[str] | None) -> np.ndarray:
    """What lies behind the pictures: the film's frame, else the shaded truth, else grey. [H,W,3] uint8."""
    width, height = seen_by(truth, camera).projected.size
    if video is not None:
        for picture in open_frames(video):
            if picture.frame_id == frame:
                if picture.image.shape[:2] != (height, width):
                    found = f"{picture.image.shape[1]}x{picture.image.shape[0]}"
                    raise InputError(f"{video}: expected pictures of {width}x{height} px, found {found}")
                return picture.image
        raise InputError(f"{video}: expected a frame {frame}, found fewer; name the film that was tracked")
    if truth.cameras is None:
        return np.full((height, width, 3), _BEHIND, np.uint8)
    cameras = truth.cameras
    rotation, translation = (np.asarray(one, np.float64)[camera] for one in (cameras.rotation, cameras.translation))
    local = truth.vertices[frame] @ rotation.T + translation
    middle = np.asarray(cameras.principal_point)[camera]
    focal = float(np.asarray(cameras.focal)[camera])
    return shade(local, truth.triangles, focal, middle, (width, height), background=_BEHIND)
