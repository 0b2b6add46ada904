"""Stirling/ESRC: textured scans of eight expressions; pictures are made of them from random directions.

    <root>/**/<subject>[_]<expression>.obj, with its .mtl and texture (or a picture of the same name beside it)
    <registrations>/<subject>/<expression>.ply     the head's topology, in the scan's coordinates

The subject is the first five characters of the name (F1001, M1001), as in MICA (Zielon/MICA, datasets/creation). The
paper also uses the two photographs of the stereo rig, whose calibration the public set does not carry.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.heads.model import HeadModel
from flowface_jax.training.datasets.frontal import face_frame
from flowface_jax.training.datasets.registered import read_registered, registration_path
from flowface_jax.training.datasets.rendering import random_view, render_scan
from flowface_jax.training.datasets.source import Mesh, Problems, ReaderSettings, Unit, View, source_ids
from flowface_jax.training.datasets.textured import TexturedScan, read_textured_scan

_SUBJECT = 5
_SEPARATORS = "_- ."


class Stirling:
    """A `Reader`; a unit is one scan."""

    dataset = "stirling"

    def __init__(self, root: Path, head: HeadModel, settings: ReaderSettings, registrations: Path | None) -> None:
        """Raises InputError where there is no scan, two are of one name, or registrations are not given."""
        if not root.is_dir():
            raise InputError(f"no folder {root}; expected Stirling/ESRC's scans (.obj)")
        if registrations is None:
            raise InputError(
                "Stirling's scans come without meshes of a head model's topology; make them with flowface register "
                "and pass --registrations FOLDER"
            )
        self._scans: dict[Unit, Path] = {}
        for path in sorted(root.rglob("*.obj")):
            unit = scan_unit(path.stem)
            if unit in self._scans:
                raise InputError(f"{path} and {self._scans[unit]} are scans of one name; keep one of them")
            self._scans[unit] = path
        if not self._scans:
            raise InputError(f"{root} holds no scan (.obj); expected Stirling/ESRC's textured scans")
        self._head, self.settings, self._registrations = head, settings, registrations

    def units(self) -> list[Unit]:
        """Scans of the chosen subjects."""
        return sorted((unit for unit in self._scans if self.settings.takes(unit.subject)), key=str)

    def views(self, unit: Unit, problems: Problems) -> Iterator[View]:
        """Pictures of the scan; the same for the same seed, whatever else is made."""
        vertices = read_registered(registration_path(self._registrations, unit), self._head, problems)
        if vertices is None:
            return
        try:
            scan = read_textured_scan(self._scans[unit])
        except InputError as error:
            problems.add("scan missing, damaged or without texture", str(error))
            return
        frame = face_frame(vertices, self._head)
        # In metres, about the face: distances and the depth of field of the drawn cameras then mean something.
        scale, centre = frame.scale, frame.centre
        placed = TexturedScan(
            (scan.vertices - centre) / scale, scan.triangles, scan.uv, scan.texture_ids, scan.textures
        )
        vertices = (vertices - centre) / scale
        for number in range(self.settings.synthetic_views):
            random = np.random.default_rng([self.settings.seed, *str(unit).encode("utf-8"), number])
            calibration = random_view(
                random, frame.rotation, self.settings.horizontal_limit, self.settings.vertical_limit
            )
            image = render_scan(placed, calibration)
            surface = Mesh(placed.vertices, placed.triangles)
            yield View(image, calibration, 0, vertices, surface, 0.0, source_ids(self.dataset, unit, f"{number:02d}"))


def scan_unit(stem: str) -> Unit:
    """Subject and expression of a scan by the name of its file."""
    return Unit(stem[:_SUBJECT], stem[_SUBJECT:].strip(_SEPARATORS) or "neutral")
