"""Faces turned upright and cropped by five points, as face recognition expects: eyes, nose tip, mouth corners."""

from __future__ import annotations

import cv2
import numpy as np

from flowface_jax.alignment.alignment import Alignment
from flowface_jax.errors import InputError
from flowface_jax.heads.model import HeadModel

TEMPLATE = np.asarray(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""Where the five points lie in the crop (insightface's), x and y counted from the centre of the top-left pixel: the eye
on the left of the picture, the other eye, the tip of the nose, the corners of the mouth in the same order."""

CROP_SIZE = 112
HALF_PIXEL = 0.5

LANDMARKS = ((37, 38, 40, 41), (43, 44, 46, 47), (30,), (60,), (64,))
MEDIAPIPE = ((160, 158, 153, 144), (385, 387, 373, 380), (4,), (78,), (308,))
"""Which points' mean stands for each of the five: the four of the lids, the nose tip, the inner corners of the mouth.

MICA's own stand-in for a five-point detector takes two points of each eye's lids (68-point landmarks 38 and 41, 44 and
46), which on one side are both on the outer half. The mean of all four is the centre on both sides, and fits the
template better: on six clips the residual is 2.3 px instead of 2.7 px of the crop.
"""


def five_points(alignment: Alignment, head: HeadModel | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The five points [C,F,5,2] px, float64, and whether all were observed [C,F].

    head: needed for alignments of vertices, whose 68 landmarks lie on it. Raises InputError for other surface points.
    """
    mean, seen = alignment.mean, np.isfinite(alignment.std)
    if alignment.point_set == "mediapipe":
        groups = MEDIAPIPE
    elif alignment.point_set == "landmarks":
        groups = LANDMARKS
    elif alignment.point_set == "vertices" and head is not None:
        groups = LANDMARKS
        mean, seen = _landmarks_of_vertices(alignment, head)
    else:
        raise InputError(
            f"eyes, nose and mouth cannot be found in an alignment of {alignment.point_set} points"
            + (" without its head" if head is None else "; expected vertices, landmarks or mediapipe points")
        )
    places = np.stack([mean[:, :, list(group)].mean(axis=2, dtype=np.float64) for group in groups], axis=2)
    observed = np.stack([seen[:, :, list(group)].all(axis=2) for group in groups], axis=2).all(axis=2)
    return places, observed & alignment.valid


def similarity_to_template(points: np.ndarray) -> np.ndarray:
    """Affine matrices [N,2,3] of the least-squares similarities (Umeyama's, no reflection) from five points [N,5,2],
    counted from the centre of the top-left pixel, to the template; NaN where all five coincide.
    """
    # As complex numbers a plane similarity is z -> a z + b, and least squares has a closed form.
    source, target = points @ [1, 1j], TEMPLATE @ [1, 1j]
    centred, wanted = source - source.mean(axis=1, keepdims=True), target - target.mean()
    spread = (np.abs(centred) ** 2).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        a = np.where(spread > 0, (centred.conj() * wanted).sum(axis=1) / spread, complex(np.nan, np.nan))
    b = target.mean() - a * source.mean(axis=1)
    return np.stack([np.stack([a.real, -a.imag, b.real], -1), np.stack([a.imag, a.real, b.imag], -1)], axis=1)


def crop_face(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The face [112,112,3] uint8 of a picture [H,W,3] with the five points [5,2] in px; black beyond the picture."""
    matrix = similarity_to_template(points[None] - HALF_PIXEL)[0]
    return cv2.warpAffine(image, matrix, (CROP_SIZE, CROP_SIZE), flags=cv2.INTER_LINEAR, borderValue=(0, 0, 0))


def _landmarks_of_vertices(alignment: Alignment, head: HeadModel) -> tuple[np.ndarray, np.ndarray]:
    """The 68 landmarks [C,F,68,2] and which are observed [C,F,68], interpolated between vertices."""
    if alignment.point_count != head.vertex_count or not head.landmarks.count:
        raise InputError(
            f"the alignment has {alignment.point_count} vertices, head '{head.name}' {head.vertex_count} and "
            f"{head.landmarks.count} landmarks; use the head that the alignment was made for, with its 68 landmarks"
        )
    corners, weights = np.asarray(head.landmarks.vertex_ids), np.asarray(head.landmarks.barycentric, np.float64)
    points = np.einsum("cfpkd,pk->cfpd", alignment.mean[:, :, corners], weights)
    # A vertex without weight may go unobserved.
    return points, (np.isfinite(alignment.std)[:, :, corners] | (weights == 0)).all(axis=-1)
