"""Paths of locks: combed over the head, falling with gravity, kept off skull, neck, shoulders and face."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from flowface_jax.pytrees import pytree_dataclass
from flowface_jax.synthesis.hair.assets import HairAssets
from flowface_jax.synthesis.hair.grids import unit
from flowface_jax.synthesis.hair.shell import Shell, fit_shell, on_shell, shell_radius
from flowface_jax.synthesis.hair.style import HairStyle, lock_randoms


@pytree_dataclass
class Setting:
    """The posed head that hair meets: shell, landmarks [68,3], heights that follow it (m), roots and normals [N,3]."""

    shell: Shell
    landmarks: jax.Array
    brow: jax.Array
    hairline: jax.Array
    face_half_width: jax.Array
    chin: jax.Array
    roots: jax.Array
    normals: jax.Array


def settle(assets: HairAssets, head_vertices: jax.Array) -> Setting:
    """Measure a posed head, vertices [V,3] m."""
    shell = fit_shell(assets.shell, head_vertices)
    corners = head_vertices[assets.roots.vertex_ids]
    roots = jnp.einsum("nkd,nk->nd", corners, assets.roots.barycentric, precision="highest")
    flat = jnp.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]) * 1e5
    normals = unit(unit(flat) + unit(roots - shell.centre))
    marks = assets.landmarks.of(head_vertices)
    rise = jnp.mean(marks[27:31, 1] - assets.rest_landmarks[27:31, 1])
    return Setting(
        shell=shell,
        landmarks=marks,
        brow=0.5 * (marks[19, 1] + marks[24, 1]),
        hairline=assets.forehead + rise,
        face_half_width=0.5 * (marks[15, 0] - marks[1, 0]),
        # The chin itself drops with the jaw; the neck does not.
        chin=assets.rest_landmarks[8, 1] + rise,
        roots=roots,
        normals=normals,
    )


def _tangential(vectors: jax.Array, normals: jax.Array) -> jax.Array:
    return vectors - jnp.sum(vectors * normals, -1, keepdims=True) * normals


def knot(style: HairStyle, setting: Setting) -> jax.Array:
    """Where tied hair is held together [3] m."""
    azimuth, elevation = style.knot[0], style.knot[1]
    flat = jnp.cos(elevation)
    direction = jnp.stack([jnp.sin(azimuth) * flat, jnp.sin(elevation), jnp.cos(azimuth) * flat])
    return on_shell(setting.shell, direction, 0.006 + 0.45 * style.bun)


@pytree_dataclass
class _Lock:
    """Each lock's own constants: random numbers [N,8], side of the parting, share of the fringe, clearance [N,1]."""

    random: jax.Array
    side: jax.Array
    fringe: jax.Array
    clearance: jax.Array
    length: jax.Array


def _locks(style: HairStyle, assets: HairAssets, setting: Setting) -> _Lock:
    random = lock_randoms(style, assets.lock_random)
    roots, centre = setting.roots, setting.shell.centre
    side = jnp.where(roots[:, 0] - centre[0] > style.parting + 0.006 * (random[:, 0] - 0.5), 1.0, -1.0)
    azimuth = jnp.abs(assets.root_azimuth)
    front = jnp.where((azimuth < 0.85 - 0.3 * random[:, 1]) & (assets.root_elevation < 1.15), 1.0, 0.0)
    fringe = front * jnp.where(style.fringe > 0, 1.0, 0.0)
    clearance = 0.002 + style.volume * (0.15 + 0.85 * jnp.sqrt(random[:, 2]))
    length = _lengths(style, assets, setting, fringe, random)
    return _Lock(random=random, side=side, fringe=fringe, clearance=clearance[:, None], length=length)


def _lengths(style: HairStyle, assets: HairAssets, setting: Setting, fringe: jax.Array, random: jax.Array) -> jax.Array:
    """Length of every lock [N] m."""
    elevation, azimuth = assets.root_elevation, jnp.abs(assets.root_azimuth)
    top = jnp.clip((elevation - 0.45) / 0.55, 0.0, 1.0)
    back = jnp.clip((azimuth - 1.7) / 0.6, 0.0, 1.0)
    around = style.side + (style.back - style.side) * back
    plain = around + (style.top - around) * top
    # Ends at one height: over the skull to its widest place, then straight down.
    over = 0.1 * jnp.maximum(elevation, 0.0) + jnp.minimum(setting.roots[:, 1] - setting.shell.centre[1], 0.0)
    hanging = over + style.cut + 0.01
    length = jnp.where(style.cut > 0, jnp.maximum(hanging, 0.025), plain)
    # Short sides fade towards the hairline.
    fade = 0.45 + 0.55 * jnp.clip(assets.root_distance / 0.02, 0.0, 1.0)
    length = length * jnp.where(style.cut > 0, 1.0, fade)
    onto_forehead = 1.12 * (setting.roots[:, 1] - setting.brow) * style.fringe + 0.008
    length = jnp.where(fringe > 0, onto_forehead, length)
    return length * (0.82 + 0.3 * random[:, 3])


def _comb(style: HairStyle, setting: Setting, lock: _Lock, place: jax.Array, normals: jax.Array) -> jax.Array:
    """Direction [N,3] in which locks are combed at a place [N,3]."""
    centre = setting.shell.centre
    crown = centre + jnp.asarray([0.0, 0.085, -0.045])
    away = unit(place - crown)
    aside = jnp.concatenate([lock.side[:, None], jnp.full_like(lock.side[:, None], -0.35)], -1)
    parted = jnp.concatenate([aside, jnp.full_like(lock.side[:, None], -0.25)], -1)
    swept = jnp.asarray([0.0, -0.15, -1.0])
    forward = jnp.asarray([0.0, -0.2, 1.0])
    combed = style.whorl * away + style.part * parted + style.swept * swept + style.forward * forward
    # A fringe lies down from its roots, a little to one side of the parting.
    onto_face = jnp.stack([0.25 * jnp.sign(style.parting), -0.9, 1.3]) + 0.2 * parted
    combed = jnp.where(lock.fringe[:, None] > 0, onto_face, combed)
    spread = (lock.random[:, 4:7] - 0.5) * (2.5 * style.untidy)
    return _tangential(combed + spread, normals)


def _keep_off(style: HairStyle, setting: Setting, lock: _Lock, place: jax.Array) -> jax.Array:
    """Push points [N,3] out of skull, neck, shoulders, and aside from the face."""
    place = _off_face(setting, lock, place)
    offset = place - setting.shell.centre
    distance = jnp.sqrt(jnp.sum(offset * offset, -1, keepdims=True) + 1e-12)
    direction = offset / distance
    least = shell_radius(setting.shell, direction)[:, None] + lock.clearance
    # Locks rest on those beneath: what stands off further than its clearance sinks towards the skull.
    upper = jnp.clip((place[:, 1:2] - setting.shell.centre[1] + 0.06) / 0.05, 0.0, 1.0)
    sinking = upper * jnp.clip(0.55 - 0.5 * style.lift, 0.0, 0.5)
    distance = distance + sinking * jnp.minimum(least - distance, 0.0)
    place = setting.shell.centre + direction * distance
    # Below the jaw the shell is made up; the neck takes over.
    above = place[:, 1:2] > setting.chin + 0.015
    place = jnp.where(above, setting.shell.centre + direction * jnp.maximum(distance, least), place)
    return _off_shoulders(setting, lock, _off_neck(setting, lock, place))


def _off_face(setting: Setting, lock: _Lock, place: jax.Array) -> jax.Array:
    """Hair that reaches the face hangs beside it; only a fringe may lie on the forehead."""
    x, y, z = place[:, 0], place[:, 1], place[:, 2]
    centre = setting.shell.centre
    span = setting.hairline - setting.brow
    depth = jnp.clip((setting.hairline + 0.15 * span - y) / (1.1 * span), 0.0, 1.0)
    # The further forward, the wider the face's free field.
    ahead = jnp.clip((z - centre[2] - 0.01) / 0.03, 0.0, 1.0)
    least = (setting.face_half_width * (0.93 + 0.12 * lock.random[:, 7])) * depth * ahead
    aside = lock.side * jnp.maximum(lock.side * (x - centre[0]), least) + centre[0]
    low = jnp.clip((setting.brow - y) / 0.02, 0.0, 1.0)
    behind = jnp.minimum(z, centre[2] + 0.025 + 0.03 * lock.random[:, 1])
    z = jnp.where(lock.fringe > 0, z, z + low * (behind - z))
    return jnp.stack([jnp.where(lock.fringe > 0, x, aside), y, z], -1)


def _off_neck(setting: Setting, lock: _Lock, place: jax.Array) -> jax.Array:
    centre = setting.shell.centre
    x, z = place[:, 0] - centre[0], place[:, 2] - (centre[2] - 0.010)
    away = jnp.sqrt(x * x + z * z + 1e-10)
    low = jnp.clip((setting.chin + 0.05 - place[:, 1]) / 0.03, 0.0, 1.0)
    scale = jnp.maximum(away, low * (0.060 + lock.clearance[:, 0])) / away
    return jnp.stack([centre[0] + x * scale, place[:, 1], centre[2] - 0.010 + z * scale], -1)


def _off_shoulders(setting: Setting, lock: _Lock, place: jax.Array) -> jax.Array:
    """Shoulders and chest as one ellipsoid: hair slides over them."""
    radii = jnp.asarray([0.235, 0.150, 0.125])
    middle = jnp.stack([setting.shell.centre[0], setting.chin - 0.205, setting.shell.centre[2] - 0.022])
    scaled = (place - middle) / (radii + lock.clearance)
    size = jnp.sqrt(jnp.sum(scaled * scaled, -1, keepdims=True) + 1e-12)
    return jnp.where(size < 1, middle + (place - middle) / size, place)


def lock_paths(style: HairStyle, assets: HairAssets, setting: Setting) -> tuple[jax.Array, jax.Array]:
    """Points of all locks [N,K+1,3] m from root to tip, and their random numbers [N,8]."""
    lock = _locks(style, assets, setting)
    step = (lock.length / assets.segments)[:, None]
    normals = setting.normals
    start = setting.roots - 0.0015 * normals
    heading = unit(_comb(style, setting, lock, start, normals))
    heading = unit(heading + style.lift * (1 - 0.6 * lock.fringe[:, None]) * normals)
    down = jnp.asarray([0.0, -1.0, 0.0])

    def grow(state: tuple[jax.Array, jax.Array], index: jax.Array) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
        place, heading = state
        combed = _comb(style, setting, lock, place, unit(place - axis(setting, place)))
        # Past the head's widest place nothing holds a lock aside any more.
        free = jnp.clip((setting.shell.centre[1] + 0.03 - place[:, 1:2]) / 0.05, 0.0, 1.0)
        pull = style.gravity * (12.0 * step * (0.6 + 0.25 * index) + 0.5 * free)
        inwards = unit(axis(setting, place) - place) * (0.10 * free * style.gravity)
        heading = unit(heading + (1 - 0.9 * free) * 0.5 * combed + pull * down + inwards)
        moved = _keep_off(style, setting, lock, place + heading * step)
        heading = unit(moved - place)
        place = place + heading * step
        return (place, heading), place

    # A scan, not an unrolled loop: compilers fuse the latter into kernels that work everything out several times.
    _, places = jax.lax.scan(grow, (start, heading), jnp.arange(assets.segments, dtype=jnp.float32))
    paths = jnp.concatenate([start[:, None], jnp.moveaxis(places, 0, 1)], 1)
    paths = _clumped(style, assets, paths)
    tied = ((style.tie > 0) & (lock.fringe < 1))[:, None, None]
    paths = jnp.where(tied, _tied(style, assets, setting, lock), paths)
    return _curled(style, setting, lock, paths), lock.random


def axis(setting: Setting, places: jax.Array) -> jax.Array:
    """What hair at places [...,3] faces away from: the head's centre above it, the neck's axis below [...,3]."""
    centre = setting.shell.centre
    height = jnp.minimum(places[..., 1], centre[1])
    return jnp.stack([jnp.full_like(height, centre[0]), height, jnp.full_like(height, centre[2])], -1)


def _tied(style: HairStyle, assets: HairAssets, setting: Setting, lock: _Lock) -> jax.Array:
    """Paths [N,K+1,3] along great circles to the knot, then hanging from it (or, in a bun, staying there)."""
    end = unit(knot(style, setting) - setting.shell.centre)
    begin = unit(setting.roots - setting.shell.centre)
    on_head = (4 * assets.segments) // 7
    share = jnp.linspace(0.0, 1.0, on_head + 1)[None, :, None]
    angle = jnp.arccos(jnp.clip(begin @ end, -0.999, 0.999))[:, None, None]
    arc = (jnp.sin((1 - share) * angle) * begin[:, None] + jnp.sin(share * angle) * end) / jnp.sin(angle)
    arc = unit(arc)
    clear = lock.clearance[:, None] * jnp.sin(jnp.pi * (0.12 + 0.75 * share)) - 0.0015 * (share == 0)
    scalp = on_shell(setting.shell, arc, clear[..., 0])
    scalp = jnp.concatenate([setting.roots[:, None] - 0.001 * begin[:, None], scalp[:, 1:]], 1)
    hang = (jnp.arange(1, assets.segments - on_head + 1) / (assets.segments - on_head))[None, :, None]
    apart = (lock.random[:, 4:7] - 0.5)[:, None]
    length = jnp.where(style.bun > 0, 0.0, style.back) * (0.7 + 0.45 * lock.random[:, 3:4, None])
    bulge = jnp.asarray([0.030, 0.012, 0.026]) * (0.5 + jnp.sin(0.8 * jnp.pi * hang))
    backwards = jnp.sin(0.5 * jnp.pi * jnp.minimum(hang * 2.0, 1.0)) * jnp.asarray([0.0, 0.004, -0.024])
    tail = knot(style, setting) + backwards + apart * bulge * (1 - 0.5 * hang)
    tail = tail + length * hang * jnp.asarray([0.0, -1.0, -0.06])
    tail = jnp.where(style.bun > 0, knot(style, setting) + 0.5 * style.bun * apart, tail)
    return jnp.concatenate([scalp, tail], 1)


def _clumped(style: HairStyle, assets: HairAssets, paths: jax.Array) -> jax.Array:
    """Draw locks together towards their tips, onto the leader of their clump."""
    along = jnp.linspace(0.0, 1.0, paths.shape[1])[None, :, None]
    return paths + (style.clump * along**1.5) * 0.7 * (paths[assets.leader] - paths)


def _curled(style: HairStyle, setting: Setting, lock: _Lock, paths: jax.Array) -> jax.Array:
    """Wind the paths into helices; the root stays."""
    count = paths.shape[1]
    along = jnp.arange(count) * (lock.length[:, None] / (count - 1))
    # Waves of neighbouring locks agree roughly, as they do on a head.
    phase = 2.2 * lock.random[:, 5:6] + 3.0 * lock.side[:, None] + 25.0 * setting.roots[:, 2:3]
    pitch = jnp.maximum(style.curl_length, 4.6 * lock.length[:, None] / (count - 1))
    angle = 2 * jnp.pi * along / pitch + phase
    grown = jnp.clip(along / 0.03, 0.0, 1.0) * style.curl * (0.6 + 0.8 * lock.random[:, 6:7])
    outward = unit(paths - setting.shell.centre)
    tangent = unit(jnp.concatenate([paths[:, 1:] - paths[:, :-1], paths[:, -1:] - paths[:, -2:-1]], 1))
    aside = unit(jnp.cross(tangent, outward))
    rise = jnp.where(lock.fringe[:, None] > 0, jnp.abs(jnp.sin(angle)), 0.5 + 0.5 * jnp.sin(angle))
    return paths + grown[..., None] * (jnp.cos(angle)[..., None] * aside + rise[..., None] * outward)
