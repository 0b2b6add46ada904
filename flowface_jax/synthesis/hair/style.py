"""Hair styles as numbers, and drawing them at random."""

# ruff: noqa: E501  (the table of styles reads best one style to a line)

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.pytrees import pytree_dataclass

_FIELDS = (
    "masculine feminine thickness top side back cut lift gravity whorl part swept forward "
    "curl curl_length clump fringe tie volume width receding".split()
)
_TABLE = {
    # Weights among masculine and feminine people. Lengths and curl in m; thickness of the cap m; cut: how far below the
    # head's centre the ends hang, 0 for none.
    #          masc fem  thick  top   side  back  cut  lift grav whorl part swept forw curl  c_len clump fringe tie vol  width rec
    "bald":    (6, 1, 0.000, 0.000, 0.000, 0.000, 0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.000, 0.05, 0.0, 0.0, 0, 0.000, 0.0035, 1.0),
    "shaved":  (4, 0.7, 0.0008, 0.003, 0.002, 0.002, 0, 0.9, 0.0, 0.6, 0.0, 0.0, 0.5, 0.000, 0.05, 0.0, 0.0, 0, 0.001, 0.0030, 0.1),
    "buzz":    (9, 1, 0.0025, 0.008, 0.005, 0.005, 0, 0.8, 0.0, 0.6, 0.0, 0.0, 0.5, 0.000, 0.05, 0.0, 0.0, 0, 0.002, 0.0035, 0.1),
    "crop":    (15, 3, 0.005, 0.034, 0.014, 0.014, 0, 0.5, 0.1, 0.8, 0.1, 0.0, 0.5, 0.001, 0.05, 0.3, 0.4, 0, 0.004, 0.0042, 0.1),
    "spiky":   (4, 0.7, 0.006, 0.042, 0.014, 0.016, 0, 1.3, 0.0, 0.4, 0.0, 0.2, 0.5, 0.001, 0.05, 0.7, 0.0, 0, 0.005, 0.0045, 0.1),
    "sided":   (14, 5, 0.007, 0.085, 0.026, 0.024, 0, 0.5, 0.4, 0.1, 1.1, 0.5, 0.1, 0.003, 0.08, 0.4, 0.0, 0, 0.008, 0.0055, 0.1),
    "quiff":   (9, 2, 0.008, 0.080, 0.018, 0.020, 0, 0.9, 0.2, 0.0, 0.2, 1.2, 0.0, 0.002, 0.07, 0.4, 0.0, 0, 0.010, 0.0052, 0.1),
    "fringed": (6, 5, 0.007, 0.075, 0.045, 0.045, 0, 0.3, 0.7, 0.7, 0.2, 0.0, 0.7, 0.003, 0.07, 0.4, 0.9, 0, 0.009, 0.0058, 0.0),
    "bob":     (0.4, 10, 0.009, 0.100, 0.100, 0.100, 0.11, 0.3, 0.9, 0.1, 1.0, 0.1, 0.0, 0.002, 0.09, 0.3, 0.0, 0, 0.013, 0.0072, 0.0),
    "bobbed":  (0.2, 4, 0.009, 0.100, 0.100, 0.100, 0.12, 0.2, 0.9, 0.6, 0.2, 0.0, 0.2, 0.002, 0.09, 0.3, 1.0, 0, 0.012, 0.0072, 0.0),
    "long":    (1.2, 15, 0.009, 0.200, 0.200, 0.200, 0.26, 0.2, 1.0, 0.1, 1.0, 0.2, 0.0, 0.002, 0.14, 0.3, 0.0, 0, 0.011, 0.0078, 0.0),
    "layered": (0.4, 7, 0.009, 0.200, 0.200, 0.200, 0.24, 0.3, 1.0, 0.4, 0.6, 0.1, 0.1, 0.006, 0.10, 0.4, 0.9, 0, 0.013, 0.0076, 0.0),
    "wavy":    (1, 13, 0.010, 0.180, 0.180, 0.180, 0.23, 0.4, 0.9, 0.1, 1.0, 0.2, 0.0, 0.010, 0.08, 0.6, 0.0, 0, 0.017, 0.0078, 0.0),
    "curly":   (6, 8, 0.017, 0.062, 0.052, 0.052, 0, 0.6, 0.4, 0.6, 0.2, 0.1, 0.1, 0.009, 0.032, 0.3, 0.2, 0, 0.014, 0.0048, 0.1),
    "curtain": (1.2, 6, 0.014, 0.160, 0.160, 0.160, 0.17, 0.6, 0.7, 0.2, 0.9, 0.1, 0.0, 0.013, 0.04, 0.4, 0.0, 0, 0.022, 0.0068, 0.0),
    "afro":    (4, 5, 0.040, 0.046, 0.044, 0.044, 0, 4.0, 0.0, 0.1, 0.0, 0.0, 0.0, 0.007, 0.020, 0.0, 0.0, 0, 0.012, 0.0072, 0.0),
    "coils":   (5, 3, 0.010, 0.018, 0.011, 0.011, 0, 1.1, 0.0, 0.3, 0.0, 0.0, 0.0, 0.005, 0.016, 0.2, 0.0, 0, 0.006, 0.0038, 0.0),
    "tail":    (0.8, 11, 0.005, 0.150, 0.150, 0.150, 0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.004, 0.12, 0.2, 0.0, 1, 0.005, 0.0068, 0.0),
    "bun":     (0.8, 9, 0.006, 0.005, 0.005, 0.005, 0, 0.0, 0.3, 0.0, 0.0, 1.0, 0.0, 0.002, 0.10, 0.2, 0.0, 1, 0.006, 0.0068, 0.0),
    "horseshoe": (6, 0.1, 0.004, 0.004, 0.020, 0.018, 0, 0.4, 0.3, 0.7, 0.0, 0.3, 0.0, 0.001, 0.05, 0.3, 0.0, 0, 0.004, 0.0042, 1.6),
    "thinning": (8, 0.5, 0.004, 0.040, 0.018, 0.016, 0, 0.4, 0.2, 0.2, 0.3, 0.9, 0.0, 0.002, 0.06, 0.4, 0.0, 0, 0.005, 0.0046, 0.8),
}  # fmt: skip
STYLE_NAMES = tuple(_TABLE)
_ROWS = np.array(list(_TABLE.values()), np.float32)
_LOST = np.array([name in ("bald", "horseshoe", "thinning") for name in STYLE_NAMES])
_COILED = np.array([name in ("afro", "coils") for name in STYLE_NAMES])
_SMOOTH = np.array([name in ("long", "layered", "bob", "bobbed", "fringed", "spiky", "quiff") for name in STYLE_NAMES])

_NATURAL = np.array(  # linear reflectance of the strands' colour, with how common it is
    [
        (0.010, 0.008, 0.007, 24),
        (0.020, 0.013, 0.009, 18),
        (0.038, 0.022, 0.013, 16),
        (0.070, 0.038, 0.020, 12),
        (0.125, 0.072, 0.036, 9),
        (0.230, 0.145, 0.070, 7),
        (0.360, 0.250, 0.130, 5),
        (0.480, 0.370, 0.230, 2),
        (0.130, 0.042, 0.014, 4),
        (0.190, 0.070, 0.022, 3),
    ],
    np.float32,
)
_GREY = np.array([0.42, 0.42, 0.43], np.float32)


@pytree_dataclass
class HairStyle:
    """One person's hair; every field a float32 scalar unless said. Lengths in m.

    present: 0 or 1. thickness: of the cap. top, side, back: lengths of locks. cut: how far below the head's centre the
    ends hang (0: lengths rule). lift: how far locks stand off the scalp at the root. gravity: how soon they fall.
    whorl, part, swept, forward: how far they are combed away from the crown, away from the parting, backwards, forwards.
    parting: x of the parting. curl, curl_length: radius and pitch. clump: 0 separate locks to 1 joined ends.
    fringe: length of front locks combed onto the forehead as a share of its height, 0 none. tie: 1 drawn to `knot`.
    knot: [2] azimuth and elevation of the knot, rad. bun: its radius, 0 none. volume: how far locks lie apart from the scalp.
    width: of a lock. receding: 0 full to 1 bald on top. ragged: unevenness of the hairline. colour, tip: [3] linear
    reflectance. streaks: spread of the locks' brightness. grey: share of grey locks. untidy: spread of directions.
    shift: [8] in [0,1), what makes the locks' own randomness differ between people.
    """

    present: jax.Array
    thickness: jax.Array
    top: jax.Array
    side: jax.Array
    back: jax.Array
    cut: jax.Array
    lift: jax.Array
    gravity: jax.Array
    whorl: jax.Array
    part: jax.Array
    swept: jax.Array
    forward: jax.Array
    parting: jax.Array
    curl: jax.Array
    curl_length: jax.Array
    clump: jax.Array
    fringe: jax.Array
    tie: jax.Array
    knot: jax.Array
    bun: jax.Array
    volume: jax.Array
    width: jax.Array
    receding: jax.Array
    ragged: jax.Array
    colour: jax.Array
    tip: jax.Array
    streaks: jax.Array
    grey: jax.Array
    untidy: jax.Array
    shift: jax.Array


def style_weights(
    masculine: jax.Array | float = 0.5, age: jax.Array | float = 0.35, melanin: jax.Array | float = 0.4
) -> jax.Array:
    """How common each style [S] is among people of a fashion (1 masculine, 0 feminine), age and skin, all in [0,1].

    Hair is lost with age, among the masculine; tightly coiled hair comes with dark skin, and straight hair seldom.
    """
    weights = jnp.asarray(_ROWS[:, 0]) * masculine + jnp.asarray(_ROWS[:, 1]) * (1.0 - masculine)
    weights = weights * jnp.where(_LOST, 0.25 + 2.0 * age, 1.0)
    weights = weights * jnp.where(_COILED, 0.1 + 4.5 * jnp.square(melanin), 1.0)
    return weights * jnp.where(_SMOOTH, 1.0 - 0.6 * melanin, 1.0)


def sample_hair(
    key: jax.Array,
    kind: int | jax.Array | None = None,
    *,
    masculine: jax.Array | float = 0.5,
    age: jax.Array | float = 0.35,
    melanin: jax.Array | float = 0.4,
) -> HairStyle:
    """Draw a style; kind: index into STYLE_NAMES, None for one at random, as common as `style_weights` says."""
    keys = jax.random.split(key, 6)
    drawn = jax.random.categorical(keys[0], jnp.log(style_weights(masculine, age, melanin)))
    index = drawn if kind is None else jnp.asarray(kind, jnp.int32)
    spread = jnp.exp(0.22 * jax.random.truncated_normal(keys[1], -2.0, 2.0, (len(_FIELDS),)))
    row = dict(zip(_FIELDS, jnp.asarray(_ROWS)[index] * spread, strict=True))
    u = jax.random.uniform(keys[2], (16,))
    colour, tip, grey = _sample_colour(keys[3])
    is_bun = index == STYLE_NAMES.index("bun")
    knot = jnp.stack([jnp.pi * jnp.ones(()), jnp.where(is_bun, -0.1 + 1.1 * u[1], -0.25 + 0.9 * u[1])])
    mirrored = jnp.where(u[0] < 0.5, -1.0, 1.0)
    return HairStyle(
        present=jnp.where(index == 0, 0.0, 1.0),
        **{name: row[name] for name in ("thickness", "top", "side", "back")},
        cut=row["cut"],
        **{name: row[name] for name in ("lift", "gravity", "whorl", "part", "swept", "forward")},
        parting=mirrored * jnp.where(u[3] < 0.3, 0.004, 0.022 + 0.018 * u[4]),
        **{name: row[name] for name in ("curl", "curl_length")},
        clump=jnp.clip(row["clump"], 0.0, 0.9),
        fringe=jnp.where(row["fringe"] > 0, jnp.clip(row["fringe"], 0.35, 0.97), 0.0),
        tie=jnp.where(row["tie"] > 0, 1.0, 0.0),
        knot=knot,
        bun=jnp.where(is_bun, 0.024 + 0.014 * u[5], 0.0),
        **{name: row[name] for name in ("volume", "width")},
        receding=row["receding"] * (0.4 + 1.2 * u[6]),
        ragged=0.0015 + 0.003 * u[7],
        colour=colour,
        tip=tip,
        streaks=0.10 + 0.16 * u[8],
        grey=grey,
        untidy=0.10 + 0.22 * u[9],
        shift=jax.random.uniform(keys[4], (8,)),
    )


def _sample_colour(key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Colour at the root and at the tip [3], and the share of grey locks."""
    keys = jax.random.split(key, 5)
    u = jax.random.uniform(keys[0], (6,))
    common = jnp.asarray(_NATURAL[:, 3] / _NATURAL[:, 3].sum())
    natural = jnp.asarray(_NATURAL)[jax.random.choice(keys[1], len(_NATURAL), p=common), :3]
    natural = (
        natural
        * jnp.exp(0.25 * jax.random.truncated_normal(keys[2], -2.0, 2.0))
        * jnp.exp(0.06 * jax.random.truncated_normal(keys[3], -2.0, 2.0, (3,)))
    )
    dyed = 0.02 + 0.4 * jax.random.uniform(keys[4], (3,)) ** 1.5
    base = jnp.where(u[0] < 0.035, dyed, natural)
    bleached = u[1] < 0.12
    tip = jnp.where(bleached, 0.4 * base + jnp.asarray([0.22, 0.145, 0.075]), base * (1.1 + 0.5 * u[2]))
    grey = jnp.where(u[3] < 0.2, u[4], 0.0)
    grey = jnp.where(u[3] < 0.04, 1.0, grey)
    return base, tip, grey


def grey_colour() -> jax.Array:
    """Linear reflectance [3] of a strand without pigment."""
    return jnp.asarray(_GREY)


def lock_randoms(style: HairStyle, table: jax.Array) -> jax.Array:
    """The locks' own uniform numbers [N,8], another set for every style but the same for every frame."""
    shifted = table + style.shift
    return shifted - jnp.floor(shifted)
