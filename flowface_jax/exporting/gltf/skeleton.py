"""The head's skinning in glTF's terms: inverse bind matrices, and joints' local transforms for every frame.

Ours turns about joints that may move with the expression (FLAME regresses them from the shaped mesh); glTF turns about
the origin of a joint's node. With rest joints J⁰ of the neutral person and J of the frame, a local transform of
rotation R and translation J + R (J⁰ − J) − J⁰(parent) gives exactly our skinning.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.spatial.transform import Rotation

from flowface_jax.fitting.track import Track
from flowface_jax.heads.model import HeadModel

_WEIGHTS_IN_A_SET = 4


@dataclasses.dataclass(frozen=True, eq=False)
class Skeleton:
    """Joints of F frames. Host float64 arrays.

    rest: [K,3] m, of the neutral person. rotations: [F,K,4] quaternions x, y, z, w. translations: [F,K,3] m, from
    the parent's node.
    """

    rest: np.ndarray
    rotations: np.ndarray
    translations: np.ndarray

    @property
    def inverse_bind(self) -> np.ndarray:
        """[K,4,4] from the head's frame to that of each joint at rest."""
        matrices = np.tile(np.eye(4), (len(self.rest), 1, 1))
        matrices[:, :3, 3] = -self.rest
        return matrices


def make_skeleton(track: Track, head: HeadModel) -> Skeleton:
    """The joints of a track's head in every frame."""
    identity = np.asarray(track.identity, np.float64)
    rest = np.asarray(head.joint_template, np.float64) + np.asarray(head.joint_identity, np.float64) @ identity
    moved = np.einsum("kce,fe->fkc", np.asarray(head.joint_expression, np.float64), np.asarray(track.expression))
    joints = rest + moved
    turns = Rotation.from_rotvec(np.asarray(track.joint_rotations, np.float64).reshape(-1, 3))
    matrices = turns.as_matrix().reshape(*joints.shape, 3)
    parents = np.asarray(head.joint_parents)
    origin = np.where(parents[:, None] >= 0, rest[np.maximum(parents, 0)], 0.0)
    translations = joints + np.einsum("fkij,fkj->fki", matrices, rest - joints) - origin
    return Skeleton(rest, continuous(turns.as_quat().reshape(*joints.shape[:2], 4)), translations)


def continuous(quaternions: np.ndarray) -> np.ndarray:
    """The same rotations [F,…,4] with signs such that neighbours interpolate the short way."""
    result = np.array(quaternions, np.float64)
    flip = np.where((result[1:] * result[:-1]).sum(-1, keepdims=True) < 0, -1.0, 1.0)
    result[1:] *= np.cumprod(flip, axis=0)
    return result


def influences(weights: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Skinning weights [V,K] as sets of four joints [V,4] uint16 and weights [V,4] float32, heaviest first."""
    order = np.argsort(-weights, axis=1, kind="stable").astype("<u2")
    sorted_weights = np.take_along_axis(weights, order.astype(np.int64), 1)
    used = max(int((sorted_weights > 0).sum(1).max(initial=1)), 1)
    sets = []
    for first in range(0, used, _WEIGHTS_IN_A_SET):
        joints = np.zeros((len(weights), _WEIGHTS_IN_A_SET), "<u2")
        amounts = np.zeros((len(weights), _WEIGHTS_IN_A_SET), "<f4")
        part = slice(first, min(first + _WEIGHTS_IN_A_SET, weights.shape[1]))
        joints[:, : part.stop - part.start] = order[:, part]
        amounts[:, : part.stop - part.start] = sorted_weights[:, part]
        # A joint without weight has to be the first one.
        joints[amounts == 0] = 0
        sets.append((joints, amounts))
    total = sum(amounts.sum(1, dtype=np.float64) for _, amounts in sets)
    return [(joints, (amounts / total[:, None]).astype("<f4")) for joints, amounts in sets]
