"""Reading GNM Head (Google, arXiv 2607.23687, Apache-2.0): gnm_head.npz and head_sparse_68.txt beside it."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np

from flowface_jax.errors import InputError, MissingAssetError
from flowface_jax.heads.assembly import HeadParts, assemble, surface_points
from flowface_jax.heads.model import REGION_NAMES, HeadModel, SurfacePoints
from flowface_jax.storage import read_npz, require_file

LANDMARK_FILE = "head_sparse_68.txt"
KEYS = (
    "template_vertex_positions",
    "vertex_identity_basis",
    "expression_basis",
    "template_joint_positions",
    "joint_identity_basis",
    "joint_parent_indices",
    "skinning_weights",
    "triangles",
)
_KIND = "a GNM head model"
_HEAD_HEIGHT = (0.2, 0.3)
_UNITS = {"metre": 1.0, "centimetre": 0.01, "millimetre": 0.001}
_INNER_GROUPS = (
    "left_eye",
    "right_eye",
    "teeth",
    "upper_teeth_and_gums",
    "lower_teeth_and_gums",
    "tongue",
    "mouth_sock",
)
_logger = logging.getLogger(__name__)


def load_gnm(
    path: str | os.PathLike[str],
    landmarks: str | os.PathLike[str] | None = None,
    identity_size: int | None = None,
    expression_size: int | None = None,
    bind_to_atlas: bool = True,
) -> HeadModel:
    """GNM Head as a `HeadModel` with all its vertices (skin, eyes, teeth, gums, tongue).

    landmarks: head_sparse_68.txt; None looks beside the model and where the GNM repository keeps it. identity_size: the
    leading components (the head's come before the eyeballs' and the teeth's). expression_size: the leading components
    of every facial area in proportion, in the file's order. None keeps all.
    Raises InputError for the hand variant, a wrong shape, an unknown unit; MissingAssetError without the landmark file.
    """
    path = require_file(path, _KIND)
    arrays = read_npz(path, _KIND, KEYS)
    variant = str(arrays.get("variant", "head"))
    if variant != "head":
        raise InputError(f"{path} is the {variant!r} variant of GNM; expected the head variant (gnm_head.npz)")
    _check(path, arrays)
    template = np.asarray(arrays["template_vertex_positions"], np.float64)
    vertices, joints = len(template), len(arrays["template_joint_positions"])
    points = _landmarks(_landmark_file(path, landmarks), template)
    groups = _groups(path, arrays, vertices)
    unit = _unit(path, template, points, groups)
    chosen_identity = np.arange(_size(path, "identity", identity_size, len(arrays["vertex_identity_basis"])))
    names = _names(arrays, "expression_names", len(arrays["expression_basis"]), "expression")
    chosen = _leading_of_each_area(names, _size(path, "expression", expression_size, len(names)))
    expression = arrays["expression_basis"][chosen].transpose(1, 2, 0) * unit
    parts = HeadParts(
        name=f"gnm_head_{arrays.get('version', '3')!s}",
        licence="GNM Head, copyright Google LLC, Apache-2.0",
        template=template * unit,
        identity_basis=arrays["vertex_identity_basis"][chosen_identity].transpose(1, 2, 0) * unit,
        expression_basis=expression,
        triangles=arrays["triangles"],
        joint_template=arrays["template_joint_positions"] * unit,
        joint_identity=arrays["joint_identity_basis"][chosen_identity].transpose(1, 2, 0) * unit,
        joint_expression=np.zeros((joints, 3, len(chosen))),
        skinning_weights=arrays["skinning_weights"].T,
        pose_correctives=_pose_correctives(path, arrays, vertices, joints) * unit,
        joint_parents=_parents(arrays["joint_parent_indices"]),
        joint_names=_names(arrays, "joint_names", joints, "joint"),
        expression_names=[names[i] for i in chosen],
        landmarks=points,
        regions=_regions(groups),
        never_face=_inner(groups, vertices),
    )
    return assemble(parts, bind_to_atlas)


def _check(path: Path, arrays: dict[str, np.ndarray]) -> None:
    single = [key for key in KEYS if arrays[key].ndim == 0]
    if single:
        raise InputError(
            f"{path}: expected an array in {single[0]}, found a single value; it is not {_KIND} or is damaged"
        )
    vertices = len(arrays["template_vertex_positions"])
    joints = len(arrays["template_joint_positions"])
    identity, expression = len(arrays["vertex_identity_basis"]), len(arrays["expression_basis"])
    expected = {
        "template_vertex_positions": (vertices, 3),
        "vertex_identity_basis": (identity, vertices, 3),
        "expression_basis": (expression, vertices, 3),
        "template_joint_positions": (joints, 3),
        "joint_identity_basis": (identity, joints, 3),
        "joint_parent_indices": (joints,),
        "skinning_weights": (joints, vertices),
    }
    for key, shape in expected.items():
        if arrays[key].shape != shape or arrays[key].dtype.kind not in "iuf":
            raise InputError(
                f"{path}: expected {key} of shape {shape}, found {arrays[key].shape}; it is not {_KIND} or is damaged"
            )


def _pose_correctives(path: Path, arrays: dict[str, np.ndarray], vertices: int, joints: int) -> np.ndarray:
    """[V,3,9K] from the regressor (9K, 3V); [V,3,0] where it is absent or all zero, as in version 3.0."""
    regressor = arrays.get("pose_correctives_regressor")
    if regressor is None or not np.any(regressor):
        return np.zeros((vertices, 3, 0))
    if regressor.shape != (9 * joints, 3 * vertices):
        raise InputError(
            f"{path}: expected pose_correctives_regressor of shape {(9 * joints, 3 * vertices)}, found "
            f"{regressor.shape}"
        )
    return np.asarray(regressor, np.float64).T.reshape(vertices, 3, 9 * joints)


def _parents(indices: np.ndarray) -> list[int]:
    """The root names itself as its parent."""
    return [-1 if int(parent) == k else int(parent) for k, parent in enumerate(indices)]


def _names(arrays: dict[str, np.ndarray], key: str, count: int, fallback: str) -> list[str]:
    names = arrays.get(key)
    if names is None or len(names) != count:
        return [f"{fallback}_{i:03d}" for i in range(count)]
    return [str(name) for name in names]


def _size(path: Path, kind: str, asked: int | None, available: int) -> int:
    if asked is not None and not 0 < asked <= available:
        raise InputError(f"{path} has {available} {kind} components; asked for {asked}: ask for 1 to {available}")
    return available if asked is None else asked


def _leading_of_each_area(names: list[str], count: int) -> np.ndarray:
    """Ids [count] of the leading components of every area (the name without its number), in file order."""
    areas = [name.rsplit("_", 1)[0] for name in names]
    sizes = {area: areas.count(area) for area in dict.fromkeys(areas)}
    seen = dict.fromkeys(sizes, 0)
    rank = np.empty(len(names))
    for i, area in enumerate(areas):
        rank[i] = seen[area] / sizes[area]
        seen[area] += 1
    return np.sort(np.argsort(rank, kind="stable")[:count])


def _landmark_file(path: Path, given: str | os.PathLike[str] | None) -> Path:
    if given is not None:
        return require_file(given, f"GNM's 68 landmarks ({LANDMARK_FILE})")
    places = [path.parent / LANDMARK_FILE, *(up / "landmarks" / LANDMARK_FILE for up in list(path.parents)[:3])]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise MissingAssetError(
            f"no {LANDMARK_FILE} beside {path}; fetch it from github.com/google/GNM (gnm/shape/data/landmarks) "
            "and put it there or name it with landmarks"
        )
    return found


def _landmarks(path: Path, template: np.ndarray) -> SurfacePoints:
    """68 rows of three (vertex, weight) pairs. Early releases list points 3 to 7 of the contour backwards: mended."""
    try:
        rows = np.array(
            [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()], np.float64
        )
    except (ValueError, UnicodeDecodeError):
        rows = np.zeros((0, 0))
    if rows.shape != (68, 6) or not np.array_equal(rows[:, ::2], np.round(rows[:, ::2])):
        raise InputError(f"{path}: expected 68 rows of three (vertex, weight) pairs, found shape {rows.shape}")
    points = surface_points(rows[:, ::2].astype(np.int64), rows[:, 1::2], len(template), str(path))
    jaw = np.einsum("pkd,pk->pd", template[np.asarray(points.vertex_ids)[:17]], np.asarray(points.barycentric)[:17])
    length = lambda chain: float(np.linalg.norm(np.diff(chain, axis=0), axis=1).sum())
    mended = np.r_[0:2, 6:1:-1, 7:68]
    if length(jaw[mended[:17]]) < 0.95 * length(jaw):
        _logger.warning("%s lists contour points 3 to 7 backwards (an early release); their order was mended", path)
        return SurfacePoints(points.vertex_ids[mended], points.barycentric[mended])
    return points


def _groups(path: Path, arrays: dict[str, np.ndarray], vertices: int) -> dict[str, np.ndarray]:
    """[V] masks of the named vertex groups."""
    if "vertex_groups" not in arrays or "vertex_group_names" not in arrays:
        return {}
    groups, names = arrays["vertex_groups"], arrays["vertex_group_names"]
    if groups.shape != (len(names), vertices):
        raise InputError(f"{path}: expected vertex_groups of shape {(len(names), vertices)}, found {groups.shape}")
    return {str(name): np.asarray(group > 0.5) for name, group in zip(names, groups, strict=True)}


def _regions(groups: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The file's own groups; those named like a region of this package keep the package's meaning, ears apart."""
    regions = {name: mask for name, mask in groups.items() if name not in REGION_NAMES or name == "ears"}
    if "left_eye" in groups and "right_eye" in groups:
        regions["eyeballs"] = groups["left_eye"] | groups["right_eye"]
    return regions


def _inner(groups: dict[str, np.ndarray], vertices: int) -> np.ndarray:
    inner = np.zeros(vertices, bool)
    for name in _INNER_GROUPS:
        inner |= groups.get(name, inner)
    return inner | ~groups["skin"] if "skin" in groups else inner


def _unit(path: Path, template: np.ndarray, landmarks: SurfacePoints, groups: dict[str, np.ndarray]) -> float:
    """Metres per unit of the file, from the height of the head, chin to crown."""
    chin = np.asarray(landmarks.barycentric)[8] @ template[np.asarray(landmarks.vertex_ids)[8], 1]
    height = float(template[groups.get("skin", np.ones(len(template), bool)), 1].max() - chin)
    for name, metres in _UNITS.items():
        if _HEAD_HEIGHT[0] <= height * metres <= _HEAD_HEIGHT[1]:
            if name != "metre":
                _logger.warning("%s is in %ss; scaled to metres", path, name)
            return metres
    raise InputError(
        f"{path}: the head is {height:.3g} units from chin to crown; expected 0.2 to 0.3 m "
        "(or that in centimetres or millimetres); its unit is unknown"
    )
