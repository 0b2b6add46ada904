"""Neck, shoulders and what covers them: shirts, pullovers, jackets, hoods.

Everything is in the torso's frame: the head's frame at rest. The torso follows the head's turning little, so a neck
column inside the garment closes the gap under a turned head.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.heads.model import HeadModel
from flowface_jax.pytrees import pytree_dataclass
from flowface_jax.synthesis.hair.grids import grid_normals, grid_part
from flowface_jax.synthesis.scene import Material, Part, join
from flowface_jax.synthesis.wearables.fit import Fit, WearableAssets, fit_head
from flowface_jax.synthesis.wearables.hats import sample_colours

_COLUMNS = 56
_BODY = np.array(  # half-widths to the side, front, back; heights below the chin at the side, front, back; m
    [
        (0.046, 0.040, 0.046, 0.020, 0.012, 0.045),
        (0.051, 0.046, 0.053, -0.018, -0.026, 0.005),
        (0.060, 0.049, 0.060, -0.036, -0.060, -0.018),
        (0.096, 0.062, 0.078, -0.056, -0.094, -0.040),
        (0.130, 0.078, 0.092, -0.076, -0.125, -0.068),
        (0.172, 0.092, 0.102, -0.092, -0.158, -0.105),
        (0.214, 0.106, 0.108, -0.108, -0.198, -0.155),
        (0.233, 0.116, 0.110, -0.160, -0.255, -0.225),
        (0.236, 0.122, 0.110, -0.270, -0.350, -0.330),
        (0.236, 0.124, 0.110, -0.430, -0.470, -0.460),
    ],
    np.float32,
)
_LAST = float(len(_BODY) - 1)

_FIELDS = "weight neckline plunge plunge_width high loose jacket jacket_plunge collar stand spread hood".split()
_TABLE = {
    # neckline, plunge: steps along the body; widths in rad; collar (fold), stand, spread, loose in m.
    #             wt neckline plunge pl_width high  loose  jacket j_plunge collar stand  spread hood
    "crew":       (8, 2.25, 0.15, 0.6, 0.0, 0.004, 0, 0.0, 0.000, 0.004, 0.00, 0),
    "scoop":      (3, 2.60, 0.90, 0.9, 0.0, 0.004, 0, 0.0, 0.000, 0.000, 0.00, 0),
    "v_neck":     (4, 2.35, 2.20, 0.42, 0.0, 0.005, 0, 0.0, 0.000, 0.003, 0.00, 0),
    "shirt":      (7, 2.05, 0.90, 0.28, 0.0, 0.005, 0, 0.0, 0.040, 0.026, 0.25, 0),
    "polo":       (3, 2.15, 0.70, 0.25, 0.0, 0.005, 0, 0.0, 0.030, 0.016, 0.20, 0),
    "turtleneck": (3, 1.10, 0.00, 0.5, 1.0, 0.006, 0, 0.0, 0.000, 0.000, 0.00, 0),
    "hoodie":     (5, 2.30, 0.30, 0.6, 0.0, 0.008, 0, 0.0, 0.050, 0.010, 0.30, 1),
    "suit":       (5, 2.05, 0.90, 0.28, 0.0, 0.004, 1, 4.6, 0.036, 0.026, 0.25, 0),
    "jacket":     (4, 2.25, 0.15, 0.6, 0.0, 0.004, 1, 3.4, 0.000, 0.004, 0.00, 0),
    "bare":       (2, 5.40, 0.30, 0.8, 0.0, 0.003, 0, 0.0, 0.000, 0.000, 0.00, 0),
    "tank":       (2, 3.30, 1.50, 0.8, 0.0, 0.003, 0, 0.0, 0.000, 0.000, 0.00, 0),
}  # fmt: skip
CLOTHES_NAMES = tuple(_TABLE)
_ROWS = np.array(list(_TABLE.values()), np.float32)
_FORMAL = np.array([name in ("suit", "polo") for name in CLOTHES_NAMES])
_LOW = np.array([name in ("scoop", "bare", "tank") for name in CLOTHES_NAMES])


@pytree_dataclass
class Clothes:
    """What covers neck and shoulders; float32 scalars unless said, lengths in m.

    present: 0 or 1 (0 leaves nothing, not even shoulders). neckline: how far down the body the garment begins (0 jaw,
    2 base of the neck, 5 shoulders). plunge, plunge_width: how much deeper in front, and how wide, rad. high: 1 high.
    loose: distance from the skin. jacket: 1 a second, open layer; jacket_plunge its depth. collar: length of its fold.
    stand: height of its stand. spread: its opening in front, rad. hood: 1 a hood on the back. broad: width of the
    shoulders, 1 average. slope: their fall, 1 average. colour, second, third: [3] of garment, pattern, jacket.
    skin: [3] of neck and chest. pattern: 0 plain, 1 rings, 2 upright stripes, 3 checks. repeat: stripes' number.
    """

    present: jax.Array
    neckline: jax.Array
    plunge: jax.Array
    plunge_width: jax.Array
    high: jax.Array
    loose: jax.Array
    jacket: jax.Array
    jacket_plunge: jax.Array
    collar: jax.Array
    stand: jax.Array
    spread: jax.Array
    hood: jax.Array
    broad: jax.Array
    slope: jax.Array
    colour: jax.Array
    second: jax.Array
    third: jax.Array
    skin: jax.Array
    pattern: jax.Array
    repeat: jax.Array


def sample_clothes(
    key: jax.Array,
    skin_colour: jax.Array | None = None,
    share: float = 1.0,
    kind: int | jax.Array | None = None,
    masculine: jax.Array | float = 0.5,
) -> Clothes:
    """Draw clothes, present with probability `share`. skin_colour: [3] linear; kind: index into CLOTHES_NAMES.

    masculine: 1 makes suits more common and low necklines rarer, 0 the reverse.
    """
    keys = jax.random.split(key, 6)
    u = jax.random.uniform(keys[0], (10,))
    weights = jnp.asarray(_ROWS[:, 0])
    weights = weights * jnp.where(_FORMAL, 0.3 + 1.4 * masculine, 1.0)
    weights = weights * jnp.where(_LOW, 1.9 - 1.8 * masculine, 1.0)
    drawn = jax.random.categorical(keys[1], jnp.log(weights))
    index = drawn if kind is None else jnp.asarray(kind, jnp.int32)
    jitter = 1 + 0.1 * (jax.random.uniform(keys[2], (len(_FIELDS),)) - 0.5) * 2
    row = dict(zip(_FIELDS, jnp.asarray(_ROWS)[index] * jitter, strict=True))
    colour, second = sample_colours(keys[3])
    third, _ = sample_colours(keys[4])
    shirt = (row["collar"] > 0) & (row["hood"] < 0.5)
    pale = jnp.asarray([0.62, 0.65, 0.70]) * (0.8 + 0.3 * u[0])
    colour = jnp.where(shirt & (u[1] < 0.5), pale, colour)
    pattern = jnp.where(u[2] < 0.6, 0.0, 1 + jnp.floor(3 * u[3]))
    return Clothes(
        present=jnp.where(u[4] < share, 1.0, 0.0),
        **{name: row[name] for name in ("neckline", "plunge", "plunge_width")},
        high=jnp.where(row["high"] > 0, 1.0, 0.0),
        loose=row["loose"],
        jacket=jnp.where(row["jacket"] > 0, 1.0, 0.0),
        **{name: row[name] for name in ("jacket_plunge", "collar", "stand", "spread")},
        hood=jnp.where(row["hood"] > 0, 1.0, 0.0),
        broad=0.88 + 0.26 * u[5],
        slope=0.85 + 0.4 * u[6],
        colour=colour,
        second=jnp.where(pattern > 0, second, colour),
        third=third * 0.6,
        skin=jnp.asarray([0.42, 0.27, 0.20]) if skin_colour is None else jnp.asarray(skin_colour),
        pattern=pattern,
        repeat=jnp.floor(5 + 12 * u[7]),
    )


def _body(clothes: Clothes, fit: Fit, steps: jax.Array, turn: jax.Array) -> jax.Array:
    """Points [R,C,3] of neck, shoulders and chest at steps [R,C] down the body (0 to 9) and turns [C], 0 in front."""
    away = jnp.abs(jnp.clip(steps, 0.0, _LAST)[..., None] - jnp.arange(len(_BODY)))
    weights = jnp.where(away < 0.5, 0.75 - away**2, 0.5 * jnp.clip(1.5 - away, 0.0, 1.5) ** 2)
    weights = weights / jnp.sum(weights, -1, keepdims=True)
    rows = jnp.einsum("rck,kd->rcd", weights, jnp.asarray(_BODY), precision="highest")
    sine, cosine = jnp.sin(turn), jnp.cos(turn)
    ahead, behind = jnp.clip(cosine, 0.0, 1.0) ** 2, jnp.clip(-cosine, 0.0, 1.0) ** 2
    beyond = jnp.clip((steps - 3.0) / 3.0, 0.0, 1.0)
    side = rows[..., 0] * (1 + (clothes.broad - 1) * beyond)
    depth = jnp.where(cosine > 0, rows[..., 1], rows[..., 2]) * cosine
    fall = rows[..., 3] * (1 - ahead - behind) + rows[..., 4] * ahead + rows[..., 5] * behind
    fall = fall * (1 + (clothes.slope - 1) * 0.6 * beyond)
    # Shoulders are squarer than an ellipse.
    squared = jnp.sign(sine) * jnp.abs(sine) ** (1 - 0.3 * beyond)
    return jnp.stack([fit.neck[0] + side * squared, fit.neck[1] + fall, fit.neck[2] + depth], -1)


def _turns() -> jax.Array:
    # Rows run downwards, so columns run clockwise seen from above to face outwards.
    return -jnp.arange(_COLUMNS) * (2 * np.pi / _COLUMNS) + 1e-3


def _signed(turn: jax.Array) -> jax.Array:
    """Turn in -π to π, 0 in front."""
    return jnp.arctan2(jnp.sin(turn), jnp.cos(turn))


def _neckline(clothes: Clothes, turn: jax.Array, plunge: jax.Array, width: jax.Array) -> jax.Array:
    """Steps [C] at which a layer begins: rounded or pointed in front."""
    away = jnp.abs(_signed(turn)) / width
    dip = jnp.clip(1 - away, 0.0, 1.0)
    return clothes.neckline + plunge * dip


def build_clothes(clothes: Clothes, assets: WearableAssets, head_vertices: jax.Array) -> Part:
    """Neck column, chest, garment, jacket, collar and hood about a head at rest, vertices [V,3] m; material CLOTH.

    The result is in the torso's frame. Absent clothes lie at one point far behind.
    """
    fit = fit_head(assets, head_vertices)
    turn = _turns()
    worn = clothes.present > 0
    steps = jnp.linspace(0.0, 6.2, 13)[:, None] + jnp.zeros_like(turn)
    skin = _body(clothes, fit, steps, turn)
    begin = _neckline(clothes, turn, clothes.plunge, clothes.plunge_width)
    garment, colour = _layer(clothes, fit, turn, begin, clothes.loose, clothes.colour, clothes.second)
    jacket_plunge, jacket_width = clothes.jacket_plunge, 0.62
    open_from = _neckline(clothes, turn, jacket_plunge, jacket_width) + 0.35
    outer, outer_colour = _layer(clothes, fit, turn, open_from, clothes.loose + 0.007, clothes.third, clothes.third)
    jacket = worn & (clothes.jacket > 0)
    lapel = _fold(clothes, fit, turn, open_from, 0.012, jnp.float32(0.010), jnp.float32(0.040), clothes.loose + 0.011)
    collar = _fold(clothes, fit, turn, begin, clothes.spread, clothes.stand, clothes.collar, clothes.loose + 0.001)
    collared = worn & (clothes.collar > 0.004) & (clothes.hood < 1)
    cloth = lambda grid, tint, shown: grid_part(grid, tint, Material.CLOTH, closed=True, present=shown)
    return join(
        [
            cloth(skin, clothes.skin, worn),
            cloth(garment, colour, worn),
            cloth(outer, outer_colour, jacket),
            cloth(collar, clothes.colour * 1.02, collared),
            cloth(lapel, clothes.third * 1.05, jacket),
            cloth(_hood(clothes, fit, turn), clothes.colour * 0.95, worn & (clothes.hood > 0)),
        ]
    )


def _layer(
    clothes: Clothes,
    fit: Fit,
    turn: jax.Array,
    begin: jax.Array,
    loose: jax.Array,
    colour: jax.Array,
    second: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """A garment [R,C,3] from its neckline [C] down, hem turned in, and its colours [R,C,3]."""
    share = jnp.concatenate([jnp.zeros(2), jnp.linspace(0.0, 1.0, 17) ** 1.1])[:, None]
    steps = begin + share * (_LAST - begin)
    body = _body(clothes, fit, steps, turn)
    first = jnp.arange(len(share))[:, None] == 0
    wrinkle = 0.0025 * jnp.sin(2.1 * steps + 3 * jnp.sin(turn * 2 + 1)) * jnp.clip((steps - 3.5) / 2, 0.0, 1.0)
    # A high neck stands off the throat a little.
    off = jnp.where(first, -0.002, loose + wrinkle + 0.004 * clothes.high * jnp.clip(2.5 - steps, 0.0, 1.0))
    points = body + grid_normals(body, True) * off[..., None]
    points = points.at[0].set(body[0] - 0.003 * jnp.stack([jnp.sin(turn), 0 * turn, jnp.cos(turn)], -1))
    rings = jnp.sin(steps * clothes.repeat * 0.8) > 0.3
    upright = jnp.sin(turn * clothes.repeat * 2 + 0 * steps) > 0.3
    kind = clothes.pattern
    amount = jnp.where(kind == 1, 1.0 * rings, jnp.where(kind == 2, 1.0 * upright, 0.5 * rings + 0.5 * upright))
    amount = jnp.where(kind > 0, amount, 0.0)[..., None]
    hem = jnp.where(share < 0.03, 0.9, 1.0)[..., None]
    return points, (colour + amount * (second - colour)) * hem


def _fold(
    clothes: Clothes,
    fit: Fit,
    turn: jax.Array,
    begin: jax.Array,
    gap: jax.Array | float,
    stand: jax.Array,
    fold: jax.Array,
    off: jax.Array,
) -> jax.Array:
    """A collar [8,C,3] on a neckline [C]: up, over, and down outside; parted in front by a gap, rad."""
    signed = _signed(turn)
    base = _body(clothes, fit, jnp.stack([begin, begin + 0.25, begin + 0.5]), turn)
    outwards = jnp.stack([jnp.sin(turn), jnp.zeros_like(turn), jnp.cos(turn)], -1)
    root = base[0] + outwards * off
    up = jnp.asarray([0.0, 1.0, 0.0])
    ahead = jnp.clip(jnp.cos(turn), 0.0, 1.0)
    # The stand is highest at the nape and low where the collar opens.
    height = (stand * (1 - 0.55 * ahead**2))[:, None]
    down_body = base[2] - base[0]
    down_body = down_body / (jnp.linalg.norm(down_body, axis=-1, keepdims=True) + 1e-6)
    point = 1 + 0.5 * jnp.exp(-(((jnp.abs(signed) - gap - 0.12) / 0.22) ** 2))
    length = (fold * point)[:, None]
    crest = root + up * height + outwards * 0.002
    over = crest + outwards * 0.006 - up * 0.002
    laid = down_body * 0.75 + outwards * 0.45 - up * 0.25
    laid = laid / jnp.linalg.norm(laid, axis=-1, keepdims=True)
    tip = root + outwards * 0.010 + laid * length
    profile = jnp.stack(
        [
            root - up * 0.006,
            root,
            crest,
            over,
            over + 0.5 * (tip - over) + outwards * 0.003,
            tip,
            tip - outwards * 0.004,
        ]
    )
    # Where the collar is open its profile shrinks into its root.
    open_front = jnp.clip((jnp.abs(signed) - gap) / 0.06, 0.0, 1.0)[None, :, None]
    return root - up * 0.006 + open_front * (profile - root + up * 0.006)


def _hood(clothes: Clothes, fit: Fit, turn: jax.Array) -> jax.Array:
    """A hood lying on the shoulders [8,C,3]: a thick roll, thin in front and full behind."""
    share = jnp.linspace(0.0, 1.0, 9)[:, None]
    rear = jnp.clip(0.5 - 0.5 * jnp.cos(turn), 0.0, 1.0) ** 0.8
    base = _body(clothes, fit, jnp.stack([2.2 + 0.7 * (1 - rear)]), turn)[0]
    outwards = jnp.stack([jnp.sin(turn), jnp.zeros_like(turn), jnp.cos(turn)], -1)
    thick = 0.007 + 0.030 * rear
    angle = (1.1 - 1.45 * share) * np.pi
    crumple = 1 + 0.12 * jnp.sin(5 * turn + 4 * share)
    out = (thick * (1.0 + jnp.cos(angle)) * crumple)[..., None] * outwards
    up = (thick * (0.45 + 0.9 * jnp.sin(angle)))[..., None] * jnp.asarray([0.0, 1.0, 0.0])
    return base + outwards * 0.004 + out + up


def hidden_by_clothes(head: HeadModel) -> np.ndarray:
    """Triangles [T] bool of the head that a dressed torso replaces: shoulders and the foot of the neck (host).

    Left in place, they would turn with the head and pierce the garment.
    """
    template = np.asarray(head.template)
    marks = np.asarray(head.landmarks.of(head.template))
    chin = marks[8, 1]
    middle = 0.5 * (template[np.asarray(head.regions["scalp"]), 2].min() + marks[27, 2]) - 0.008
    away = np.hypot(template[:, 0], template[:, 2] - middle)
    below = chin - template[:, 1]
    low = (below > 0.072) | ((below > 0.024) & (away > 0.063))
    return low[np.asarray(head.triangles)].any(1)
