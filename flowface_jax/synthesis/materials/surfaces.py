"""What each triangle of a head is made of, and the head's mesh cut so that every vertex has one material."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from flowface_jax.heads.model import HeadModel
from flowface_jax.pytrees import pytree_dataclass
from flowface_jax.synthesis.materials.eyeballs import connected_pieces, hidden_shells, pupil_directions
from flowface_jax.synthesis.scene import Material

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

TONGUE, GUMS, CAVITY, SOCKET = 0, 1, 2, 3
"""Kinds of wet tissue: the first of a MOUTH vertex's three detail coordinates."""

OVERLAYS = ("lacrimal_fluid", "eye_blend", "eye_occlusion")
"""Regions that are transparent films over the eye, drawn by no renderer here."""

TOOTH_WIDTH = 0.0075
"""Mean width of a tooth, m, where a head's teeth are one strip."""


@pytree_dataclass
class HeadSurface:
    """The drawable surface of a head: vertices repeated wherever two materials meet, films removed.

    vertex_ids: [N] int32, the head's vertex that each one copies. triangles: [T,3] int32 into the N. material: [T]
    int32. detail: [N,3] what the material needs to know: SKIN (u, v, 0); EYE the unit direction from the eyeball's
    centre, z to the pupil; TEETH (number of teeth from the midline, a whole number where two meet, 0 at the gum to 1 at
    the biting edge, m behind the front teeth); MOUTH (kind of tissue, m behind the front teeth, 0); LASH (0 at the root
    to 1 at the tip, 0 to 1 along the lid, 1 on the upper lid).
    """

    vertex_ids: jax.Array
    triangles: jax.Array
    material: jax.Array
    detail: jax.Array
    eye: jax.Array


def triangle_materials(head: HeadModel) -> tuple[NDArray[np.int32], Mask]:
    """The `Material` of every triangle [T], and which triangles to draw [T] bool."""
    triangles = np.asarray(head.triangles)
    whole = {name: np.asarray(mask)[triangles].all(1) for name, mask in head.regions.items()}
    none = np.zeros(len(triangles), bool)
    mouth = none | _skin_side_removed(head, triangles)
    for name in ("gums_and_tongue", "tongue", "mouth_socket", "eye_sockets"):
        mouth |= whole.get(name, none)
    material = np.full(len(triangles), int(Material.SKIN), np.int32)
    material[mouth] = Material.MOUTH
    material[whole.get("teeth", none)] = Material.TEETH
    material[whole["eyeballs"]] = Material.EYE
    material[whole.get("eyelashes", none)] = Material.LASH
    drawn = ~np.any([whole.get(name, none) for name in OVERLAYS], axis=0)
    drawn &= ~hidden_shells(head)[triangles].any(1)
    drawn &= (material != Material.LASH) | _single_lashes(head, triangles)
    return material, drawn


def make_head_surface(head: HeadModel, hidden: Mask | None = None) -> HeadSurface:
    """Cut the head's mesh along the borders of materials and of kinds of tissue; films and hidden shells left out.

    hidden: [T] bool, further triangles to leave out.
    """
    material, drawn = triangle_materials(head)
    drawn = drawn if hidden is None else drawn & ~hidden
    kind = _tissue(head)
    triangles = np.asarray(head.triangles)
    group = material.astype(np.int64) * 8 + np.where(material == Material.MOUTH, kind[triangles].max(1), 0)
    triangles, group, material = triangles[drawn], group[drawn], material[drawn]
    corners = triangles.astype(np.int64) + group[:, None] * head.vertex_count
    unique, inverse = np.unique(corners, return_inverse=True)
    vertex_ids, vertex_group = unique % head.vertex_count, unique // head.vertex_count
    detail = _detail(head, vertex_ids, vertex_group // 8, vertex_group % 8)
    return HeadSurface(
        vertex_ids=jnp.asarray(vertex_ids, jnp.int32),
        triangles=jnp.asarray(inverse.reshape(-1, 3), jnp.int32),
        material=jnp.asarray(material, jnp.int32),
        detail=jnp.asarray(detail, jnp.float32),
        eye=jnp.asarray(vertex_group // 8 == Material.EYE),
    )


def _skin_side_removed(head: HeadModel, triangles: NDArray[np.int32]) -> Mask:
    """Triangles [T] of `mouth_interior` that are not lip: where a head names no socket, this is its cavity."""
    if "mouth_socket" in head.regions or "mouth_interior" not in head.regions:
        return np.zeros(len(triangles), bool)
    inside = np.asarray(head.regions["mouth_interior"])
    lips = np.asarray(head.regions.get("lips", np.zeros_like(inside)))
    return (inside | lips)[triangles].all(1) & (inside & ~lips)[triangles].any(1)


def _single_lashes(head: HeadModel, triangles: NDArray[np.int32]) -> Mask:
    """Triangles [T] that stand on the upper lid with two corners and point out with one.

    Lashes are modelled as closed fans meant for a transparent texture; these triangles alone make spikes. Lower lashes
    are too fine to draw as solids.
    """
    lashes = _region(head, "eyelashes")
    if not lashes.any():
        return np.zeros(len(triangles), bool)
    detail = _lash_detail(head, np.asarray(head.template, np.float64))
    tips = (detail[triangles, 0] > 0.5).sum(1)
    return (tips == 1) & (detail[triangles, 2] > 0).all(1)


def _region(head: HeadModel, name: str) -> Mask:
    return np.asarray(head.regions[name]) if name in head.regions else np.zeros(head.vertex_count, bool)


def _tissue(head: HeadModel) -> NDArray[np.int64]:
    """The kind of wet tissue at each vertex [V]."""
    template = np.asarray(head.template, np.float64)
    kind = np.full(head.vertex_count, CAVITY)
    gums = _region(head, "gums_and_tongue")
    kind[gums] = GUMS
    tongue = _region(head, "tongue")
    if gums.any() and not tongue.any():
        tongue = gums & _inside_the_teeth(head, template)
    kind[tongue] = TONGUE
    kind[_region(head, "eye_sockets")] = SOCKET
    return kind


def _inside_the_teeth(head: HeadModel, template: Array) -> Mask:
    """Vertices within the arch of the lower teeth and near their biting edge: the tongue, where gums share its
    region.
    """
    teeth = template[_region(head, "teeth")]
    if not len(teeth):
        return np.zeros(head.vertex_count, bool)
    contact = _slit_height(head)
    lower = teeth[teeth[:, 1] < contact - 0.006]
    centre = lower[np.abs(lower[:, 0]) < 0.012]
    front, back = centre[:, 2].min(), lower[:, 2].min()
    width = np.abs(lower[:, 0]).max() - 0.012
    x, y, z = template.T
    along = np.clip((front - 0.002 - z) / (front - back), 0, None)
    arch = width * np.sqrt(np.clip(1 - (1 - np.minimum(along, 1)) ** 2, 0, None))
    return (np.abs(x) < arch) & (z < front - 0.002) & (y < contact + 0.004)


def _slit_height(head: HeadModel) -> float:
    """Height y of the closed lips, m."""
    landmarks = np.asarray(head.landmarks.of(head.template))
    return float(landmarks[[62, 66], 1].mean())


def _detail(head: HeadModel, ids: NDArray[np.int64], material: NDArray[np.int64], kind: NDArray[np.int64]) -> Array:
    """Detail coordinates [N,3] of the cut mesh."""
    template = np.asarray(head.template, np.float64)
    detail = np.zeros((len(ids), 3))
    skin = material == Material.SKIN
    detail[skin, :2] = np.asarray(head.uv)[ids[skin]]
    eye = material == Material.EYE
    detail[eye] = pupil_directions(head)[ids[eye]]
    teeth = material == Material.TEETH
    detail[teeth] = _teeth_detail(head, template)[ids[teeth]]
    mouth = material == Material.MOUTH
    front = float(np.asarray(head.landmarks.of(head.template))[[62, 66], 2].mean()) - 0.008
    detail[mouth] = np.column_stack([kind[mouth], front - template[ids[mouth], 2], np.zeros(mouth.sum())])
    lash = material == Material.LASH
    detail[lash] = _lash_detail(head, template)[ids[lash]]
    return detail


def _teeth_detail(head: HeadModel, template: Array) -> Array:
    """(teeth from the midline, 0 gum to 1 edge, m behind the front) for all vertices [V,3]; only teeth are
    meaningful.
    """
    detail = np.zeros((head.vertex_count, 3))
    teeth = _region(head, "teeth")
    if not teeth.any():
        return detail
    pieces = connected_pieces(np.asarray(head.triangles), head.vertex_count)
    labels = np.unique(pieces[teeth])
    separate = len(labels) > 6
    contact = _slit_height(head)
    front = template[teeth, 2].max()
    for label in labels:
        members = teeth & (pieces == label)
        x, y, z = template[members].T
        height = (y - y.min()) / max(np.ptp(y), 1e-6)
        upper = y.mean() > contact
        towards_edge = 1 - height if upper else height
        if separate:
            # Separate teeth have gaps of their own: stay off the whole numbers, where gaps are painted.
            number = np.round(np.abs(x.mean()) / TOOTH_WIDTH) + 0.5 + 0.6 * (x - x.mean()) / max(np.ptp(x), 1e-6)
        else:
            number = _arc_from_midline(x, z) / TOOTH_WIDTH
        detail[members] = np.column_stack([number, towards_edge, front - z])
    return detail


def _arc_from_midline(x: Array, z: Array) -> Array:
    """Signed length along a dental arch from its middle: [N] m, arch points (x, z)."""
    radius = np.abs(x).max()
    turn = np.arcsin(np.clip(x / radius, -1, 1))
    depth = z.max() - z.min()
    fine = np.linspace(-np.pi / 2, np.pi / 2, 401)
    step = np.hypot(radius * np.cos(fine), depth * np.sin(fine))
    length = np.concatenate([[0], np.cumsum((step[1:] + step[:-1]) / 2 * np.diff(fine))])
    return np.interp(turn, fine, length - length[200])


def _lash_detail(head: HeadModel, template: Array) -> Array:
    """(0 root to 1 tip, 0 to 1 along the lid, 1 upper or 0 lower) for all vertices [V,3]; only lashes are
    meaningful.
    """
    detail = np.zeros((head.vertex_count, 3))
    pieces = connected_pieces(np.asarray(head.triangles), head.vertex_count)
    lashes = _region(head, "eyelashes")
    if not lashes.any():
        return detail
    landmarks = np.asarray(head.landmarks.of(head.template), np.float64)
    for eye in (landmarks[36:42], landmarks[42:48]):
        centre, half_width = eye.mean(0), np.ptp(eye[:, 0]) / 2
        opening = np.concatenate([np.linspace(a, b, 8) for a, b in zip(eye, np.roll(eye, -1, 0), strict=True)])
        side = lashes & (np.sign(template[:, 0]) == np.sign(centre[0]))
        for piece in np.unique(pieces[side]):
            members = side & (pieces == piece)
            x, y, _ = template[members].T
            gap = cKDTree(opening).query(template[members])[0]
            along = np.clip((x - centre[0]) / (2.6 * half_width) + 0.5, 0, 1)
            detail[members] = np.column_stack([gap / gap.max(), along, np.full(len(x), y.mean() > centre[1])])
    return detail
