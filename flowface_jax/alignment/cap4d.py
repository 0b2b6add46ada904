"""CAP4D's `alignment.npz`: the on-disk form of FlowFace's alignments by its first author (felixtaubner/cap4d).

Keys, V views and T time steps: vertex_coords (V,T,5023,2) px of the full image; vertex_confidences (V,T,5023,1), which
in spite of the name hold standard deviations in px; crop_boxes (V,T,4) x0, y0, x1, y1, square; valid_mask (V,T); gaze
and gaze_confidences (V,T,2); resolutions (V,2) (height, width); n_timesteps, n_views; camera_order (V,).
"""

from __future__ import annotations

import os
from typing import Final

import numpy as np

from flowface_jax.alignment.alignment import Alignment, make_alignment
from flowface_jax.alignment.key_points import without_key_points
from flowface_jax.errors import InputError
from flowface_jax.storage import read_npz, write_npz

SMALLEST_STD: Final[float] = 0.1
"""px; smaller standard deviations are raised to it on reading, for a tenth of a pixel is beyond what a network resolves
and a zero would give a vertex infinite weight."""

UNOBSERVED_STD: Final[float] = 1e6
"""px; what an unobserved vertex gets in the file, and from where on a vertex read counts as unobserved."""

CROP_MARGIN: Final[float] = 1.2
"""Side of the crop box over the longer side of the box around the vertices."""

_KIND = "a CAP4D alignment (alignment.npz)"
_REQUIRED = ("vertex_coords", "vertex_confidences", "valid_mask", "resolutions")


def read_cap4d_alignment(
    path: str | os.PathLike[str], smallest_std: float = SMALLEST_STD, pixel_centre: float = 0.5
) -> Alignment:
    """The alignment of all vertices in a CAP4D file: mean [C,F,V,2] px, std [C,F,V] px.

    smallest_std: floor of the standard deviations, px. pixel_centre: where the file puts the centre of the top-left
    pixel; 0.5 is assumed (our convention), because the format's cameras hold half the image size as the middle of the
    image and its boxes are used as pixel edges; pass 0 for files of a writer that counts centres from 0. Raises
    InputError for missing keys, wrong shapes, or NaN and negative standard deviations in valid frames.
    """
    if not 0 < smallest_std < UNOBSERVED_STD:
        raise InputError(f"smallest_std: expected a positive number of px, found {smallest_std}")
    arrays = read_npz(path, _KIND, required=_REQUIRED)
    for key in _REQUIRED:
        if arrays[key].dtype.kind not in "fiub":
            raise InputError(f"{path}: {key} does not hold numbers; expected {_KIND}")
    mean = arrays["vertex_coords"]
    if mean.ndim != 4 or mean.shape[-1] != 2:
        raise InputError(f"{path}: vertex_coords: expected shape (V, T, vertices, 2), found {mean.shape}")
    cameras, frames, count, _ = mean.shape
    std = arrays["vertex_confidences"]
    if std.size != cameras * frames * count:
        raise InputError(f"{path}: vertex_confidences: expected shape {(*mean.shape[:3], 1)}, found {std.shape}")
    std = np.array(std, np.float32).reshape(cameras, frames, count)
    valid = np.asarray(arrays["valid_mask"], bool)
    if valid.shape == (cameras, frames) and (std[valid] < 0).any():
        raise InputError(f"{path}: vertex_confidences are standard deviations in px and must not be negative")
    unobserved = std >= UNOBSERVED_STD
    std = np.maximum(std, np.float32(smallest_std))
    std[unobserved] = np.inf
    if arrays["resolutions"].shape != (cameras, 2):
        raise InputError(f"{path}: resolutions: expected shape ({cameras}, 2), found {arrays['resolutions'].shape}")
    try:
        return make_alignment(
            mean=np.asarray(mean, np.float32) + np.float32(0.5 - pixel_centre),
            std=std,
            valid=valid,
            image_size=arrays["resolutions"][:, ::-1],
            point_set="vertices",
            camera_names=[str(n) for n in np.ravel(arrays.get("camera_order", [f"cam{c}" for c in range(cameras)]))],
            source="cap4d",
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def write_cap4d_alignment(
    alignment: Alignment,
    path: str | os.PathLike[str],
    crop_boxes: np.ndarray | None = None,
    gaze: np.ndarray | None = None,
    gaze_std: np.ndarray | None = None,
) -> None:
    """Write an alignment of all vertices as CAP4D's `alignment.npz`.

    crop_boxes: [C,F,4] x0, y0, x1, y1 px; where absent, the box around the observed vertices by CAP4D's rule. gaze and
    gaze_std: [C,F,2] rad; where absent, zero with a standard deviation of `UNOBSERVED_STD`. Raises InputError for other
    point sets and wrong shapes.
    """
    if alignment.point_set != "vertices":
        raise InputError(
            f"CAP4D's format holds all vertices of the head, but the alignment holds '{alignment.point_set}' points"
        )
    alignment = without_key_points(alignment)
    views = (alignment.camera_count, alignment.frame_count)
    boxes = crop_boxes_of(alignment) if crop_boxes is None else np.asarray(crop_boxes, np.int64)
    gaze = np.zeros((*views, 2)) if gaze is None else gaze
    gaze_std = np.full((*views, 2), UNOBSERVED_STD) if gaze_std is None else gaze_std
    for name, array, width in (("crop_boxes", boxes, 4), ("gaze", gaze, 2), ("gaze_std", gaze_std, 2)):
        if np.shape(array) != (*views, width):
            raise InputError(f"{name}: expected shape {(*views, width)}, found {np.shape(array)}")
    write_npz(
        path,
        {
            "vertex_coords": alignment.mean,
            "vertex_confidences": np.minimum(alignment.std, np.float32(UNOBSERVED_STD))[..., None],
            "crop_boxes": boxes,
            "valid_mask": alignment.valid,
            "gaze": np.asarray(gaze, np.float32),
            "gaze_confidences": np.asarray(gaze_std, np.float32),
            "resolutions": alignment.image_size[:, ::-1].astype(np.int64),
            "n_timesteps": np.asarray(alignment.frame_count),
            "n_views": np.asarray(alignment.camera_count),
            "camera_order": np.asarray(alignment.camera_names),
        },
    )


def read_cap4d_crop_boxes(path: str | os.PathLike[str]) -> np.ndarray:
    """The crop boxes [C,F,4] int64 x0, y0, x1, y1 px of a CAP4D alignment. Raises InputError where they are absent."""
    boxes = read_npz(path, _KIND, required=("crop_boxes",))["crop_boxes"]
    if boxes.ndim != 3 or boxes.shape[-1] != 4:
        raise InputError(f"{path}: crop_boxes: expected shape (V, T, 4), found {boxes.shape}")
    return boxes.astype(np.int64)


def crop_boxes_of(alignment: Alignment, margin: float = CROP_MARGIN) -> np.ndarray:
    """Square boxes [C,F,4] int64 x0, y0, x1, y1 px around the observed vertices by CAP4D's rule; zeros without a face.

    Centre: integer middle of the box around the vertices; half side: int((longer side // 2) · margin). A box may leave
    the image.
    """
    boxes = np.zeros((alignment.camera_count, alignment.frame_count, 4), np.int64)
    for c, f in np.argwhere(alignment.valid):
        seen = alignment.mean[c, f][np.isfinite(alignment.std[c, f])]
        if not len(seen):
            continue
        low, high = np.floor(seen.min(0)).astype(np.int64), np.ceil(seen.max(0)).astype(np.int64)
        half = int(((high - low).max() // 2) * margin)
        middle = (low + high) // 2
        boxes[c, f] = [*(middle - half), *(middle + half)]
    return boxes
