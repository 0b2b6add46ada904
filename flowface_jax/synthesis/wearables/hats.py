"""Headgear fitted to the head: beanies, caps, brimmed hats, headscarves, helmets and headphones."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.pytrees import pytree_dataclass
from flowface_jax.synthesis.hair.grids import grid_part, tubes, unit
from flowface_jax.synthesis.hair.shell import shell_radius
from flowface_jax.synthesis.scene import Material, Part, join
from flowface_jax.synthesis.wearables.fit import Fit, WearableAssets, fit_head

_FIELDS = "weight front back thickness band structure crown lean visor brim scarf phones".split()
_TABLE = {
    # front, back: heights of the edge above the brow and above the ears' middle; all lengths in m.
    #            wt  front  back   thick  band   struct crown lean  visor  brim  scarf phones
    "beanie":     (5, 0.022, -0.012, 0.010, 0.003, 0.0, 0.010, 0.010, 0.0, 0.0, 0, 0),
    "slouch":     (3, 0.034, -0.008, 0.011, 0.002, 0.0, 0.045, 0.050, 0.0, 0.0, 0, 0),
    "cap":        (6, 0.024, 0.012, 0.009, 0.000, 0.0, 0.012, 0.000, 0.065, 0.0, 0, 0),
    "backwards":  (2, 0.040, 0.002, 0.009, 0.000, 0.0, 0.010, 0.000, -0.060, 0.0, 0, 0),
    "brimmed":    (3, 0.036, 0.014, 0.011, 0.000, 1.0, 0.030, 0.000, 0.010, 0.055, 0, 0),
    "sunhat":     (2, 0.036, 0.010, 0.011, 0.000, 0.5, 0.018, 0.000, 0.010, 0.085, 0, 0),
    "headscarf":  (4, 0.030, -0.050, 0.007, 0.001, 0.0, 0.004, 0.010, 0.0, 0.0, 1, 0),
    "helmet":     (2, 0.030, -0.005, 0.026, 0.000, 0.0, 0.008, 0.000, 0.012, 0.0, 0, 0),
    "headphones": (4, 0.000, 0.000, 0.000, 0.000, 0.0, 0.000, 0.000, 0.0, 0.0, 0, 1),
}  # fmt: skip
HAT_NAMES = tuple(_TABLE)
_ROWS = np.array(list(_TABLE.values()), np.float32)
_FEMININE = np.array([name in ("headscarf", "sunhat") for name in HAT_NAMES])
_COLUMNS = 40


@pytree_dataclass
class Hat:
    """One piece of headgear; float32 scalars unless said, lengths in m.

    present: 0 or 1. front, back: height of its edge above the brow, and above the ears' middle behind. thickness: off
    the skin. band: extra at the edge. structure: 1 stiff walls, 0 follows the skull. crown: extra height. lean: how far
    the crown falls back. visor: length in front (negative: behind). brim: width all round. scarf: 1 wraps neck and
    cheeks. phones: 1 headphones. colour, second: [3] linear reflectance. stripes: 1 striped. rings: how many.
    """

    present: jax.Array
    front: jax.Array
    back: jax.Array
    thickness: jax.Array
    band: jax.Array
    structure: jax.Array
    crown: jax.Array
    lean: jax.Array
    visor: jax.Array
    brim: jax.Array
    scarf: jax.Array
    phones: jax.Array
    colour: jax.Array
    second: jax.Array
    stripes: jax.Array
    rings: jax.Array


@pytree_dataclass
class Cover:
    """What headgear does to hair: amount 1 presses it flat above height + slope · (z − head's centre), m; 0 none."""

    amount: jax.Array
    height: jax.Array
    slope: jax.Array


def sample_colours(key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Two colours of cloth [3]: mostly dark or muted, seldom bright."""
    keys = jax.random.split(key, 3)
    u = jax.random.uniform(keys[0], (2, 4))
    level = jnp.where(u[:, :1] < 0.4, 0.015 + 0.05 * u[:, 1:2], 0.04 + 0.6 * u[:, 1:2] ** 2)
    chroma = jnp.where(u[:, 2:3] < 0.55, 0.1, 0.65 * u[:, 3:])
    hue = jnp.exp(chroma * 1.6 * (jax.random.uniform(keys[1], (2, 3)) - 0.5) * 2)
    colours = jnp.clip(level * hue, 0.008, 0.8)
    return colours[0], colours[1]


def sample_hat(
    key: jax.Array,
    share: jax.Array | float = 1.0,
    kind: int | jax.Array | None = None,
    masculine: jax.Array | float = 0.5,
) -> Hat:
    """Draw headgear, worn with probability `share`; kind: index into HAT_NAMES, None for one at random.

    masculine: 1 leaves headscarves and sun hats out, 0 doubles them.
    """
    keys = jax.random.split(key, 5)
    u = jax.random.uniform(keys[0], (6,))
    weights = jnp.asarray(_ROWS[:, 0]) * jnp.where(_FEMININE, 2.0 * (1.0 - masculine) + 1e-6, 1.0)
    drawn = jax.random.categorical(keys[1], jnp.log(weights))
    index = drawn if kind is None else jnp.asarray(kind, jnp.int32)
    jitter = 1 + 0.25 * (jax.random.uniform(keys[2], (len(_FIELDS),)) - 0.5) * 2
    row = dict(zip(_FIELDS, jnp.asarray(_ROWS)[index] * jitter, strict=True))
    colour, second = sample_colours(keys[3])
    return Hat(
        present=jnp.where(u[0] < share, 1.0, 0.0),
        front=row["front"] + 0.012 * (u[1] - 0.3),
        back=row["back"] + 0.010 * (u[2] - 0.5),
        **{name: row[name] for name in ("thickness", "band", "crown", "lean", "visor", "brim")},
        structure=jnp.clip(row["structure"], 0.0, 1.0),
        scarf=jnp.where(row["scarf"] > 0, 1.0, 0.0),
        phones=jnp.where(row["phones"] > 0, 1.0, 0.0),
        colour=colour,
        second=second,
        stripes=jnp.where(u[3] < 0.25, 1.0, 0.0),
        rings=jnp.floor(2 + 5 * u[4]),
    )


def _edge(hat: Hat, fit: Fit) -> tuple[jax.Array, jax.Array]:
    """The plane of the hat's edge: height m at the head's centre and slope."""
    centre = fit.shell.centre
    brow = 0.5 * (fit.landmarks[19] + fit.landmarks[24])
    front = brow[1] + hat.front
    back = jnp.mean(fit.ear_middles[:, 1]) + 0.012 + hat.back
    depth = brow[2] - centre[2]
    slope = (front - back) / (2 * depth)
    return front - slope * depth, slope


def hat_cover(hat: Hat, assets: WearableAssets, head_vertices: jax.Array) -> Cover:
    """What the hat does to hair, to be passed to grow_hair."""
    fit = fit_head(assets, head_vertices)
    height, slope = _edge(hat, fit)
    amount = jnp.where((hat.present > 0) & (hat.phones < 1), 1.0, 0.0)
    return Cover(amount=amount, height=jnp.where(hat.scarf > 0, -1.0, height + 0.002), slope=slope)


def _directions(azimuth: jax.Array, elevation: jax.Array) -> jax.Array:
    flat = jnp.cos(elevation)
    return jnp.stack([jnp.sin(azimuth) * flat, jnp.sin(elevation), jnp.cos(azimuth) * flat], -1)


def _edge_elevation(hat: Hat, fit: Fit, azimuth: jax.Array) -> jax.Array:
    """Elevation [C] at which the skull crosses the plane of the edge."""
    height, slope = _edge(hat, fit)
    elevation = jnp.full_like(azimuth, 0.3)
    for _ in range(4):
        radius = shell_radius(fit.shell, _directions(azimuth, elevation)) + hat.thickness
        wanted = height + slope * radius * jnp.cos(elevation) * jnp.cos(azimuth) - fit.shell.centre[1]
        elevation = jnp.arcsin(jnp.clip(wanted / radius, -0.9, 0.95))
    # A headscarf's edge frames the face and runs down in front of the ears.
    turn = jnp.abs(jnp.arctan2(jnp.sin(azimuth), jnp.cos(azimuth)))
    beside = jnp.clip((turn - 0.75) / 0.55, 0.0, 1.0)
    framed = elevation + (beside * beside * (3 - 2 * beside)) * (-0.95 - elevation)
    return elevation + hat.scarf * (framed - elevation)


def build_hat(hat: Hat, assets: WearableAssets, head_vertices: jax.Array) -> Part:
    """Headgear fitted to a posed head, vertices [V,3] m, in the head's frame; CLOTH, headphones FRAME."""
    fit = fit_head(assets, head_vertices)
    worn = (hat.present > 0) & (hat.phones < 1)
    azimuth = jnp.arange(_COLUMNS) * (2 * np.pi / _COLUMNS)
    elevation = _edge_elevation(hat, fit, azimuth)
    crown, edge, colour = _crown(hat, fit, azimuth, elevation)
    brim = _brim(hat, fit, azimuth, edge)
    brimmed = worn & ((hat.brim > 0.004) | (jnp.abs(hat.visor) > 0.004))
    return join(
        [
            grid_part(crown, colour, Material.CLOTH, closed=True, present=worn),
            grid_part(brim, hat.second * 0.3 + hat.colour * 0.7, Material.CLOTH, closed=True, present=brimmed),
            _neck_wrap(hat, fit, worn),
            *_headphones(hat, fit),
        ]
    )


def _crown(hat: Hat, fit: Fit, azimuth: jax.Array, elevation: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The hat's body [R,C,3] from a lining inside the edge up to the top, its edge [C,3], its colours [R,C,3]."""
    share = jnp.concatenate([jnp.zeros(2), jnp.linspace(0.0, 1.0, 13)])[:, None]
    rows = elevation + share * (0.5 * np.pi - elevation)
    direction = _directions(jnp.broadcast_to(azimuth, rows.shape), rows)
    lining = jnp.arange(15)[:, None] == 0
    band = hat.band * jax.nn.sigmoid((0.17 - share) * 60) * jnp.where(share < 0.2, 1.0, 0.0)
    turn = jnp.abs(jnp.arctan2(direction[..., 0], direction[..., 2]))
    ears = jnp.exp(-(((turn - 1.72) / 0.36) ** 2) - ((rows + 0.17) / 0.36) ** 2)
    off = jnp.where(lining, -0.004, hat.thickness + band + 0.016 * ears)
    off = off + hat.crown * jnp.clip(jnp.sin(rows), 0.0, 1.0) ** 2 * share
    wrinkle = 0.0012 * jnp.sin(3 * azimuth + 9 * rows) + 0.001 * jnp.sin(7 * azimuth - 5 * rows)
    soft = jnp.where(lining, 0.0, 1.0 - hat.structure)
    radius = shell_radius(fit.shell, direction) + off + wrinkle * soft
    points = fit.shell.centre + direction * radius[..., None]
    points = points + jnp.asarray([0.0, -0.25, -1.0]) * (hat.lean * share**2 * jnp.sin(jnp.clip(rows, 0, 2)))[..., None]
    walled = _walls(fit, points[1], share, hat.crown)
    stiff = jnp.where(lining, 0.0, hat.structure)[..., None]
    points = points + stiff * (walled - points)
    striped = hat.stripes * jnp.where(jnp.sin(share * hat.rings * 2 * np.pi) > 0.2, 1.0, 0.0)
    ribbon = hat.structure * jnp.where((share > 0.02) & (share < 0.24), 1.0, 0.0)
    mix = jnp.broadcast_to(jnp.maximum(striped, ribbon), rows.shape)[..., None]
    return points, points[1], hat.colour + mix * (hat.second - hat.colour)


def _walls(fit: Fit, edge: jax.Array, share: jax.Array, crown: jax.Array) -> jax.Array:
    """A stiff crown [R,C,3] above an edge [C,3]: walls that lean in a little, then a dented top."""
    top = fit.shell.centre + jnp.asarray([0.0, 1.0, 0.0]) * (
        shell_radius(fit.shell, jnp.asarray([0.0, 1.0, 0.0])) + 0.012 + crown
    )
    middle = jnp.mean(edge, 0)
    rise = jnp.clip(share / 0.62, 0.0, 1.0)[..., None]
    inwards = 1 - 0.18 * rise**2
    closing = jnp.clip((share - 0.62) / 0.38, 0.0, 1.0)[..., None]
    ring = middle + (edge[None] - middle) * inwards * (1 - closing)
    height = edge[None, :, 1:2] + (top[1] - edge[None, :, 1:2]) * jnp.sin(0.5 * np.pi * rise)
    dent = -0.018 * jnp.exp(-(((ring[..., :1] - middle[0]) / 0.022) ** 2)) * closing
    return jnp.concatenate([ring[..., :1], height + dent, ring[..., 2:]], -1)


def _brim(hat: Hat, fit: Fit, azimuth: jax.Array, edge: jax.Array) -> jax.Array:
    """A visor or brim [5,C,3] growing out of the edge [C,3]."""
    share = jnp.asarray([-0.06, 0.0, 0.35, 0.7, 1.0])[:, None, None]
    ahead = jnp.cos(azimuth) * jnp.sign(hat.visor)
    visor = jnp.abs(hat.visor) * jnp.clip((ahead - 0.35) / 0.5, 0.0, 1.0) ** 0.6
    reach = (jnp.maximum(visor, hat.brim) + 0.0005)[:, None]
    outwards = unit(jnp.stack([jnp.sin(azimuth), jnp.zeros_like(azimuth), jnp.cos(azimuth)], -1))
    straight = jnp.stack([jnp.zeros(()), jnp.zeros(()), jnp.sign(hat.visor)])
    outwards = unit(outwards * 0.45 + jnp.where(hat.brim > 0.004, outwards * 2, straight))
    sideways = jnp.abs(jnp.sin(azimuth))[:, None]
    visor_droop = 0.22 + 0.75 * sideways**2
    brim_droop = 0.12 - 0.28 * sideways**2 * jnp.where(hat.structure > 0.7, 1.0, -0.8)
    droop = jnp.where(hat.brim > 0.004, brim_droop, visor_droop)
    down = jnp.asarray([0.0, -1.0, 0.0])
    return edge[None] + share * reach * (outwards + droop * (0.5 + 0.5 * share) * down)


def _neck_wrap(hat: Hat, fit: Fit, worn: jax.Array) -> Part:
    """A headscarf's folds about cheeks, chin and neck, down to the chest."""
    turn = (jnp.arange(_COLUMNS) * (2 * np.pi / _COLUMNS))[None]
    share = jnp.linspace(0.0, 1.0, 9)[:, None]
    cosine, sine = jnp.cos(turn), jnp.sin(turn)
    jaw = 0.5 * (fit.landmarks[14, 0] - fit.landmarks[2, 0])
    chin = jnp.min(fit.landmarks[6:11, 1])
    ahead = jnp.mean(fit.landmarks[7:10, 2]) - fit.neck[2]
    side = jaw + 0.012 + share * 0.030 + 0.05 * share**3
    front = ahead * (0.98 - 0.18 * jnp.sin(np.pi * share)) + 0.012 * share
    rear = 0.082 + 0.010 * share + 0.02 * share**2
    depth = jnp.where(cosine > 0, front, rear) * cosine
    # Above: just under the chin in front, as high as the ears at the sides.
    upper = chin - 0.002 + (fit.landmarks[2, 1] + 0.01 - chin) * (1 - jnp.clip(cosine, 0.0, 1.0) ** 1.6)
    lower = fit.neck[1] - 0.125 - 0.03 * jnp.clip(cosine, 0.0, 1.0)
    fold = 0.003 * jnp.sin(share * 19 + 2.2 * jnp.sin(turn + 0.6)) * jnp.abs(jnp.sin(np.pi * share)) ** 0.5
    x = fit.neck[0] + (side + fold) * sine
    z = fit.neck[2] + depth + fold * cosine
    points = jnp.stack([x, jnp.broadcast_to(upper + (lower - upper) * share, x.shape), z], -1)[::-1]
    return grid_part(points, hat.colour, Material.CLOTH, closed=True, present=worn & (hat.scarf > 0))


def _headphones(hat: Hat, fit: Fit) -> list[Part]:
    """A band over the top and two cups on the ears."""
    worn = (hat.present > 0) & (hat.phones > 0)
    angle = jnp.linspace(-0.02, 1.02, 15) * np.pi
    direction = jnp.stack([jnp.cos(angle), jnp.sin(angle), jnp.full_like(angle, -0.1)], -1)
    direction = unit(direction)
    ears = fit.ear_middles
    radius = shell_radius(fit.shell, direction) + 0.022 + 0.006 * jnp.abs(jnp.cos(angle))
    path = fit.shell.centre + direction * radius[:, None]
    path = path.at[:, 2].set(jnp.mean(ears[:, 2]) * 0.6 + 0.4 * path[:, 2])
    along = jnp.broadcast_to(jnp.asarray([0.0, 0.0, 1.0]) * 0.013, path.shape)
    band = tubes(path[None], along[None], direction[None] * 0.006, 8, True)[0]
    parts = [grid_part(band, hat.colour, Material.FRAME, closed=True, present=worn)]
    polar = jnp.asarray([0.0, 0.5, 0.85, 1.2, 1.57, 2.0])[:, None]
    turn = (jnp.arange(16) * (2 * np.pi / 16))[None]
    for index, sign in ((0, 1.0), (1, -1.0)):
        out = jnp.asarray([sign, 0.0, 0.0])
        place = ears[index] + jnp.asarray([sign * 0.002, 0.002, 0.004])
        wide = jnp.sin(polar) ** 0.5
        ring = jnp.stack([jnp.zeros_like(turn), 0.040 * jnp.cos(turn), -sign * 0.034 * jnp.sin(turn)], -1)
        cup = place + wide[..., None] * ring + (0.020 * jnp.cos(polar))[..., None] * out
        parts.append(grid_part(cup[::-1], hat.second, Material.FRAME, closed=True, present=worn))
    return parts
