"""How much of the surroundings each vertex sees: baked for the neutral head, followed where mouth and lids move."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.heads.model import HeadModel
from flowface_jax.pytrees import pytree_dataclass
from flowface_jax.synthesis.lighting.environment import sphere_directions
from flowface_jax.synthesis.rasteriser import rasterise, vertex_normals

INNER_LIPS = slice(60, 68)
EYE_LANDMARKS = slice(36, 48)

_DIRECTIONS = 144
_MAP_SIZE = 192
_SLACK = 0.0022
_INSIDE_MOUTH = ("mouth_interior", "mouth_socket", "teeth", "tongue", "gums_and_tongue")
_SEE_THROUGH = ("eye_occlusion", "lacrimal_fluid", "eye_blend", "eyelashes")
_LID_SHADE = 0.006


@pytree_dataclass
class OcclusionAssets:
    """Openness of a head's vertices at rest, and which of them open and close.

    baked: [V] share of the sky that the neutral head's vertex sees, weighted by cosine, 0 to 1. mouth: [M] int32
    vertices inside the mouth. eyeballs: [B] int32 vertices of the eyeballs.
    """

    baked: jax.Array
    mouth: jax.Array
    eyeballs: jax.Array


def make_occlusion_assets(head: HeadModel) -> OcclusionAssets:
    """Bake the openness of the neutral mean head from depth maps in 144 directions; about a second, to be kept."""
    regions = {name: np.asarray(mask) for name, mask in head.regions.items()}
    inside = np.zeros(head.vertex_count, bool)
    for name in _INSIDE_MOUTH:
        inside |= regions.get(name, False)
    clear = np.zeros(head.vertex_count, bool)
    for name in _SEE_THROUGH:
        clear |= regions.get(name, False)
    triangles = np.asarray(head.triangles)
    casting = jnp.asarray(triangles[~clear[triangles].any(axis=1)])
    return OcclusionAssets(
        baked=jnp.asarray(baked_openness(head.template, head.triangles, casting)),
        mouth=jnp.asarray(np.flatnonzero(inside & ~regions["eyeballs"]), jnp.int32),
        eyeballs=jnp.asarray(np.flatnonzero(regions["eyeballs"]), jnp.int32),
    )


def baked_openness(
    vertices: jax.Array, triangles: jax.Array, casting: jax.Array, count: int = _DIRECTIONS
) -> jax.Array:
    """Cosine-weighted share [V] of `count` directions in which vertices [V,3] m see past the triangles `casting` [T,3].

    triangles: [T,3] of the whole mesh, for the normals.
    """
    directions = jnp.asarray(sphere_directions(count))
    centre = 0.5 * (vertices.min(axis=0) + vertices.max(axis=0))
    reach = 1.02 * jnp.linalg.norm(vertices - centre, axis=-1).max()
    open_light, all_light = _gathered(vertices, vertex_normals(vertices, triangles), casting, directions, centre, reach)
    return jnp.clip(open_light / jnp.maximum(all_light, 1e-6), 0.0, 1.0)


@jax.jit
def _gathered(
    vertices: jax.Array,
    normals: jax.Array,
    casting: jax.Array,
    directions: jax.Array,
    centre: jax.Array,
    reach: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Sums over directions of cosine × seen, and of cosine: [V], [V]."""

    def add(sums: tuple[jax.Array, jax.Array], direction: jax.Array) -> tuple[tuple[jax.Array, jax.Array], None]:
        helper = jnp.where(jnp.abs(direction[1]) < 0.9, jnp.array([0.0, 1.0, 0.0]), jnp.array([1.0, 0.0, 0.0]))
        right = jnp.cross(helper, direction)
        right = right / jnp.linalg.norm(right)
        up = jnp.cross(direction, right)
        cosine = jnp.maximum(normals @ direction, 0.0)
        offset = vertices - centre
        # The test point is lifted along the normal, so that a vertex does not hide behind its own triangles.
        lifted = offset + normals * (_SLACK * (1.6 - cosine))[:, None]
        place = jnp.stack([right, up, direction])
        pixels, depth = _projected(offset @ place.T, reach)
        tested, tested_depth = _projected(lifted @ place.T, reach)
        fragments = rasterise(pixels, depth, casting, (_MAP_SIZE, _MAP_SIZE), orthographic=True)
        cell = jnp.clip(tested.astype(jnp.int32), 0, _MAP_SIZE - 1)
        nearest = fragments.depth[cell[:, 1], cell[:, 0]]
        seen = jnp.where(tested_depth < nearest + _SLACK, cosine, 0.0)
        return (sums[0] + seen, sums[1] + cosine), None

    none = jnp.zeros(vertices.shape[0])
    with jax.default_matmul_precision("highest"):
        return jax.lax.scan(add, (none, none), directions)[0]


def _projected(place: jax.Array, reach: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Pixels [V,2] and depths [V] m, all positive, of points [V,3] given by right, up and towards the viewer."""
    pixels = jnp.stack([reach + place[:, 0], reach - place[:, 1]], axis=-1) * (0.5 * _MAP_SIZE / reach)
    return pixels, 2.0 * reach - place[:, 2]


def openness(assets: OcclusionAssets, vertices: jax.Array, normals: jax.Array, landmarks: jax.Array) -> jax.Array:
    """Openness [V] of the posed head: as baked, but the mouth lit through its opening and eyeballs shaded by the lids.

    vertices, normals: [V,3] of the posed head. landmarks: [68,3] of the same pose, in the same frame.
    """
    result = assets.baked.at[assets.mouth].set(
        _through_lips(vertices[assets.mouth], normals[assets.mouth], landmarks[INNER_LIPS])
    )
    return result.at[assets.eyeballs].set(_under_lids(vertices[assets.eyeballs], landmarks[EYE_LANDMARKS]))


def _through_lips(points: jax.Array, normals: jax.Array, lips: jax.Array) -> jax.Array:
    """Openness [M] inside the mouth: form factor of a disc as large as the opening between the inner lips [8,3]."""
    middle = lips.mean(axis=0)
    spokes = lips - middle
    area = 0.5 * jnp.linalg.norm(jnp.cross(spokes, jnp.roll(spokes, -1, axis=0)).sum(axis=0))
    towards = middle - points
    square = (towards * towards).sum(axis=-1)
    cosine = (towards * normals).sum(axis=-1) / jnp.sqrt(square + 1e-8)
    return jnp.clip((0.55 + 0.45 * cosine) * area / (area + jnp.pi * square), 0.0, 1.0)


def _under_lids(points: jax.Array, lids: jax.Array) -> jax.Array:
    """Openness [B] of eyeballs by distance from the lids' edges [12,3] (right eye, left eye; upper lids shade more)."""
    rings = lids.reshape(2, 6, 3)
    between = 0.5 * (rings + jnp.roll(rings, -1, axis=1))
    edge = jnp.concatenate([rings, between], axis=1).reshape(-1, 3)
    upper = jnp.array([0.0, 1, 1, 0, 0, 0, 1, 1, 1, 0, 0, 0] * 2) > 0
    distance = jnp.sqrt(((points[:, None] - edge) ** 2).sum(axis=-1) + 1e-10)
    above = jnp.where(upper, distance, jnp.inf).min(axis=1)
    any_lid = distance.min(axis=1)
    clear = jnp.clip(any_lid / _LID_SHADE, 0.0, 1.0)
    return 0.3 + 0.35 * clear * (2.0 - clear) + 0.3 * jnp.clip(above / (1.5 * _LID_SHADE), 0.0, 1.0)
