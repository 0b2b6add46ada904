"""Exact ground truth of a rendered picture: where every vertex is, what is seen at every pixel, and how it moves."""

from __future__ import annotations

import enum

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.heads.atlas import locate
from flowface_jax.heads.model import FOCUS_WEIGHT, OTHER_WEIGHT, HeadModel, SurfacePoints
from flowface_jax.pytrees import pytree_dataclass
from flowface_jax.synthesis.rasteriser import Fragments, interpolate, project, visible_points
from flowface_jax.synthesis.scene import Material

UV_SIDE = 64
"""D_uv of the paper: texels along a side of the dense UV-to-image map."""


class Segment(enum.IntEnum):
    """Classes of the segmentation map."""

    BACKGROUND = 0
    SKIN = 1
    LIPS = 2
    EYES = 3
    TEETH = 4
    MOUTH_INTERIOR = 5
    HAIR = 6
    CLOTHES = 7
    ACCESSORY = 8
    OCCLUDER = 9


_OF_MATERIAL = {
    Material.SKIN: Segment.SKIN,
    Material.EYE: Segment.EYES,
    Material.TEETH: Segment.TEETH,
    Material.MOUTH: Segment.MOUTH_INTERIOR,
    Material.HAIR: Segment.HAIR,
    Material.CLOTH: Segment.CLOTHES,
    Material.FRAME: Segment.ACCESSORY,
    Material.LASH: Segment.SKIN,
}


@pytree_dataclass
class DenseGrid:
    """The texels of the dense map as points of the head: U×U of them, row 0 at v = 1.

    points: U·U surface points. weight: [U,U] the λ_p of equation 6 (appendix D.3): 1 on face and ears, 0.005 elsewhere
    on the head, 0 outside the atlas's outline and in its holes.
    """

    points: SurfacePoints
    weight: jax.Array


@pytree_dataclass
class Truth:
    """What is known exactly about one picture. Pixels as everywhere: the top-left pixel's centre is (0.5, 0.5).

    vertices: [V,2] px. vertex_depth: [V] m along the camera's axis. visible: [V] bool, in the picture and hidden by
    nothing: neither head, hair, hat, glasses, dark lenses nor what is held before the face. Depth and normals are those
    of the surface, lenses and occluders left out; the segmentation counts them.
    dense: [U,U,2] px, the UV-to-image map. dense_visible: [U,U] bool. dense_weight: [U,U] the λ_p.
    depth: [H,W] m, infinite where nothing is. normals: [H,W,3] unit, camera axes, 0 where nothing is.
    segmentation: [H,W] int32 of `Segment`. face_box: [4] left, top, right, bottom px of the face region's vertices.
    focal: px. principal_point: [2] px. rotation: [3,3] and translation: [3] m, head to camera.
    """

    vertices: jax.Array
    vertex_depth: jax.Array
    visible: jax.Array
    dense: jax.Array
    dense_visible: jax.Array
    dense_weight: jax.Array
    depth: jax.Array
    normals: jax.Array
    segmentation: jax.Array
    face_box: jax.Array
    focal: jax.Array
    principal_point: jax.Array
    rotation: jax.Array
    translation: jax.Array


def make_dense_grid(head: HeadModel, skin: np.ndarray, side: int = UV_SIDE) -> DenseGrid:
    """The dense map's texels on a head. skin: [T] bool, the triangles that the atlas shows (no eyeballs, no teeth)."""
    centres = (np.arange(side) + 0.5) / side
    query = np.stack(np.meshgrid(centres, 1.0 - centres), axis=-1).reshape(-1, 2)
    uv, triangles = np.asarray(head.uv), np.asarray(head.triangles)[np.asarray(skin)]
    points = locate(uv, triangles, query)
    reached = np.einsum("pkd,pk->pd", uv[points.vertex_ids], points.barycentric)
    inside = np.abs(reached - query).max(1) < 1e-4
    focus = np.asarray(head.regions["face"]) | np.asarray(head.regions["ears"])
    share = (focus[points.vertex_ids] * points.barycentric).sum(1)
    weight = np.where(inside, np.where(share > 0.5, FOCUS_WEIGHT, OTHER_WEIGHT), 0.0)
    return DenseGrid(
        SurfacePoints(jnp.asarray(points.vertex_ids), jnp.asarray(points.barycentric)),
        jnp.asarray(weight.reshape(side, side), jnp.float32),
    )


def triangle_segments(material: np.ndarray, triangles: np.ndarray, lips: np.ndarray) -> np.ndarray:
    """[T] int32 of `Segment` for triangles [T,3] of `Material` [T]; lips: [N] bool per vertex."""
    material = np.asarray(material)
    result = segments_of_materials(material)
    result[(material == Material.SKIN) & np.asarray(lips)[np.asarray(triangles)].all(1)] = Segment.LIPS
    return result


def segments_of_materials(material: np.ndarray | jax.Array) -> np.ndarray | jax.Array:
    """[T] int32 of `Segment` for materials [T]: an array of the kind it was given."""
    table = np.array([_OF_MATERIAL[kind] for kind in Material], np.int32)
    return table[material] if isinstance(material, np.ndarray) else jnp.asarray(table)[material]


def box_of(pixels: jax.Array, chosen: jax.Array) -> jax.Array:
    """Left, top, right, bottom [4] of the chosen [V] bool among pixels [V,2]."""
    low = jnp.where(chosen[:, None], pixels, jnp.inf).min(0)
    high = jnp.where(chosen[:, None], pixels, -jnp.inf).max(0)
    return jnp.concatenate([low, high])


def image_flow(
    fragments: Fragments,
    triangles: jax.Array,
    points: jax.Array,
    next_points: jax.Array,
    focal: jax.Array,
    principal_point: jax.Array,
) -> jax.Array:
    """How far the surface seen at each pixel moves until the next frame, [H,W,2] px; NaN where nothing is seen.

    fragments: of this frame. triangles: [T,3]. points, next_points: [V,3] m, the same mesh in this and in the next
    frame's camera axes; focal and principal_point of the camera. What leaves the picture or is hidden next has flow
    too; where it comes to lie behind the camera the number is unusable. (The ground truth of SSME, equation 15.)
    """
    both = interpolate(fragments, triangles, jnp.concatenate([points, next_points], axis=1))
    # Both ends are those of one surface point: the rasteriser's rounding of vertices cancels.
    here, there = (project(both[..., k : k + 3], focal, principal_point)[0] for k in (0, 3))
    return jnp.where(fragments.seen[..., None], there - here, jnp.nan)


def describe(
    points: jax.Array,
    dense: DenseGrid,
    fragments: Fragments,
    scene_pixels: jax.Array,
    scene_depth: jax.Array,
    triangles: jax.Array,
    normals: jax.Array,
    segments: jax.Array,
    occluded: jax.Array,
    veiled: jax.Array,
    face: jax.Array,
    drawn: jax.Array,
    focal: jax.Array,
    principal_point: jax.Array,
    rotation: jax.Array,
    translation: jax.Array,
) -> Truth:
    """The truth of one picture.

    points: [V,3] m, the head's vertices in the camera's frame. fragments: of the whole scene, whose vertices lie at
    scene_pixels [N,2] px and scene_depth [N] m and have normals [N,3], and whose triangles [T,3] have `segments` [T].
    occluded: [H,W] share of the pixel that an occluder hides. veiled: [H,W] bool, behind a dark lens. face: [V] bool.
    drawn: [V] bool, the head's vertices that belong to a drawn triangle; others are never visible.
    """
    dense_points = dense.points.of(points)
    pixels, depth = project(points, focal, principal_point)
    dense_pixels, dense_depth = project(dense_points, focal, principal_point)
    hidden = (occluded > 0.5) | veiled
    seen = fragments.seen
    segment = jnp.where(seen, segments[jnp.maximum(fragments.triangle, 0)], int(Segment.BACKGROUND))
    segment = jnp.where(veiled, int(Segment.ACCESSORY), segment)
    normal = interpolate(fragments, triangles, normals)
    side = dense.weight.shape

    def seen_points(at: jax.Array, distance: jax.Array) -> jax.Array:
        free = visible_points(fragments, scene_pixels, scene_depth, triangles, at, distance)
        return free & ~_at(hidden, at)

    return Truth(
        vertices=pixels,
        vertex_depth=points[:, 2],
        visible=seen_points(pixels, depth) & drawn,
        dense=dense_pixels.reshape(*side, 2),
        dense_visible=seen_points(dense_pixels, dense_depth).reshape(side) & (dense.weight > 0),
        dense_weight=dense.weight,
        depth=fragments.depth,
        normals=normal / jnp.sqrt((normal * normal).sum(-1, keepdims=True) + 1e-12),
        segmentation=jnp.where(occluded > 0.5, int(Segment.OCCLUDER), segment).astype(jnp.int32),
        face_box=box_of(pixels, face),
        focal=focal,
        principal_point=principal_point,
        rotation=rotation,
        translation=translation,
    )


def _at(image: jax.Array, pixels: jax.Array) -> jax.Array:
    """The values of image [H,W] at the pixels that hold points [N,2] px, clamped to the border."""
    height, width = image.shape
    column = jnp.clip(pixels[:, 0].astype(jnp.int32), 0, width - 1)
    row = jnp.clip(pixels[:, 1].astype(jnp.int32), 0, height - 1)
    return image[row, column]
