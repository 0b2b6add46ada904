"""The numbers behind the report's curves and heat maps, from a track, its head and its alignment."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from flowface_jax.alignment.alignment import Alignment
from flowface_jax.conventions import METRES_TO_MILLIMETRES
from flowface_jax.errors import InputError
from flowface_jax.fitting.track import Track
from flowface_jax.heads.model import HeadModel, SurfacePoints

FACING = np.diag([1.0, -1.0, -1.0])
"""Head-to-camera rotation of a head that looks straight into the camera."""
REACH = 0.012
"""m: vertices further than this from every observed point have no residual."""
_NEIGHBOURS = 4

# Pairs of opposite points on the two lids or lips, among the 68 landmarks and MediaPipe's 478 points.
_LANDMARK_PAIRS = {"right eye": ((37, 41), (38, 40)), "left eye": ((43, 47), (44, 46)), "mouth": ((62, 66),)}
_MEDIAPIPE_PAIRS = {"right eye": ((159, 145),), "left eye": ((386, 374),), "mouth": ((13, 14),)}


@dataclasses.dataclass(frozen=True, eq=False)
class Motion:
    """openings_mm: [F] by name, distances between lids and lips, NaN where the frame is unobserved; empty for a head
    without landmarks. step_px: [F] mean way of the face's vertices in the first camera since the frame before.
    second_difference_px: [F] root mean square of x[t−1] − 2 x[t] + x[t+1] there. NaN where a neighbour is unobserved.
    """

    openings_mm: Mapping[str, np.ndarray]
    step_px: np.ndarray
    second_difference_px: np.ndarray

    @property
    def jitter_px(self) -> float:
        """What `evaluation.jitter.jitter_px` measures; NaN where no three frames in a row are observed."""
        known = self.second_difference_px[np.isfinite(self.second_difference_px)]
        return float(np.sqrt((known**2).mean())) if len(known) else float("nan")


@dataclasses.dataclass(frozen=True, eq=False)
class Residuals:
    """Median over frames and cameras of the distance between P observed and fitted points, [P] px and [P] σ; NaN
    where a point was never observed. surface: the points.
    """

    px: np.ndarray
    sigmas: np.ndarray
    surface: SurfacePoints


def head_angles(track: Track) -> np.ndarray:
    """[F,3] degrees: yaw (towards the subject's left), pitch (down) and roll of the head before the first camera, zero
    for a head that looks straight into it; NaN where no camera sees it.
    """
    rotation = np.asarray(track.cameras.rotation, np.float64)[0] @ _matrices(track)
    angles = Rotation.from_matrix(FACING.T @ rotation).as_euler("YXZ", degrees=True)
    return np.where(seen_frames(track)[:, None], angles, np.nan)


def head_position_mm(track: Track) -> np.ndarray:
    """[F,3] mm: the head's origin in the first camera (right, down, forward); NaN where no camera sees it."""
    rotation, translation = (np.asarray(a, np.float64)[0] for a in (track.cameras.rotation, track.cameras.translation))
    local = np.asarray(track.head_translation, np.float64) @ rotation.T + translation
    return np.where(seen_frames(track)[:, None], METRES_TO_MILLIMETRES * local, np.nan)


def residual_percent(track: Track) -> np.ndarray:
    """[C,F] median residual in per cent of the face's width."""
    return 100 * _ratio(track.residual_px, track.face_width_px)


def seen_frames(track: Track) -> np.ndarray:
    """[F] bool: frames in which some camera observed the face."""
    return np.asarray(track.observed).any(0)


def measure_motion(track: Track, head: HeadModel) -> Motion:
    """Openings and motion in one pass over the frames; memory holds three of them. Raises InputError for another
    head than the track's.
    """
    seen, face = seen_frames(track), np.asarray(head.regions["face"])
    face = face if face.any() else np.ones_like(face)
    surface, pairs = _opening_points(head)
    openings = {name: np.full(track.frame_count, np.nan) for name in pairs}
    step, bend = np.full((2, track.frame_count), np.nan)
    recent: list[np.ndarray] = []
    for f, world in enumerate(track.each_world_vertices(head)):
        recent = [*recent[-2:], np.asarray(track.cameras.project(world), np.float64)[0, face]]
        if pairs and seen[f]:
            points = np.asarray(surface.of(world), np.float64)
            for name, ends in pairs.items():
                gaps = [np.linalg.norm(points[a] - points[b]) for a, b in ends]
                openings[name][f] = METRES_TO_MILLIMETRES * np.mean(gaps)
        if f >= 1 and seen[f - 1 : f + 1].all():
            step[f] = np.linalg.norm(recent[-1] - recent[-2], axis=-1).mean()
        if f >= 2 and seen[f - 2 : f + 1].all():
            bend[f - 1] = np.sqrt(((recent[0] - 2 * recent[1] + recent[2]) ** 2).sum(-1).mean())
    return Motion(openings, step, bend)


def check_alignment(track: Track, alignment: Alignment) -> None:
    """Raise InputError where the alignment is not of the track's cameras and frames."""
    shape, expected = (alignment.camera_count, alignment.frame_count), np.asarray(track.observed).shape
    if shape != expected or not np.array_equal(alignment.frame_ids, track.frame_ids):
        raise InputError(
            f"the alignment is of {shape[0]} camera(s) and {shape[1]} frame(s), the track of {expected[0]} and "
            f"{expected[1]}, or their frame numbers differ; give the alignment that the track was fitted to"
        )


def point_residuals(track: Track, head: HeadModel, alignment: Alignment) -> Residuals:
    """How far the fit is from each observed point. Raises InputError where the alignment is not the track's."""
    check_alignment(track, alignment)
    surface = alignment.points_on(head)
    distances = np.full(alignment.std.shape, np.nan, np.float32)
    for f, world in enumerate(track.each_world_vertices(head)):
        fitted = np.asarray(track.cameras.project(surface.of(world)))
        distances[:, f] = np.linalg.norm(fitted - alignment.mean[:, f], axis=-1)
    distances[~(alignment.valid[..., None] & np.isfinite(alignment.std))] = np.nan
    flat = distances.reshape(-1, alignment.point_count)
    return Residuals(_median(flat), _median(flat / alignment.std.reshape(flat.shape)), surface)


def over_vertices(values: np.ndarray, surface: SurfacePoints, positions: np.ndarray) -> np.ndarray:
    """Values [P] at points, carried to the vertices [V] near them by inverse distances; NaN beyond `REACH`.

    positions: [V,3] m. A vertex that is itself a point gets that point's value.
    """
    known = np.isfinite(values)
    result = np.full(len(positions), np.nan)
    if not known.any():
        return result
    ids, weights = (np.asarray(a)[known] for a in (surface.vertex_ids, surface.barycentric))
    places = np.einsum("pkd,pk->pd", positions[ids], weights)
    count = min(_NEIGHBOURS, len(places))
    distance, nearest = (a.reshape(len(positions), count) for a in cKDTree(places).query(positions, k=count))
    weight = 1 / (distance + 1e-6) ** 2
    mixed = (weight * values[known][nearest]).sum(1) / weight.sum(1)
    near = distance[:, 0] <= REACH
    result[near] = mixed[near]
    return result


def region_median(values: np.ndarray, surface: SurfacePoints, region: np.ndarray) -> float | None:
    """Median of values [P] over the points whose heaviest vertex is in the region [V]; None without any."""
    ids, weights = np.asarray(surface.vertex_ids), np.asarray(surface.barycentric)
    member = np.asarray(region)[ids[np.arange(len(ids)), weights.argmax(1)]] & np.isfinite(values)
    return float(np.median(values[member])) if member.any() else None


def _opening_points(head: HeadModel) -> tuple[SurfacePoints, Mapping[str, tuple[tuple[int, int], ...]]]:
    for surface, pairs in ((head.landmarks, _LANDMARK_PAIRS), (head.mediapipe, _MEDIAPIPE_PAIRS)):
        if surface.count > max(index for ends in pairs.values() for pair in ends for index in pair):
            return surface, pairs
    return head.landmarks, {}


def _matrices(track: Track) -> np.ndarray:
    return Rotation.from_rotvec(np.nan_to_num(np.asarray(track.head_rotation, np.float64))).as_matrix()


def _median(values: np.ndarray) -> np.ndarray:
    """Over the first axis, of the numbers that are known; NaN where none is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanmedian(values, axis=0)


def _ratio(values: np.ndarray, of: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(np.asarray(of) > 0, np.asarray(values, np.float64) / of, np.nan)
