"""Where things stand in the scene: it is the frame of the camera that is chosen, for all tracks.

The chosen camera of every track has its centre at the origin and looks along z. Seen from there each mesh lies on its
picture exactly, whatever the shape of the browser's window. Tracks side by side are turned about the origin by the
width of their pictures: that leaves this as it is, which shifting them would not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy.spatial.transform import Rotation

from flowface_jax.cameras.model import Cameras
from flowface_jax.fitting.track import Track

UP = (0.0, -1.0, 0.0)
BEHIND = 0.25
"""m between the head's origin and the picture behind it: more than the back of a head needs."""
_GAP = 1.04
_WIDEST = np.radians(140.0)


@dataclasses.dataclass(frozen=True, eq=False)
class Pose:
    """A rotation [3,3] and a translation [3] m: x → rotation x + translation."""

    rotation: np.ndarray
    translation: np.ndarray

    @property
    def wxyz(self) -> tuple[float, float, float, float]:
        x, y, z, w = Rotation.from_matrix(self.rotation).as_quat()
        return float(w), float(x), float(y), float(z)

    @staticmethod
    def of_wxyz(wxyz: np.ndarray, translation: np.ndarray) -> Pose:
        """From a quaternion (w, x, y, z) and a translation [3] m."""
        w, x, y, z = (float(part) for part in wxyz)
        return Pose(Rotation.from_quat([x, y, z, w]).as_matrix(), np.asarray(translation, np.float64))

    def then(self, other: Pose) -> Pose:
        """This pose, and then the other."""
        return Pose(other.rotation @ self.rotation, other.rotation @ self.translation + other.translation)

    def inverse(self) -> Pose:
        return Pose(self.rotation.T, -self.rotation.T @ self.translation)

    def of(self, points: np.ndarray) -> np.ndarray:
        """Points [...,3] m, posed."""
        return points @ self.rotation.T + self.translation


@dataclasses.dataclass(frozen=True, eq=False)
class Plane:
    """A camera's picture in its frame: centre [3] m, and its width and height m."""

    centre: np.ndarray
    width: float
    height: float

    def corners(self) -> np.ndarray:
        """[4,3] m: top left, top right, bottom right, bottom left."""
        signs = np.asarray([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.float64)
        return self.centre + signs * [self.width / 2, self.height / 2, 0]


def camera_pose(cameras: Cameras, camera: int) -> Pose:
    """From the world into a camera's frame."""
    return Pose(*(np.asarray(a, np.float64)[camera] for a in (cameras.rotation, cameras.translation)))


def turned(angle: float) -> Pose:
    """A turn about the chosen camera's vertical axis by an angle, rad, positive to the right."""
    return Pose(Rotation.from_euler("y", angle).as_matrix(), np.zeros(3))


def picture_plane(cameras: Cameras, camera: int, depth: float) -> Plane:
    """The picture of a camera at a depth, m; exact also where the principal point is not in its middle."""
    focal, centre = float(np.asarray(cameras.focal)[camera]), np.asarray(cameras.principal_point, np.float64)[camera]
    size = np.asarray(cameras.image_size, np.float64)[camera]
    middle = (size / 2 - centre) / focal * depth
    return Plane(np.asarray([*middle, depth]), *(size / focal * depth))


def head_depths(track: Track, camera: int) -> np.ndarray:
    """[F] m: how far the head's origin lies before a camera, in frames where a camera sees the face."""
    pose = camera_pose(track.cameras, camera)
    depth = pose.of(np.asarray(track.head_translation, np.float64))[:, 2]
    kept = np.asarray(track.observed).any(0) & np.isfinite(depth)
    return depth[kept] if kept.any() else np.asarray([1.0])


def field_of_view(cameras: Cameras, camera: int) -> tuple[float, float]:
    """Horizontal and vertical angle, rad, that holds the whole picture around the camera's axis."""
    focal, centre = float(np.asarray(cameras.focal)[camera]), np.asarray(cameras.principal_point, np.float64)[camera]
    size = np.asarray(cameras.image_size, np.float64)[camera]
    reach = np.maximum(centre, size - centre)
    horizontal, vertical = 2 * np.arctan(reach / focal)
    return float(horizontal), float(vertical)


def angles_side_by_side(widths: Sequence[float]) -> list[float]:
    """By how much each track is turned, rad, so that pictures of these angular widths stand in a row, centred."""
    total = _GAP * sum(widths)
    ends = np.concatenate([[0.0], np.cumsum(_GAP * np.asarray(widths, np.float64))])
    return [float((a + b) / 2 - total / 2) for a, b in zip(ends[:-1], ends[1:], strict=True)]


def fitting_view(horizontal: float, vertical: float, aspect: float) -> float:
    """Vertical field of view, rad, that shows these angles in a window; aspect: its width over its height."""
    upright = np.tan(min(vertical, _WIDEST) / 2)
    across = np.tan(min(horizontal, _WIDEST) / 2) / max(aspect, 1e-3)
    return float(2 * np.arctan(max(upright, across)))


def frustum_lines(plane: Plane) -> np.ndarray:
    """Edges [8,2,3] m of the pyramid from a camera's centre to its picture."""
    corners = plane.corners()
    rays = np.stack([np.zeros_like(corners), corners], axis=1)
    return np.concatenate([rays, np.stack([corners, np.roll(corners, -1, axis=0)], axis=1)])
