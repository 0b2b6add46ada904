"""A made-up rig, and the seeing of a point written out by hand, for the readers' tests."""

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

ROTATIONS = Rotation.from_rotvec([[0.1, -0.2, 3.0], [-0.4, 0.9, 2.9], [0.3, -0.8, -3.0]]).as_matrix()
TRANSLATIONS = np.asarray([[0.02, -0.01, 1.1], [0.1, 0.05, 1.3], [-0.2, 0.02, 0.9]])
POINTS = np.random.default_rng(5).uniform(-0.1, 0.1, (20, 3))
"""World points, m."""


def source_pixels(rotation, translation, intrinsics, distortion=(0, 0, 0, 0, 0, 0, 0, 0), points=POINTS) -> np.ndarray:
    """Where a camera with this K (of any pixel convention) and OpenCV distortion sees the points, by OpenCV itself."""
    rotation_vector, _ = cv2.Rodrigues(np.asarray(rotation, np.float64))
    pixels, _ = cv2.projectPoints(
        np.asarray(points, np.float64),
        rotation_vector,
        np.asarray(translation, np.float64),
        np.asarray(intrinsics, np.float64),
        np.asarray(distortion, np.float64),
    )
    return pixels[:, 0]
