"""What is scored, from wherever it lies: sequences, regions, key points, points in images, speech, pictures."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from flowface_jax.aligners.frames import FrameSource
from flowface_jax.aligners.video import open_frames
from flowface_jax.alignment.source import load_alignment
from flowface_jax.cameras.model import Cameras
from flowface_jax.errors import InputError
from flowface_jax.evaluation.mesh_sequence import MeshSequence, check_sequence, seen_by
from flowface_jax.evaluation.readers import mediapipe_points, open_sequence, vertex_file
from flowface_jax.evaluation.readers.files import files_of, read_array, shaped
from flowface_jax.evaluation.readers.options import METRES
from flowface_jax.evaluation.reconstruction.key_points import head_key_points, read_key_points, vertex_key_points
from flowface_jax.evaluation.temporal_filter import filter_sequence
from flowface_jax.heads.model import HeadModel, SurfacePoints
from flowface_jax.heads.source import GENERIC, load_head
from flowface_jax.storage import read_npz, require_file

Source = MeshSequence | str | os.PathLike[str]
"""A sequence, or the path of anything that `open_sequence` reads."""
MEDIAPIPE_KEY_POINTS = (33, 133, 362, 263, 2, 61, 291)
"""The seven key points among MediaPipe's landmarks."""
_SMALLEST_MESH = 100
"""Vertices: arrays of fewer hold something else."""


@dataclasses.dataclass(frozen=True)
class Reading:
    """What files do not say, as for `open_sequence`. smoothing_frames: standard deviation of the Gaussian over time
    that single-image methods are given, 0 for none.
    """

    head: HeadModel | str | os.PathLike[str] | None = None
    cameras: Cameras | str | os.PathLike[str] | None = None
    unit: str | None = None
    kind: str = "auto"
    image_size: tuple[int, int] | None = None
    frames_per_second: float | None = None
    smoothing_frames: float = 0.0

    def beside(self, truth: MeshSequence, camera: int) -> Reading:
        """The same, with the size of the truth's images where none was named."""
        if self.image_size is not None or (truth.cameras is None and truth.seen is None):
            return self
        size = truth.seen.size if truth.cameras is None else truth.projected(camera).size
        return dataclasses.replace(self, image_size=size)


def opened(source: Source, reading: Reading | None = None, name: str | None = None) -> MeshSequence:
    """The checked sequence, with the named head's regions where it has none of its own, smoothed as is asked for.

    Raises InputError for what `open_sequence` and `check_sequence` refuse.
    """
    reading = reading or Reading()
    if isinstance(source, MeshSequence):
        sequence = check_sequence(dataclasses.replace(source, name=name or source.name))
    else:
        sequence = open_sequence(
            source,
            head=reading.head,
            cameras=reading.cameras,
            unit=reading.unit,
            name=name,
            kind=reading.kind,
            image_size=reading.image_size,
            frames_per_second=reading.frames_per_second,
        )
    if not sequence.regions and reading.head is not None:
        head = loaded_head(reading)
        if head.vertex_count == sequence.vertices.shape[1]:
            regions = {region: np.asarray(mask) for region, mask in head.regions.items()}
            sequence = dataclasses.replace(sequence, regions=regions)
    return filter_sequence(sequence, reading.smoothing_frames) if reading.smoothing_frames else sequence


def loaded_head(reading: Reading) -> HeadModel:
    """The named head, else the built-in one."""
    return reading.head if isinstance(reading.head, HeadModel) else load_head(reading.head or GENERIC)


def read_regions(path: str | os.PathLike[str], vertex_count: int) -> dict[str, np.ndarray]:
    """Masks [V] bool by name, from an .npz with an array for each region: a mask, or numbers of vertices.

    Raises InputError for arrays that are neither.
    """
    arrays = read_npz(path, "regions of a mesh")
    return {name: _mask(f"{path}: region '{name}'", array, vertex_count) for name, array in arrays.items()}


def region_mask(sequence: MeshSequence, stated: str | os.PathLike[str]) -> np.ndarray:
    """Vertices [V] bool: regions of the sequence, joined by "+", or a file of vertex numbers (.txt) or a mask (.npy).

    Raises InputError where it is neither.
    """
    count, names = sequence.vertices.shape[1], str(stated).split("+")
    if all(name in sequence.regions for name in names):
        return np.any([np.asarray(sequence.regions[name]) for name in names], axis=0)
    path = Path(stated)
    if not path.is_file():
        known = ", ".join(sequence.regions) or "none"
        raise InputError(
            f"'{stated}': expected a file of vertex numbers or regions of {sequence.name} (it has {known})"
        )
    numbers = read_array(path, "vertex numbers") if path.suffix == ".npy" else _numbers(path)
    return _mask(str(path), numbers, count)


def key_points_of(
    sequence: MeshSequence, reading: Reading, stated: str | os.PathLike[str] | None = None
) -> SurfacePoints | np.ndarray:
    """The seven key points of a sequence: on its mesh, or places [7,3] m.

    stated: seven vertex numbers "36,39,…" or the path of a text file of them, or a file of places that
    `read_key_points` reads, in the sequence's unit; None: of the named head (or the built-in one) or MediaPipe's, told
    by the number of vertices. Raises InputError where they cannot be known.
    """
    if stated is not None:
        words = str(stated).split(",")
        if len(words) == 7 and all(word.strip().isdigit() for word in words):
            return vertex_key_points(np.asarray([int(word) for word in words]))
        path = require_file(stated, "seven key points")
        if path.suffix == ".txt" and len(numbers := path.read_text(errors="replace").replace(",", " ").split()) == 7:
            if all(number.isdigit() for number in numbers):
                return vertex_key_points(np.asarray([int(number) for number in numbers]))
        return METRES[reading.unit or "m"] * read_key_points(path)
    count = sequence.vertices.shape[1]
    if count in mediapipe_points.COUNTS:
        return vertex_key_points(np.asarray(MEDIAPIPE_KEY_POINTS))
    head = loaded_head(reading)
    if count != head.vertex_count and count == (built_in := load_head(GENERIC)).vertex_count:
        head = built_in
    if count != head.vertex_count:
        raise InputError(
            f"{sequence.name}: expected {head.vertex_count} vertices as head '{head.name}' has, found {count}; name "
            "its head, or its seven key points (--key-points for predictions, --truth-key-points for the truth)"
        )
    return head_key_points(head)


@dataclasses.dataclass(frozen=True, eq=False)
class ImagePoints:
    """P points in N images: points [N,P,2] px, known [N,P] bool, and masks [P] of regions by name."""

    points: np.ndarray
    known: np.ndarray
    regions: Mapping[str, np.ndarray]
    name: str


def image_points(source: Source, reading: Reading | None = None, camera: int = 0, name: str = "") -> ImagePoints:
    """Points of an array (.npy [N,P,2]; .npz `points` and `known`), of an alignment, or the vertices of a sequence.

    Raises InputError for anything else.
    """
    if not isinstance(source, MeshSequence) and (found := _stored_points(Path(source), camera, name)) is not None:
        return found
    sequence = opened(source, reading, name or None)
    pixels = seen_by(sequence, camera).projected.pixels
    known = np.broadcast_to(sequence.valid[:, None], pixels.shape[:2])
    regions = {region: np.asarray(mask) for region, mask in sequence.regions.items()}
    return ImagePoints(np.where(known[..., None], pixels, np.nan), known, regions, sequence.name)


def _stored_points(path: Path, camera: int, name: str) -> ImagePoints | None:
    """Points of a file that holds points; None for other files."""
    shapes = ((None, None, 2), (None, None, 3))
    if path.suffix == ".npy":
        array = shaped(path, "points", read_array(path, "points in images"), *shapes)
        return _points(array, np.isfinite(array).all(-1), name or path.stem)
    arrays = read_npz(path, "points in images") if path.suffix == ".npz" and path.is_file() else {}
    if "points" in arrays:
        array = shaped(path, "points", arrays["points"], *shapes)
        known = shaped(path, "known", arrays.get("known", np.ones(array.shape[:2])), array.shape[:2]) > 0
        return _points(array, known & np.isfinite(array).all(-1), name or path.stem)
    return _aligned(path, camera, name) if {"mean_px", "vertex_coords"} & set(arrays) else None


def _aligned(path: Path, camera: int, name: str) -> ImagePoints:
    alignment = load_alignment(path)
    if not 0 <= camera < alignment.camera_count:
        raise InputError(f"{path}: expected a camera of 0 to {alignment.camera_count - 1}, found {camera}")
    known = alignment.valid[camera][:, None] & np.isfinite(alignment.std[camera])
    return _points(alignment.mean[camera], known, name or path.resolve().parent.name)


def _points(array: np.ndarray, known: np.ndarray, name: str) -> ImagePoints:
    return ImagePoints(np.where(known[..., None], array[..., :2], np.nan), known, {}, name)


def speech_sequences(source: Source, reading: Reading | None = None, name: str = "") -> dict[str, MeshSequence]:
    """Sequences by name: a folder of .npy files [F,3V] or [F,V,3] as speech animation stores them, or anything else
    that is read as one sequence, named "".

    Raises InputError as `opened`, and for arrays of other shapes.
    """
    reading = reading or Reading()
    if not isinstance(source, MeshSequence) and reading.kind == "auto":
        path = Path(source)
        if path.is_file() and path.suffix == ".npy":
            return {"": opened(_spoken(path, reading), reading, name or path.stem)}
        files = [file for file in files_of(path, ".npy")] if path.is_dir() else []
        if files and all(_is_speech(file) for file in files):
            return {file.stem: opened(_spoken(file, reading), reading, file.stem) for file in files}
    return {"": opened(source, reading, name or None)}


def _is_speech(path: Path) -> bool:
    shape = read_array(path, "speech animation").shape
    return (len(shape) == 2 and shape[1] % 3 == 0 and shape[1] >= 3 * _SMALLEST_MESH) or (
        len(shape) == 3 and shape[2] == 3 and shape[1] >= _SMALLEST_MESH
    )


def _spoken(path: Path, reading: Reading) -> MeshSequence:
    array = read_array(path, "speech animation")
    if not _is_speech(path):
        raise InputError(f"{path}: expected vertices over time [F,3V] or [F,V,3], found {list(array.shape)}")
    vertices = np.float32(METRES[reading.unit or "m"]) * array.reshape(len(array), -1, 3).astype(np.float32)
    rate = reading.frames_per_second
    return MeshSequence(
        vertices, np.zeros((0, 3), np.int32), np.ones(len(array), bool), frames_per_second=rate, name=path.stem
    )


def neutral_template(path: str | os.PathLike[str], reading: Reading) -> np.ndarray:
    """A subject's neutral mesh [V,3] m, of a mesh file, an .npy [V,3] or an .npz of vertices."""
    path = Path(path)
    if path.suffix == ".npy":
        return METRES[reading.unit or "m"] * shaped(path, "the template", read_array(path, "a template"), (None, 3))
    if path.suffix == ".npz" and not vertex_file.recognises(path):
        vertices = read_npz(path, "a template", ("vertices",))["vertices"]
        return METRES[reading.unit or "m"] * shaped(path, "vertices", vertices, (None, 3))
    return opened(path, Reading(unit=reading.unit)).vertices[0]


def picture_pairs(
    pictures: str | os.PathLike[str], truth: str | os.PathLike[str], at_once: int = 8
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pictures and true ones of the same numbers, some [N,H,W,3] uint8 at a time; folders of images, or videos.

    Raises InputError where sizes or numbers differ, or nothing can be read.
    """
    ours, theirs = open_frames(pictures), open_frames(truth)
    if ours.info.size != theirs.info.size:
        sizes = " and ".join("x".join(map(str, source.info.size)) for source in (ours, theirs))
        raise InputError(f"{pictures}: expected pictures of the truth's size, found {sizes} px; scale one to the other")
    pairs = _paired(ours, theirs, pictures)
    while batch := list(itertools.islice(pairs, at_once)):
        first, second = (np.stack(side) for side in zip(*batch, strict=True))
        yield first, second


def _paired(
    ours: FrameSource, theirs: FrameSource, path: str | os.PathLike[str]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    count = 0
    for one, other in itertools.zip_longest(ours, theirs):
        if one is None or other is None:
            found = "fewer" if one is None else "more"
            raise InputError(f"{path}: expected as many pictures as the truth has, found {found} ({count} are in both)")
        count += 1
        yield one.image, other.image


def _numbers(path: Path) -> np.ndarray:
    words = path.read_text(encoding="utf-8", errors="replace").replace(",", " ").split()
    if not words or not all(word.isdigit() for word in words):
        raise InputError(f"{path}: expected numbers of vertices from 0, found other text")
    return np.asarray([int(word) for word in words])


def _mask(name: str, array: np.ndarray, count: int) -> np.ndarray:
    """[V] bool of a mask, or of numbers."""
    if array.dtype == bool and array.shape == (count,):
        return array
    if array.dtype.kind not in "iu" or array.ndim != 1:
        raise InputError(
            f"{name}: expected a mask of {count} vertices or their numbers, found {array.dtype} {list(array.shape)}"
        )
    if array.size and not 0 <= array.min() <= array.max() < count:
        raise InputError(f"{name}: expected vertices 0 to {count - 1}, found {array.min()} to {array.max()}")
    return np.isin(np.arange(count), array)
