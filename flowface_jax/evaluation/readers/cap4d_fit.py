"""CAP4D's (and so FlowFace's first author's) `fit.npz`: FLAME parameters and cameras; or the folder that holds it.

shape [S], expr [F,E], rot and tra [F,3] (one rigid motion after posing), eye_rot [F,3] for both eyes, and where
stored jaw_rot, neck_rot [F,3]; fx, fy, cx, cy, extr, resolutions by camera; valid_mask (V,F). Its posing differs from
FLAME's and is reproduced: joints are not chained but rotate each about its own rest place; the pose correctives' four
slots take neck_rot (else nothing), jaw, eye and eye, each less twice the identity, so that they act at rest too; the
root takes neck_rot. The last expression coefficient is a blink: `blink_blendshape.npy` is looked for beside the
head. Vertices leave with y and z turned into OpenCV's axes.
"""

from __future__ import annotations

import logging
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial.transform import Rotation

from flowface_jax.cameras.readers.cap4d import read_cap4d_cameras
from flowface_jax.errors import InputError
from flowface_jax.evaluation.mesh_sequence import MeshSequence
from flowface_jax.evaluation.readers.files import read_array, shaped
from flowface_jax.evaluation.readers.options import ReadOptions
from flowface_jax.heads.model import HeadModel
from flowface_jax.storage import read_npz

logger = logging.getLogger(__name__)
FILE, KIND = "fit.npz", "CAP4D"
_REQUIRED = ("shape", "expr", "rot", "tra")
_OPENCV = np.float32([1, -1, -1])
_CORRECTED_JOINTS = 4


def recognises(path: Path) -> bool:
    """Whether a fit.npz, or a folder with one, lies there."""
    return (path / FILE).is_file() or path.name == FILE


def read(path: Path, options: ReadOptions) -> MeshSequence:
    """The head in the world of the fit's cameras, m. Raises MissingAssetError without a FLAME head."""
    file = path / FILE if path.is_dir() else path
    arrays = read_npz(file, KIND, _REQUIRED)
    head = options.flame_head(file, KIND)
    expression, identity = shaped(file, "expr", arrays["expr"], (None, None)), np.float32(np.ravel(arrays["shape"]))
    if expression.shape[1] > head.expression_size or len(identity) > head.identity_size:
        raise InputError(
            f"{file}: expected at most {head.identity_size} identity and {head.expression_size} expression "
            f"coefficients, which head '{head.name}' has, found {len(identity)} and {expression.shape[1]}"
        )
    frames = len(expression)
    turn = {
        key: Rotation.from_rotvec(shaped(file, key, arrays[key], (frames, 3))).as_matrix().astype(np.float32)
        for key in ("rot", "neck_rot", "jaw_rot", "eye_rot")
        if key in arrays
    }
    rest = np.tile(np.eye(3, dtype=np.float32), (frames, 1, 1))
    neck, jaw, eye = (turn.get(key, rest) for key in ("neck_rot", "jaw_rot", "eye_rot"))
    joints = np.stack([neck, rest, jaw, eye, eye], axis=1)
    blink = _blink(file, options, head, expression)
    local = np.stack([np.asarray(_posed(head, identity, expression[f], joints[f], blink)) for f in range(frames)])
    world = np.einsum("fij,fvj->fvi", turn["rot"], local) + shaped(file, "tra", arrays["tra"], (frames, 3))[:, None]
    valid = np.atleast_2d(arrays.get("valid_mask", np.ones((1, frames)))).astype(bool).any(0)
    if valid.shape != (frames,):
        raise InputError(f"{file}: expected valid_mask of {frames} frames, found {valid.shape}")
    rate = float(np.ravel(arrays.get("fps", -1))[0])
    cameras = options.loaded_cameras() or read_cap4d_cameras(file).cameras
    regions = {name: np.asarray(mask) for name, mask in head.regions.items()}
    return MeshSequence(
        world * _OPENCV, np.asarray(head.triangles), valid, regions, cameras, None, rate if rate > 0 else None
    )


def _blink(file: Path, options: ReadOptions, head: HeadModel, expression: np.ndarray) -> np.ndarray:
    """The blend shape [V,3] m of the last expression coefficient."""
    place = options.beside_head("blink_blendshape.npy")
    if place is not None:
        return shaped(place, "blink", read_array(place, "CAP4D's blink"), (head.vertex_count, 3))
    if expression[:, -1].any():
        logger.warning("%s: blinks are left out: no blink_blendshape.npy beside the head", file)
    return np.zeros((head.vertex_count, 3), np.float32)


@jax.jit
def _posed(
    head: HeadModel, identity: jax.Array, expression: jax.Array, rotations: jax.Array, blink: jax.Array
) -> jax.Array:
    """Vertices [V,3] of one frame in FLAME's frame: rotations [5,3,3] of root, neck, jaw and eyes, not chained."""
    with jax.default_matmul_precision("highest"):
        s, e = identity.shape[0], expression.shape[0] - 1
        shaped_head = head.template + head.identity_basis[..., :s] @ identity
        shaped_head += head.expression_basis[..., :e] @ expression[:e] + blink * expression[e]
        joints = head.joint_template + head.joint_identity[..., :s] @ identity
        joints += head.joint_expression[..., :e] @ expression[:e]
        feature = (rotations[jnp.asarray([0, 2, 3, 4])] - 2 * jnp.eye(3)).reshape(-1)
        shaped_head += head.pose_correctives[..., -9 * _CORRECTED_JOINTS :] @ feature
        about = joints - jnp.einsum("kij,kj->ki", rotations, joints)
        turn = jnp.einsum("vk,kij->vij", head.skinning_weights, rotations)
        return jnp.einsum("vij,vj->vi", turn, shaped_head) + head.skinning_weights @ about
