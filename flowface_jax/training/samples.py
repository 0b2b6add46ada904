"""Labelled crops: what a training sample is, how it is cut from a photograph, and how samples make a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import jax
import numpy as np

from flowface_jax.aligners.cropping import Square
from flowface_jax.errors import InputError
from flowface_jax.pytrees import pytree_dataclass
from flowface_jax.settings import check_settings

HEAD, BACKGROUND = 255, 0
"""Values of `Sample.foreground`."""
REASONS = (
    "too few points of the face are known",
    "too little of the face is in the picture",
    "the face is too small",
    "the face is out of proportion to the picture",
)
"""Why `cut_sample` refuses a face."""


@dataclass(frozen=True)
class SampleConfig:
    """How samples are cut.

    side: px of the stored crop. margin: side of the crop to the longer side of the face box, more than the network's
    crop needs, so that augmentation can shift, turn and scale. least_known, least_inside: shares of the face region's
    points that must be known, and lie in the picture. smallest_face: px of the photograph that the longer side of the
    face box must have. largest_face: the longest face box, in longer sides of the photograph.
    """

    side: int = 640
    margin: float = 1.8
    least_known: float = 0.5
    least_inside: float = 0.5
    smallest_face: float = 64.0
    largest_face: float = 2.0

    def __post_init__(self) -> None:
        check_settings(self, "data")
        if not 16 <= self.side <= 4096:
            raise InputError(f"data.side: expected 16 to 4096 px, found {self.side}")
        if not 1 <= self.margin <= 8:
            raise InputError(f"data.margin: expected 1 to 8 face boxes, found {self.margin}")
        if not (0 < self.least_known <= 1 and 0 < self.least_inside <= 1):
            raise InputError("data.least_known and data.least_inside: expected shares above 0 and up to 1")


@dataclass(frozen=True, eq=False)
class Sample:
    """One labelled crop on the host.

    image: [R,R,3] uint8 RGB. points: [V,2] float32 px of that image, finite also where unknown; known: [V] bool.
    foreground: [R,R] uint8, 255 the head, 0 background that may be replaced, between them edges; 255 everywhere where
    that is unknown. face_box: [4] float32 px (left, top, right, bottom) of the face region's points. head: name of the
    head model whose vertices the points are. source: where it is from (dataset, subject, sequence, view, frame).
    """

    image: np.ndarray
    points: np.ndarray
    known: np.ndarray
    foreground: np.ndarray
    face_box: np.ndarray
    head: str
    source: Mapping[str, str]

    @property
    def side(self) -> int:
        return self.image.shape[0]


@pytree_dataclass
class SampleBatch:
    """B samples as they go to the device.

    image: [B,R,R,3] uint8. points: [B,V,2] float32 px. known: [B,V] bool. foreground: [B,R,R] uint8. face_box: [B,4]
    float32 px. index: [B] uint32, the number of each sample in the order of training, from which its random keys are
    folded.
    """

    image: jax.Array
    points: jax.Array
    known: jax.Array
    foreground: jax.Array
    face_box: jax.Array
    index: jax.Array


@dataclass(frozen=True)
class Refusal:
    """A photograph of which no sample can be made. reason: one of `REASONS`, or of the reader's."""

    reason: str


@dataclass(frozen=True)
class Cut:
    """Where a sample lies in its photograph: the square, and the stored side px. Coordinates count from corners."""

    square: Square
    side: int

    @property
    def scale(self) -> float:
        """Px of the sample per px of the photograph."""
        return self.side / self.square.side

    def points(self, pixels: np.ndarray) -> np.ndarray:
        """Points [...,2] px of the photograph in px of the sample."""
        return (np.asarray(pixels, np.float64) - (self.square.left, self.square.top)) * self.scale


def face_cut(
    points: np.ndarray, known: np.ndarray, face_region: np.ndarray, size: tuple[int, int], config: SampleConfig
) -> Cut | Refusal:
    """The square round the face of which a sample is made, or why there is none.

    points: [V,2] px of a photograph of `size` (width, height) px. known, face_region: [V] bool.
    """
    known = known & np.isfinite(points).all(-1)
    face = points[known & face_region]
    if len(face) < max(config.least_known * face_region.sum(), 1):
        return Refusal(REASONS[0])
    inside = ((face >= 0) & (face < size)).all(-1)
    if inside.mean() < config.least_inside:
        return Refusal(REASONS[1])
    low, high = face.min(0), face.max(0)
    longer = (high - low).max()
    if longer < config.smallest_face:
        return Refusal(REASONS[2])
    if longer > config.largest_face * max(size):
        return Refusal(REASONS[3])
    side = max(round(float(config.margin * longer)), 2)
    left, top = (int(edge) for edge in np.rint((low + high) / 2 - side / 2))
    return Cut(Square(left, top, side), config.side)


def cut_sample(
    image: np.ndarray,
    points: np.ndarray,
    known: np.ndarray,
    foreground: np.ndarray | None,
    face_region: np.ndarray,
    head: str,
    source: Mapping[str, str],
    config: SampleConfig,
) -> Sample | Refusal:
    """The sample of a face in a photograph [H,W,3] uint8, or why there is none.

    points: [V,2] px of the photograph; those that are not finite count as unknown. known: [V] bool. foreground: [H,W]
    uint8, or None where nobody knows what is background. face_region: [V] bool, the points that the square is put
    round. Beyond the photograph its border is repeated; that is background to be replaced where the foreground is
    known. Raises InputError for wrong shapes.
    """
    _check(image, points, known, foreground, face_region)
    height, width = image.shape[:2]
    cut = face_cut(points, known, face_region, (width, height), config)
    if isinstance(cut, Refusal):
        return cut
    mask = None if foreground is None else cut_image(foreground, cut, beyond=BACKGROUND)
    return make_sample(cut_image(image, cut), cut, points, known, mask, face_region, head, source)


def make_sample(
    crop: np.ndarray,
    cut: Cut,
    points: np.ndarray,
    known: np.ndarray,
    foreground: np.ndarray | None,
    face_region: np.ndarray,
    head: str,
    source: Mapping[str, str],
) -> Sample:
    """The sample of a crop [R,R,3] that is cut already; foreground: [R,R] of the crop, points px of the photograph."""
    known = known & np.isfinite(points).all(-1)
    placed = np.where(known[:, None], cut.points(np.where(known[:, None], points, 0.0)), 0.0).astype(np.float32)
    face = placed[known & face_region]
    return Sample(
        image=crop,
        points=placed,
        known=known,
        foreground=np.full(crop.shape[:2], HEAD, np.uint8) if foreground is None else foreground,
        face_box=np.concatenate([face.min(0), face.max(0)]),
        head=head,
        source={str(key): str(value) for key, value in source.items()},
    )


def cut_image(image: np.ndarray, cut: Cut, beyond: int | None = None) -> np.ndarray:
    """What the cut shows of an image [H,W] or [H,W,3] uint8, at its side; the border repeated, or `beyond`, outside.

    Shrinking averages over areas, enlarging is bilinear; both keep the edges of the square at the edges of the crop.
    Raises InputError where the square shares no pixel with the image.
    """
    square = cut.square
    height, width = image.shape[:2]
    right, bottom = square.left + square.side, square.top + square.side
    inside = image[max(square.top, 0) : max(bottom, 0), max(square.left, 0) : max(right, 0)]
    if not inside.size:
        raise InputError(f"the crop {square.box.tolist()} lies beside the picture of {width} x {height} px")
    around = (max(-square.top, 0), max(bottom - height, 0), max(-square.left, 0), max(right - width, 0))
    if any(around) and beyond is None:
        inside = cv2.copyMakeBorder(inside, *around, cv2.BORDER_REPLICATE)
    elif any(around):
        inside = cv2.copyMakeBorder(inside, *around, cv2.BORDER_CONSTANT, value=(beyond,) * 3)
    if square.side == cut.side:
        return np.ascontiguousarray(inside)
    method = cv2.INTER_AREA if square.side > cut.side else cv2.INTER_LINEAR
    return cv2.resize(inside, (cut.side, cut.side), interpolation=method)


def mirrored_sample(sample: Sample, mirror: np.ndarray) -> Sample:
    """The sample as a mirror shows it.

    mirror: [V], the vertex on the other side, as `heads.symmetry.mirrored_vertices` gives it.
    """
    points = sample.points[mirror] * np.float32([-1, 1]) + np.float32([sample.side, 0])
    left, top, right, bottom = sample.face_box
    return replace(
        sample,
        image=np.ascontiguousarray(sample.image[:, ::-1]),
        points=points,
        known=sample.known[mirror],
        foreground=np.ascontiguousarray(sample.foreground[:, ::-1]),
        face_box=np.float32([sample.side - right, top, sample.side - left, bottom]),
        source={**sample.source, "mirrored": "yes"},
    )


def stack_samples(samples: Sequence[Sample], index: Sequence[int] | np.ndarray) -> SampleBatch:
    """The batch of samples numbered `index`, NumPy arrays. Raises InputError where heads or sides differ."""
    if not samples or len({(sample.head, len(sample.points), sample.side) for sample in samples}) != 1:
        raise InputError("a batch takes at least one sample, all of one head and one side")
    stacked = {
        name: np.stack([getattr(sample, name) for sample in samples])
        for name in ("image", "points", "known", "foreground", "face_box")
    }
    return SampleBatch(**stacked, index=np.asarray(index).astype(np.uint32))


def _check(
    image: np.ndarray, points: np.ndarray, known: np.ndarray, foreground: np.ndarray | None, face_region: np.ndarray
) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise InputError(f"photograph: expected [H,W,3] uint8, found {list(image.shape)} {image.dtype}")
    if points.ndim != 2 or points.shape[1] != 2:
        raise InputError(f"points: expected [V,2], found {list(points.shape)}")
    for name, array in (("known", known), ("face_region", face_region)):
        if array.shape != points.shape[:1] or array.dtype != bool:
            raise InputError(f"{name}: expected [{len(points)}] bool, found {list(array.shape)} {array.dtype}")
    if foreground is not None and (foreground.shape != image.shape[:2] or foreground.dtype != np.uint8):
        raise InputError(
            f"foreground: expected {list(image.shape[:2])} uint8 like the photograph, found {list(foreground.shape)} "
            f"{foreground.dtype}"
        )
