"""Putting the parts together: the left half of the head, then its mirror image."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from flowface_jax.heads.generic import anatomy, domain, ears, eyes, mouth, surface, topology
from flowface_jax.heads.generic.curves import closed_curve

Array = NDArray[np.float64]
Ids = NDArray[np.int64]

RIM_COUNT = 24
NOSTRIL_COUNT = 12


@dataclass(frozen=True)
class GenericMesh:
    """The neutral head.

    vertices: [V,3] mm. uv: [V,2]. triangles: [T,3]. mirror: [V] the vertex on the other side.
    parts: name → ids, in the order in which the part was built, of the left half and the midline. mirrored ids follow
    from `mirror`.
    """

    vertices: Array
    uv: Array
    triangles: Ids
    mirror: Ids
    parts: dict[str, Ids]

    def both(self, name: str) -> Ids:
        """Ids of a part on both sides."""
        return np.unique(np.concatenate([self.parts[name], self.mirror[self.parts[name]]]))

    def mask(self, *names: str) -> NDArray[np.bool_]:
        """[V] which vertices belong to any of the named parts, on both sides."""
        result = np.zeros(len(self.vertices), bool)
        for name in names:
            result[self.both(name)] = True
        return result


@dataclass
class _Half:
    """The left half while it grows."""

    vertices: list[Array] = field(default_factory=list)
    uv: list[Array] = field(default_factory=list)
    triangles: list[Ids] = field(default_factory=list)
    parts: dict[str, Ids] = field(default_factory=dict)
    count: int = 0

    def add(self, name: str, vertices: Array, uv: Array) -> Ids:
        ids = np.arange(self.count, self.count + len(vertices))
        self.vertices.append(vertices)
        self.uv.append(uv)
        self.parts[name] = ids
        self.count += len(vertices)
        return ids

    def strip(self, first: Ids, second: Ids, closed: bool) -> None:
        """Triangles between two rows of equal length."""
        following = (lambda row: np.roll(row, -1)) if closed else (lambda row: row[1:])
        a, b = (first, second) if closed else (first[:-1], second[:-1])
        self.triangles.append(np.column_stack([a, following(first), following(second)]))
        self.triangles.append(np.column_stack([a, following(second), b]))

    def fan(self, ring: Ids, centre: int, closed: bool) -> None:
        """Triangles between a row and one point."""
        following = np.roll(ring, -1) if closed else ring[1:]
        start = ring if closed else ring[:-1]
        self.triangles.append(np.column_stack([start, following, np.full(len(start), centre)]))


def build() -> GenericMesh:
    """The neutral head, deterministic, from the tables of `anatomy` alone."""
    half = _Half()
    _add_skin(half)
    _add_lids_and_eyeball(half)
    _add_nostril(half)
    _add_ear(half)
    _add_mouth(half)
    return _mirrored(half)


def _lip_disc(row: mouth.LipRow, contact: mouth.LipRow) -> Array:
    disc = domain.to_disc(surface.open_lips(row.positions, row.side, contact.positions[:, 0]))
    disc[[0, -1], 0] = 0.0
    return disc


def _add_skin(half: _Half) -> None:
    lips = mouth.lip_rows()
    lids = eyes.lid_rows()
    nostril = closed_curve(anatomy.NOSTRIL_RIM, NOSTRIL_COUNT)
    loops: dict[str, tuple[Array, Array | None]] = {}
    for name, row in zip(("lip_contact", "lip_middle", "lip_border"), lips, strict=True):
        loops[name] = (_lip_disc(row, lips[0]), row.positions)
    for name, row in zip(("lid_margin", "lid_lash", "lid_plate"), lids, strict=True):
        loops[name] = (domain.to_disc(eyes.drawn(row)), row)
    loops["nostril_rim"] = (domain.to_disc(nostril), nostril)
    known_disc = np.concatenate([disc for disc, _ in loops.values()])
    known = np.concatenate([position for _, position in loops.values()])
    shape = surface.skin(*_unique(known_disc, known))
    loops["ear_attachment"] = (domain.to_disc(ears.attachment()), None)
    loops["rim"] = (topology.rim(RIM_COUNT), None)
    border = loops["lip_border"][0]
    loops["midline_below"] = (topology.midline(-1.0, float(border[-1, 1]))[1:-1], None)
    loops["midline_above"] = (topology.midline(float(border[0, 1]), 1.0)[1:-1], None)
    fixed = np.concatenate([disc for disc, _ in loops.values()])
    start = 0
    for name, (disc, _) in loops.items():
        half.parts[name] = np.arange(start, start + len(disc))
        start += len(disc)
    holes = [half.parts[name] for name in ("lip_contact", "lid_margin", "nostril_rim", "ear_attachment")]
    drawing = topology.draw(fixed, holes)
    vertices = shape(drawing.disc)
    for name, (_, position) in loops.items():
        if position is not None:
            vertices[half.parts[name]] = position
    _rest_on_eyeball(vertices)
    _level_rim(vertices, half.parts["rim"])
    half.add("skin", vertices, domain.to_atlas(drawing.disc))
    half.triangles.append(drawing.triangles)


def _unique(disc: Array, positions: Array) -> tuple[Array, Array]:
    """Each place of the disc once: interpolation cannot pass twice through one."""
    _, first = np.unique(np.round(disc, 6), axis=0, return_index=True)
    first = np.sort(first)
    return disc[first], positions[first]


def _level_rim(vertices: Array, rim: Ids) -> None:
    """Stretch the bottom of the neck so that its rim lies in one level plane."""
    top, level = -125.0, -156.0
    around = np.arctan2(vertices[rim, 0], vertices[rim, 2] - anatomy.ROOT_JOINT[2])
    order = np.argsort(around)
    low = vertices[:, 1] < top
    azimuth = np.arctan2(vertices[low, 0], vertices[low, 2] - anatomy.ROOT_JOINT[2])
    bottom = np.interp(azimuth, around[order], vertices[rim, 1][order])
    vertices[low, 1] = top + (vertices[low, 1] - top) * (level - top) / (bottom - top)


def _rest_on_eyeball(vertices: Array) -> None:
    """Push skin near the eye outwards where it would come closer to the ball than a lid is thick."""
    offset = vertices - np.asarray(anatomy.EYE_CENTRE)
    distance = np.linalg.norm(offset, axis=1)
    least = anatomy.EYE_RADIUS + anatomy.LID_CLEARANCE + anatomy.LID_THICKNESS - 0.05
    near = (distance < least) & (offset[:, 2] > 0)
    vertices[near] += offset[near] * (least / distance[near] - 1.0)[:, None]


def _towards(loop: Array, centre: Array, share: float) -> Array:
    return centre + (loop - centre) * share


def _add_lids_and_eyeball(half: _Half) -> None:
    margin = half.parts["lid_margin"]
    positions, uv = half.vertices[0][margin], half.uv[0][margin]
    centre = uv.mean(axis=0)
    previous = margin
    for name, row, share in zip(("lid_edge", "lid_back"), eyes.inner_lid_rows(positions), (0.93, 0.87), strict=True):
        ids = half.add(name, row, _towards(uv, centre, share))
        half.strip(previous, ids, closed=True)
        previous = ids
    ball, chart, triangles = eyes.eyeball()
    reach = 0.83 * _reach(uv - centre, np.arctan2(chart[:, 1], chart[:, 0]))
    ids = half.add("eyeball", ball, centre + chart * reach[:, None])
    half.triangles.append(ids[0] + triangles)


def _reach(polygon: Array, angle: Array) -> Array:
    """Distance from the origin to a star-shaped polygon [N,2] in given directions [M], rad."""
    start, end = polygon, np.roll(polygon, -1, axis=0)
    direction = np.column_stack([np.cos(angle), np.sin(angle)])
    edge = end - start
    denominator = direction[:, None, 0] * edge[:, 1] - direction[:, None, 1] * edge[:, 0]
    denominator = np.where(np.abs(denominator) < 1e-15, 1e-15, denominator)
    reach = (start[:, 0] * edge[:, 1] - start[:, 1] * edge[:, 0]) / denominator
    along = (start[:, 0] * direction[:, None, 1] - start[:, 1] * direction[:, None, 0]) / denominator
    hit = (along >= -1e-9) & (along <= 1 + 1e-9) & (reach > 0)
    return np.min(np.where(hit, reach, np.inf), axis=1)


def _add_nostril(half: _Half) -> None:
    rim = half.parts["nostril_rim"]
    positions, uv = half.vertices[0][rim], half.uv[0][rim]
    centre, middle = uv.mean(axis=0), positions.mean(axis=0)
    up = np.array([0.05, 0.97, -0.25]) / np.linalg.norm([0.05, 0.97, -0.25])
    previous = rim
    for k, (share, depth) in enumerate(((0.88, 0.25), (0.72, 0.75))):
        row = middle + (positions - middle) * share + up * depth * anatomy.NOSTRIL_DEPTH
        ids = half.add(f"nostril_{k}", row, _towards(uv, centre, 0.72 - 0.34 * k))
        half.strip(previous, ids, closed=True)
        previous = ids
    end = half.add("nostril_end", (middle + up * anatomy.NOSTRIL_DEPTH)[None], centre[None])
    half.fan(previous, int(end[0]), closed=True)


def _add_ear(half: _Half) -> None:
    attached = half.parts["ear_attachment"]
    positions, uv = half.vertices[0][attached], half.uv[0][attached]
    centre = uv.mean(axis=0)
    rows = ears.rings(positions)
    previous, ids = attached, []
    for k, row in enumerate(rows[:-1]):
        current = half.add(f"ear_{k}", row, _towards(uv, centre, 1.0 - (k + 1) / len(rows)))
        half.strip(previous, current, closed=True)
        previous = current
        ids.append(current)
    canal = half.add("ear_canal", rows[-1], centre[None])
    half.fan(previous, int(canal[0]), closed=True)
    half.parts["ear"] = np.concatenate([*ids, canal])


def _add_mouth(half: _Half) -> None:
    contact = half.parts["lip_contact"]
    positions, uv = half.vertices[0][contact], half.uv[0][contact]
    centre = np.array([0.5, 0.5 * (uv[0, 1] + uv[-1, 1])])
    previous, ids = contact, []
    rows = mouth.cavity_rows(positions)
    for k, row in enumerate(rows):
        current = half.add(f"cavity_{k}", row, _towards(uv, centre, 1.0 - 0.42 * (k + 1) / len(rows)))
        half.strip(previous, current, closed=False)
        previous = current
        ids.append(current)
    half.parts["cavity"] = np.concatenate(ids)
    inner = 0.94 * (_towards(uv, centre, 0.58) - centre)
    _add_teeth(half, centre, inner)
    _add_tongue(half, centre, inner)


def _lens(inner: Array, x: Array, y: Array) -> Array:
    """Atlas offsets [N,2] of lens coordinates: x in [0,1] towards the corner, y in [-1,1] from lower to upper lip."""
    upper, lower = inner[: mouth.HALF + 1], inner[mouth.HALF :][::-1]
    u = x * inner[mouth.HALF, 0]
    top = np.interp(u, upper[:, 0], upper[:, 1])
    bottom = np.interp(u, lower[:, 0], lower[:, 1])
    return np.column_stack([u, bottom + (top - bottom) * (y + 1) / 2])


def _add_teeth(half: _Half, centre: Array, inner: Array) -> None:
    across = np.linspace(0.0, 0.8, mouth.TOOTH_COLUMNS)
    for name, upper, heights in (
        ("teeth_upper", True, (0.95, 0.78, 0.7, 0.5)),
        ("teeth_lower", False, (-0.95, -0.78, -0.7, -0.5)),
    ):
        rows = mouth.teeth(upper)
        ids = [
            half.add(f"{name}_{k}", rows[k], centre + _lens(inner, across, np.full(len(across), heights[k])))
            for k in range(len(rows))
        ]
        for first, second in itertools.pairwise(ids):
            half.strip(first, second, closed=False)
        half.parts[name] = np.concatenate(ids)


def _add_tongue(half: _Half, centre: Array, inner: Array) -> None:
    tip, rows = mouth.tongue()
    around = np.linspace(np.pi / 2, -np.pi / 2, mouth.TONGUE_COLUMNS)
    tip_ids = half.add("tongue_tip", tip[None], centre[None] + _lens(inner, np.zeros(1), np.zeros(1)))
    previous, ids = None, [tip_ids]
    for k, row in enumerate(rows):
        share = (k + 1) / len(rows)
        x, y = 0.62 * share * np.cos(around), 0.42 * share * np.sin(around)
        x[[0, -1]] = 0.0
        current = half.add(f"tongue_{k}", row, centre + _lens(inner, x, y))
        if previous is None:
            half.fan(current, int(tip_ids[0]), closed=False)
        else:
            half.strip(previous, current, closed=False)
        previous = current
        ids.append(current)
    half.parts["tongue"] = np.concatenate(ids)


def _mirrored(half: _Half) -> GenericMesh:
    """Add the mirror image; vertices drawn on the atlas's middle belong to both halves."""
    vertices, uv = np.concatenate(half.vertices), np.concatenate(half.uv)
    triangles = np.concatenate([half.triangles[0], _positive(np.concatenate(half.triangles[1:]), uv)])
    middle = np.abs(uv[:, 0] - 0.5) < 1e-9
    vertices[middle, 0], uv[middle, 0] = 0.0, 0.5
    twin = np.arange(len(vertices))
    twin[~middle] = len(vertices) + np.arange(np.sum(~middle))
    right = vertices[~middle] * np.array([-1.0, 1.0, 1.0])
    right_uv = np.column_stack([1.0 - uv[~middle, 0], uv[~middle, 1]])
    mirror = np.concatenate([twin, np.flatnonzero(~middle)])
    return GenericMesh(
        np.concatenate([vertices, right]),
        np.concatenate([uv, right_uv]),
        np.concatenate([triangles, twin[triangles][:, [0, 2, 1]]]),
        mirror,
        half.parts,
    )


def _positive(triangles: Ids, uv: Array) -> Ids:
    """Turn every triangle counter-clockwise in the atlas, which is counter-clockwise seen from outside the head."""
    a, b, c = (uv[triangles[:, k]] for k in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    return np.where(area[:, None] < 0, triangles[:, [0, 2, 1]], triangles)
