"""Where hair grows: the hairline about the landmarks and the ears, and points of the skin by direction (host)."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.spatial import cKDTree

from flowface_jax.heads.model import HeadModel

_INNER = ("teeth", "tongue", "mouth_interior", "gums_and_tongue", "mouth_socket", "eye_sockets", "eyelashes")
_SAMPLES = 480


@dataclasses.dataclass(frozen=True)
class Anatomy:
    """Heights and azimuths that place hair on the template; azimuth 0 in front, growing towards either side, degrees.

    centre: [3] m. brow, nose_base, ear_top, ear_bottom: heights, m. ear_front, ear_back: azimuths of the ears.
    """

    centre: np.ndarray
    brow: float
    nose_base: float
    ear_top: float
    ear_bottom: float
    ear_front: float
    ear_back: float


def measure(head: HeadModel, centre: np.ndarray) -> Anatomy:
    """The anatomy of the template about a centre [3] m; ears come from their region, else from the jaw's landmarks."""
    template = np.asarray(head.template, np.float64)
    marks = np.asarray(head.landmarks.of(head.template), np.float64)
    ears = np.asarray(head.regions["ears"])
    if ears.any():
        points = template[ears] - centre
        azimuth = np.degrees(np.arctan2(np.abs(points[:, 0]), points[:, 2]))
        front, back = np.percentile(azimuth, [3, 97])
        bottom, top = np.percentile(template[ears, 1], [1, 99])
    else:
        front, back, bottom, top = 84.0, 112.0, marks[33, 1], marks[19, 1]
    return Anatomy(
        centre=centre,
        brow=float(marks[[19, 24], 1].mean()),
        nose_base=float(marks[33, 1]),
        ear_top=float(top),
        ear_bottom=float(bottom),
        ear_front=float(front),
        ear_back=float(back),
    )


def hairline_height(anatomy: Anatomy, azimuth: np.ndarray) -> np.ndarray:
    """Height [...] m of the hairline at azimuths [...] degrees (either side): forehead, temple, sideburn, ear, nape."""
    a = anatomy
    third = a.brow - a.nose_base
    ear_middle = 0.5 * (a.ear_top + a.ear_bottom)
    table = [
        (0, a.brow + 0.66 * third),
        (18, a.brow + 0.66 * third),
        (34, a.brow + 0.64 * third),
        (44, a.brow + 0.45 * third),
        (52, a.brow + 0.08 * third),
        (a.ear_front - 22, a.brow - 0.15 * third),
        (a.ear_front - 15, ear_middle),
        (a.ear_front - 3, ear_middle - 0.004),
        (a.ear_front + 1, a.ear_top - 0.008),
        (a.ear_front + 9, a.ear_top + 0.004),
        (a.ear_back, a.ear_top - 0.004),
        (a.ear_back + 7, ear_middle),
        (a.ear_back + 12, a.ear_bottom - 0.004),
        (a.ear_back + 35, a.ear_bottom - 0.014),
        (180, a.ear_bottom - 0.018),
    ]
    xs, ys = np.array(table, np.float64).T
    return np.interp(np.abs(azimuth), np.maximum.accumulate(xs), ys)


class SkinRays:
    """The outer skin of a template, asked where rays from a centre leave it."""

    def __init__(self, head: HeadModel, centre: np.ndarray, *, with_ears: bool = False) -> None:
        template = np.asarray(head.template, np.float64)
        away = np.asarray(head.regions["eyeballs"]).copy()
        for name in _INNER + (() if with_ears else ("ears",)):
            away |= np.asarray(head.regions.get(name, np.zeros_like(away)))
        triangles = np.asarray(head.triangles)
        self.triangles = triangles[~away[triangles].any(1)]
        self.template = template
        self.centre = centre
        self.corners = template[self.triangles] - centre
        middles = self.corners.mean(1)
        facing = np.einsum("td,td->t", np.cross(*self._edges(self.corners)), middles) > 0
        self.triangles, self.corners = self.triangles[facing], self.corners[facing]
        middles = middles[facing]
        self.tree = cKDTree(middles / np.linalg.norm(middles, axis=1, keepdims=True))

    @staticmethod
    def _edges(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]

    def hit(self, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Where rays [N,3] leave the skin: vertex ids [N,3], barycentric [N,3] (clamped), points [N,3] m."""
        _, near = self.tree.query(directions, k=24)
        corners = self.corners[near]
        normal = np.cross(corners[..., 1, :] - corners[..., 0, :], corners[..., 2, :] - corners[..., 0, :])
        ray = directions[:, None]
        scale = np.einsum("nkd,nkd->nk", corners[..., 0, :], normal) / _safe((ray * normal).sum(-1))
        point = ray * scale[..., None]
        weights = np.stack(
            [
                np.einsum(
                    "nkd,nkd->nk",
                    np.cross(corners[..., (c + 1) % 3, :] - point, corners[..., (c + 2) % 3, :] - point),
                    normal,
                )
                for c in range(3)
            ],
            -1,
        )
        weights = weights / _safe((normal**2).sum(-1))[..., None]
        outside = np.maximum(-weights.min(-1), 0)
        # Among triangles that the ray truly meets the outermost wins; else the one it misses least.
        score = np.where(outside < 1e-6, -scale, 10 + outside)
        best = np.argmin(score, 1)
        rows = np.arange(len(directions))
        barycentric = np.clip(weights[rows, best], 0, 1)
        barycentric /= barycentric.sum(1, keepdims=True)
        ids = self.triangles[near[rows, best]]
        return ids, barycentric, np.einsum("nk,nkd->nd", barycentric, self.template[ids])


def _safe(values: np.ndarray) -> np.ndarray:
    return np.where(np.abs(values) < 1e-18, 1e-18, values)


def directions_of(azimuth: np.ndarray, elevation: np.ndarray) -> np.ndarray:
    """Unit directions [...,3] from signed azimuth (positive to the subject's left) and elevation, degrees."""
    a, e = np.broadcast_arrays(np.radians(azimuth), np.radians(elevation))
    return np.stack([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)], -1)


def azimuth_of(points: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Signed azimuth [...] of points [...,3] about a centre, degrees."""
    offsets = points - centre
    return np.degrees(np.arctan2(offsets[..., 0], offsets[..., 2]))


def hairline_elevation(rays: SkinRays, anatomy: Anatomy, azimuth: np.ndarray) -> np.ndarray:
    """Elevation [N] degrees at which the skin has the hairline's height, for azimuths [N] degrees."""
    elevations = np.linspace(75, -62, 70)
    grid = directions_of(azimuth[:, None], elevations[None])
    heights = rays.hit(grid.reshape(-1, 3))[2][:, 1].reshape(len(azimuth), -1)
    heights = np.minimum.accumulate(heights, 1)
    wanted = hairline_height(anatomy, azimuth)
    return np.array([np.interp(-w, -row, elevations) for w, row in zip(wanted, heights, strict=True)])


def signed_distance(rays: SkinRays, anatomy: Anatomy, points: np.ndarray) -> np.ndarray:
    """Distance [N] m of skin points [N,3] from the hairline, positive where hair grows."""
    azimuth = np.linspace(-180, 180, _SAMPLES, endpoint=False)
    elevation = hairline_elevation(rays, anatomy, azimuth)
    line = rays.hit(directions_of(azimuth, elevation))[2]
    distance, _ = cKDTree(line).query(points)
    inside = points[:, 1] > hairline_height(anatomy, azimuth_of(points, anatomy.centre))
    return np.where(inside, distance, -distance)
