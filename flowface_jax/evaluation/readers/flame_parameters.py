"""FLAME parameters over time, as trackers store them, to vertices."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial.transform import Rotation

from flowface_jax.errors import InputError
from flowface_jax.heads.model import HeadModel, vertices

ROOT, NECK, JAW, LEFT_EYE, RIGHT_EYE = range(5)
"""FLAME's joints in their order."""


@dataclasses.dataclass(frozen=True, eq=False)
class FlameFrames:
    """identity: [≤S]. expression: [F,≤E]. joints: [F,5,3] axis-angle rad, root first. offsets: [V,3] or [F,V,3] m,
    added to the template before posing (the rest joints stay), or None.
    """

    identity: np.ndarray
    expression: np.ndarray
    joints: np.ndarray
    offsets: np.ndarray | None = None


def pose(head: HeadModel, frames: FlameFrames) -> np.ndarray:
    """Vertices [F,V,3] float32 m in FLAME's own frame. Raises InputError for more coefficients than the head has.

    Surplus coefficients that are all 0 are cut.
    """
    identity = _cut(frames.identity[None], head.identity_size, head.name, "identity")[0]
    expression = _cut(frames.expression, head.expression_size, head.name, "expression")
    result = np.empty((len(expression), head.vertex_count, 3), np.float32)
    for f, coefficients in enumerate(expression):
        offsets = None if frames.offsets is None else frames.offsets if frames.offsets.ndim == 2 else frames.offsets[f]
        posed = head if offsets is None else dataclasses.replace(head, template=head.template + jnp.asarray(offsets))
        result[f] = _vertices(posed, jnp.asarray(identity), jnp.asarray(coefficients), jnp.asarray(frames.joints[f]))
    return result


_vertices = jax.jit(vertices)


def _cut(values: np.ndarray, size: int, name: str, what: str) -> np.ndarray:
    if values.shape[-1] > size and np.any(values[..., size:]):
        raise InputError(
            f"expected at most {size} {what} coefficients, which head '{name}' has, found {values.shape[-1]}"
        )
    return np.nan_to_num(np.asarray(values[..., :size], np.float32))


def axis_angle(six: np.ndarray) -> np.ndarray:
    """Rotations [...,6], the first two rows of the matrix one after the other, not normalised, as axis-angle [...,3].

    Zhou et al. (CVPR 2019) in PyTorch3D's order.
    """
    return Rotation.from_matrix(matrices(six).reshape(-1, 3, 3)).as_rotvec().reshape(*six.shape[:-1], 3)


def matrices(six: np.ndarray) -> np.ndarray:
    """The same as matrices [...,3,3]."""
    first, second = np.asarray(six[..., :3], np.float64), np.asarray(six[..., 3:], np.float64)
    first = first / np.linalg.norm(first, axis=-1, keepdims=True)
    second = second - (first * second).sum(-1, keepdims=True) * first
    second = second / np.linalg.norm(second, axis=-1, keepdims=True)
    return np.stack([first, second, np.cross(first, second)], axis=-2)


def joints_at_rest(frames: int) -> np.ndarray:
    """[F,5,3] zeros."""
    return np.zeros((frames, 5, 3), np.float32)
