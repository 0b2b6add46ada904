"""Multiface: captures of thirteen people by a dome of cameras, with a tracked mesh of its own topology per frame.

    m--<date>--<time>--<identity>--GHS/
      KRT, frame_list.txt
      images/<segment>/<camera>/<frame>.png
      tracked_mesh/<segment>/<frame>.bin, .obj, _transform.txt

(facebookresearch/multiface, README and dataset.py.) `MultifaceCapture` reads the pieces; `Multiface` makes training
views of them, for a head that has Multiface's topology.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flowface_jax.cameras.calibration import Calibration
from flowface_jax.cameras.readers.fields import line_numbers, parse_numbers, read_lines
from flowface_jax.cameras.readers.multiface import read_multiface
from flowface_jax.errors import InputError
from flowface_jax.heads.model import HeadModel
from flowface_jax.heads.obj import ObjMesh, read_obj, read_obj_vertices
from flowface_jax.storage import require_file
from flowface_jax.training.datasets.frontal import face_frame, is_within
from flowface_jax.training.datasets.registered import fits, read_photograph
from flowface_jax.training.datasets.source import (
    Mesh,
    Problems,
    ReaderSettings,
    Unit,
    View,
    check_topology,
    folders_in,
    source_ids,
)

VERTEX_COUNT = 7306
WIDENING = 0.08
_MILLIMETRES = 1000.0
_SAME = 0.01
"""Millimetres within which two ways to pose a mesh count as one; OBJ files are rounded."""


@dataclass(frozen=True)
class MultifaceCapture:
    """One capture's folder. `calibration` is in metres, world-to-camera; `frames`: segment to its frames in order."""

    folder: Path
    calibration: Calibration
    frames: Mapping[str, tuple[str, ...]]

    @property
    def identity(self) -> str:
        """The subject's number."""
        return identity_of(self.folder.name)

    def image_path(self, segment: str, camera: str, frame: str) -> Path:
        return self.folder / "images" / segment / camera / f"{frame}.png"

    def mesh_path(self, segment: str, frame: str, suffix: str) -> Path:
        """suffix: .bin, .obj or _transform.txt."""
        return self.folder / "tracked_mesh" / segment / f"{frame}{suffix}"

    def vertices(self, segment: str, frame: str) -> np.ndarray:
        """The tracked mesh in the world: [7306,3] float64 m. Raises InputError where a file is missing or damaged."""
        rotation, translation = read_head_pose(self.mesh_path(segment, frame, "_transform.txt"))
        unposed = read_mesh_binary(self.mesh_path(segment, frame, ".bin"))
        return (unposed @ rotation.T + translation) / _MILLIMETRES

    def topology(self, segment: str, frame: str) -> ObjMesh:
        """Faces and texture coordinates, from the frame's OBJ; its ids count in the binary meshes."""
        return read_obj(self.mesh_path(segment, frame, ".obj"))


def identity_of(name: str) -> str:
    """The subject's number in the name of a capture's folder, or the whole name where it is another one."""
    parts = name.split("--")
    return parts[3] if len(parts) == 5 else name


def open_capture(folder: Path) -> MultifaceCapture:
    """A capture's calibration and list of frames. Raises InputError where these are missing or damaged."""
    return MultifaceCapture(folder, read_multiface(folder), read_frame_list(folder / "frame_list.txt"))


def read_frame_list(path: Path) -> dict[str, tuple[str, ...]]:
    """Segments in the file's order, each with its frames; one "segment frame" pair to a line. Raises InputError."""
    frames: dict[str, list[str]] = {}
    for number, line in enumerate(read_lines(path, "Multiface's frame_list.txt"), 1):
        words = line.split()
        if not words:
            continue
        if len(words) != 2:
            raise InputError(f"{path}, line {number}: expected a segment and a frame, found '{line.strip()[:60]}'")
        frames.setdefault(words[0], []).append(words[1])
    return {segment: tuple(numbers) for segment, numbers in frames.items()}


def read_head_pose(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Rotation [3,3] and translation [3] mm that take an unposed mesh to the world. Raises InputError."""
    lines = read_lines(path, "Multiface's head pose")
    rows = np.asarray([line_numbers(path, lines, row, 4, f"row {row + 1} of [R|t]") for row in range(3)])
    if any(parse_numbers(line) for line in lines[3:]):
        raise InputError(f"{path}: expected three rows of [R|t], found more")
    return rows[:, :3], rows[:, 3]


def read_mesh_binary(path: Path) -> np.ndarray:
    """Vertices [7306,3] float64 mm without the head's pose. Raises InputError."""
    numbers = np.fromfile(require_file(path, "a Multiface mesh (.bin)"), "<f4")
    if numbers.size != 3 * VERTEX_COUNT or not np.isfinite(numbers).all():
        raise InputError(
            f"{path}: expected {VERTEX_COUNT} x 3 finite float32 numbers, found {numbers.size} numbers; fetch it again"
        )
    return numbers.reshape(-1, 3).astype(np.float64)


def obj_is_posed(capture: MultifaceCapture, segment: str, frame: str) -> bool:
    """Whether the OBJ of a frame is in the world already, found by comparing it with the binary mesh: the data set's
    documents contradict each other. Raises InputError where it agrees with neither.
    """
    found = read_obj_vertices(capture.mesh_path(segment, frame, ".obj"))
    posed = capture.vertices(segment, frame) * _MILLIMETRES
    unposed = read_mesh_binary(capture.mesh_path(segment, frame, ".bin"))
    # The OBJ may have fewer vertices than the binary mesh, never others.
    count = min(len(found), len(posed))
    errors = {key: np.abs(found[:count] - mesh[:count]).max() for key, mesh in ((True, posed), (False, unposed))}
    best = min(errors, key=lambda key: errors[key])
    if errors[best] > max(_SAME, 1e-5 * np.abs(found).max()):
        raise InputError(
            f"{capture.mesh_path(segment, frame, '.obj')} agrees neither with the binary mesh nor with that mesh "
            f"posed (off by {errors[best]:.3g} mm); fetch the segment again"
        )
    return best


class Multiface:
    """A `Reader`; a unit is one segment of one capture."""

    dataset = "multiface"

    def __init__(self, root: Path, head: HeadModel, settings: ReaderSettings, registrations: Path | None) -> None:
        """root: a capture, or a folder of captures. Raises InputError for another layout, for registrations, which
        Multiface needs none of, and for a head of another topology.
        """
        if registrations is not None:
            raise InputError("Multiface comes with its own meshes; leave --registrations out")
        if head.vertex_count != VERTEX_COUNT:
            raise InputError(
                f"Multiface's meshes have {VERTEX_COUNT} vertices, but the head '{head.name}' has {head.vertex_count}; "
                "pass a head of Multiface's topology (--head)"
            )
        folders = [root] if (root / "KRT").is_file() else folders_in(root) if root.is_dir() else []
        self._captures = {folder.name: folder for folder in folders if (folder / "KRT").is_file()}
        if not self._captures:
            raise InputError(f"{root} holds no capture (a folder m--…--GHS with a KRT file)")
        self._head, self.settings = head, settings

    def units(self) -> list[Unit]:
        """Segments of the chosen subjects' captures."""
        return [
            Unit(identity_of(name), f"{name}/{segment.name}")
            for name, folder in self._captures.items()
            if self.settings.takes(identity_of(name)) and (folder / "images").is_dir()
            for segment in folders_in(folder / "images")
        ]

    def views(self, unit: Unit, problems: Problems) -> Iterator[View]:
        """Views from before the face, of every so manieth frame."""
        name, segment = unit.sequence.split("/")
        try:
            capture = open_capture(self._captures[name])
        except InputError as error:
            problems.add("no usable calibration or list of frames", str(error))
            return
        for frame in capture.frames.get(segment, ())[:: self.settings.every]:
            try:
                vertices = check_topology(capture.vertices(segment, frame), self._head, capture.folder)
            except InputError as error:
                problems.add("mesh missing or damaged", str(error))
                continue
            yield from self._of_frame(capture, unit, segment, frame, vertices, problems)

    def _of_frame(
        self,
        capture: MultifaceCapture,
        unit: Unit,
        segment: str,
        frame: str,
        vertices: np.ndarray,
        problems: Problems,
    ) -> Iterator[View]:
        calibration = capture.calibration
        pose = face_frame(vertices, self._head)
        centres = np.asarray(calibration.cameras.centres(), np.float64)
        surface = Mesh(vertices, np.asarray(self._head.triangles))
        for folder in folders_in(capture.folder / "images" / segment):
            if folder.name not in calibration.names:
                problems.add("camera is not calibrated", folder.name)
                continue
            camera = calibration.index(folder.name)
            if not is_within(centres[camera], pose, self.settings.horizontal_limit, self.settings.vertical_limit):
                problems.add("view beyond the limits")
                continue
            file = capture.image_path(segment, folder.name, frame)
            image = read_photograph(file, problems)
            if image is not None and fits(image, calibration, camera, file.name, problems):
                source = source_ids(self.dataset, unit, folder.name, frame)
                yield View(image, calibration, camera, vertices, surface, WIDENING, source)
