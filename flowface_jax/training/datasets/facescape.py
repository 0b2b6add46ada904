"""FaceScape's multi-view photographs: many calibrated views of each subject and expression, with a scan.

    <root>/<images>/<subject>/<expression>/<view>.jpg and params.json
    <root>/<scans>/<subject>/<expression>.ply
    <registrations>/<subject>/<expression>.ply     the head's topology, in the scan's coordinates

(zhuhao-nju/facescape, doc/doc_mview_model.md, which leaves the names of the two folders open: they are known by what
they hold.) Cameras and scan share an arbitrary scale, which no pixel depends on.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from flowface_jax.cameras.calibration import Calibration
from flowface_jax.cameras.readers.facescape import read_facescape
from flowface_jax.errors import InputError
from flowface_jax.heads.model import HeadModel
from flowface_jax.training.datasets.frontal import face_frame, is_within
from flowface_jax.training.datasets.registered import (
    fits,
    read_photograph,
    read_registered,
    read_scan,
    registration_path,
)
from flowface_jax.training.datasets.source import Problems, ReaderSettings, Unit, View, folders_in, source_ids


class FaceScape:
    """A `Reader`; a unit is one expression of one subject."""

    dataset = "facescape"

    def __init__(self, root: Path, head: HeadModel, settings: ReaderSettings, registrations: Path | None) -> None:
        """Raises InputError where the layout is another one or registrations are not given."""
        self._images = _image_folder(root)
        self._scans = _scan_folder(root, registrations)
        if registrations is None:
            raise InputError(
                "FaceScape comes without meshes of a head model's topology; make them with flowface register and pass "
                "--registrations FOLDER"
            )
        self._head, self.settings, self._registrations = head, settings, registrations

    def units(self) -> list[Unit]:
        """Expressions of the chosen subjects."""
        return [
            Unit(subject.name, expression.name)
            for subject in folders_in(self._images)
            if self.settings.takes(subject.name)
            for expression in folders_in(subject)
        ]

    def views(self, unit: Unit, problems: Problems) -> Iterator[View]:
        """The valid views within the limits."""
        folder = self._images / unit.subject / unit.sequence
        vertices = read_registered(registration_path(self._registrations, unit), self._head, problems)
        if vertices is None:
            return
        try:
            calibration = read_facescape(folder)
        except InputError as error:
            problems.add("no usable calibration", str(error))
            return
        surface = read_scan(self._scans / unit.subject / f"{unit.sequence}.ply", problems)
        for camera in self._seen(calibration, vertices, problems):
            name = calibration.names[camera]
            image = read_photograph(folder / f"{name}.jpg", problems)
            if image is not None and fits(image, calibration, camera, f"{name}.jpg", problems):
                source = source_ids(self.dataset, unit, view=name)
                yield View(image, calibration, camera, vertices, surface, 0.0, source)

    def _seen(self, calibration: Calibration, vertices: np.ndarray, problems: Problems) -> Iterator[int]:
        frame = face_frame(vertices, self._head)
        for camera, centre in enumerate(np.asarray(calibration.cameras.centres(), np.float64)):
            if is_within(centre, frame, self.settings.horizontal_limit, self.settings.vertical_limit):
                yield camera
            else:
                problems.add("view beyond the limits")


def _image_folder(root: Path) -> Path:
    """The folder inside root, or root itself, that holds <subject>/<expression>/params.json."""
    for folder in (*folders_in(root), root):
        if next(folder.glob("*/*/params.json"), None):
            return folder
    raise InputError(
        f"{root} holds no photographs with cameras; expected FaceScape's multi-view data: a folder with "
        "<subject>/<expression>/params.json, and one with <subject>/<expression>.ply"
    )


def _scan_folder(root: Path, registrations: Path | None) -> Path:
    """The folder inside root that holds <subject>/<expression>.ply; where none does, the one that should."""
    for folder in folders_in(root):
        if next(folder.glob("*/*.ply"), None) and (registrations is None or not folder.samefile(registrations)):
            return folder
    return root / "MESH"
