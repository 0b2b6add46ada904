"""FaMoS: films of 28 sequences of each subject from six colour cameras, with FLAME registrations.

    <root>/[training_]images_4/<subject>/<sequence>/<frame>/<sequence>.<frame>.<view>.png     view NN_C: colour
    <root>/calibrations/<subject>/<sequence>/<view>.tka
    <root>/registrations/<subject>/<sequence>/<sequence>.<frame>.ply                           FLAME, metres
    <root>/[data/]*_train.json, *_val.json     lists of [subject, sequence, frame]; only the subjects are used

(TimoBolkart/TEMPEH, datasets/face_align_dataset_mpi.py.) The number at the end of the image folder's name is how many
times smaller than calibrated its images are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from flowface_jax.cameras.calibration import Calibration
from flowface_jax.cameras.readers.famos import read_famos
from flowface_jax.errors import InputError
from flowface_jax.heads.model import HeadModel
from flowface_jax.storage import read_json
from flowface_jax.training.datasets.frontal import face_frame, is_within
from flowface_jax.training.datasets.registered import fits, read_photograph, read_registered
from flowface_jax.training.datasets.source import (
    Mesh,
    Problems,
    ReaderSettings,
    Unit,
    View,
    folders_in,
    natural,
    source_ids,
)

WIDENING = 0.08
"""Longer sides of the face box by which a registered head's outline is widened: a network that saw every background
end at the outline itself would learn to look for that edge, and the hair is outside of it."""
_IMAGES = ("training_images", "images")
_COLOUR = "_C"
_METRES = (0.5, 2.0)
"""Smallest and largest believable head, in sizes of the template."""


class FaMoS:
    """A `Reader`; a unit is one sequence of one subject."""

    dataset = "famos"

    def __init__(self, root: Path, head: HeadModel, settings: ReaderSettings, registrations: Path | None) -> None:
        """registrations: in place of <root>/registrations. Raises InputError where the layout is another one."""
        self._images, self._image_scale = _image_folder(root)
        self._calibrations = root / "calibrations"
        self._registrations = root / "registrations" if registrations is None else registrations
        for folder in (self._calibrations, self._registrations):
            if not folder.is_dir():
                raise InputError(f"no folder {folder}; expected FaMoS with images, calibrations and registrations")
        self._head, self.settings = head, settings
        self._listed = _listed_subjects(root)

    def units(self) -> list[Unit]:
        """Sequences of the chosen subjects."""
        return [
            Unit(subject.name, sequence.name)
            for subject in folders_in(self._images)
            if self.settings.takes(subject.name, self._listed)
            for sequence in folders_in(subject)
        ]

    def views(self, unit: Unit, problems: Problems) -> Iterator[View]:
        """Colour views before which the face is turned, of every so manieth frame."""
        cameras = _Cameras(self._calibrations / unit.subject / unit.sequence, self._image_scale)
        for folder in spaced(folders_in(self._images / unit.subject / unit.sequence), self.settings.every):
            name = f"{unit.sequence}.{folder.name}"
            path = self._registrations / unit.subject / unit.sequence / f"{name}.ply"
            vertices = read_registered(path, self._head, problems)
            if vertices is None:
                continue
            frame = face_frame(vertices, self._head)
            if not _METRES[0] <= frame.scale <= _METRES[1]:
                problems.add("registration is not in metres", path.name)
                continue
            surface = Mesh(vertices, np.asarray(self._head.triangles))
            for camera in cameras.names(problems):
                if not is_within(
                    cameras.centre(camera), frame, self.settings.horizontal_limit, self.settings.vertical_limit
                ):
                    problems.add("view beyond the limits")
                    continue
                file = folder / f"{name}.{camera}.png"
                image = read_photograph(file, problems)
                if image is None:
                    continue
                calibration, index = cameras.of(camera, image)
                if fits(image, calibration, index, file.name, problems):
                    source = source_ids(self.dataset, unit, camera, folder.name)
                    yield View(image, calibration, index, vertices, surface, WIDENING, source)


class _Cameras:
    """The colour cameras of one sequence, as calibrated and turned to portrait and landscape."""

    def __init__(self, folder: Path, image_scale: float) -> None:
        self._folder, self._scale = folder, image_scale
        self._turned: dict[str, Calibration] = {}
        self._broken = False

    def names(self, problems: Problems) -> tuple[str, ...]:
        """Names of the colour cameras; none, told to `problems` once, where the calibration is missing or damaged."""
        if self._broken:
            return ()
        try:
            return self._calibration("portrait").names
        except InputError as error:
            self._broken = True
            problems.add("no usable calibration", str(error))
            return ()

    def centre(self, name: str) -> np.ndarray:
        calibration = self._calibration("portrait")
        return np.asarray(calibration.cameras.centres(), np.float64)[calibration.index(name)]

    def of(self, name: str, image: np.ndarray) -> tuple[Calibration, int]:
        """The calibration in which an image of this orientation was stored, and the camera's number in it."""
        calibration = self._calibration("portrait" if image.shape[0] > image.shape[1] else "landscape")
        return calibration, calibration.index(name)

    def _calibration(self, turn_to: Literal["portrait", "landscape"]) -> Calibration:
        if turn_to not in self._turned:
            names = sorted(file.stem for file in self._folder.glob(f"*{_COLOUR}.tka"))
            if not names:
                raise InputError(f"{self._folder} holds no calibration of a colour camera (NN{_COLOUR}.tka)")
            self._turned[turn_to] = read_famos(self._folder, names, self._scale, turn_to)
        return self._turned[turn_to]


def spaced(folders: list[Path], every: int) -> list[Path]:
    """Frames, by the number in their names, at least `every` apart: every tenth one, or all that were released where
    these are farther apart already.
    """
    kept: list[Path] = []
    last = None
    for folder in sorted(folders, key=lambda path: natural(path.name)):
        digits = re.search(r"(\d+)$", folder.name)
        number = int(digits.group()) if digits else len(kept) * every
        if last is None or number >= last + every:
            kept.append(folder)
            last = number
    return kept


def _image_folder(root: Path) -> tuple[Path, float]:
    """The folder of images, and their size over the calibrated one."""
    candidates = [path for path in folders_in(root)] if root.is_dir() else []
    for name in _IMAGES:
        for path in candidates:
            found = re.fullmatch(rf"{name}(?:_([1-9][0-9]*))?", path.name)
            if found:
                return path, 1.0 / int(found.group(1) or 1)
    raise InputError(f"{root} holds no folder training_images_4 or images_4; expected FaMoS in its released layout")


def _listed_subjects(root: Path) -> dict[str, frozenset[str]] | None:
    """Subjects of each split by the data set's own lists, or None where these are not there."""
    listed = {}
    for split in ("train", "val"):
        files = sorted(path for folder in (root, root / "data") for path in folder.glob(f"*_{split}.json"))
        if not files:
            return None
        rows = read_json(files[0], "FaMoS's list of frames")
        try:
            listed[split] = frozenset(str(row[0]) for row in rows)
        except (TypeError, IndexError, KeyError):
            raise InputError(f"{files[0]}: expected a list of [subject, sequence, frame]") from None
    return listed
