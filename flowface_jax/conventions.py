"""The one place that states coordinate frames, units and orders; every file stores `CONVENTIONS` beside its numbers.

Axis letters used in shapes everywhere: C cameras, F frames, V vertices, P observed points, S identity,
E expression, K joints, T triangles, H W image, U side of the UV grid.
"""

from __future__ import annotations

from typing import Final

CONVENTIONS: Final[dict[str, str]] = {
    "handedness": "right-handed",
    "camera_axes": "OpenCV: x right, y down, z forward",
    "extrinsics": "world-to-camera: x_camera = R x_world + t",
    "image_coordinates": "continuous pixels, centre of the top-left pixel at (0.5, 0.5)",
    "head_axes": "x towards the subject's left, y up, z out of the face",
    "length_unit": "metre",
    "rotation": "axis-angle, radians",
    "head_pose": "x_world = R_head (head vertex + offset) + t_head",
    "uv": "atlas, u right, v up, both in [0, 1]; image row = 1 - v",
    "colour": "RGB",
}

METRES_TO_MILLIMETRES: Final[float] = 1000.0

BOX_MARGIN: Final[float] = 1.2
"""Side of the network's crop to that of the face box: a fifth larger (paper, section 3.1), in training and after."""
SCALE_JITTER: Final[float] = 0.15
SHIFT_JITTER: Final[float] = 0.08
"""Relative size and share of the box's side by which crops are off in training, so that they may be off by it after."""
