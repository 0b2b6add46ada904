"""Reading the ICT Face Model Light (github.com/USC-ICT/ICT-FaceKit, MIT) from a light .npz or a checkout's folder.

Files are in centimetres. Expressions are ARKit's shapes under ARKit's spelling (eyeBlinkLeft); browInnerUp and
cheekPuff come as a left and a right half, as ICT has them, so there are 53.
"""

from __future__ import annotations

import importlib.resources
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.heads.assembly import MEDIAPIPE_COUNT, HeadParts, assemble, quads_to_triangles, surface_points
from flowface_jax.heads.model import HeadModel, SurfacePoints
from flowface_jax.heads.obj import read_obj, read_obj_vertices
from flowface_jax.storage import read_json, read_npz

KEYS = ("neutral", "identity", "expression", "expression_names", "faces", "landmarks68")
VERTEX_COUNT = 26719
VERTEX_RANGES = {
    "narrow_face": (0, 6706),
    "full_face": (0, 9409),
    "head_and_neck": (9409, 11248),
    "mouth_socket": (11248, 13294),
    "eye_sockets": (13294, 14062),
    "gums_and_tongue": (14062, 17039),
    "teeth": (17039, 21451),
    "left_eyeball": (21451, 23021),
    "right_eyeball": (23021, 24591),
    "lacrimal_fluid": (24591, 24999),
    "eye_blend": (24999, 25047),
    "eye_occlusion": (25047, 25351),
    "eyelashes": (25351, 26719),
}
JOINT_NAMES = ("root", "left_eye", "right_eye")
EXPRESSION_STD = 0.3
LICENCE = "ICT Face Model Light, copyright 2020 USC Institute for Creative Technologies, MIT"
_FIRST_INNER = 11248
_SCLERAE = (slice(21451, 22221), slice(23021, 23791))
_CENTIMETRES = 0.01
_KIND = "the ICT Face Model Light"
_FOLDER = "FaceXModel"
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Source:
    """The model in centimetres: neutral [V,3], offsets [S,V,3] and [E,V,3], names [E], triangles [T,3], "
    "landmarks [68]."""

    neutral: np.ndarray
    identity: np.ndarray
    expression: np.ndarray
    expression_names: list[str]
    triangles: np.ndarray
    landmarks: np.ndarray


def load_ict(
    path: str | os.PathLike[str],
    identity_size: int | None = None,
    expression_size: int | None = None,
    bind_to_atlas: bool = True,
) -> HeadModel:
    """The ICT model as a `HeadModel` of three joints (root and the two eyeballs).

    path: the light .npz, an ICT-FaceKit checkout or its FaceXModel folder, which may lack identities after a first one
    and expressions (warned of). Sizes keep the leading components; None keeps all. Of MediaPipe's points the
    package's own correspondence is used where it is installed, else that of the binding.
    Raises InputError for a damaged file, another mesh, or a folder without any identity or expression.
    """
    path = Path(path)
    source = _from_folder(path) if path.is_dir() else _from_npz(path)
    _check(path, source)
    identity = source.identity[: _size(path, "identity", identity_size, len(source.identity))]
    expression = source.expression[: _size(path, "expression", expression_size, len(source.expression))]
    template = np.asarray(source.neutral, np.float64) * _CENTIMETRES
    identity = identity.transpose(1, 2, 0).astype(np.float64) * _CENTIMETRES
    expression = expression.transpose(1, 2, 0).astype(np.float64) * _CENTIMETRES
    joints, joint_identity = _eye_joints(template, identity)
    rows, mediapipe = _own_mediapipe()
    never_face = np.arange(VERTEX_COUNT) >= _FIRST_INNER
    parts = HeadParts(
        name="ict_facekit_light",
        licence=LICENCE,
        template=template,
        identity_basis=identity,
        expression_basis=expression,
        triangles=source.triangles,
        joint_template=joints,
        joint_identity=joint_identity,
        joint_expression=np.zeros((3, 3, expression.shape[-1])),
        skinning_weights=_eye_weights(),
        pose_correctives=np.zeros((VERTEX_COUNT, 3, 0)),
        joint_parents=(-1, 0, 0),
        joint_names=JOINT_NAMES,
        expression_names=[arkit_name(name) for name in source.expression_names[: expression.shape[-1]]],
        expression_std=EXPRESSION_STD,
        expression_limits=(0.0, 1.0),
        landmarks=_at_vertices(path, source.landmarks),
        mediapipe_rows=rows,
        mediapipe=mediapipe,
        regions=_regions(template, bind_to_atlas),
        never_face=never_face,
    )
    return assemble(parts, bind_to_atlas)


def arkit_name(name: str) -> str:
    """ARKit's spelling of an ICT shape: eyeBlink_L → eyeBlinkLeft."""
    for suffix, side in (("_L", "Left"), ("_R", "Right")):
        if name.endswith(suffix):
            return name[: -len(suffix)] + side
    return name


def find_folder(path: Path) -> Path | None:
    """The FaceXModel folder that `path` is or holds, or None."""
    return next((p for p in (path, path / _FOLDER) if (p / "generic_neutral_mesh.obj").is_file()), None)


def _from_npz(path: Path) -> _Source:
    arrays = read_npz(path, f"{_KIND} (light .npz)", KEYS)
    faces = arrays["faces"]
    if faces.ndim != 2 or faces.shape[1] != 4 or faces.dtype.kind not in "iu":
        raise InputError(f"{path}: expected faces of shape (F,4), found {faces.shape}; the file is damaged")
    return _Source(
        neutral=arrays["neutral"],
        identity=arrays["identity"],
        expression=arrays["expression"],
        expression_names=[str(name) for name in np.atleast_1d(arrays["expression_names"])],
        triangles=quads_to_triangles(faces),
        landmarks=arrays["landmarks68"],
    )


def _from_folder(path: Path) -> _Source:
    folder = find_folder(path)
    if folder is None:
        raise InputError(
            f"{path} has no generic_neutral_mesh.obj; expected an ICT-FaceKit checkout or its {_FOLDER} folder"
        )
    indices = read_json(folder / "vertex_indices.json", "ICT's vertex indices")
    if not isinstance(indices, dict) or not {"expressions", "idx_to_landmark_verts"} <= set(indices):
        raise InputError(f"{folder / 'vertex_indices.json'}: expected 'expressions' and 'idx_to_landmark_verts'")
    mesh = read_obj(folder / "generic_neutral_mesh.obj")
    identities = []
    while (folder / f"identity{len(identities):03d}.obj").is_file():
        identities.append(folder / f"identity{len(identities):03d}.obj")
    listed = [str(name) for name in indices["expressions"]]
    present = [name for name in listed if (folder / f"{name}.obj").is_file()]
    if not identities or not present:
        raise InputError(
            f"{folder} has {len(identities)} identity and {len(present)} expression meshes; expected one of each"
        )
    if len(present) < len(listed):
        _logger.warning("%s has %d of the %d expressions that it lists", folder, len(present), len(listed))
    return _Source(
        neutral=mesh.vertices,
        identity=np.stack([_offsets(file, mesh.vertices) for file in identities]),
        expression=np.stack([_offsets(folder / f"{name}.obj", mesh.vertices) for name in present]),
        expression_names=present,
        triangles=mesh.triangles,
        landmarks=np.asarray(indices["idx_to_landmark_verts"]),
    )


def _offsets(file: Path, neutral: np.ndarray) -> np.ndarray:
    shape = read_obj_vertices(file)
    if shape.shape != neutral.shape:
        raise InputError(f"{file} has {len(shape)} vertices but the neutral mesh has {len(neutral)}; fetch it again")
    return (shape - neutral).astype(np.float32)


def _check(path: Path, source: _Source) -> None:
    if source.neutral.shape != (VERTEX_COUNT, 3):
        raise InputError(f"{path}: expected {_KIND} with {VERTEX_COUNT} vertices, found shape {source.neutral.shape}")
    for name, basis in (("identity", source.identity), ("expression", source.expression)):
        if basis.ndim != 3 or basis.shape[1:] != (VERTEX_COUNT, 3) or not len(basis):
            raise InputError(
                f"{path}: expected {name} of shape (N,{VERTEX_COUNT},3), found {basis.shape}; it is damaged"
            )
    if len(source.expression_names) != len(source.expression):
        raise InputError(
            f"{path}: {len(source.expression)} expressions but {len(source.expression_names)} names; it is damaged"
        )


def _size(path: Path, kind: str, asked: int | None, available: int) -> int:
    if asked is not None and not 0 < asked <= available:
        raise InputError(f"{path} has {available} {kind} components; asked for {asked}: ask for 1 to {available}")
    return available if asked is None else asked


def _at_vertices(path: Path, ids: np.ndarray) -> SurfacePoints:
    """Landmarks that sit on vertices."""
    ids = np.asarray(ids)
    if ids.shape != (68,) or ids.dtype.kind not in "iu":
        raise InputError(f"{path}: expected 68 landmark vertices, found shape {ids.shape}; it is damaged")
    corners = np.repeat(ids[:, None], 3, axis=1)
    return surface_points(corners, np.tile([1.0, 0.0, 0.0], (68, 1)), VERTEX_COUNT, str(path))


def _own_mediapipe() -> tuple[np.ndarray, SurfacePoints] | tuple[None, None]:
    """The package's correspondence of MediaPipe's 478 points with this mesh, if it is installed."""
    resource = importlib.resources.files("flowface_jax.heads") / "data" / "ict_mediapipe.npz"
    with importlib.resources.as_file(resource) as file:
        if not file.is_file():
            return None, None
        arrays = read_npz(file, "the MediaPipe correspondence of ICT", ("vertex_ids", "barycentric"))
    points = surface_points(arrays["vertex_ids"], arrays["barycentric"], VERTEX_COUNT, "ict_mediapipe.npz")
    return np.arange(MEDIAPIPE_COUNT), points


def _range(name: str) -> slice:
    return slice(*VERTEX_RANGES[name])


def _mask(*names: str) -> np.ndarray:
    mask = np.zeros(VERTEX_COUNT, bool)
    for name in names:
        mask[_range(name)] = True
    return mask


def _eye_weights() -> np.ndarray:
    """Eyeballs follow their own joint, everything else the root."""
    weights = np.zeros((VERTEX_COUNT, 3))
    weights[:, 0] = 1.0
    for joint, name in ((1, "left_eyeball"), (2, "right_eyeball")):
        weights[_range(name)] = np.eye(3)[joint]
    return weights


def _eye_joints(template: np.ndarray, identity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Joint positions [3,3] and their identity basis [3,3,S]: root at the origin, eyes at the eyeballs' centres.

    A centre is an affine combination of its sclera's vertices, so it follows every identity. No expression of the model
    moves an eyeball (the eyeLook shapes move the lids), so these joints are what turns the gaze.
    """
    joints, basis = np.zeros((3, 3)), np.zeros((3, 3, identity.shape[-1]))
    for joint, sclera in enumerate(_SCLERAE, 1):
        regressor = _centre_regressor(template[sclera])
        joints[joint] = regressor @ template[sclera]
        basis[joint] = np.einsum("v,vds->ds", regressor, identity[sclera])
    return joints, basis


def _centre_regressor(ball: np.ndarray) -> np.ndarray:
    """Weights [N], summing to 1, of least norm, that give the centre of the sphere through the points [N,3]."""
    lifted = np.concatenate([2 * ball, np.ones((len(ball), 1))], axis=1)
    centre = np.linalg.lstsq(lifted, (ball**2).sum(axis=1), rcond=None)[0][:3]
    affine = np.concatenate([(ball - ball.mean(axis=0)).T, np.ones((1, len(ball)))])
    return np.linalg.lstsq(affine, np.append(centre - ball.mean(axis=0), 1.0), rcond=None)[0]


def _regions(template: np.ndarray, bind_to_atlas: bool) -> dict[str, Any]:
    """ICT's own parts; face and ears only where no binding tells them better."""
    regions = {name: _mask(name) for name in VERTEX_RANGES}
    regions["eyeballs"] = _mask("left_eyeball", "right_eyeball")
    if not bind_to_atlas:
        regions["face"] = _mask("narrow_face")
        x, y, z = template.T
        beside = (np.abs(x) > 0.074) & (y > -0.03) & (y < 0.045) & (z < 0.03)
        regions["ears"] = _mask("full_face", "head_and_neck") & ~regions["face"] & beside
    return regions
