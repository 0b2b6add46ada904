"""Pure functions between our camera convention and those of other programs. Host NumPy, float64, any leading axes.

Ours: world-to-camera x_camera = R x_world + t with OpenCV's axes (x right, y down, z forward); pixels with the
centre of the top-left one at (0.5, 0.5).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from flowface_jax.errors import InputError

OPENGL_AXES = np.diag([1.0, -1.0, -1.0])
"""Between OpenCV's axes and OpenGL's (x right, y up, z backward), either way."""
_PYTORCH3D_AXES = np.diag([-1.0, -1.0, 1.0])


class PyTorch3DCamera(NamedTuple):
    """A PyTorch3D `PerspectiveCameras`: row vectors x_view = x_world R + T, axes x left, y up, z forward.

    rotation: [...,3,3]. translation: [...,3]. focal: [...,2] and principal_point: [...,2], in NDC or in screen px.
    """

    rotation: np.ndarray
    translation: np.ndarray
    focal: np.ndarray
    principal_point: np.ndarray


def camera_to_world(rotation: np.ndarray, translation: np.ndarray) -> np.ndarray:
    """Camera-to-world matrices [...,4,4] with OpenCV's axes from rotation [...,3,3] and translation [...,3]."""
    rotation, translation = np.asarray(rotation, np.float64), np.asarray(translation, np.float64)
    pose = np.zeros((*translation.shape[:-1], 4, 4))
    back = np.swapaxes(rotation, -1, -2)
    pose[..., :3, :3] = back
    pose[..., :3, 3] = -np.einsum("...ij,...j->...i", back, translation)
    pose[..., 3, 3] = 1.0
    return pose


def opencv_from_camera_to_world(pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """World-to-camera rotation [...,3,3] and translation [...,3] from camera-to-world [...,4,4], OpenCV's axes."""
    pose = np.asarray(pose, np.float64)
    rotation = np.swapaxes(pose[..., :3, :3], -1, -2)
    return rotation, -np.einsum("...ij,...j->...i", rotation, pose[..., :3, 3])


def opengl_from_opencv(rotation: np.ndarray, translation: np.ndarray) -> np.ndarray:
    """Camera-to-world [...,4,4] with OpenGL's and Blender's axes (x right, y up, looking along −z)."""
    pose = camera_to_world(rotation, translation)
    pose[..., :3, :3] = pose[..., :3, :3] @ OPENGL_AXES
    return pose


def opencv_from_opengl(pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotation [...,3,3] and translation [...,3], world-to-camera, from an OpenGL/Blender camera-to-world [...,4,4]."""
    pose = np.array(pose, np.float64)
    pose[..., :3, :3] = pose[..., :3, :3] @ OPENGL_AXES
    return opencv_from_camera_to_world(pose)


def pytorch3d_from_opencv(
    rotation: np.ndarray,
    translation: np.ndarray,
    focal: np.ndarray,
    principal_point: np.ndarray,
    image_size: np.ndarray,
    in_ndc: bool = True,
) -> PyTorch3DCamera:
    """A PyTorch3D camera from ours: rotation [...,3,3], translation [...,3], focal [...] or [...,2] px,
    principal_point [...,2] px, image_size [...,2] (width, height).

    NDC: the shorter side spans −1 to 1, x to the left, y up, zero in the middle of the image. Screen: px, as ours.
    """
    rotation, translation = np.asarray(rotation, np.float64), np.asarray(translation, np.float64)
    focal, centre = _focal_pair(focal, principal_point), np.asarray(principal_point, np.float64)
    if in_ndc:
        middle, half = _middle_and_half(image_size)
        focal, centre = focal / half, (middle - centre) / half
    return PyTorch3DCamera(
        np.swapaxes(_PYTORCH3D_AXES @ rotation, -1, -2), translation @ _PYTORCH3D_AXES, focal, centre
    )


def opencv_from_pytorch3d(
    camera: PyTorch3DCamera, image_size: np.ndarray, in_ndc: bool = True
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rotation [...,3,3], translation [...,3], focal [...,2] px and principal point [...,2] px in our convention."""
    rotation = _PYTORCH3D_AXES @ np.swapaxes(np.asarray(camera.rotation, np.float64), -1, -2)
    translation = np.asarray(camera.translation, np.float64) @ _PYTORCH3D_AXES
    centre = np.asarray(camera.principal_point, np.float64)
    focal = _focal_pair(camera.focal, centre)
    if in_ndc:
        middle, half = _middle_and_half(image_size)
        focal, centre = focal * half, middle - centre * half
    return rotation, translation, focal, centre


def intrinsic_matrix(focal: np.ndarray, principal_point: np.ndarray) -> np.ndarray:
    """K [...,3,3] from focal [...] or [...,2] px and principal point [...,2] px."""
    centre = np.asarray(principal_point, np.float64)
    pair = _focal_pair(focal, centre)
    matrix = np.zeros((*centre.shape[:-1], 3, 3))
    matrix[..., 0, 0], matrix[..., 1, 1] = pair[..., 0], pair[..., 1]
    matrix[..., :2, 2] = centre
    matrix[..., 2, 2] = 1.0
    return matrix


def from_intrinsic_matrix(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Focal lengths (fx, fy) [...,2] px and principal point [...,2] px of K [...,3,3]; skew is ignored."""
    matrix = np.asarray(matrix, np.float64)
    return np.stack([matrix[..., 0, 0], matrix[..., 1, 1]], axis=-1), matrix[..., :2, 2].copy()


def quaternion_from_rotation(rotation: np.ndarray) -> np.ndarray:
    """Unit quaternions w x y z [...,4], w ≥ 0, of rotation matrices [...,3,3]."""
    rotation = np.asarray(rotation, np.float64)
    flat = Rotation.from_matrix(rotation.reshape(-1, 3, 3)).as_quat(canonical=True, scalar_first=True)
    return flat.reshape(*rotation.shape[:-2], 4)


def rotation_from_quaternion(quaternion: np.ndarray) -> np.ndarray:
    """Rotation matrices [...,3,3] of quaternions w x y z [...,4] of any length but zero."""
    quaternion = np.asarray(quaternion, np.float64)
    if not (np.linalg.norm(quaternion, axis=-1) > 0).all():
        raise InputError("a quaternion of length zero is no rotation")
    flat = Rotation.from_quat(quaternion.reshape(-1, 4), scalar_first=True).as_matrix()
    return flat.reshape(*quaternion.shape[:-1], 3, 3)


def rows_6d_from_rotation(rotation: np.ndarray) -> np.ndarray:
    """The 6D form [...,6] that PyTorch3D uses: the first two rows of each rotation [...,3,3] (Zhou et al. 2019)."""
    rotation = np.asarray(rotation, np.float64)
    return rotation[..., :2, :].reshape(*rotation.shape[:-2], 6).copy()


def rotation_from_rows_6d(rows: np.ndarray) -> np.ndarray:
    """Rotations [...,3,3] of 6D forms [...,6]: the two rows orthonormalised (Gram-Schmidt), third row their product."""
    rows = np.asarray(rows, np.float64)
    first = rows[..., :3] / np.linalg.norm(rows[..., :3], axis=-1, keepdims=True)
    second = rows[..., 3:] - np.sum(first * rows[..., 3:], axis=-1, keepdims=True) * first
    length = np.linalg.norm(second, axis=-1, keepdims=True)
    if not (length > 1e-12).all():
        raise InputError("a 6D rotation with parallel or zero rows is no rotation")
    second = second / length
    return np.stack([first, second, np.cross(first, second)], axis=-2)


def _focal_pair(focal: np.ndarray, principal_point: np.ndarray) -> np.ndarray:
    """Focal lengths [...,2] from one or two per camera."""
    focal, shape = np.asarray(focal, np.float64), np.shape(principal_point)
    return np.broadcast_to(focal if focal.shape == shape else focal[..., None], shape)


def _middle_and_half(image_size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Middle of the image [...,2] px and half of its shorter side [...,1] px."""
    size = np.asarray(image_size, np.float64)
    return size / 2, size.min(axis=-1, keepdims=True) / 2
