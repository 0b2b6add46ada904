"""Reading FLAME of every generation (2017 to 2020, 2023, 2023 without jaw, 2023 Open) from .pkl or .npz.

Keys, shapes and order of evaluation as published with FLAME (flame.is.tue.mpg.de). The landmark embedding and the
masks are separate downloads; they are looked for beside the model under their usual names.
"""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from flowface_jax.errors import InputError, MissingAssetError
from flowface_jax.foreign.safe_pickle import read_npz_objects, read_pickle
from flowface_jax.heads.assembly import HeadParts, assemble, no_points
from flowface_jax.heads.flame_landmarks import contour_and_static, mediapipe_points
from flowface_jax.heads.model import HeadModel
from flowface_jax.storage import require_file

KEYS = ("v_template", "f", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table")
IDENTITY_COLUMNS = 300
JOINT_NAMES = ("root", "neck", "jaw", "left_eye", "right_eye")
LANDMARK_FILES = (
    "landmark_embedding.npy",
    "landmark_embedding_with_eyes.npy",
    "flame_static_embedding_68.pkl",
    "flame_static_embedding.pkl",
)
MASK_FILE = "FLAME_masks.pkl"
MEDIAPIPE_FILE = "mediapipe_landmark_embedding.npz"
_KIND = "a FLAME head model"
_REGIONS_OF_MASKS = {
    "face": ("face",),
    "eyes": ("eye_region",),
    "nose": ("nose",),
    "mouth": ("lips",),
    "ears": ("left_ear", "right_ear"),
    "neck": ("neck",),
    "scalp": ("scalp",),
    "eyeballs": ("left_eyeball", "right_eyeball"),
}

PathLike = str | os.PathLike[str]


def load_flame(
    path: PathLike,
    masks: PathLike | None = None,
    landmark_embedding: PathLike | None = None,
    mediapipe_embedding: PathLike | None = None,
    identity_size: int | None = None,
    expression_size: int | None = None,
    bind_to_atlas: bool = True,
) -> HeadModel:
    """A FLAME file as a `HeadModel`; nothing in the file is executed.

    identity_size, expression_size: how many leading components to keep; None keeps all. Of the columns of shapedirs the
    first 300 are identity and the rest expression; a file with no more than 300 needs both sizes, which split it.
    masks, landmark_embedding, mediapipe_embedding: None looks beside the model for FLAME_masks.pkl,
    landmark_embedding.npy (or flame_static_embedding.pkl) and mediapipe_landmark_embedding.npz; only the landmarks are
    needed, and only to bind. The MediaPipe embedding replaces its 105 of the 478 bound points.
    Raises InputError (MissingAssetError for the landmarks) in one line for any file that is not what it should be.
    """
    path = require_file(path, _KIND)
    arrays = _read(path)
    template, triangles = arrays["v_template"], arrays["f"]
    identity, expression = _split(path, arrays["shapedirs"], identity_size, expression_size)
    parents = _parents(path, arrays["kintree_table"])
    regressor = arrays["J_regressor"]
    regress = lambda basis: np.einsum("kv,vds->kds", regressor, basis)
    beside = lambda given, *names: Path(given) if given is not None else _first_existing(path.parent, names)
    landmark_file = beside(landmark_embedding, *LANDMARK_FILES)
    mediapipe_file = beside(mediapipe_embedding, MEDIAPIPE_FILE)
    mask_file = beside(masks, MASK_FILE)
    if landmark_file is None and bind_to_atlas:
        raise MissingAssetError(
            f"no landmark embedding beside {path}: expected landmark_embedding.npy (from MICA or DECA); "
            "put it there or name it with landmark_embedding"
        )
    rows, mediapipe = mediapipe_points(mediapipe_file, triangles, len(template)) if mediapipe_file else (None, None)
    regions, joints = _regions(mask_file, len(template)) if mask_file else {}, len(parents)
    parts = HeadParts(
        name=_name(path),
        licence=_licence(path),
        template=template,
        identity_basis=identity,
        expression_basis=expression,
        triangles=triangles,
        joint_template=regressor @ template,
        joint_identity=regress(identity),
        joint_expression=regress(expression),
        skinning_weights=arrays["weights"],
        pose_correctives=_with_root(arrays["posedirs"]),
        joint_parents=parents,
        joint_names=JOINT_NAMES if joints == len(JOINT_NAMES) else [f"joint_{k}" for k in range(joints)],
        expression_names=[f"expression_{e:03d}" for e in range(expression.shape[-1])],
        landmarks=contour_and_static(landmark_file, triangles, len(template)) if landmark_file else no_points(),
        mediapipe_rows=rows,
        mediapipe=mediapipe,
        regions=regions,
        never_face=regions.get("eyeballs"),
    )
    return assemble(parts, bind_to_atlas)


def _read(path: Path) -> dict[str, np.ndarray]:
    """The seven arrays, their shapes checked against each other."""
    raw = read_npz_objects(path, _KIND) if zipfile.is_zipfile(path) else read_pickle(path, _KIND)
    if not isinstance(raw, dict):
        raise InputError(f"{path} holds a {type(raw).__name__}; expected {_KIND} (a dictionary with {', '.join(KEYS)})")
    missing = [key for key in KEYS if key not in raw]
    if missing:
        found = ", ".join(sorted(str(key) for key in raw)[:12]) or "nothing"
        raise InputError(f"{path} lacks {', '.join(missing)}, which {_KIND} must have; it holds {found}")
    arrays = {key: _numeric(path, key, raw[key]) for key in KEYS}
    vertices, joints = len(arrays["v_template"]), arrays["kintree_table"].shape[-1]
    expected: dict[str, tuple[int | str, ...]] = {
        "v_template": (vertices, 3),
        "f": ("T", 3),
        "kintree_table": (2, joints),
        "shapedirs": (vertices, 3, "400"),
        "posedirs": (vertices, 3, 9 * (joints - 1)),
        "J_regressor": (joints, vertices),
        "weights": (vertices, joints),
    }
    for key, shape in expected.items():
        found = arrays[key].shape
        if len(found) != len(shape) or any(isinstance(n, int) and n != m for n, m in zip(shape, found, strict=True)):
            wanted = ",".join(str(n) for n in shape)
            raise InputError(
                f"{path}: expected {key} of shape ({wanted}), found {found}; it is not {_KIND} or is damaged"
            )
    arrays["f"] = _triangles(path, arrays["f"], vertices)
    return arrays


def _numeric(path: Path, key: str, value: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "iuf" or array.ndim == 0:
        raise InputError(
            f"{path}: expected an array of numbers in {key}, found {array.dtype}; it is not {_KIND} or is damaged"
        )
    return array.astype(np.float64) if array.dtype.kind == "f" else array.astype(np.int64)


def _triangles(path: Path, faces: np.ndarray, vertices: int) -> np.ndarray:
    if faces.dtype.kind != "i" or (faces.size and not 0 <= faces.min() <= faces.max() < vertices):
        raise InputError(f"{path}: f must hold vertex ids from 0 to {vertices - 1}; the file is damaged")
    return faces.astype(np.int32)


def _split(
    path: Path, shapedirs: np.ndarray, identity_size: int | None, expression_size: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Identity [V,3,S] and expression [V,3,E] columns of shapedirs."""
    columns = shapedirs.shape[-1]
    first = IDENTITY_COLUMNS
    if columns <= IDENTITY_COLUMNS:
        if identity_size is None or expression_size is None or identity_size + expression_size != columns:
            raise InputError(
                f"{path}: expected shapedirs (V,3,400), found {shapedirs.shape}; say how its {columns} columns "
                "split with "
                f"identity_size and expression_size (found {identity_size} and {expression_size})"
            )
        first = identity_size
    rest = columns - first
    identity = first if identity_size is None else identity_size
    expression = rest if expression_size is None else expression_size
    if not (0 < identity <= first and 0 < expression <= rest):
        raise InputError(
            f"{path} has {first} identity and {rest} expression components; "
            f"asked for {identity} and {expression}: ask for 1 to that many"
        )
    return shapedirs[..., :identity], shapedirs[..., first : first + expression]


def _parents(path: Path, kintree: np.ndarray) -> tuple[int, ...]:
    """Row 0 of the table; the root's entry is 2**32 − 1 in the released files and means none."""
    parents = (-1, *(int(parent) for parent in kintree[0, 1:]))
    if not all(0 <= parent < k for k, parent in enumerate(parents) if k):
        raise InputError(
            f"{path}: kintree_table names parents {parents}, which must come before their joints; it is damaged"
        )
    return parents


def _with_root(posedirs: np.ndarray) -> np.ndarray:
    """[V,3,9K] from [V,3,9(K−1)]: FLAME's correctives do not depend on the root's rotation."""
    return np.concatenate([np.zeros((*posedirs.shape[:2], 9)), posedirs], axis=-1)


def _regions(path: Path, vertex_count: int) -> dict[str, np.ndarray]:
    """[V] masks by name: those of the file, and this package's regions made from them."""
    named = read_pickle(path, "FLAME vertex masks (FLAME_masks.pkl)")
    if not isinstance(named, dict) or "face" not in named:
        raise InputError(f"{path}: expected named lists of vertex ids with 'face' among them (FLAME_masks.pkl)")
    masks = {}
    for name, ids in named.items():
        ids = np.asarray(ids)
        if ids.dtype.kind not in "iu" or (ids.size and not 0 <= ids.min() <= ids.max() < vertex_count):
            raise InputError(
                f"{path}: mask {name} must hold vertex ids below {vertex_count}; it belongs to another mesh"
            )
        masks[str(name)] = np.isin(np.arange(vertex_count), ids)
    regions = dict(masks)
    for region, sources in _REGIONS_OF_MASKS.items():
        present = [masks[source] for source in sources if source in masks]
        if present:
            regions[region] = np.logical_or.reduce(present)
    return regions


def _first_existing(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _name(path: Path) -> str:
    """From the file's name; the general ones (generic_model.pkl) take their folder's in front."""
    stem = path.stem.lower().replace(" ", "_")
    if "flame" in stem:
        return stem
    folder = path.resolve().parent.name.lower().replace(" ", "_")
    return f"{folder}_{stem}" if "flame" in folder else f"flame_{stem}"


def _licence(path: Path) -> str:
    if "open" in path.stem.lower():
        return "FLAME 2023 Open, CC-BY-4.0 (flame.is.tue.mpg.de)"
    return "FLAME model licence as accepted at flame.is.tue.mpg.de"
