"""A face that a test can draw and find again exactly: red, green and blue dots, half way out to the head's vertices."""

import cv2
import numpy as np

from flowface_jax.aligners.frames import Frame, SourceInfo
from flowface_jax.aligners.prediction import Prediction
from flowface_jax.heads.model import HeadModel, SurfacePoints

PLACES = np.asarray([[-0.5, -0.5], [0.5, -0.5], [0.0, 0.5]])
DOT = 0.025
STD = 0.01
"""Of the crop's side: how sure the network of dots says it is."""


def dots_head():
    """A head of three vertices, all of the face region, which cannot move."""
    none = np.zeros((0, 3))
    return HeadModel(
        template=np.c_[PLACES, np.zeros(3)],
        identity_basis=np.zeros((3, 3, 0)),
        expression_basis=np.zeros((3, 3, 0)),
        expression_std=np.zeros(0),
        expression_limits=np.zeros((0, 2)),
        joint_template=none,
        joint_identity=np.zeros((0, 3, 0)),
        joint_expression=np.zeros((0, 3, 0)),
        pose_correctives=np.zeros((3, 3, 0)),
        skinning_weights=np.zeros((3, 0)),
        triangles=np.asarray([[0, 1, 2]]),
        uv=PLACES + 0.5,
        vertex_weights=np.ones(3),
        landmarks=SurfacePoints(none.astype(int), none),
        mediapipe=SurfacePoints(none.astype(int), none),
        regions={"face": np.ones(3, bool)},
        joint_parents=(),
        joint_names=(),
        expression_names=(),
        name="dots",
        licence="",
    )


def points_of_face(x, y, size):
    """The vertices [3,2] px of a face of `size` px around (x, y)."""
    return np.asarray([x, y]) + size * PLACES


def points_of_dots(dots):
    """The vertices [3,2] px of the face whose dots are at [3,2] px."""
    centre = np.asarray([dots[0, 0] + dots[1, 0], dots[0, 1] + dots[2, 1]]) / 2
    return centre + 2 * (dots - centre)


def draw_faces(faces, width=160, height=120):
    """A black picture with faces (x, y, size) px."""
    rows, columns = np.mgrid[:height, :width] + 0.5
    image = np.zeros((height, width, 3))
    for x, y, size in faces:
        for channel, (u, v) in enumerate(points_of_face(x, y, size / 2)):
            squared = (columns - u) ** 2 + (rows - v) ** 2
            image[..., channel] += 250 * np.exp(-0.5 * squared / (DOT * size) ** 2)
    return np.rint(np.minimum(image, 255)).astype(np.uint8)


class Film:
    """Frames that are already there; `faces`: per frame a list of (x, y, size)."""

    def __init__(self, faces, width=160, height=120, name="film.mp4", is_video=True, wait=None):
        self.faces, self.wait = faces, wait
        self.info = SourceInfo(name, (width, height), len(faces), 25.0, is_video)

    def __iter__(self):
        for k, faces in enumerate(self.faces):
            if self.wait is not None:
                self.wait()
            yield Frame(k, k / 25, draw_faces(faces, *self.info.size))

    def truth(self, frame, face=0):
        return points_of_face(*self.faces[frame][face])


class DotsDetector:
    """Boxes of the faces whose three dots are in the picture."""

    def __init__(self):
        self.calls = 0

    def __call__(self, image):
        self.calls += 1
        dots = [cv2.connectedComponentsWithStats((image[..., k] > 60).astype(np.uint8))[3][1:] + 0.5 for k in range(3)]
        boxes = []
        for red in dots[0]:
            if len(dots[1]) and len(dots[2]):
                others = [found[np.linalg.norm(found - red, axis=1).argmin()] for found in dots[1:]]
                corners = points_of_dots(np.stack([red, *others]))
                boxes.append(np.concatenate([corners.min(0), corners.max(0)]))
        return np.asarray(boxes).reshape(-1, 4), np.ones(len(boxes))


class DotsNetwork:
    """Finds the centre of each colour in the crop; unsure where one is absent."""

    name, image_size, point_count = "dots", 96, 3

    def __init__(self, batch_size=4, presence=False, wait=None):
        self.batch_size, self.presence, self.wait = batch_size, presence, wait
        self.crops = 0

    def start(self, crops):
        assert 0 < len(crops) <= self.batch_size and crops.shape[1:] == (96, 96, 3)
        self.crops += len(crops)

        def answer():
            if self.wait is not None:
                self.wait()
            found = [self._find(crop) for crop in crops]
            mean, sure = np.stack([f[0] for f in found]), np.asarray([f[1] for f in found])
            std = np.where(sure, STD, 0.3)[:, None] * np.full((1, 3), self.image_size)
            return Prediction(mean, std, np.where(sure, 0.9, 0.1) if self.presence else None)

        return answer

    def _find(self, crop):
        weights = crop.astype(np.float64) * (crop > 8)
        total = weights.sum((0, 1))
        if (total < 250).any():
            return np.full((3, 2), self.image_size / 2), False
        places = np.arange(self.image_size) + 0.5
        x, y = np.einsum("yxk,x->k", weights, places), np.einsum("yxk,y->k", weights, places)
        return points_of_dots(np.stack([x, y], 1) / total[:, None]), True
