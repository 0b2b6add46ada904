"""Small made-up recordings in the layouts that other trackers write, on a small made-up FLAME head."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path

import numpy as np

from tests.heads.flame_files import flame_arrays, write_flame

WIDTH, HEIGHT = 320, 240
REST_6D = np.float32([[1, 0, 0, 0, 1, 0]])
QUARTER_TURN_6D = np.float32([[0, -1, 0, 1, 0, 0]])
"""The first two rows of a quarter turn about z."""


def flame_file(folder: Path) -> Path:
    """A FLAME file of 197 vertices without its landmarks."""
    folder.mkdir(parents=True, exist_ok=True)
    return write_flame(folder / "flame2023.pkl", flame_arrays(), "2023")


def template() -> np.ndarray:
    return flame_arrays()["v_template"]


def write_frame(path: Path, content: dict) -> None:
    """As torch.save writes a dictionary of NumPy arrays: no tensor, so nothing but the pickle."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(content, protocol=2))
        archive.writestr("archive/byteorder", "little")
        archive.writestr("archive/version", "3\n")


def flame_record(frame: int = 0, **changes: np.ndarray) -> dict[str, np.ndarray]:
    record = {
        "exp": np.zeros((1, 100), np.float32),
        "shape": np.zeros((1, 300), np.float32),
        "tex": np.zeros((1, 140), np.float32),
        "eyes": np.tile(REST_6D, (1, 2)),
        "eyelids": np.zeros((1, 2), np.float32),
        "jaw": REST_6D,
    }
    return record | changes


def metrical_tracker(folder: Path, frames: int = 3, focal=lambda f: 500.0, **changes: np.ndarray) -> Path:
    """The head 1 m before the camera, upright, moving 1 cm to the image's right a frame."""
    for f in range(frames):
        lens = np.float32([[[focal(f), 0, 150], [0, focal(f), 130], [0, 0, 1]]])
        content = {
            "flame": flame_record(**changes),
            "camera": {"R": REST_6D, "t": np.zeros((1, 3)), "fl": np.ones((1, 1)), "pp": np.zeros((1, 2))},
            "opencv": {"R": np.diag([1.0, -1, -1])[None], "t": np.array([[0.01 * f, 0, 1.0]]), "K": lens},
            "img_size": np.array([HEIGHT, WIDTH]),
            "frame_id": f"{f:05d}",
            "global_step": f,
        }
        write_frame(folder / "checkpoint" / f"{f:05d}.frame", content)
    return folder


def pixel3dmm(folder: Path, frames: int = 2, side: int = 256) -> Path:
    for f in range(frames):
        moved = {
            "neck": REST_6D,
            "R": QUARTER_TURN_6D,
            "R_rotation_matrix": np.array([[[0, -1, 0], [1, 0, 0], [0, 0, 1.0]]]),
            "t": np.array([[0.0, 0.02, 0.1 * f]]),
        }
        base = {"R_base_0": np.eye(3)[None], "t_base_0": np.array([[0, 0, -1.0]])}
        content = {
            "flame": flame_record() | moved,
            "camera": base | {"fl": np.array([[4.0]]), "pp": np.array([[0.1, 0.0]])},
            "img_size": np.array([side, side]),
            "frame_id": f,
            "global_step": f,
        }
        write_frame(folder / "checkpoint" / f"{f:05d}.frame", content)
    return folder


def vhap_tracker(folder: Path, frames: int = 3, offset: float = 0.0) -> Path:
    """The head turned by a quarter about x at frame 0 only; teeth follow FLAME's vertices."""
    folder.mkdir(parents=True, exist_ok=True)
    count = len(template())
    rotation = np.zeros((frames, 3), np.float32)
    rotation[0, 0] = np.pi / 2
    arrays = {
        "rotation": rotation,
        "translation": np.float32([[0.1, 0.2, 0]] * frames),
        "neck_pose": np.zeros((frames, 3), np.float32),
        "jaw_pose": np.zeros((frames, 3), np.float32),
        "eyes_pose": np.zeros((frames, 6), np.float32),
        "shape": np.zeros(300, np.float32),
        "expr": np.zeros((frames, 100), np.float32),
        "timestep_id": np.arange(frames).astype(str),
        "n_processed_frames": np.asarray(frames),
        "focal_length": np.float32([1.5]),
        "image_size": np.array([HEIGHT, WIDTH]),
        "static_offset": np.full((1, count + 120, 3), [offset, 0, 0], np.float32),
    }
    np.savez(folder / "tracked_flame_params_30.npz", **arrays)
    return folder


def vhap_export(folder: Path) -> Path:
    """Two time steps before two cameras, OpenGL's camera-to-world, the second one to the right."""
    (folder / "flame_param").mkdir(parents=True)
    frames = []
    for step in range(2):
        file = f"flame_param/{step:05d}.npz"
        zeros = {key: np.zeros((1, 3), np.float32) for key in ("rotation", "neck_pose", "jaw_pose")}
        np.savez(
            folder / file,
            translation=np.float32([[0.03 * step, 0, 0]]),
            eyes_pose=np.zeros((1, 6), np.float32),
            shape=np.zeros(300, np.float32),
            expr=np.zeros((1, 100), np.float32),
            **zeros,
        )
        for camera in range(2):
            pose = np.eye(4)
            pose[:3, 3] = [0.2 * camera, 0, 1.5]
            frames.append(
                {
                    "timestep_index": step,
                    "camera_index": camera,
                    "file_path": f"images/{step:05d}_{camera:02d}.png",
                    "flame_param_path": file,
                    "transform_matrix": pose.tolist(),
                    "fl_x": 400.0,
                    "fl_y": 400.0,
                    "cx": 160.0,
                    "cy": 120.0,
                    "w": WIDTH,
                    "h": HEIGHT,
                }
            )
    (folder / "transforms.json").write_text(json.dumps({"frames": frames}))
    return folder


def cap4d_fit(folder: Path, frames: int = 2, **changes: np.ndarray) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    one = np.ones((1, 1), np.float32)
    arrays = {
        "fx": 600 * one,
        "fy": 600 * one,
        "cx": WIDTH / 2 * one,
        "cy": HEIGHT / 2 * one,
        "extr": np.eye(4, dtype=np.float32)[None],
        "shape": np.zeros(150, np.float32),
        "expr": np.zeros((frames, 65), np.float32),
        "rot": np.zeros((frames, 3), np.float32),
        "tra": np.float32([[0, 0, -1.2]] * frames),
        "eye_rot": np.zeros((frames, 3), np.float32),
        "camera_order": np.array(["cam0"]),
        "fps": np.asarray(30.0),
        "n_timesteps": np.asarray(frames),
        "n_views": np.asarray(1),
        "valid_mask": np.ones((1, frames), bool),
        "resolutions": np.array([[HEIGHT, WIDTH]]),
    }
    np.savez(folder / "fit.npz", **(arrays | changes))
    return folder


def deca_codes(path: Path, frames: int = 2, **more: np.ndarray) -> Path:
    codes = {
        "shape": np.zeros((frames, 100), np.float32),
        "exp": np.zeros((frames, 50), np.float32),
        "pose": np.zeros((frames, 6), np.float32),
        "cam": np.float32([[8.0, 0.01, -0.02]] * frames),
        "tex": np.zeros((frames, 50), np.float32),
    }
    np.savez(path, **(codes | more))
    return path


def obj_text(vertices: np.ndarray, triangles: np.ndarray) -> str:
    rows = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in vertices]
    return "\n".join([*rows, *(f"f {a + 1} {b + 1} {c + 1}" for a, b, c in triangles)]) + "\n"


def write_meshes(folder: Path, vertices: np.ndarray, triangles: np.ndarray, name: str = "frame_{}.obj") -> Path:
    """vertices [F,V,3] as one OBJ file a frame."""
    folder.mkdir(parents=True, exist_ok=True)
    for f, frame in enumerate(vertices):
        (folder / name.format(f)).write_text(obj_text(frame, triangles))
    return folder
