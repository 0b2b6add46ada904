"""Drawing occluders at random: how many, which, where about the face.

Shapes, sizes and shares follow Voo et al., "Delving into High-Quality Synthetic Face Occlusion Segmentation
Datasets" (2022), and FlowFace's appendix D.2, which adds see-through ones without numbers.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.synthesis.image.occluders import CORNERS, SAMPLES, STICKS, SWATCH, Occluders, Shapes, Sticks
from flowface_jax.synthesis.noise import enlarge

OCCLUDED = 0.35
"""Share of images with any occluder."""
SHAPES = 2
SEE_THROUGH = 0.3
HAND, THING = 0.3, 0.2
"""Of the occluded images, those with a hand and with a held thing."""
SKINS = np.array(
    [[0.55, 0.33, 0.24], [0.42, 0.24, 0.16], [0.28, 0.15, 0.09], [0.14, 0.075, 0.045], [0.07, 0.04, 0.025]]
)
_MOSTLY_GREY = (0.22 * np.eye(3) + 0.5).astype(np.float32)
"""Mixes three channels of noise: colours vary less than brightness."""


def sample_occluders(
    key: jax.Array, face_box: jax.Array, bank: jax.Array | None = None, probability: float = OCCLUDED
) -> Occluders:
    """Occluders about a face whose box is face_box [4] px: left, top, right, bottom.

    bank: [N,B,B,3] uint8 pictures to texture random shapes with, besides made-up textures.
    """
    any_key, what_key, shape_key, stick_key = jax.random.split(key, 4)
    occluded = jax.random.uniform(any_key) < probability
    what = jax.random.uniform(what_key)
    hand, thing = occluded & (what < HAND), occluded & (what >= HAND) & (what < HAND + THING)
    two, also = jax.random.uniform(jax.random.fold_in(what_key, 1), (2,))
    natural = hand | thing
    first = occluded & (~natural | (also < 0.2))
    present = jnp.stack([first, first & (two < 0.35)])
    shapes = jax.vmap(lambda key, on: sample_shape(key, face_box, on, bank))(
        jax.random.split(shape_key, SHAPES), present
    )
    return Occluders(shapes, sample_sticks(stick_key, face_box, hand, thing))


def sample_shape(key: jax.Array, face_box: jax.Array, present: jax.Array, bank: jax.Array | None = None) -> Shapes:
    """One random shape with its centre inside the face box, in a square of 0.04 to 0.6 of the box's area."""
    curve, place, size, opacity, clear, texture = jax.random.split(key, 6)
    low, high = face_box[:2], face_box[2:]
    area = (0.04 + 0.56 * jax.random.uniform(size) ** 2) * jnp.prod(high - low)
    see_through = jax.random.bernoulli(clear, SEE_THROUGH)
    share = jnp.where(see_through, jax.random.uniform(opacity, minval=0.2, maxval=0.8), 1.0)
    return Shapes(
        curve=sample_curve(curve),
        centre=low + jax.random.uniform(place, (2,)) * (high - low),
        radius=jnp.sqrt(area) / 2.0,
        opacity=share * present,
        swatch=sample_swatch(texture, see_through, bank),
    )


def sample_curve(key: jax.Array) -> jax.Array:
    """A closed curve [M,2] within ±1: 3 to 15 random corners in the order of their angle, joined by cubic Béziers whose
    handles are up to one edge long and whose bends are between round and sharp.
    """
    count_key, corner_key, shape_key = jax.random.split(key, 3)
    count = jax.random.randint(count_key, (), 3, CORNERS + 1)
    index = jnp.arange(CORNERS)
    used = index < count
    corners = jax.random.uniform(corner_key, (CORNERS, 2))
    middle = (corners * used[:, None]).sum(0) / count
    angle = jnp.where(used, jnp.arctan2(corners[:, 1] - middle[1], corners[:, 0] - middle[0]), jnp.inf)
    order = jnp.argsort(angle)
    corners = corners[order]
    corners = jnp.where(used[:, None], corners, corners[0])  # spare corners lie on the first and enclose nothing
    following = corners[jnp.where(index + 1 < count, index + 1, 0)]
    before = corners[jnp.where(index > 0, index - 1, count - 1)]
    reach, edgy = jax.random.uniform(shape_key, (2,))
    blend = jnp.arctan(edgy) / jnp.pi + 0.5
    outgoing, incoming = (_direction(b - a) for a, b in ((corners, following), (before, corners)))
    tangent = _direction(blend * outgoing + (1.0 - blend) * incoming)
    next_tangent = tangent[jnp.where(index + 1 < count, index + 1, 0)]
    length = jnp.linalg.norm(following - corners, axis=-1, keepdims=True)
    handle = 0.6 * reach * length
    points = jnp.stack([corners, corners + handle * tangent, following - handle * next_tangent, following])
    points = jnp.where(used[None, :, None], points, corners[0])
    t = jnp.arange(SAMPLES) / SAMPLES
    weights = jnp.stack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3])
    curve = jnp.einsum("kt,knd->ntd", weights, points).reshape(-1, 2)
    low, high = curve.min(0), curve.max(0)
    return (curve - (low + high) / 2.0) / jnp.maximum((high - low).max() / 2.0, 1e-3)


def _direction(vector: jax.Array) -> jax.Array:
    return vector / jnp.maximum(jnp.linalg.norm(vector, axis=-1, keepdims=True), 1e-6)


def sample_swatch(key: jax.Array, see_through: jax.Array, bank: jax.Array | None = None) -> jax.Array:
    """A texture [S,S,3]: plain, cloudy, striped, or from the bank. See-through ones are dark or bright."""
    keys = jax.random.split(key, 10)
    kind = jax.random.randint(keys[0], (), 0, 3 if bank is None else 6)
    base = jnp.exp(jax.random.uniform(keys[1], minval=-3.2, maxval=0.0)) * jnp.exp(
        0.2 * jax.random.normal(keys[2], (2, 3))
    )
    clouds = enlarge(jax.random.normal(keys[3], (8, 8, 3)) @ _MOSTLY_GREY, SWATCH) + enlarge(
        jax.random.normal(keys[4], (20, 20, 1)), SWATCH
    )
    turn, rate = (
        jax.random.uniform(keys[5], minval=0.0, maxval=6.3),
        jax.random.uniform(keys[6], minval=2.0, maxval=9.0),
    )
    u = jnp.linspace(-1.0, 1.0, SWATCH)
    stripes = jnp.clip(0.5 + 3.0 * jnp.sin(rate * (jnp.cos(turn) * u[None] + jnp.sin(turn) * u[:, None])), 0.0, 1.0)[
        ..., None
    ]
    plain = base[0] * jnp.exp(0.12 * clouds)
    made = jnp.where(
        kind == 0, plain, jnp.where(kind == 1, base[0] * jnp.exp(0.6 * clouds), plain + stripes * (base[1] - plain))
    )
    bright = jax.random.bernoulli(keys[7])
    light = jnp.where(bright, 0.6, 0.01) * jnp.exp(0.15 * clouds[..., :1] + 0.2 * jax.random.normal(keys[8], (3,)))
    if bank is not None:
        made = jnp.where(kind >= 3, _bank_swatch(keys[9], bank), made)
    return jnp.clip(jnp.where(see_through, light, made), 0.0, 1.0)


def _bank_swatch(key: jax.Array, bank: jax.Array) -> jax.Array:
    which, place = jax.random.split(key)
    picture = bank[jax.random.randint(which, (), 0, bank.shape[0])].astype(jnp.float32) / 255.0
    side = bank.shape[1]
    start = jax.random.randint(place, (2,), 0, jnp.maximum(side - SWATCH, 0) + 1)
    at = jnp.minimum(jnp.arange(SWATCH), side - 1)
    rows, columns = jnp.minimum(start[0] + at, side - 1), jnp.minimum(start[1] + at, side - 1)
    return picture[rows][:, columns] ** 2.2


def sample_sticks(key: jax.Array, face_box: jax.Array, hand: jax.Array, thing: jax.Array) -> Sticks:
    """A hand reaching for the face, a thing held before it, or (both false) nothing."""
    place, hand_key, thing_key, light_key, fuzz_key = jax.random.split(key, 5)
    hand_sticks, thing_sticks = _hand(hand_key), _thing(thing_key)
    ends, radii, colour, gloss = jax.tree.map(lambda a, b: jnp.where(hand, a, b), hand_sticks, thing_sticks)
    keys = jax.random.split(place, 4)
    size = (face_box[2:] - face_box[:2]).mean()
    middle = (face_box[:2] + face_box[2:]) / 2.0
    # From below and the sides more often than from above; fingers (0, -1) point to the face.
    turn = jnp.where(hand, 1.1, 0.35) * jax.random.normal(keys[0])
    outward = jnp.stack([-jnp.sin(turn), jnp.cos(turn)])
    mirrored = jnp.where(jax.random.bernoulli(keys[1]), -1.0, 1.0)
    scale = size * jax.random.uniform(keys[2], minval=0.75, maxval=1.1)
    # Distance of the fingertips (or the thing's top) from the face's middle.
    tip = middle + size * (jax.random.uniform(keys[3], minval=-0.1, maxval=0.5) * outward)
    along = jnp.stack([outward, jnp.stack([outward[1], -outward[0]]) * mirrored])  # rows: outward, sideways
    ends = tip + scale * (ends[..., 1:] * along[0] + ends[..., :1] * along[1])
    tilt = jax.random.normal(light_key, (3,)) * jnp.array([0.6, 0.3, 0.0]) + jnp.array([0.0, -0.5, 0.8])
    return Sticks(
        ends=ends,
        radii=radii * scale * (hand | thing),
        colour=colour,
        light=_direction(tilt),
        gloss=gloss,
        fuzz=jax.random.normal(fuzz_key, (40, 40)),
    )


def _hand(key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Fingers up along -y with the longest tip near the origin; unit: the height of a face. Sticks: four fingers of two
    parts, thumb of two, palm of three, forearm.
    """
    keys = jax.random.split(key, 6)
    spread = jax.random.uniform(keys[0], minval=0.02, maxval=0.32)
    curl = jax.random.uniform(keys[1], (4,), minval=0.5, maxval=1.0) ** 0.5
    slot = jnp.arange(4) - 1.5
    knuckle = jnp.stack([0.095 * slot, 0.5 + 0.018 * slot**2], 1)
    angle = spread * slot + 0.05 * jax.random.normal(keys[2], (4,))
    length = jnp.array([0.42, 0.48, 0.45, 0.35]) * curl
    heading = jnp.stack([jnp.sin(angle), -jnp.cos(angle)], 1)
    middle = knuckle + 0.52 * length[:, None] * heading
    bent = angle + 0.1 * jax.random.normal(keys[3], (4,))
    tip = middle + 0.42 * length[:, None] * jnp.stack([jnp.sin(bent), -jnp.cos(bent)], 1)
    out = jax.random.uniform(keys[4], minval=0.3, maxval=1.1)
    thumb_root = jnp.array([-0.15, 0.85])
    thumb_middle = thumb_root + 0.22 * jnp.stack([-jnp.sin(out), -jnp.cos(out)])
    thumb_tip = thumb_middle + 0.17 * jnp.stack([-jnp.sin(0.6 * out), -jnp.cos(0.6 * out)])
    ends = [jnp.stack([jnp.array([0.03 * (k - 1), 0.98]), knuckle[k] * 0.5 + knuckle[k + 1] * 0.5]) for k in range(3)]
    ends += [jnp.stack([thumb_root, thumb_middle]), jnp.stack([thumb_middle, thumb_tip])]
    ends += [jnp.stack([knuckle[k], middle[k]]) for k in range(4)] + [jnp.stack([middle[k], tip[k]]) for k in range(4)]
    ends += [jnp.array([[0.0, 1.0], [0.0, 2.6]])]
    radii = [[0.15, 0.1]] * 3 + [[0.085, 0.056], [0.056, 0.044]]
    radii += [[0.056, 0.049]] * 4 + [[0.049, 0.036]] * 4 + [[0.14, 0.2]]
    spare = STICKS - len(ends)
    skin, sleeve, vary = jax.random.split(keys[5], 3)
    tone = jnp.asarray(SKINS, jnp.float32)[jax.random.randint(skin, (), 0, SKINS.shape[0])] * jnp.exp(
        0.05 * jax.random.normal(vary, (3,))
    )
    colour = jnp.tile(tone, (STICKS, 1)) * (1.0 + 0.0 * spread)
    colour = colour.at[9:13].multiply(jnp.array([1.12, 1.02, 1.02]))
    cloth = jnp.exp(jax.random.uniform(sleeve, (3,), minval=-3.0, maxval=-0.5))
    colour = colour.at[13].set(jnp.where(jax.random.bernoulli(vary), cloth, tone))
    ends = jnp.concatenate([jnp.stack(ends), jnp.zeros((spare, 2, 2))])
    return ends, jnp.array(radii + [[0.0, 0.0]] * spare), colour, jnp.float32(0.03)


def _thing(key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """A microphone, a phone or box, a cup, a strap or a cable, upright along y with its top at the origin."""
    which, paint, shine, wide = jax.random.split(key, 4)
    microphone = [[0, 0.05, 0, 0.14, 0.13, 0.12], [0, 0.25, 0, 1.3, 0.075, 0.055]]
    phone = [[0.0275 * k - 0.165, 0.06, 0.0275 * k - 0.165, 0.85, 0.05, 0.05] for k in range(13)]
    cup = [[0.035 * k - 0.21, 0.05, 0.0275 * k - 0.165, 0.6, 0.06, 0.05] for k in range(13)]
    strap = [[-0.9, -0.6, 0.9, 0.7, 0.05, 0.05]]
    pens = [[0, 0, 0.12, 1.2, 0.022, 0.026]]
    tables = []
    for rows in (microphone, phone, cup, strap, pens):
        tables.append(rows + [[0.0] * 6] * (STICKS - len(rows)))
    kind = jax.random.randint(which, (), 0, len(tables))
    table = jnp.array(tables, jnp.float32)[kind]
    colours = jnp.exp(jax.random.uniform(paint, (2, 1), minval=-4.0, maxval=-0.3)) * jnp.exp(
        0.2 * jax.random.normal(jax.random.fold_in(paint, 1), (2, 3))
    )
    colour = jnp.where((jnp.arange(STICKS) == 0)[:, None] & (kind == 0), colours[0], colours[1])
    radii = table[:, 4:] * jax.random.uniform(wide, minval=0.8, maxval=1.2)
    return table[:, :4].reshape(STICKS, 2, 2), radii, colour, jax.random.uniform(shine, minval=0.0, maxval=0.4)
