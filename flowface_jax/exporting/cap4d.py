"""CAP4D's folder (Taubner et al., CVPR 2025): fit.npz, alignment.npz, pictures and mattes.

It is the form that FlowFace's first author uses for fits and alignments.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy.spatial.transform import Rotation

from flowface_jax.alignment.alignment import Alignment, make_alignment
from flowface_jax.alignment.cap4d import SMALLEST_STD, UNOBSERVED_STD, crop_boxes_of, write_cap4d_alignment
from flowface_jax.alignment.source import load_alignment
from flowface_jax.conventions import METRES_TO_MILLIMETRES
from flowface_jax.errors import InputError
from flowface_jax.evaluation.readers.cap4d_fit import FILE
from flowface_jax.evaluation.readers.files import read_array
from flowface_jax.exporting.cap4d_parameters import Cap4dParameters, cap4d_parameters
from flowface_jax.exporting.flame import JAW, LEFT_EYE, RIGHT_EYE, flame_pose, jaw_is_in_expressions, require_flame
from flowface_jax.exporting.performance import Performance
from flowface_jax.exporting.pictures import camera_folders, check_pictures, image_size, matte_pictures, write_png
from flowface_jax.exporting.target import Target
from flowface_jax.reporting import Reporter
from flowface_jax.storage import write_json, write_npz

logger = logging.getLogger(__name__)
NAME = "cap4d"
_STILL_JAW_RAD: Final = 1e-3
_MOST_MISSED_MM: Final = 0.5
"""Root mean square of a frame; above it the export says how far CAP4D's head is off."""
_VISIBLE: Final = 255
_GAZE_STD: Final = 0.1
"""rad; where the track has no error bars."""


@dataclasses.dataclass(frozen=True)
class Cap4dSettings:
    """identity, expression: coefficients that CAP4D is set to use, a blink the last. blink: CAP4D's
    blink_blendshape.npy; without it nobody blinks by that coefficient. jaw: write jaw_rot, for a CAP4D that reads
    flame2023.pkl. alignment: file with an alignment of all vertices of the head; without it alignment.npz holds where
    the track has them. images: copy the clips' pictures (needs --video). mattes: for each camera a film or folder of
    pictures, white where the person is, separated by commas; without them everything counts as the person.
    references: how many pictures CAP4D may take as references, spread over the clip.
    """

    identity: int = 150
    expression: int = 65
    blink: str = ""
    jaw: bool = False
    alignment: str = ""
    images: bool = True
    mattes: tuple[str, ...] = ()
    references: int = 100


def write_cap4d(performance: Performance, folder: Path, settings: Cap4dSettings, reporter: Reporter) -> None:
    """Write the folder. Raises InputError without a FLAME head, for a jaw that turns, and where pictures lack."""
    require_flame(performance, NAME)
    _check(performance, settings)
    if settings.images:
        check_pictures(performance)
    performance = _with_folder_names(performance)
    blink = read_array(settings.blink, "CAP4D's blink") if settings.blink else None
    parameters = cap4d_parameters(performance, settings.identity, settings.expression, blink)
    missed = METRES_TO_MILLIMETRES * float(parameters.error_m.max())
    if missed > _MOST_MISSED_MM:
        logger.warning(
            "cap4d: with %d identity and %d expression coefficients CAP4D's head is up to %.2f mm (root mean square of "
            "a frame) from the tracked one",
            settings.identity,
            settings.expression,
            missed,
        )
    alignment = _alignment(performance, settings.alignment)
    boxes = crop_boxes_of(_of_the_head(alignment, performance))
    write_cap4d_alignment(alignment, folder / "alignment.npz", boxes, *gaze(performance))
    write_npz(folder / FILE, _fit(performance, parameters, boxes, settings))
    if settings.images:
        _write_pictures(performance, folder, settings, reporter)
    write_json(folder / "reference_images.json", _references(performance, settings.references))
    write_npz(folder / "cam_static.npz", _trajectory(performance))


def _check(performance: Performance, settings: Cap4dSettings) -> None:
    turned = np.abs(np.asarray(performance.track.joint_rotations)[:, JAW]).max()
    if turned > _STILL_JAW_RAD and not settings.jaw:
        raise InputError(
            f"CAP4D reads flame2023_no_jaw.pkl, but the track turns the jaw of '{performance.head.name}'; track with "
            "that file, or give cap4d.jaw=true for a CAP4D that reads flame2023.pkl"
        )
    if not jaw_is_in_expressions(performance.head) and not settings.jaw:
        logger.warning(
            "cap4d: the head '%s' is not flame2023_no_jaw.pkl, which CAP4D reads: expressions may mean other shapes",
            performance.head.name,
        )
    if settings.identity < 1 or settings.expression < 2:
        raise InputError("cap4d.identity and cap4d.expression: expected at least 1 and 2 coefficients")


def _with_folder_names(performance: Performance) -> Performance:
    """With cameras whose names can be folders."""
    track = performance.track
    cameras = dataclasses.replace(track.cameras, names=camera_folders(performance))
    return dataclasses.replace(performance, track=dataclasses.replace(track, cameras=cameras))


def _alignment(performance: Performance, path: str) -> Alignment:
    """The named one, else that of the track. Raises InputError for one of another track."""
    if not path:
        return track_alignment(performance)
    alignment = load_alignment(path)
    track = performance.track
    expected = [track.cameras.count, track.frame_count, performance.head.vertex_count]
    found = list(alignment.mean.shape[:3])
    if alignment.point_set != "vertices" or found != expected:
        raise InputError(
            f"cap4d.alignment: expected {expected} cameras, frames and vertices of '{performance.head.name}', found "
            f"{found} ({alignment.point_set}); name the alignment that the track was fitted to"
        )
    return dataclasses.replace(alignment, camera_names=track.cameras.names)


def track_alignment(performance: Performance) -> Alignment:
    """Where the track has every vertex, with the median residual of each camera and frame as standard deviation."""
    track, cameras = performance.track, performance.track.cameras
    frames = range(track.frame_count)
    mean = np.stack([np.asarray(track.image_vertices(performance.head, frame)) for frame in frames], axis=1)
    observed = np.asarray(track.observed)
    spread = np.maximum(np.nan_to_num(np.asarray(track.residual_px), nan=UNOBSERVED_STD), SMALLEST_STD)
    std = np.broadcast_to(spread[..., None], mean.shape[:3])
    return make_alignment(
        mean=np.where(np.isfinite(mean), mean, 0),
        std=std,
        valid=observed,
        image_size=np.asarray(cameras.image_size),
        point_set="vertices",
        frame_times=np.asarray(track.frame_times),
        frame_ids=np.asarray(track.frame_ids),
        camera_names=cameras.names,
        source="track",
    )


def gaze(performance: Performance) -> tuple[np.ndarray, np.ndarray]:
    """Yaw and pitch [C,F,2] rad of the mean gaze as CAP4D's L2CS tracker gives them, and their standard deviation.

    In the camera's frame with OpenCV's axes the gaze is −(sin yaw cos pitch, −sin pitch, cos yaw cos pitch): 0, 0 looks
    into the camera. Where the fit left the eyes at rest, and in frames without a face, it says that nothing is known.
    """
    track, cameras = performance.track, performance.track.cameras
    angles = np.zeros((cameras.count, track.frame_count, 2))
    turns = np.asarray(cameras.rotation, np.float64)
    for frame in range(track.frame_count):
        pose = flame_pose(performance, frame)
        eyes = Rotation.from_rotvec(pose.joints[[LEFT_EYE, RIGHT_EYE]]).mean().as_matrix()
        forward = turns @ (pose.rotation @ eyes[:, 2])
        angles[:, frame, 0] = np.arctan2(-forward[:, 0], -forward[:, 2])
        angles[:, frame, 1] = np.arcsin(forward[:, 1].clip(-1, 1))
    eyes_turn = np.asarray(track.joint_rotations)[:, [LEFT_EYE, RIGHT_EYE]].any()
    known = np.asarray(track.observed) & eyes_turn
    std = np.full(track.frame_count, np.nan)
    if track.uncertainty is not None:
        std = np.asarray(track.uncertainty.joint_rotations, np.float64)[:, [LEFT_EYE, RIGHT_EYE]].max((1, 2))
    std = np.where(np.isfinite(std) & (std > 0), std, _GAZE_STD)
    return angles, np.where(known, std, UNOBSERVED_STD)[..., None].repeat(2, -1)


def _of_the_head(alignment: Alignment, performance: Performance) -> Alignment:
    """Without the neck, which CAP4D leaves out of its crop boxes."""
    neck = np.zeros(performance.head.vertex_count, bool)
    for region in ("neck", "boundary"):
        neck |= np.asarray(performance.head.regions.get(region, neck))
    if alignment.mean.shape[2] != len(neck) or neck.all():
        return alignment
    return dataclasses.replace(alignment, std=np.where(neck, np.inf, alignment.std).astype(np.float32))


def _fit(
    performance: Performance, parameters: Cap4dParameters, boxes: np.ndarray, settings: Cap4dSettings
) -> dict[str, Any]:
    track, cameras = performance.track, performance.track.cameras
    extrinsics = np.tile(np.eye(4, dtype=np.float32), (cameras.count, 1, 1))
    extrinsics[:, :3, :3], extrinsics[:, :3, 3] = cameras.rotation, cameras.translation
    focal = np.asarray(cameras.focal, np.float32)[:, None]
    centre = np.asarray(cameras.principal_point, np.float32)
    arrays = {
        "fx": focal,
        "fy": focal,
        "cx": centre[:, :1],
        "cy": centre[:, 1:],
        "extr": extrinsics,
        "shape": parameters.shape,
        "expr": parameters.expr,
        "rot": parameters.rot,
        "tra": parameters.tra,
        "eye_rot": parameters.eye_rot,
        "camera_order": np.asarray(cameras.names),
        "fps": np.asarray(performance.frame_rate if track.frame_count > 1 else -1.0),
        "error": np.asarray(parameters.error_m.mean(), np.float32),
        "n_timesteps": np.asarray(track.frame_count),
        "n_views": np.asarray(cameras.count),
        "valid_mask": np.asarray(track.observed, bool),
        "detection_boxes": boxes,
        "resolutions": np.asarray(cameras.image_size)[:, ::-1].astype(np.int64),
    }
    if parameters.neck_rot.any():
        arrays["neck_rot"] = parameters.neck_rot
    if settings.jaw:
        arrays["jaw_rot"] = parameters.jaw_rot
    return arrays


def _write_pictures(performance: Performance, folder: Path, settings: Cap4dSettings, reporter: Reporter) -> None:
    """images/CAMERA/NNNN.png and bg/CAMERA/NNNN.png for every frame: CAP4D counts files."""
    track, names = performance.track, performance.track.cameras.names
    mattes: Iterable[Any] = itertools.repeat((None,) * len(names))
    if settings.mattes:
        mattes = zip(*matte_pictures(performance, settings.mattes, NAME), strict=False)
    views = zip(*(performance.pictures(camera) for camera in range(len(names))), strict=False)
    bar = reporter.bar(NAME, track.frame_count, "frames")
    for frame, pictures, cut in zip(range(track.frame_count), views, mattes, strict=False):
        for camera, name in enumerate(names):
            width, height = image_size(performance, camera)
            matte = np.full((height, width), _VISIBLE, np.uint8) if cut[camera] is None else cut[camera]
            write_png(folder / "images" / name / f"{frame:04d}.png", pictures[camera])
            write_png(folder / "bg" / name / f"{frame:04d}.png", matte)
        bar.advance_to(frame + 1)
    bar.close()


def _references(performance: Performance, most: int) -> list[list[Any]]:
    """Pairs of camera and frame, evenly spread over the frames that show a face."""
    names, observed = performance.track.cameras.names, np.asarray(performance.track.observed)
    pairs = [[names[camera], int(frame)] for frame, camera in np.argwhere(observed.T)]
    chosen = np.unique(np.linspace(0, len(pairs) - 1, min(most, len(pairs))).astype(int)) if pairs and most else []
    return [pairs[number] for number in chosen]


def _trajectory(performance: Performance) -> dict[str, Any]:
    """The first camera standing still for the whole clip, as CAP4D's animations want their camera."""
    cameras, frames = performance.track.cameras, performance.track.frame_count
    pose = np.eye(4, dtype=np.float32)
    pose[:3, :3], pose[:3, 3] = cameras.rotation[0], cameras.translation[0]
    lens = {"fx": cameras.focal[0], "fy": cameras.focal[0]}
    lens |= {"cx": cameras.principal_point[0, 0], "cy": cameras.principal_point[0, 1]}
    held = {key: np.full((frames, 1), float(value), np.float32) for key, value in lens.items()}
    size = np.asarray(image_size(performance, 0)[::-1])
    return held | {"extr": np.tile(pose, (frames, 1, 1)), "resolution": size, "fps": np.asarray(performance.frame_rate)}


TARGET = Target(NAME, "CAP4D's fit, alignment and pictures (FLAME heads)", Cap4dSettings, write_cap4d)
