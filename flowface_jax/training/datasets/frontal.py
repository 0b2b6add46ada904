"""From where a camera sees a face: angles from the frontal view, whatever unit and axes the scan has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flowface_jax.heads.model import HeadModel


@dataclass(frozen=True)
class FaceFrame:
    """Where a head is in the world: x_world = scale · rotation · x_head + translation.

    rotation: [3,3]. translation: [3]. scale: world units per metre. centre: [3] of the face, in the world.
    """

    rotation: np.ndarray
    translation: np.ndarray
    scale: float
    centre: np.ndarray


def face_frame(vertices: np.ndarray, head: HeadModel) -> FaceFrame:
    """The similarity that takes the head's template to a mesh [V,3] of its topology, least squares over the face."""
    face = np.asarray(head.regions["face"])
    template = np.asarray(head.template, np.float64)[face]
    found = np.asarray(vertices, np.float64)[face]
    middle, centre = template.mean(0), found.mean(0)
    left, spread, right = np.linalg.svd((found - centre).T @ (template - middle))
    turn = np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    rotation = left @ turn @ right
    scale = float((spread * np.diag(turn)).sum() / ((template - middle) ** 2).sum())
    return FaceFrame(rotation, centre - scale * rotation @ middle, scale, centre)


def view_angles(camera_centre: np.ndarray, frame: FaceFrame) -> tuple[float, float]:
    """Degrees by which a camera [3] stands beside (−180 to 180, positive to the subject's left) and above (−90 to 90)
    the direction in which the face looks.
    """
    x, y, z = (camera_centre - frame.centre) @ frame.rotation
    return float(np.degrees(np.arctan2(x, z))), float(np.degrees(np.arctan2(y, np.hypot(x, z))))


def is_within(camera_centre: np.ndarray, frame: FaceFrame, horizontal: float, vertical: float) -> bool:
    """Whether a camera sees the face from at most so many degrees beside and above (or below) the frontal view."""
    beside, above = view_angles(camera_centre, frame)
    return abs(beside) <= horizontal and abs(above) <= vertical
