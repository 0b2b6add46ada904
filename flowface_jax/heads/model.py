"""The head model: one value for FLAME, GNM, ICT-FaceKit and the built-in head, and the one function that poses it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import jaxlie

from flowface_jax.pytrees import pytree_dataclass, static_field

REGION_NAMES = ("face", "eyes", "nose", "mouth", "ears", "neck", "scalp", "eyeballs")
"""Regions that every head names. They may overlap (eyes, nose and mouth lie inside face)."""

FOCUS_WEIGHT = 1.0
OTHER_WEIGHT = 0.005
"""Vertex weights λ of face and ears, and of everything else (paper, appendix D.3)."""


@pytree_dataclass
class SurfacePoints:
    """Points on a triangle mesh, each a barycentric mixture of three vertices.

    vertex_ids: [P,3] int32. barycentric: [P,3] float32, rows sum to 1.
    """

    vertex_ids: jax.Array
    barycentric: jax.Array

    @property
    def count(self) -> int:
        return self.vertex_ids.shape[0]

    def of(self, vertices: jax.Array) -> jax.Array:
        """Interpolate per-vertex values [...,V,D] to the points: [...,P,D]."""
        corners = vertices[..., self.vertex_ids, :]
        return jnp.einsum("...pkd,pk->...pd", corners, self.barycentric, precision="highest")


@pytree_dataclass
class HeadModel:
    """A linear head model with skinning, in metres, x to the subject's left, y up, z out of the face.

    Arrays are float32 unless said. A coefficient of 1 in `identity` is one standard deviation of the population.

    template: [V,3] neutral mean head, m.
    identity_basis: [V,3,S] m per standard deviation.
    expression_basis: [V,3,E] m per unit coefficient.
    expression_std: [E] spread of each coefficient that the prior expects (1: statistical bases, 0.3: ARKit shapes).
    expression_limits: [E,2] smallest and largest meaningful coefficient (infinite for statistical bases).
    joint_template: [K,3], joint_identity: [K,3,S], joint_expression: [K,3,E]: rest joints as regressed from the shaped
        mesh, the regressor folded into the bases.
    pose_correctives: [V,3,9K] m, acting on the ravelled (R_k − I) of all joints, or [V,3,0] where the model has none.
    skinning_weights: [V,K], rows sum to 1.
    triangles: [T,3] int32, counter-clockwise seen from outside.
    uv: [V,2] atlas coordinates, u right, v up.
    vertex_weights: [V] the λ of the energy and of the loss.
    landmarks: the 68 Multi-PIE landmarks. mediapipe: MediaPipe's 478 points.
    regions: name → [V] bool; at least REGION_NAMES.
    """

    template: jax.Array
    identity_basis: jax.Array
    expression_basis: jax.Array
    expression_std: jax.Array
    expression_limits: jax.Array
    joint_template: jax.Array
    joint_identity: jax.Array
    joint_expression: jax.Array
    pose_correctives: jax.Array
    skinning_weights: jax.Array
    triangles: jax.Array
    uv: jax.Array
    vertex_weights: jax.Array
    landmarks: SurfacePoints
    mediapipe: SurfacePoints
    regions: dict[str, jax.Array]
    joint_parents: tuple[int, ...] = static_field()
    joint_names: tuple[str, ...] = static_field()
    expression_names: tuple[str, ...] = static_field()
    name: str = static_field()
    licence: str = static_field()

    @property
    def vertex_count(self) -> int:
        return self.template.shape[0]

    @property
    def identity_size(self) -> int:
        return self.identity_basis.shape[-1]

    @property
    def expression_size(self) -> int:
        return self.expression_basis.shape[-1]

    @property
    def joint_count(self) -> int:
        return len(self.joint_names)


def vertices(
    head: HeadModel,
    identity: jax.Array,
    expression: jax.Array,
    joint_rotations: jax.Array | None = None,
    offsets: jax.Array | None = None,
) -> jax.Array:
    """Vertices of the head in its own frame (equation 8): blend shapes, joints, pose correctives, skinning, offsets.

    identity: [≤S], expression: [≤E] (shorter ones use the leading components). joint_rotations: [K,3] axis-angle, rad;
    None means the rest pose and skips skinning. offsets: [V,3] m, added after skinning. Returns [V,3] m.
    Batches through jax.vmap; differentiable everywhere, at zero rotation too.
    """
    with jax.default_matmul_precision("highest"):
        s, e = identity.shape[-1], expression.shape[-1]
        shaped = head.template + head.identity_basis[..., :s] @ identity + head.expression_basis[..., :e] @ expression
        if joint_rotations is not None:
            joints = head.joint_template + head.joint_identity[..., :s] @ identity
            joints = joints + head.joint_expression[..., :e] @ expression
            rotations = jaxlie.SO3.exp(joint_rotations).as_matrix()
            if head.pose_correctives.shape[-1]:
                feature = (rotations - jnp.eye(3, dtype=rotations.dtype)).reshape(-1)
                shaped = shaped + head.pose_correctives @ feature
            shaped = skin(head, shaped, joints, rotations)
        return shaped if offsets is None else shaped + offsets


def skin(head: HeadModel, shaped: jax.Array, joints: jax.Array, rotations: jax.Array) -> jax.Array:
    """Linear blend skinning with chained joints: shaped [V,3] and joints [K,3], rotations [K,3,3] → [V,3].

    Linear in (shaped, joints) together: with a blend shape's columns in their place it gives the posed columns.
    """
    chained: list[tuple[jax.Array, jax.Array]] = []
    for k, parent in enumerate(head.joint_parents):
        about_joint = joints[k] - rotations[k] @ joints[k]
        if parent < 0:
            chained.append((rotations[k], about_joint))
        else:
            parent_rotation, parent_translation = chained[parent]
            chained.append((parent_rotation @ rotations[k], parent_rotation @ about_joint + parent_translation))
    rotation = jnp.stack([r for r, _ in chained])
    translation = jnp.stack([t for _, t in chained])
    blended_rotation = jnp.einsum("vk,kij->vij", head.skinning_weights, rotation)
    blended_translation = head.skinning_weights @ translation
    return jnp.einsum("vij,vj->vi", blended_rotation, shaped) + blended_translation


def points(head: HeadModel, surface: SurfacePoints, *arguments: Any) -> jax.Array:
    """Positions [P,3] of surface points of the posed head; arguments as for `vertices`."""
    return surface.of(vertices(head, *arguments))


def restrict(head: HeadModel, vertex_ids: jax.Array) -> HeadModel:
    """The same head with only the named vertices [N] (triangles and embeddings dropped): what a fit evaluates."""
    none = SurfacePoints(jnp.zeros((0, 3), jnp.int32), jnp.zeros((0, 3), jnp.float32))
    per_vertex = {name: getattr(head, name) for name in _PER_VERTEX}
    taken, regions = _rows((per_vertex, head.regions), vertex_ids)
    nothing = jnp.zeros((0, 3), jnp.int32)
    return replace(head, **taken, regions=regions, triangles=nothing, landmarks=none, mediapipe=none)


_PER_VERTEX = (
    "template",
    "identity_basis",
    "expression_basis",
    "pose_correctives",
    "skinning_weights",
    "uv",
    "vertex_weights",
)


@jax.jit
def _rows(arrays: Any, ids: jax.Array) -> Any:
    """All of them at once: a program for each would take longer to compile than to run."""
    return jax.tree.map(lambda array: array[ids], arrays)
