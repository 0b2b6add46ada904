"""Non-rigid fit: every vertex may move, smoothly; the surface holds it along its normal only, points hold it wholly."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from flowface_jax.heads.model import HeadModel
from flowface_jax.heads.registration import components, interpolation, positions_of, smoothness, vertex_normals
from flowface_jax.training.registration.fit import Points, Target

# Per level: length below which the displacement is smooth (m), longest and least aligned correspondence (m, cosine).
_LEVELS = (
    (0.030, 0.012, 0.5),
    (0.018, 0.010, 0.5),
    (0.011, 0.008, 0.6),
    (0.007, 0.006, 0.6),
    (0.005, 0.005, 0.7),
    (0.004, 0.004, 0.7),
)
_STEPS_PER_LEVEL = 2
_MEMBRANE = 0.25
_TIE = 1e-3
"""Of a surface term's weight: what keeps vertices that see no surface with the model."""
_POINT_AREA, _POINT_STD = 1e-4, 0.0005
"""m² of surface that a point with this standard deviation (m) weighs as much as."""
_ROBUST = 0.004
_MATCHED = ("face", "ears", "neck")
_UNMATCHED = ("scalp", "eyeballs", "mouth_interior", "teeth", "tongue", "nostrils")
_FOLLOWED = 60


def matched_vertices(head: HeadModel) -> np.ndarray:
    """Vertices [N] whose counterpart a scan shows: face, ears and neck without what hair covers or lies inside."""
    mask = np.zeros(head.vertex_count, bool)
    for name in _MATCHED:
        mask |= np.asarray(head.regions[name])
    for name in _UNMATCHED:
        if name in head.regions:
            mask &= ~np.asarray(head.regions[name])
    return np.flatnonzero(mask)


def deform(start: np.ndarray, head: HeadModel, target: Target, points: Points) -> np.ndarray:
    """The mesh [V,3] m on the scan, both in the head's frame: [V,3] m.

    The displacement d minimises ∫_matched (n·(x + d − e))² + ℓ⁴∫|Δd|² + (ℓ/4)²∫|∇d|² plus the points, e being the
    nearest compatible point of the scan and n its normal, ℓ falling step by step (after Amberg et al., Optimal Step
    Nonrigid ICP, CVPR 2007). As nothing but points and smoothness acts along the surface, motion along it is the
    points'. Where the scan shows nothing (hair, holes) the model goes on smoothly. Eyeballs and teeth go with the skin
    around them. Deterministic.
    """
    triangles = np.asarray(head.triangles)
    piece = components(len(start), triangles)
    skin = np.isin(piece, piece[np.asarray(head.landmarks.vertex_ids)[:, 0]])
    rows = np.flatnonzero(skin)
    new = np.cumsum(skin) - 1
    own = triangles[skin[triangles].all(1)]
    solver = _Solver(start[rows], new[own], points, new)
    matched = matched_vertices(head)
    matched = new[matched[skin[matched]]]
    moved = start[rows]
    for length, reach, cosine in _LEVELS:
        for _ in range(_STEPS_PER_LEVEL):
            moved = solver.step(moved, target, matched, length, reach, cosine)
    result = start.copy()
    result[rows] = moved
    _follow(result, start, piece, skin)
    return result


class _Solver:
    """The parts of the energy that stay the same from step to step."""

    def __init__(self, start: np.ndarray, triangles: np.ndarray, points: Points, new: np.ndarray) -> None:
        self.start, self.triangles = start, triangles
        self.membrane, self.bending, self.area = smoothness(start, triangles)
        ids = np.asarray(points.surface.vertex_ids)
        surface = type(points.surface)(np.maximum(new[ids], 0), points.surface.barycentric)
        self.points = interpolation(surface, len(start))
        self.weight = _POINT_AREA * (_POINT_STD / np.maximum(points.std, 1e-5)) ** 2
        self.goal = points.positions - positions_of(surface, start)

    def step(
        self, current: np.ndarray, target: Target, matched: np.ndarray, length: float, reach: float, cosine: float
    ) -> np.ndarray:
        """The mesh [V,3] m after one solve."""
        facing = vertex_normals(current, self.triangles)[matched]
        nearest, normals, ok = target.closest(current[matched], facing, cosine, reach)
        rows, normals = matched[ok], normals[ok]
        across = np.einsum("nd,nd->n", nearest[ok] - current[rows], normals)
        weight = self.area[rows] / (1 + (across / _ROBUST) ** 2) ** 2
        stiffness = length**4 * self.bending + (_MEMBRANE * length) ** 2 * self.membrane
        held = self.points.T @ sparse.diags(self.weight) @ self.points
        same = stiffness + held + sparse.diags(_TIE * self.area)
        blocks = np.zeros((len(current), 3, 3))
        blocks[rows] = weight[:, None, None] * normals[:, :, None] * normals[:, None, :]
        towards = np.einsum("nd,nd->n", nearest[ok] - self.start[rows], normals)
        right = self.points.T @ (self.weight[:, None] * self.goal)
        right[rows] += (weight * towards)[:, None] * normals
        order = np.arange(len(current) + 1)
        surface = sparse.bsr_matrix((blocks, order[:-1], order), shape=(3 * len(current),) * 2)
        system = (sparse.kron(same, sparse.eye(3)) + surface).tocsc()
        # Symmetric and positive: the ordering for such matrices is several times faster than the general one.
        factor = splu(system, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
        return self.start + factor.solve(right.ravel()).reshape(-1, 3)


def _follow(result: np.ndarray, start: np.ndarray, piece: np.ndarray, skin: np.ndarray) -> None:
    """Move each loose part by the mean displacement of the skin nearest to it."""
    around = np.flatnonzero(skin)
    tree = cKDTree(start[around])
    for number in np.unique(piece[~skin]):
        members = piece == number
        near = around[tree.query(start[members].mean(0), k=min(_FOLLOWED, len(around)))[1]]
        result[members] += (result[near] - start[near]).mean(0)
