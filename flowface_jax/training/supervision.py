"""What is asked of the network: where a head's points lie in the atlas, and how much each point and texel counts."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.heads.model import HeadModel
from flowface_jax.network.losses import Targets, radius_of
from flowface_jax.pytrees import pytree_dataclass
from flowface_jax.synthesis.materials.surfaces import triangle_materials
from flowface_jax.synthesis.scene import Material
from flowface_jax.synthesis.truth import make_dense_grid
from flowface_jax.training.batches import CropBatch

# fmt: off
OPENINGS = (
    (13, 14), (82, 87), (312, 317), (81, 178), (311, 402), (80, 88), (310, 318),
    (159, 145), (158, 153), (160, 144), (157, 154), (161, 163),
    (386, 374), (385, 380), (387, 373), (384, 381), (388, 390),
)
# fmt: on
"""MediaPipe's points that face each other across the inner lips, the right and the left lids."""


@pytree_dataclass
class Supervision:
    """A head as the losses see it.

    uv: [V,2] atlas coordinates. weight: [V], λ_i. face: [V] bool, the face's vertices, on which errors are reported.
    dense_ids: [U·U,3] int32 and dense_barycentric: [U·U,3], the texels of the dense map as points of the head.
    dense_weight: [U,U], λ_p; 0 outside the atlas. openings: [K,2] int32, vertices across lids and mouth; K is 0 for a
    head that MediaPipe's points are not known on. openings_at_rest: [K], their lengths on the mean head seen from the
    front, in radii of its points.
    """

    uv: jax.Array
    weight: jax.Array
    face: jax.Array
    dense_ids: jax.Array
    dense_barycentric: jax.Array
    dense_weight: jax.Array
    openings: jax.Array
    openings_at_rest: jax.Array


def make_supervision(head: HeadModel, side: int, region_weights: Mapping[str, float] | None = None) -> Supervision:
    """The supervision of a head bound to the atlas, for maps of side × side texels (`NetworkConfig.map_size`).

    region_weights: factors on λ by the name of a region, for points, and for texels that lie mostly in it; where
    regions overlap the largest counts. Raises InputError for a region that the head does not have.
    """
    material, _ = triangle_materials(head)
    grid = make_dense_grid(head, np.asarray(material) == Material.SKIN, side)
    ids, barycentric = np.asarray(grid.points.vertex_ids), np.asarray(grid.points.barycentric)
    factor = _factors(head, region_weights or {})
    dense = (factor[ids] * barycentric).sum(1).reshape(side, side)
    weight = jnp.asarray(np.asarray(head.vertex_weights) * factor, jnp.float32)
    openings, from_the_front = _openings(head), jnp.asarray(head.template)[:, :2]
    at_rest = jnp.linalg.norm(from_the_front[openings[:, 0]] - from_the_front[openings[:, 1]], axis=1)
    return Supervision(
        uv=jnp.asarray(head.uv, jnp.float32),
        weight=weight,
        face=jnp.asarray(head.regions["face"]),
        dense_ids=jnp.asarray(ids, jnp.int32),
        dense_barycentric=jnp.asarray(barycentric, jnp.float32),
        dense_weight=jnp.asarray(np.asarray(grid.weight) * dense, jnp.float32),
        openings=jnp.asarray(openings, jnp.int32),
        openings_at_rest=at_rest / radius_of(from_the_front, weight),
    )


def targets_of(batch: CropBatch, supervision: Supervision) -> Targets:
    """The targets of a batch: every known point counts with its λ, hidden or not, as in the paper; that a point is
    hidden is for the uncertainty to learn. The dense map is the points' interpolation over their triangles.
    """
    side = supervision.dense_weight.shape[0]
    corners = batch.points[:, supervision.dense_ids]
    dense = (corners * supervision.dense_barycentric[..., None]).sum(2)
    known = batch.known[:, supervision.dense_ids].all(2)
    count = len(batch.points)
    return Targets(
        mean=batch.points,
        weight=supervision.weight * batch.known,
        dense=dense.reshape(count, side, side, 2),
        dense_weight=supervision.dense_weight * known.reshape(count, side, side),
        depth=batch.depth,
        face=batch.face,
        openings=supervision.openings,
        openings_at_rest=supervision.openings_at_rest,
    )


def _openings(head: HeadModel) -> np.ndarray:
    """The vertices nearest to `OPENINGS` on the head, [K,2]."""
    if head.mediapipe.count == 0:
        return np.zeros((0, 2), np.int32)
    nearest = np.asarray(head.mediapipe.barycentric).argmax(1)
    vertices = np.take_along_axis(np.asarray(head.mediapipe.vertex_ids), nearest[:, None], 1)[:, 0]
    return vertices[np.asarray(OPENINGS)]


def _factors(head: HeadModel, region_weights: Mapping[str, float]) -> np.ndarray:
    """The factor on λ of every vertex [V]."""
    unknown = sorted(set(region_weights) - set(head.regions))
    if unknown:
        raise InputError(f"the head has no region '{unknown[0]}'; it has {', '.join(sorted(head.regions))}")
    factor = np.ones(head.vertex_count)
    for name in sorted(region_weights, key=lambda key: region_weights[key]):
        factor[np.asarray(head.regions[name])] = region_weights[name]
    return factor
