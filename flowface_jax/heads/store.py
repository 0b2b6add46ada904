"""Our own file of a head: one .npz that any head can be saved to and read back from, bit for bit."""

from __future__ import annotations

import dataclasses
import json
import os
from typing import Any

import jax.numpy as jnp
import numpy as np

from flowface_jax.conventions import CONVENTIONS
from flowface_jax.errors import InputError
from flowface_jax.heads.model import REGION_NAMES, HeadModel, SurfacePoints
from flowface_jax.storage import read_npz, write_npz

FORMAT = "flowface-head/1"
_KIND = "a head model saved by flowface"
_POINTS = ("landmarks", "mediapipe")
_STATIC = ("joint_parents", "joint_names", "expression_names", "name", "licence")
_ARRAYS = tuple(
    field.name for field in dataclasses.fields(HeadModel) if field.name not in (*_POINTS, *_STATIC, "regions")
)


def save_head(head: HeadModel, path: str | os.PathLike[str]) -> None:
    """Write the head with its conventions, atomically; the same head gives the same bytes."""
    arrays: dict[str, Any] = {name: np.asarray(getattr(head, name)) for name in _ARRAYS}
    for name in _POINTS:
        points = getattr(head, name)
        arrays[f"{name}_vertex_ids"] = np.asarray(points.vertex_ids)
        arrays[f"{name}_barycentric"] = np.asarray(points.barycentric)
    names = sorted(head.regions)
    arrays["regions"] = np.stack([np.asarray(head.regions[name], bool) for name in names])
    about = {name: getattr(head, name) for name in _STATIC} | {"region_names": names}
    arrays["about"] = np.array(json.dumps(about, sort_keys=True))
    arrays["conventions"] = np.array(json.dumps(CONVENTIONS, sort_keys=True))
    arrays["format"] = np.array(FORMAT)
    write_npz(path, arrays)


def read_head(path: str | os.PathLike[str]) -> HeadModel:
    """Read a head written by `save_head`. Raises InputError if the file is another one, damaged or of other "
    "conventions."""
    required = (*_ARRAYS, *(f"{name}_{part}" for name in _POINTS for part in ("vertex_ids", "barycentric")))
    arrays = read_npz(path, _KIND, ("format", "about", "conventions", "regions", *required))
    if str(arrays["format"]) != FORMAT:
        raise InputError(
            f"{path}: expected format {FORMAT}, found {arrays['format']}; save the head again with this version"
        )
    try:
        about, conventions = json.loads(str(arrays["about"])), json.loads(str(arrays["conventions"]))
    except json.JSONDecodeError:
        raise InputError(f"{path} is damaged (its description is not JSON); save the head again") from None
    if conventions != CONVENTIONS:
        differing = sorted(key for key in CONVENTIONS if conventions.get(key) != CONVENTIONS[key])
        raise InputError(
            f"{path} uses other conventions ({', '.join(differing)}); save the head again with this version"
        )
    _check(path, arrays, about)
    points = {
        name: SurfacePoints(jnp.asarray(arrays[f"{name}_vertex_ids"]), jnp.asarray(arrays[f"{name}_barycentric"]))
        for name in _POINTS
    }
    return HeadModel(
        **{name: jnp.asarray(arrays[name]) for name in _ARRAYS},
        **points,
        regions=dict(zip(about["region_names"], jnp.asarray(arrays["regions"]), strict=True)),
        joint_parents=tuple(about["joint_parents"]),
        joint_names=tuple(about["joint_names"]),
        expression_names=tuple(about["expression_names"]),
        name=about["name"],
        licence=about["licence"],
    )


def _check(path: str | os.PathLike[str], arrays: dict[str, np.ndarray], about: dict[str, Any]) -> None:
    """The description is complete and the arrays agree with each other and with it."""
    missing = [name for name in (*_STATIC, "region_names") if name not in about]
    if missing or not set(REGION_NAMES) <= set(about.get("region_names", ())):
        raise InputError(
            f"{path} is damaged (its description lacks {', '.join(missing) or 'regions'}); save the head again"
        )
    arrays = {name: np.atleast_1d(array) for name, array in arrays.items()}
    vertices, joints = len(arrays["template"]), len(about["joint_names"])
    identity, expression = arrays["identity_basis"].shape[-1], arrays["expression_basis"].shape[-1]
    correctives = 9 * joints if arrays["pose_correctives"].shape[-1] else 0
    expected = {
        "template": (vertices, 3),
        "identity_basis": (vertices, 3, identity),
        "expression_basis": (vertices, 3, expression),
        "expression_std": (expression,),
        "expression_limits": (expression, 2),
        "joint_template": (joints, 3),
        "joint_identity": (joints, 3, identity),
        "joint_expression": (joints, 3, expression),
        "pose_correctives": (vertices, 3, correctives),
        "skinning_weights": (vertices, joints),
        "uv": (vertices, 2),
        "vertex_weights": (vertices,),
        "regions": (len(about["region_names"]), vertices),
    }
    meshes = ["triangles"]
    for name in _POINTS:
        ids, weights = f"{name}_vertex_ids", f"{name}_barycentric"
        expected |= {ids: (len(arrays[ids]), 3), weights: (len(arrays[ids]), 3)}
        meshes.append(ids)
    for name, shape in expected.items():
        if arrays[name].shape != shape or arrays[name].dtype.kind not in "bif":
            found = f"{arrays[name].dtype} of shape {arrays[name].shape}"
            raise InputError(f"{path}: expected {name} of shape {shape}, found {found}; save the head again")
    for name in meshes:
        ids = arrays[name]
        is_mesh = ids.ndim == 2 and ids.shape[1] == 3 and ids.dtype.kind == "i"
        if not is_mesh or (ids.size and not 0 <= ids.min() <= ids.max() < vertices):
            raise InputError(f"{path}: {name} do not fit its {vertices} vertices; save the head again")
