"""Everything that rendering needs to know of a head, made ready once: on the host, in some seconds."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.heads.model import HeadModel
from flowface_jax.pytrees import pytree_dataclass, static_field
from flowface_jax.synthesis.hair import HairAssets, make_hair_assets
from flowface_jax.synthesis.lighting import OcclusionAssets, make_occlusion_assets
from flowface_jax.synthesis.materials.surfaces import HeadSurface, make_head_surface, triangle_materials
from flowface_jax.synthesis.people import PeopleAssets, make_people_assets
from flowface_jax.synthesis.scene import Material
from flowface_jax.synthesis.skin.assets import SkinAssets, make_skin_assets
from flowface_jax.synthesis.truth import UV_SIDE, DenseGrid, make_dense_grid, triangle_segments
from flowface_jax.synthesis.wearables import WearableAssets, hidden_by_clothes, make_wearable_assets

Detail = Literal["training", "fine"]


@pytree_dataclass
class RenderAssets:
    """head: the head model. surface: its drawable mesh. segments: [T] int32 `truth.Segment` of the surface's triangles.
    drawn: [V] bool, the head's vertices that the surface copies.
    openness, skin, hair, wearables, people: what those packages measured on the head. dense: texels of the dense map.
    grows_lashes: whether lashes must be made, because the head has none of its own.
    """

    head: HeadModel
    surface: HeadSurface
    segments: jax.Array
    drawn: jax.Array
    openness: OcclusionAssets
    skin: SkinAssets
    hair: HairAssets
    wearables: WearableAssets
    people: PeopleAssets
    dense: DenseGrid
    grows_lashes: bool = static_field()


def make_render_assets(
    head: HeadModel, detail: Detail = "training", texture_side: int = 256, uv_side: int = UV_SIDE
) -> RenderAssets:
    """Measure a head for rendering.

    detail: "training" draws few, thick locks of hair, "fine" four times as many, for pictures larger than 300 px.
    texture_side: texels along a side of the skin's texture. uv_side: D_uv. Raises InputError for sides out of range.
    """
    surface = make_head_surface(head, hidden_by_clothes(head))
    material, _ = triangle_materials(head)
    lips = np.asarray(head.regions.get("lips", np.zeros(head.vertex_count, bool)))
    segments = triangle_segments(
        np.asarray(surface.material), np.asarray(surface.triangles), lips[np.asarray(surface.vertex_ids)]
    )
    drawn = np.zeros(head.vertex_count, bool)
    drawn[np.asarray(surface.vertex_ids)] = True
    return RenderAssets(
        head=head,
        surface=surface,
        segments=jnp.asarray(segments),
        drawn=jnp.asarray(drawn),
        openness=make_occlusion_assets(head),
        skin=make_skin_assets(head, texture_side),
        hair=make_hair_assets(head, detail),
        wearables=make_wearable_assets(head),
        people=make_people_assets(head),
        dense=make_dense_grid(head, material == Material.SKIN, uv_side),
        grows_lashes="eyelashes" not in head.regions,
    )
