"""FaceScape's `params.json`: the cameras of one person and expression, in the scale of their structure from motion.

Flat keys per view n: n_K, n_Rt (world-to-camera, OpenCV), n_distortion (k1, k2, p1, p2, k3), n_width, n_height, n_valid
(zhuhao-nju/facescape, doc/doc_mview_model.md). `Rt_scale_dict.json[id][expression] = [scale, Rt]` leads from that world
to the TU space in mm: x_TU = R (scale · x) + t.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from flowface_jax.cameras.calibration import Calibration
from flowface_jax.cameras.readers.fields import calibration_of, corner_origin, number_array
from flowface_jax.errors import InputError
from flowface_jax.storage import read_json

_KIND = "FaceScape camera parameters (params.json)"


def read_facescape(
    path: str | os.PathLike[str],
    rt_scale_dict: str | os.PathLike[str] | None = None,
    identity: int | str | None = None,
    expression: int | str | None = None,
) -> Calibration:
    """The valid views of a FaceScape `params.json` (or of the folder that holds it), named by their view number.

    Without `rt_scale_dict` the world keeps its arbitrary scale (`length_scale_to_metres` None). With it (path of
    Rt_scale_dict.json) the world becomes the TU space, y up, z out of the face, in metres; identity and expression are
    taken from the folders …/<identity>/<expression>/params.json where not given. Pixels: undistorting with OpenCV's own
    functions is what the data set documents, so half a pixel is added to the principal point. Raises InputError for
    damaged records, no valid view, or an identity that the dictionary lacks.
    """
    path = Path(path)
    path = path / "params.json" if path.is_dir() else path
    record = read_json(path, _KIND)
    if not isinstance(record, dict):
        raise InputError(f"{path} is not a JSON object; expected {_KIND}")
    views = sorted(int(key[:-2]) for key in record if re.fullmatch(r"\d+_K", key))
    if not views:
        raise InputError(f"{path} names no view (keys like 0_K); expected {_KIND}")
    views = [n for n in views if record.get(f"{n}_valid", True)]
    if not views:
        raise InputError(f"{path}: every view is marked invalid; nothing to read")
    poses = np.asarray([number_array(path, record, f"{n}_Rt", (3, 4), f"view {n}") for n in views])
    rotation, translation = poses[:, :, :3], poses[:, :, 3]
    notes = ["pixel centres at integers in the file: 0.5 px added to the principal points"]
    if rt_scale_dict is not None:
        scale, to_tu = _tu_transform(Path(rt_scale_dict), path, identity, expression)
        rotation, translation = _cameras_in_tu_space(rotation, translation, scale, to_tu)
        notes.append("world moved to the TU space, metres")
    return calibration_of(
        path,
        names=[str(n) for n in views],
        intrinsics=np.asarray([_intrinsics(path, record, n) for n in views]),
        distortion=[[*number_array(path, record, f"{n}_distortion", (5,), f"view {n}"), 0, 0, 0] for n in views],
        rotation=rotation,
        translation=translation,
        image_size=[[_size(path, record, n, side) for side in ("width", "height")] for n in views],
        length_scale_to_metres=None if rt_scale_dict is None else 1.0,
        source="facescape",
        notes=tuple(notes),
    )


def _intrinsics(path: Path, record: dict[str, Any], view: int) -> np.ndarray:
    """K [3,3]; the documents say 4x4, the files hold 3x3: both are taken."""
    rows = record[f"{view}_K"]
    side = len(rows) if isinstance(rows, list) else 0
    if side not in (3, 4):
        raise InputError(f"{path}: view {view}: expected '{view}_K' of shape (3, 3) or (4, 4)")
    return corner_origin(number_array(path, record, f"{view}_K", (side, side), f"view {view}")[:3, :3])


def _size(path: Path, record: dict[str, Any], view: int, side: str) -> int:
    return int(number_array(path, record, f"{view}_{side}", (), f"view {view}"))


def _tu_transform(
    dictionary: Path, params: Path, identity: int | str | None, expression: int | str | None
) -> tuple[float, np.ndarray]:
    """Scale and [R|t] (3,4), mm, that lead from the world of `params` to the TU space."""
    folder = params.resolve().parent
    identity = str(folder.parent.name if identity is None else identity)
    expression = str(folder.name if expression is None else expression)
    table = read_json(dictionary, "FaceScape's Rt_scale_dict.json")
    person = table.get(identity.lstrip("0") or "0", table.get(identity)) if isinstance(table, dict) else None
    if not isinstance(person, dict):
        raise InputError(f"{dictionary} has no identity '{identity}'; pass identity= as the dictionary spells it")
    entry = person.get(expression, person.get(expression.split("_")[0]))
    if not isinstance(entry, list) or len(entry) != 2:
        raise InputError(f"{dictionary} has no [scale, Rt] for identity '{identity}', expression '{expression}'")
    owner = f"identity {identity}, expression {expression}"
    values = {"scale": entry[0], "Rt": entry[1]}
    scale = float(number_array(dictionary, values, "scale", (), owner))
    if scale <= 0:
        raise InputError(f"{dictionary}: {owner}: expected a positive scale, found {scale}")
    rows = len(entry[1]) if isinstance(entry[1], list) else 3
    return scale, number_array(dictionary, values, "Rt", (4, 4) if rows == 4 else (3, 4), owner)[:3]


def _cameras_in_tu_space(
    rotation: np.ndarray, translation: np.ndarray, scale: float, to_tu: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """World-to-camera poses for a world in TU metres.

    x = Rᵀ(x_TU − t)/s put into R_c x + t_c and multiplied by s (a camera sees no scale) gives
    R_c Rᵀ x_TU + (s t_c − R_c Rᵀ t), in mm.
    """
    new_rotation = rotation @ to_tu[:, :3].T
    return new_rotation, (scale * translation - new_rotation @ to_tu[:, 3]) / 1000.0
