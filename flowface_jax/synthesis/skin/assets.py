"""Everything about a head's skin that depends on the head alone: soft maps of its features over the atlas."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from flowface_jax.errors import InputError
from flowface_jax.heads.model import HeadModel
from flowface_jax.pytrees import pytree_dataclass
from flowface_jax.synthesis.skin import features
from flowface_jax.synthesis.skin.anatomy import map_face
from flowface_jax.synthesis.skin.hairs import growth_directions, streaks

Array = NDArray[np.float64]

_STREAK_SEEDS = (11, 12, 13)
_GRAIN_ROOM = 1.5


@pytree_dataclass
class SkinAssets:
    """Maps of a head's skin over the atlas, [A,A] float32, row 0 at the top (v = 1); made once per head.

    brow_along: 0 at the brow's inner end, 1 at its outer end. brow_across: mm above the brow's middle line.
    eye_distance: mm outside the opening of the lids, negative within. eye_above: 1 on the upper lid's side, 0 below.
    eye_along: 0 at the inner corner, 1 at the outer one. lip_edge: mm inside the border of the lips. lip_upper: 1 on
    the upper lip. lip_line: mm from the line between the lips. hairline: mm behind the hairline, negative on the face.
    masks: name → soft mask: see `features.masks`. beard: name → soft mask of a part of a beard. wrinkles: name →
    creases of one kind, 1 at their deepest. streaks: [3,A,A] noise along the short hairs, spread evenly over [0,1].
    grain: [4,1.5A,1.5A] noise to take windows of: pores (mean 0, deviation 1), specks (freckles, 0 to 1), fibres,
    blotches. probe: weights, sum 1, of the plain skin of cheeks and forehead, by which a texture's tone is measured.
    """

    brow_along: jax.Array
    brow_across: jax.Array
    eye_distance: jax.Array
    eye_above: jax.Array
    eye_along: jax.Array
    lip_edge: jax.Array
    lip_upper: jax.Array
    lip_line: jax.Array
    hairline: jax.Array
    masks: dict[str, jax.Array]
    beard: dict[str, jax.Array]
    wrinkles: dict[str, jax.Array]
    streaks: jax.Array
    grain: jax.Array
    probe: jax.Array

    @property
    def side(self) -> int:
        """Texels along the atlas, A."""
        return self.brow_along.shape[0]


def make_skin_assets(head: HeadModel, side: int = 256) -> SkinAssets:
    """The maps of a head's skin on an atlas of side × side texels. Raises InputError for sides out of [32, 4096]."""
    if not 32 <= side <= 4096:
        raise InputError(f"expected an atlas of 32 to 4096 texels a side, found {side}")
    face = map_face(head, side)
    brow = features.brow_coordinates(face)
    eye = features.eye_coordinates(face)
    lips = features.lip_coordinates(face)
    hairline = features.hairline_distance(face)
    masks = features.masks(face, eye, lips, hairline)
    directions = growth_directions(face, brow.along, brow.across, brow.tangent)
    maps = {
        "brow_along": brow.along,
        "brow_across": brow.across,
        "eye_distance": eye.distance,
        "eye_above": eye.above,
        "eye_along": eye.along,
        "lip_edge": lips.edge,
        "lip_upper": lips.upper,
        "lip_line": lips.line,
        "hairline": hairline,
        "streaks": streaks(face, directions, 7.0, _STREAK_SEEDS),
        "grain": _grain(side),
        "probe": _probe(masks, lips.edge, hairline, brow.across),
    }
    groups = {
        "masks": masks,
        "beard": features.beard_parts(face, lips, hairline),
        "wrinkles": features.wrinkles(face, lips.edge, eye.distance),
    }
    return SkinAssets(
        **{name: jnp.asarray(value, jnp.float32) for name, value in maps.items()},
        **{
            group: {name: jnp.asarray(value, jnp.float32) for name, value in members.items()}
            for group, members in groups.items()
        },
    )


def _grain(side: int) -> Array:
    """Stationary noises [4,1.5·side,1.5·side]: pores, specks, fibres, blotches. Scales are those of the face, not
    texels.
    """
    full = int(side * _GRAIN_ROOM)
    random = np.random.default_rng(5)
    texels = side / 256

    def blurred(sigma: float) -> Array:
        noise = gaussian_filter(random.normal(size=(full, full)), sigma, mode="wrap")
        return noise / noise.std()

    pores = 0.7 * blurred(0.6 * max(texels, 0.5)) + 0.7 * blurred(1.3 * texels)
    specks = np.clip(blurred(0.65 * max(texels, 0.8)) - 1.1 + 0.35 * blurred(8 * texels), 0, 1.5) / 1.5
    fibres = blurred(0.45)
    return np.stack([pores, specks, fibres, blurred(5.0 * texels)])


def _probe(masks: dict[str, Array], lip_edge: Array, hairline: Array, brow_across: Array) -> Array:
    """Weights [A,A], sum 1, of skin that shows a person's plain tone."""
    plain = np.clip(masks["cheeks"] + 0.8 * masks["forehead"] + 0.5 * masks["nose"], 0, 1) * masks["face"]
    plain = plain * (lip_edge < -8) * (hairline < -8) * (np.abs(brow_across) > 8) * (1 - masks["nostrils"])
    return plain / plain.sum()
