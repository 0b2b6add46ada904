"""How uncertain detected landmarks are, estimated from the landmarks themselves.

MediaPipe states no confidence, so a point's standard deviation is put together from what can be observed:

    σ² = σ_jitter² + (SYSTEMATIC · face size · group · turn)²

σ_jitter is measured in the clip. The systematic part is what does not show as jitter: the detector's notion of a point
differs from the place on the head model that stands for it. Face size is sqrt(width · height) of the points' box.
"""

from __future__ import annotations

import numpy as np

SYSTEMATIC = 0.0039
"""Systematic deviation per coordinate as a fraction of face size.

Measured: a 50 + 53 coefficient ICT-FaceKit head fitted to MediaPipe's points on eight real clips leaves a median
distance of 0.41 % of the longer box side. A median distance is 1.177 σ (two Gaussian coordinates), and the square root
of the box area is 0.90 of the longer side on those clips: 0.41 % / 1.177 / 0.90 = 0.39 %.
"""

OVAL_FACTOR = 2.0
"""Face oval: its points mark the silhouette and slide along it as the head turns. Judged, not measured."""

IRIS_FACTOR = 2.7
"""Irises: 1.1 % against 0.41 % median in the same measurement."""

TURN_COSINES = (-0.5, 0.0, 0.5)
TURN_FACTORS = (6.0, 3.0, 1.0)
"""Growth with the angle between a point's normal and the viewing direction: ×1 facing the camera (cosine 0.5 and more),
×3 seen edge-on, ×6 turned away, where the detector only guesses; log-linear between. The 1.11 % at the 90th percentile
of the same measurement is 2.7 times the median, which sets the order of the middle value; the last is judged."""

JITTER_WINDOW = 21
"""Frames in the window of the jitter estimate: long enough for a steady median, short enough to follow motion blur."""

MEDIAPIPE_POINTS = 478
FACE_OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
IRISES = tuple(range(468, 478))

_NEIGHBOURS = 8


BLOCK_FRAMES = 64


def estimate_std(
    points: np.ndarray,
    valid: np.ndarray,
    group: np.ndarray,
    image_size: tuple[int, int] | None = None,
    moving: bool = True,
) -> np.ndarray:
    """Standard deviation [F,P] px per coordinate of landmarks [F,P,3]: x, y px and z px into the picture.

    valid: [F] bool. group: [P] factor per point (`mediapipe_groups`). image_size: (width, height); points outside it
    are guesses of the detector, not observations, and get infinity, as do invalid frames. moving: the frames are one
    motion, so that their jitter can be measured; without it there is only the systematic part.
    """
    points = np.asarray(points, np.float64)
    valid = np.asarray(valid, bool)
    std = np.full(points.shape[:2], np.inf)
    if not valid.any():
        return std
    seen = points[valid]
    turn = turn_factor(facing_cosine(seen))
    std[valid] = SYSTEMATIC * face_size(seen)[:, None] * np.asarray(group)[None] * turn
    if moving:
        std[valid] = np.hypot(std[valid], jitter(points, valid)[valid])
    if image_size is not None:
        std[~inside(points[..., :2], image_size)] = np.inf
    return std


def mediapipe_groups() -> np.ndarray:
    """[478] factor on the systematic deviation: face oval, irises and the rest."""
    group = np.ones(MEDIAPIPE_POINTS)
    group[list(FACE_OVAL)] = OVAL_FACTOR
    group[list(IRISES)] = IRIS_FACTOR
    return group


def face_size(points: np.ndarray) -> np.ndarray:
    """Square root of the box area of points [...,P,2 or 3]: [...] px."""
    extent = points[..., :2].max(-2) - points[..., :2].min(-2)
    return np.sqrt(extent.prod(-1))


def inside(points: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """Which points [...,2] px lie in the image of (width, height): [...] bool."""
    return ((points >= 0) & (points <= np.asarray(image_size))).all(-1)


def jitter(points: np.ndarray, valid: np.ndarray, window: int = JITTER_WINDOW) -> np.ndarray:
    """Standard deviation [F,P] px of the frame-to-frame noise of points [F,P,3], zero where it cannot be measured.

    White noise of deviation σ gives second differences x[t−1] − 2x[t] + x[t+1] of variance 6σ². Steady motion cancels
    in them, and what the head's acceleration adds is a linear function of the points' positions in space, so that is
    fitted and taken out. σ is the median absolute value of the rest over a window of frames and both coordinates, over
    0.6745 √6, so that a few jerks do not count. Only frames whose neighbours are valid take part. Noise common to all
    points looks like motion and is not counted.
    """
    measured = np.flatnonzero(valid[:-2] & valid[1:-1] & valid[2:]) + 1 if len(points) >= 3 else np.zeros(0, int)
    if not len(measured):
        return np.zeros(points.shape[:2])
    second = np.abs(np.stack([_unshared_acceleration(points[t - 1 : t + 2]) for t in measured]))
    result = np.empty(points.shape[:2])
    # The nearest measured frames, rather than a fixed span, so that clip ends and gaps have full windows too.
    count = min(window, len(measured))
    for frame in range(len(points)):
        start = np.clip(np.searchsorted(measured, frame) - count // 2, 0, len(measured) - count)
        result[frame] = np.median(second[start : start + count], axis=(0, 2))
    return result / (0.6745 * np.sqrt(6))


def _unshared_acceleration(points: np.ndarray) -> np.ndarray:
    """Second difference [P,2] of points [3,P,3], less the part that a moving and turning rigid head would show."""
    second = points[0, :, :2] - 2 * points[1, :, :2] + points[2, :, :2]
    count = len(second)
    parameters = 4
    if count <= 2 * parameters:
        return second
    position = np.c_[points[1] - points[1].mean(0), np.ones(count)]
    shared = position @ np.linalg.lstsq(position, second, rcond=None)[0]
    return (second - shared) * np.sqrt(count / (count - parameters))


def facing_cosine(points: np.ndarray, rim: tuple[int, ...] = FACE_OVAL) -> np.ndarray:
    """Cosine [F,P] between each point's outward normal and the direction to the camera, from points [F,P,3].

    The normal is that of the plane through a point's nearest neighbours, turned away from a centre that lies behind
    the face. `rim` names the points on the face's outline, whose plane the others stand out from. Perspective is
    neglected: the camera looks along z.
    """
    points = np.asarray(points, np.float64)
    neighbours = _neighbours(points)
    # Blocks of frames bound the memory: each frame needs a 3x3 matrix and nine neighbours for every point.
    blocks = np.array_split(points, -(-len(points) // BLOCK_FRAMES))
    return np.concatenate([_facing_cosine(block, neighbours, np.asarray(rim)) for block in blocks])


def _facing_cosine(points: np.ndarray, neighbours: np.ndarray, rim: np.ndarray) -> np.ndarray:
    normals = _plane_normals(points[:, neighbours])
    middle = points[:, rim].mean(axis=1, keepdims=True)
    forward = _plane_normals(points[:, rim])
    forward = forward * np.where(((points.mean(axis=1) - middle[:, 0]) * forward).sum(-1) < 0, -1.0, 1.0)[:, None]
    centre = middle - 0.5 * face_size(points)[:, None, None] * forward[:, None]
    normals = normals * np.where((normals * (points - centre)).sum(-1) < 0, -1.0, 1.0)[..., None]
    return -normals[..., 2]


def _plane_normals(points: np.ndarray) -> np.ndarray:
    """Unit normal [...,3], of either sign, of the plane that fits points [...,K,3] best."""
    centred = points - points.mean(axis=-2, keepdims=True)
    scatter = np.einsum("...ki,...kj->...ij", centred, centred)
    return np.linalg.eigh(scatter)[1][..., 0]


def _neighbours(points: np.ndarray) -> np.ndarray:
    """Indices [P,K+1] of each point and its nearest others in space, by mean distance over a few frames of [F,P,3]."""
    sample = points[np.linspace(0, len(points) - 1, min(len(points), 8)).astype(int)]
    distance = sum(np.linalg.norm(p[:, None] - p[None], axis=-1) / np.ptp(p, axis=0).max() for p in sample)
    return np.argsort(distance, axis=1, kind="stable")[:, : _NEIGHBOURS + 1]


def turn_factor(cosine: np.ndarray) -> np.ndarray:
    """Growth of the systematic deviation with the facing cosine (`TURN_FACTORS` at `TURN_COSINES`, log-linear)."""
    return np.exp(np.interp(cosine, TURN_COSINES, np.log(TURN_FACTORS)))
