"""Binding any head mesh to the atlas: each vertex gets an atlas coordinate, regions and a weight."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from flowface_jax.errors import InputError
from flowface_jax.heads.atlas import TriangleIndex
from flowface_jax.heads.model import FOCUS_WEIGHT, OTHER_WEIGHT, HeadModel, SurfacePoints
from flowface_jax.heads.registration import Surface, components, positions_of, prepare, register, vertex_normals

# Parts of the built-in head that lie behind the skin: they follow its deformation instead of looking for a counterpart.
_INNER = ("eyeballs", "teeth", "tongue", "mouth_interior", "nostrils")
_DETACHED = ("eyeballs", "teeth", "tongue")
# A vertex farther than this from the deformed built-in head belongs to no region of it.
_REGION_REACH = 0.012
# Closest points within this distance that face the same way are sure; the rest is filled in from its neighbours.
_SURE_REACH = 0.008
_NORMAL_COSINE = 0.3
_UNFOLDING_ROUNDS = 4
_EYE_LANDMARKS = {-1: slice(36, 42), 1: slice(42, 48)}
_EYEBALL_RADII = (0.008, 0.020)


@dataclass(frozen=True)
class Binding:
    """How a mesh of V vertices takes part in the atlas. NumPy arrays.

    uv [V,2] float32 atlas coordinates. mediapipe: MediaPipe's 478 points on the mesh (none while the built-in head has
    none). regions: name → [V] bool, the built-in head's. vertex_weights [V] float32: λ, 1 on face and ears, 0.005
    elsewhere. distance [V] m: how far the deformed built-in head was.
    """

    uv: np.ndarray
    mediapipe: SurfacePoints
    regions: dict[str, np.ndarray]
    vertex_weights: np.ndarray
    distance: np.ndarray


def bind(template: np.ndarray, triangles: np.ndarray, landmarks: SurfacePoints) -> Binding:
    """Bind a neutral head mesh to the atlas by deforming the built-in head onto it. Deterministic, some seconds.

    template: [V,3] m, x to the subject's left, y up, z out of the face. triangles: [T,3], counter-clockwise seen from
    outside. landmarks: the 68 Multi-PIE landmarks on it. Components with no landmark count as eyeballs where they are
    spheres near the eyes; other ones (teeth, lashes) get a coordinate but no region. Raises InputError for NaN, wrong
    shapes, no triangles, other than 68 landmarks, a head that is not in metres or not upright.
    """
    template, triangles, landmarks = _checked(template, triangles, landmarks)
    reference = _reference()
    head_component = components(len(template), triangles)
    skin = np.isin(head_component, head_component[np.asarray(landmarks.vertex_ids)[:, 0]])
    target = prepare(template, triangles[skin[triangles].all(1)], landmarks)
    deformed = register(reference.surface, target, reference.matched).vertices

    ids, barycentric = np.zeros((len(template), 3), np.int64), np.tile([1.0, 0.0, 0.0], (len(template), 1))
    distance = np.zeros(len(template))

    def place(rows: np.ndarray, found: tuple[SurfacePoints, np.ndarray]) -> None:
        ids[rows], barycentric[rows] = found[0].vertex_ids, found[0].barycentric
        distance[rows] = found[1]

    rows = np.flatnonzero(skin)
    found, distance[rows], sure = _on_skin(target, rows, reference, deformed)
    ids[rows], barycentric[rows] = found.vertex_ids, found.barycentric
    known, beyond = np.ones(len(template), bool), np.zeros(len(template), bool)
    beyond[rows] = reference.neck_rim[found.vertex_ids].sum(1) >= 2
    known[rows] = sure
    rows = np.flatnonzero(~skin)
    if len(rows):
        place(rows, TriangleIndex(deformed, reference.triangles).closest(template[rows]))
    balls = _eyeballs(template, head_component, skin, landmarks)
    for side, members in balls.items():
        rows = np.flatnonzero(members)
        place(rows, _on_eyeball(template[rows], reference, side))

    names = [name for name in reference.regions if "eyeball" not in name]
    values = np.c_[reference.uv, np.stack([reference.regions[name] for name in names], 1)]
    values = np.einsum("vkd,vk->vd", values[ids], barycentric)
    values = _unfolded(values, known, beyond, target.triangles)
    uv, near = values[:, :2], skin & (distance < _REGION_REACH)
    regions = {name: (values[:, 2 + column] > 0.5) & near for column, name in enumerate(names)}
    regions |= _eyeball_regions(reference, balls, len(template))
    focus = regions["face"] | regions["ears"]
    return Binding(
        uv=np.clip(uv, 0.0, 1.0).astype(np.float32),
        mediapipe=_mediapipe(reference, deformed, target, template, triangles, balls),
        regions=regions,
        vertex_weights=np.where(focus, FOCUS_WEIGHT, OTHER_WEIGHT).astype(np.float32),
        distance=distance,
    )


@dataclass(frozen=True)
class _Reference:
    """The built-in head as the registration needs it; `skin` [S,3] triangles without eyeballs, teeth and tongue."""

    surface: Surface
    triangles: np.ndarray
    skin: np.ndarray
    matched: np.ndarray
    neck_rim: np.ndarray
    uv: np.ndarray
    regions: dict[str, np.ndarray]
    eyeballs: dict[int, np.ndarray]
    mediapipe: SurfacePoints


@functools.lru_cache(maxsize=1)
def _reference() -> _Reference:
    from flowface_jax.heads.generic import generic_head

    return _as_reference(generic_head())


def _as_reference(head: HeadModel) -> _Reference:
    template, triangles = np.asarray(head.template, np.float64), np.asarray(head.triangles)
    regions = {name: np.asarray(mask) for name, mask in head.regions.items()}
    nothing = np.zeros(len(template), bool)
    inner = functools.reduce(np.logical_or, (regions.get(name, nothing) for name in _INNER))
    detached = functools.reduce(np.logical_or, (regions.get(name, nothing) for name in _DETACHED))
    ball = regions["eyeballs"][triangles].all(1)
    side = np.sign(template[triangles][:, :, 0].mean(1))
    surface = prepare(template, triangles, head.landmarks)
    return _Reference(
        surface=surface,
        triangles=triangles,
        skin=triangles[~detached[triangles].any(1)],
        matched=~inner,
        neck_rim=surface.rim & regions["neck"],
        uv=np.asarray(head.uv, np.float64),
        regions=regions,
        eyeballs={s: triangles[ball & (side == s)] for s in (-1, 1)},
        mediapipe=SurfacePoints(np.asarray(head.mediapipe.vertex_ids), np.asarray(head.mediapipe.barycentric)),
    )


def _on_skin(
    target: Surface, rows: np.ndarray, reference: _Reference, deformed: np.ndarray
) -> tuple[SurfacePoints, np.ndarray, np.ndarray]:
    """Closest points of the deformed skin to the target's vertices `rows`, their distances, and which of them are sure.

    Sure: near and facing the same way. The others take the closest point that is on no opposite side of a slit.
    """
    moved = Surface(deformed, reference.skin, None, reference.surface.sides)
    points, sides = target.vertices[rows], target.sides[rows]
    normals = vertex_normals(target.vertices, target.triangles)[rows]
    found, distance = moved.closest(points, sides, normals, _NORMAL_COSINE, _SURE_REACH)
    ids, barycentric = np.array(found.vertex_ids), np.array(found.barycentric)
    sure = np.isfinite(distance)
    lost = np.flatnonzero(~sure)
    if len(lost):
        found, distance[lost] = moved.closest(points[lost], sides[lost])
        ids[lost], barycentric[lost] = found.vertex_ids, found.barycentric
    return SurfacePoints(ids, barycentric), distance, sure


def _unfolded(values: np.ndarray, known: np.ndarray, beyond: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Values [V,D] (atlas coordinates first) with unknown vertices filled in and folds of the atlas smoothed away.

    What is unknown (deep nostrils, the inside of the lips) becomes the mean of its neighbours, the harmonic map of a
    patch into its rim, which cannot fold over its surroundings. Vertices of triangles that the closest points turned
    over become unknown in turn. What lies beyond the lower rim of the neck has no rim around it and stays on that one.
    """
    known = known | beyond
    graph = neighbours(triangles, len(values))
    filled = values
    for _ in range(_UNFOLDING_ROUNDS):
        filled = harmonic(values, known, graph)
        a, b, c = (filled[triangles[:, k], :2] for k in range(3))
        turned = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0] < 0
        bad = np.setdiff1d(triangles[turned], np.flatnonzero(beyond))
        if not known[bad].any():
            break
        known[bad] = False
    return filled


def harmonic(values: np.ndarray, known: np.ndarray, graph: sparse.csr_matrix) -> np.ndarray:
    """Unknown rows of `values` replaced by the mean of their neighbours, all at once; far from all known: kept."""
    unknown = np.flatnonzero(~known & (np.diff(graph.indptr) > 0))
    if len(unknown) == 0:
        return values
    rows = graph[unknown]
    degree = np.asarray(rows.sum(1)).ravel()
    # The small pull towards the given value decides patches that touch nothing known.
    system = sparse.diags(degree + 1e-6) - rows[:, unknown]
    right = rows[:, np.flatnonzero(known)] @ values[known] + 1e-6 * values[unknown]
    filled = values.copy()
    filled[unknown] = splu(system.tocsc()).solve(right)
    return filled


def neighbours(triangles: np.ndarray, count: int) -> sparse.csr_matrix:
    rows, columns = triangles[:, [0, 1, 2]].ravel(), triangles[:, [1, 2, 0]].ravel()
    both = (np.r_[rows, columns], np.r_[columns, rows])
    graph = sparse.coo_matrix((np.ones(2 * len(rows)), both), shape=(count, count)).tocsr()
    graph.data[:] = 1.0
    return graph


def _eyeballs(
    template: np.ndarray, component: np.ndarray, skin: np.ndarray, landmarks: SurfacePoints
) -> dict[int, np.ndarray]:
    """Vertices [V] bool of the right (−1) and left (1) eyeball: components that are spheres by that eye's landmarks."""
    lids = positions_of(landmarks, template)
    balls = {side: np.zeros(len(template), bool) for side in _EYE_LANDMARKS}
    for number in np.unique(component[~skin]):
        members = component == number
        points = template[members]
        extent = np.ptp(points, axis=0)
        if len(points) < 20 or extent.min() < 0.6 * extent.max():
            continue
        centre, radius = fit_sphere(points)
        rough = np.std(np.linalg.norm(points - centre, axis=1)) > 0.2 * radius
        if rough or not _EYEBALL_RADII[0] < radius < _EYEBALL_RADII[1]:
            continue
        for side, which in _EYE_LANDMARKS.items():
            if np.linalg.norm(lids[which].mean(0) - centre) < 1.6 * radius:
                balls[side] |= members
    return {side: members for side, members in balls.items() if members.any()}


def _on_eyeball(points: np.ndarray, reference: _Reference, side: int) -> tuple[SurfacePoints, np.ndarray]:
    """Points of the built-in eyeball in the same directions from its centre; distance 0: they correspond whole."""
    triangles = reference.eyeballs[side]
    vertices = reference.surface.vertices
    centre, radius = fit_sphere(vertices[np.unique(triangles)])
    own_centre, _ = fit_sphere(points)
    direction = points - own_centre
    direction /= np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-9)
    found, _ = TriangleIndex(vertices, triangles).closest(centre + radius * direction)
    return found, np.zeros(len(points))


def _eyeball_regions(reference: _Reference, balls: dict[int, np.ndarray], count: int) -> dict[str, np.ndarray]:
    nothing = np.zeros(count, bool)
    right, left = balls.get(-1, nothing), balls.get(1, nothing)
    named = {"eyeballs": right | left, "right_eyeball": right, "left_eyeball": left}
    return {name: named[name] for name in reference.regions if name in named}


def _mediapipe(
    reference: _Reference,
    deformed: np.ndarray,
    target: Surface,
    template: np.ndarray,
    triangles: np.ndarray,
    balls: dict[int, np.ndarray],
) -> SurfacePoints:
    """MediaPipe's points of the deformed built-in head, at the nearest places of the mesh; irises on its eyeballs."""
    points = reference.mediapipe
    if points.count == 0:
        return points
    sides = reference.surface.sides[points.vertex_ids].astype(np.float64)
    sides = np.einsum("pks,pk->ps", sides, points.barycentric)
    sides = np.where(np.abs(sides) > 0.5, np.sign(sides), 0).astype(np.int8)
    found, _ = target.closest(positions_of(points, deformed), sides)
    ids, barycentric = np.array(found.vertex_ids), np.array(found.barycentric)
    on_ball = reference.regions["eyeballs"][points.vertex_ids].all(1)
    own_side = np.sign(positions_of(points, reference.surface.vertices)[:, 0])
    for side, members in balls.items():
        rows = np.flatnonzero(on_ball & (own_side == side))
        wanted = _same_iris(reference, points, rows, side, template[members])
        found, _ = TriangleIndex(template, triangles[members[triangles].all(1)]).closest(wanted)
        ids[rows], barycentric[rows] = found.vertex_ids, found.barycentric
    return SurfacePoints(ids, barycentric)


def _same_iris(
    reference: _Reference, points: SurfacePoints, rows: np.ndarray, side: int, ball: np.ndarray
) -> np.ndarray:
    """Iris points [N,3] m at the built-in head's distances from the axis: irises vary less in size than eyeballs."""
    vertices = reference.surface.vertices
    centre, _ = fit_sphere(vertices[np.unique(reference.eyeballs[side])])
    offset = (positions_of(points, vertices) - centre)[rows, :2]
    own_centre, _ = fit_sphere(ball)
    radius = np.linalg.norm(ball - own_centre, axis=1).max()
    depth = np.sqrt(np.maximum(radius**2 - (offset**2).sum(1), 0))
    return own_centre + np.c_[offset, depth]


def fit_sphere(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Centre [3] and radius of the least-squares sphere through points [N,3]."""
    origin = points.mean(0)
    local = points - origin
    design = np.c_[2 * local, np.ones(len(local))]
    solution = np.linalg.lstsq(design, (local**2).sum(1), rcond=None)[0]
    centre = solution[:3]
    return centre + origin, float(np.sqrt(max(solution[3] + centre @ centre, 0.0)))


def _checked(
    template: np.ndarray, triangles: np.ndarray, landmarks: SurfacePoints
) -> tuple[np.ndarray, np.ndarray, SurfacePoints]:
    """The inputs as NumPy arrays, or InputError."""
    template, triangles = np.asarray(template, np.float64), np.asarray(triangles)
    if template.ndim != 2 or template.shape[1] != 3:
        raise InputError(f"expected a template of shape [vertices, 3], found {list(template.shape)}")
    if not np.isfinite(template).all():
        raise InputError("the template holds NaN or infinity; expected finite coordinates in metres")
    if triangles.ndim != 2 or triangles.shape[1] != 3 or len(triangles) == 0:
        raise InputError(f"expected at least one triangle [triangles, 3], found shape {list(triangles.shape)}")
    if triangles.min() < 0 or triangles.max() >= len(template):
        raise InputError(f"a triangle names vertex {int(triangles.max())}, but the template has {len(template)}")
    ids, barycentric = np.asarray(landmarks.vertex_ids), np.asarray(landmarks.barycentric, np.float64)
    if ids.shape != (68, 3) or barycentric.shape != (68, 3):
        raise InputError(
            f"binding needs the 68 Multi-PIE landmarks (vertex ids and weights [68, 3]), found {list(ids.shape)}; "
            "give the head's landmark file"
        )
    if ids.min() < 0 or ids.max() >= len(template) or not np.isfinite(barycentric).all():
        raise InputError(f"the landmarks name vertex {int(ids.max())} or hold NaN; the template has {len(template)}")
    points = positions_of(SurfacePoints(ids, barycentric), template)
    height = template[:, 1].max() - points[8, 1]
    if not 0.1 <= height <= 0.5:
        raise InputError(
            f"the head is {height:.3g} high from chin to crown; expected 0.1 to 0.5 metres with y up: convert "
            "centimetres or millimetres to metres, and turn the head upright"
        )
    if points[45, 0] <= points[36, 0] or points[27, 1] <= points[8, 1]:
        raise InputError(
            "the head is mirrored or turned: expected x towards the subject's left, y up, z out of the face, and the "
            "landmarks in Multi-PIE order"
        )
    nose = vertex_normals(template, triangles)[np.unique(ids[27:36])]
    if np.median(nose[:, 2]) < 0:
        raise InputError("the triangles are clockwise seen from outside; expected counter-clockwise: swap two corners")
    return template, triangles.astype(np.int64), SurfacePoints(ids, barycentric)
