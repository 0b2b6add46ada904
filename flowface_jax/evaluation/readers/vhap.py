"""VHAP's output: `tracked_flame_params*.npz` of its tracker, or an exported data set with `transforms.json`.

Parameters by frame: rotation (of FLAME's root joint), neck_pose, jaw_pose (3 each), eyes_pose (6), expr, translation
(added after posing); shape, static_offset [1,V,3] and dynamic_offset [F,V,3] (added to the template before posing).
V may be larger than FLAME's 5023: VHAP appends teeth, which are left out. The tracker's camera of uncalibrated videos
has OpenGL's axes and stands 1 m before the origin; focal_length is in units of the image's longer side. Calibrated
recordings need their cameras named. Offsets do not move the rest joints here, as they do in VHAP (below a millimetre).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from flowface_jax.cameras.model import Cameras, make_cameras
from flowface_jax.cameras.readers.transforms import read_transforms
from flowface_jax.errors import InputError
from flowface_jax.evaluation.mesh_sequence import MeshSequence
from flowface_jax.evaluation.readers.files import files_of, shaped
from flowface_jax.evaluation.readers.flame_parameters import (
    JAW,
    LEFT_EYE,
    NECK,
    RIGHT_EYE,
    ROOT,
    FlameFrames,
    joints_at_rest,
    pose,
)
from flowface_jax.evaluation.readers.options import ReadOptions
from flowface_jax.heads.model import HeadModel
from flowface_jax.storage import read_json, read_npz

KIND = "VHAP"
TRANSFORMS = "transforms.json"
_REQUIRED = ("rotation", "translation", "jaw_pose", "shape", "expr")
_DISTANCE = 1.0
"""m between the tracker's camera and the origin."""


def recognises(path: Path) -> bool:
    """Whether the tracker's npz, a folder with one, or an export lies there."""
    if path.is_dir():
        return bool(_tracked(path)) or ((path / TRANSFORMS).is_file() and (path / "flame_param").is_dir())
    return path.name.startswith("tracked_flame_params") and path.suffix == ".npz"


def read(path: Path, options: ReadOptions) -> MeshSequence:
    """The head in VHAP's world, m. Raises MissingAssetError without a FLAME head."""
    head = options.flame_head(path, KIND)
    file = path if path.is_file() else _tracked(path)
    arrays, cameras = _from_tracker(file, options) if file else _from_export(path)
    vertices = pose(head, _parameters(path, arrays, head))
    vertices += shaped(path, "translation", arrays["translation"], (len(vertices), 3))[:, None]
    regions = {name: np.asarray(mask) for name, mask in head.regions.items()}
    return MeshSequence(
        vertices, np.asarray(head.triangles), np.ones(len(vertices), bool), regions, options.loaded_cameras() or cameras
    )


def _tracked(folder: Path) -> Path | None:
    """The last of the tracker's files in a folder."""
    found = [file for file in files_of(folder, ".npz") if file.name.startswith("tracked_flame_params")]
    return found[-1] if found else None


def _from_tracker(file: Path, options: ReadOptions) -> tuple[dict[str, np.ndarray], Cameras | None]:
    arrays = read_npz(file, KIND, _REQUIRED)
    if "focal_length" not in arrays:
        return arrays, None
    size = options.known_image_size()
    if "image_size" in arrays:
        height, width = shaped(file, "image_size", arrays["image_size"].reshape(-1), (2,)).astype(int)
        size = (int(width), int(height))
    if size is None:
        raise InputError(f"{file}: expected image_size in the file, found none; give the images' size (--image-size)")
    focal = float(np.ravel(arrays["focal_length"])[0]) * max(size)
    # From OpenGL's axes to OpenCV's: half a turn about x.
    turn = np.diag([1.0, -1.0, -1.0])
    middle = [size[0] / 2, size[1] / 2]
    return arrays, make_cameras([focal], [middle], turn[None], [[0, 0, _DISTANCE]], [size])


def _from_export(folder: Path) -> tuple[dict[str, np.ndarray], Cameras]:
    """All time steps' parameters one after the other, and one camera for each camera_index."""
    calibration = read_transforms(folder)
    entries = read_json(folder / TRANSFORMS, KIND)["frames"]
    steps: dict[int, Path] = {}
    first: dict[int, int] = {}
    for number, entry in enumerate(entries):
        if not isinstance(entry.get("flame_param_path"), str):
            raise InputError(f"{folder / TRANSFORMS}: frame {number} lacks flame_param_path; export it with VHAP again")
        steps.setdefault(int(calibration.frame_ids[number]), folder / entry["flame_param_path"])
        first.setdefault(int(entry.get("camera_index", 0)), number)
    files = [read_npz(steps[step], KIND, _REQUIRED) for step in sorted(steps)]
    arrays = {key: np.stack([one[key].reshape(-1) for one in files]) for key in (*_REQUIRED, "neck_pose", "eyes_pose")
              if all(key in one for one in files)}  # fmt: skip
    arrays["shape"] = arrays["shape"][0]
    if "static_offset" in files[0]:
        arrays["static_offset"] = files[0]["static_offset"]
    if all("dynamic_offset" in one for one in files):
        arrays["dynamic_offset"] = np.concatenate([one["dynamic_offset"].reshape(1, -1, 3) for one in files])
    rows = [first[camera] for camera in sorted(first)]
    every = calibration.cameras
    chosen = (np.asarray(a)[rows] for a in (every.focal, every.principal_point, every.rotation, every.translation))
    return arrays, make_cameras(*chosen, np.asarray(every.image_size)[rows], [f"camera_{c}" for c in sorted(first)])


def _parameters(path: Path, arrays: dict[str, np.ndarray], head: HeadModel) -> FlameFrames:
    expression = shaped(path, "expr", arrays["expr"], (None, None))
    frames = len(expression)
    joints = joints_at_rest(frames)
    for joint, key in ((ROOT, "rotation"), (NECK, "neck_pose"), (JAW, "jaw_pose")):
        if key in arrays:
            joints[:, joint] = shaped(path, key, arrays[key], (frames, 3))
    if "eyes_pose" in arrays:
        eyes = shaped(path, "eyes_pose", arrays["eyes_pose"], (frames, 6))
        joints[:, LEFT_EYE], joints[:, RIGHT_EYE] = eyes[:, :3], eyes[:, 3:]
    offsets = None
    for key in ("static_offset", "dynamic_offset"):
        if key in arrays:
            found = shaped(path, key, arrays[key].reshape(-1, *arrays[key].shape[-2:]), (None, None, 3))
            found = found[:, : head.vertex_count]
            if found.shape[1] != head.vertex_count or len(found) not in (1, frames):
                raise InputError(f"{path}: expected {key} of {head.vertex_count} vertices, found {found.shape}")
            offsets = found if offsets is None else offsets + found
    if offsets is not None and len(offsets) == 1:
        offsets = offsets[0]
    return FlameFrames(np.ravel(arrays["shape"]).astype(np.float32), expression, joints, offsets)
