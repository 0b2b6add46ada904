"""DECA's and EMOCA's codes: FLAME parameters and a weak-perspective camera, for each image of its own.

One .npz or .mat of all frames, a folder of such files in natural order, or EMOCA's folder of folders with shape.npy,
exp.npy, pose.npy and cam.npy. shape [F,100], exp [F,50], pose [F,6] (root and jaw, axis-angle), cam [F,3] (s, tx, ty):
x' = s(x + tx), y' = −s(y + ty) in units of half the crop, 224 px wide. `verts` [F,V,3], where stored, are used as they
are. `tform` [F,3,3], where stored, takes pixels of the image to pixels of the crop (DECA's data loader makes it);
with it and the image's size, pixels are those of the image, else of the crop.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.io

from flowface_jax.errors import InputError
from flowface_jax.evaluation.mesh_sequence import MeshSequence, Projected
from flowface_jax.evaluation.readers.files import files_of, read_array, shaped, sorted_naturally
from flowface_jax.evaluation.readers.flame_parameters import JAW, ROOT, FlameFrames, joints_at_rest, pose
from flowface_jax.evaluation.readers.options import ReadOptions
from flowface_jax.heads.model import HeadModel
from flowface_jax.storage import read_npz

KIND = "DECA or EMOCA"
CROP = 224
_CODES = ("shape", "exp", "pose", "cam")
_OPTIONAL = ("verts", "tform")


def recognises(path: Path) -> bool:
    """Whether codes with a camera lie there."""
    files = _files(path)
    return bool(files) and {"cam", "exp"} <= set(_arrays(files[0])) | _stems(files[0])


def read(path: Path, options: ReadOptions) -> MeshSequence:
    """The heads as DECA poses them, m, and where the images show them; its camera has no perspective.

    Raises MissingAssetError without a FLAME head.
    """
    head = options.flame_head(path, KIND)
    codes = _joined(path)
    frames = len(codes["cam"])
    local = codes["verts"] if "verts" in codes else _posed(path, codes, head)
    if local.shape != (frames, head.vertex_count, 3):
        raise InputError(f"{path}: expected verts of {head.vertex_count} vertices, which head '{head.name}' has")
    scale, shift = codes["cam"][:, None, :1], codes["cam"][:, None, 1:]
    flat = scale * (local[..., :2] + shift) * np.float32([1, -1])
    crop = (flat + 1) * (CROP / 2)
    # Depth grows away from the camera, in crop pixels as x and y are.
    depth = -codes["cam"][:, :1] * local[..., 2] * (CROP / 2)
    seen = Projected(crop.astype(np.float32), depth.astype(np.float32), (CROP, CROP))
    size = options.known_image_size()
    if "tform" in codes and size is not None:
        seen = _in_image(path, seen, codes["tform"], size)
    regions = {name: np.asarray(mask) for name, mask in head.regions.items()}
    triangles, valid = np.asarray(head.triangles), np.isfinite(codes["cam"]).all(1)
    return MeshSequence(local.astype(np.float32), triangles, valid, regions, None, seen)


def _posed(path: Path, codes: dict[str, np.ndarray], head: HeadModel) -> np.ndarray:
    """Vertices [F,V,3]; the identity is each frame's own."""
    frames = len(codes["cam"])
    joints = joints_at_rest(frames)
    turns = shaped(path, "pose", codes["pose"], (frames, 6))
    joints[:, ROOT], joints[:, JAW] = turns[:, :3], turns[:, 3:]
    rows = [FlameFrames(codes["shape"][f], codes["exp"][f : f + 1], joints[f : f + 1]) for f in range(frames)]
    return np.concatenate([pose(head, row) for row in rows])


def _in_image(path: Path, seen: Projected, tform: np.ndarray, size: tuple[int, int]) -> Projected:
    back = np.linalg.inv(np.broadcast_to(tform, (len(seen.pixels), 3, 3)).astype(np.float64))
    flat = np.concatenate([seen.pixels, np.ones_like(seen.pixels[..., :1])], axis=-1)
    pixels = np.einsum("fij,fvj->fvi", back, flat)[..., :2]
    larger = np.sqrt(np.abs(np.linalg.det(back[:, :2, :2])))[:, None]
    return Projected(pixels.astype(np.float32), (seen.depth * larger).astype(np.float32), size)


def _files(path: Path) -> list[Path]:
    """Files of codes, or EMOCA's folders, in natural order."""
    if not path.is_dir():
        return [path] if path.suffix in (".npz", ".mat") else []
    if {"exp", "cam"} <= _stems(path):
        return [path]
    folders = [place for place in path.iterdir() if place.is_dir() and {"exp", "cam"} <= _stems(place)]
    mats = [place / f"{place.name}.mat" for place in path.iterdir() if (place / f"{place.name}.mat").is_file()]
    return sorted_naturally(folders) or sorted_naturally(mats) or files_of(path, ".npz", ".mat")


def _stems(folder: Path) -> set[str]:
    return {file.stem for file in folder.iterdir() if file.suffix == ".npy"} if folder.is_dir() else set()


def _arrays(file: Path) -> dict[str, np.ndarray]:
    if file.is_dir():
        wanted = (*_CODES, *_OPTIONAL)
        return {key: read_array(file / f"{key}.npy", KIND) for key in wanted if (file / f"{key}.npy").is_file()}
    if file.suffix == ".npz":
        return read_npz(file, KIND)
    try:
        content = scipy.io.loadmat(file)
    except (ValueError, TypeError, NotImplementedError, OSError, IndexError, KeyError):
        raise InputError(f"{file} is no MATLAB file that can be read ({KIND}); write it again") from None
    return {key: value for key, value in content.items() if isinstance(value, np.ndarray) and value.dtype.kind in "fiu"}


def _joined(path: Path) -> dict[str, np.ndarray]:
    """Codes of all files, one row a frame."""
    rows: dict[str, list[np.ndarray]] = {}
    files = _files(path)
    for file in files:
        arrays = _arrays(file)
        needed = ("cam",) if "verts" in arrays else _CODES
        missing = [key for key in needed if key not in arrays]
        if missing:
            raise InputError(f"{file} lacks {', '.join(missing)}, which {KIND} codes have; save them too")
        for key in (*_CODES, *_OPTIONAL):
            if key in arrays:
                value = np.asarray(arrays[key])
                flat = {"verts": (-1, *value.shape[-2:]), "tform": (-1, 3, 3)}.get(key, (-1, value.shape[-1]))
                rows.setdefault(key, []).append(value.reshape(flat).astype(np.float32))
    joined = {key: np.concatenate(values) for key, values in rows.items()}
    frames = len(shaped(path, "cam", joined["cam"], (None, 3)))
    for key, value in joined.items():
        if len(value) != frames and not (key == "shape" and len(value) == 1):
            raise InputError(f"{path}: expected {key} of {frames} frames, as cam has, found {len(value)}")
    if len(joined.get("shape", ())) == 1:
        joined["shape"] = np.repeat(joined["shape"], frames, axis=0)
    return joined
