"""The cameras of a CAP4D `fit.npz`."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from flowface_jax.cameras.calibration import Calibration
from flowface_jax.cameras.readers.fields import calibration_of, intrinsic_matrix, number_array
from flowface_jax.errors import InputError
from flowface_jax.storage import read_npz


def read_cap4d_cameras(path: str | os.PathLike[str]) -> Calibration:
    """The V cameras of a CAP4D `fit.npz` (or of the folder that holds it), metres.

    fx, fy, cx, cy (V,1) px; extr (V,4,4) OpenCV world-to-camera; resolutions (V,2) (height, width); camera_order (V,).
    Pixels: the published examples put the principal point at half the image size and move it by plain multiplication,
    which is exact where the origin is the corner of the image, so nothing is added. Raises InputError for missing keys
    or wrong shapes.
    """
    path = Path(path)
    path = path / "fit.npz" if path.is_dir() else path
    kind = "CAP4D fit (fit.npz)"
    arrays = read_npz(path, kind, required=("fx", "fy", "cx", "cy", "extr", "resolutions"))
    count = len(np.atleast_1d(arrays["extr"]))
    extrinsics = number_array(path, arrays, "extr", (count, 4, 4), "the fit")
    sizes = number_array(path, arrays, "resolutions", (count, 2), "the fit")[:, ::-1]
    lens = {
        key: number_array(path, arrays, key, arrays[key].shape, "the fit").ravel() for key in ("fx", "fy", "cx", "cy")
    }
    for key, values in lens.items():
        if len(values) != count:
            raise InputError(f"{path}: {key}: expected shape ({count}, 1), found {arrays[key].shape}")
    names = [str(name) for name in np.ravel(arrays.get("camera_order", [f"cam{c}" for c in range(count)]))]
    return calibration_of(
        path,
        names=names,
        intrinsics=[intrinsic_matrix(*(lens[key][c] for key in ("fx", "fy", "cx", "cy"))) for c in range(count)],
        rotation=extrinsics[:, :3, :3],
        translation=extrinsics[:, :3, 3],
        image_size=sizes,
        source="cap4d",
        notes=("origin at the image corner in the file: principal points kept",),
    )
