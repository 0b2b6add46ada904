"""What growing hair needs of a head, worked out once: roots, cap and shell."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial import cKDTree

from flowface_jax.errors import InputError
from flowface_jax.heads.model import HeadModel, SurfacePoints
from flowface_jax.pytrees import pytree_dataclass, static_field
from flowface_jax.synthesis.hair import hairline
from flowface_jax.synthesis.hair.shell import ShellAssets, make_shell_assets

SIZES = {"training": (640, 7, 96, 14), "fine": (2600, 9, 128, 20)}
"""Locks, segments of each, columns and rows of the cap."""

_LOCKS_PER_CLUMP = 5
_CAP_STEPS = (-0.004, -0.001, 0.002, 0.006, 0.012, 0.02)


@pytree_dataclass
class HairAssets:
    """Hair's places on one head.

    roots: [N] points of the scalp, spread evenly; the first G are the leaders of clumps. leader: [N] int32 below G.
    root_azimuth [N] rad signed, 0 in front; root_elevation [N] rad; root_distance [N] m from the hairline inwards.
    lock_random: [N,8] uniform numbers. cap: [R*C] points of the skin, row by row from below the hairline to the crown.
    cap_azimuth, cap_elevation, cap_distance: [R,C]. cap_random: [R,C,2] uniform numbers.
    lock_width: 1 or less, the more locks the thinner. shell: the head as a smooth surface. landmarks: the head's 68.
    forehead, ear_bottom: heights of the template, m. rest_landmarks: [68,3] m. segments: per lock.
    """

    roots: SurfacePoints
    leader: jax.Array
    root_azimuth: jax.Array
    root_elevation: jax.Array
    root_distance: jax.Array
    lock_random: jax.Array
    cap: SurfacePoints
    cap_azimuth: jax.Array
    cap_elevation: jax.Array
    cap_distance: jax.Array
    cap_random: jax.Array
    lock_width: jax.Array
    shell: ShellAssets
    landmarks: SurfacePoints
    rest_landmarks: jax.Array
    forehead: jax.Array
    ear_bottom: jax.Array
    segments: int = static_field()


def make_hair_assets(head: HeadModel, size: str = "training") -> HairAssets:
    """Roots, cap and shell of a head (host, deterministic). size: "training" (640 locks) or "fine" (2,600).

    Raises InputError on an unknown size.
    """
    if size not in SIZES:
        raise InputError(f"hair size must be one of {', '.join(SIZES)}, found {size!r}; choose one of them")
    locks, segments, columns, rows = SIZES[size]
    shell = make_shell_assets(head)
    centre = np.asarray(shell.rest_centre, np.float64)
    anatomy = hairline.measure(head, centre)
    rays = hairline.SkinRays(head, centre)
    random = np.random.default_rng(20240613)
    ids, weights, points, distance = _scatter_roots(rays, anatomy, locks, random)
    offsets = points - centre
    cap_ids, cap_weights, cap_angles, cap_distance = _cap(rays, anatomy, rows, columns)
    real = lambda values: jnp.asarray(values, jnp.float32)
    return HairAssets(
        roots=SurfacePoints(jnp.asarray(ids, jnp.int32), real(weights)),
        leader=jnp.asarray(_leaders(points, locks), jnp.int32),
        root_azimuth=real(np.arctan2(offsets[:, 0], offsets[:, 2])),
        root_elevation=real(np.arcsin(offsets[:, 1] / np.linalg.norm(offsets, axis=1))),
        root_distance=real(distance),
        lock_random=real(random.random((locks, 8))),
        cap=SurfacePoints(jnp.asarray(cap_ids, jnp.int32), real(cap_weights)),
        cap_azimuth=real(cap_angles[0]),
        cap_elevation=real(cap_angles[1]),
        cap_distance=real(cap_distance),
        cap_random=real(random.random((rows, columns, 2))),
        lock_width=real((SIZES["training"][0] / locks) ** 0.45),
        shell=shell,
        landmarks=head.landmarks,
        rest_landmarks=head.landmarks.of(head.template),
        forehead=real(hairline.hairline_height(anatomy, np.zeros(1))[0]),
        ear_bottom=real(anatomy.ear_bottom),
        segments=segments,
    )


def _scatter_roots(
    rays: hairline.SkinRays, anatomy: hairline.Anatomy, count: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Evenly spread points inside the hairline: ids [N,3], barycentric [N,3], positions [N,3], distances [N]."""
    corners = rays.corners
    area = 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    high = corners[..., 1].max(1) + rays.centre[1] > anatomy.ear_bottom - 0.03
    area = np.where(high, area, 0)
    chosen = random.choice(len(area), size=count * 24, p=area / area.sum())
    weights = random.dirichlet(np.ones(3), size=len(chosen))
    points = np.einsum("nk,nkd->nd", weights, rays.template[rays.triangles[chosen]])
    distance = hairline.signed_distance(rays, anatomy, points)
    keep = np.flatnonzero(distance > 0.0005)[: count * 8]
    # Farthest points first: any leading part of the list is spread evenly too, so it can lead the clumps.
    picked, nearest = [keep[0]], np.full(len(keep), np.inf)
    for _ in range(count - 1):
        nearest = np.minimum(nearest, np.sum((points[keep] - points[picked[-1]]) ** 2, 1))
        picked.append(keep[int(np.argmax(nearest))])
    picked = np.array(picked)
    return rays.triangles[chosen[picked]], weights[picked], points[picked], distance[picked]


def _leaders(points: np.ndarray, count: int) -> np.ndarray:
    groups = max(1, count // _LOCKS_PER_CLUMP)
    return cKDTree(points[:groups]).query(points)[1]


def _cap(
    rays: hairline.SkinRays, anatomy: hairline.Anatomy, rows: int, columns: int
) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray], np.ndarray]:
    """The cap's grid, dense at the hairline: ids, barycentric [R*C,3], (azimuth, elevation) rad, distances [R,C]."""
    azimuth = np.linspace(-180, 180, columns, endpoint=False)
    line = hairline.hairline_elevation(rays, anatomy, azimuth)
    near = line[None] + np.degrees(np.array(_CAP_STEPS) / 0.095)[:, None]
    share = np.linspace(0, 1, rows - len(_CAP_STEPS) + 1)[1:] ** 0.9
    far = near[-1] + share[:, None] * (90 - near[-1])
    elevation = np.concatenate([near, far])
    azimuths = np.broadcast_to(azimuth, elevation.shape)
    ids, weights, points = rays.hit(hairline.directions_of(azimuths, elevation).reshape(-1, 3))
    distance = hairline.signed_distance(rays, anatomy, points).reshape(elevation.shape)
    return ids, weights, (np.radians(azimuths), np.radians(elevation)), distance
