"""What readers share: registered meshes and photographs, and being told where one is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from flowface_jax.aligners.images import read_image
from flowface_jax.cameras.calibration import Calibration
from flowface_jax.errors import InputError
from flowface_jax.heads.model import HeadModel
from flowface_jax.heads.ply import read_ply
from flowface_jax.training.datasets.source import Mesh, Problems, Unit, check_topology


def registration_path(registrations: Path, unit: Unit) -> Path:
    """Where `flowface register` puts the mesh of one scan."""
    return registrations / unit.subject / f"{unit.sequence}.ply"


def read_registered(path: Path, head: HeadModel, problems: Problems) -> np.ndarray | None:
    """Vertices [V,3] float64 of a registered mesh, or None (told to `problems`) where it is missing or damaged.

    Raises InputError where the mesh is sound but of another topology than the head: then all are.
    """
    if not path.is_file():
        problems.add("registration missing", path.name)
        return None
    try:
        vertices = read_ply(path).vertices
    except InputError:
        problems.add("registration damaged", path.name)
        return None
    return check_topology(vertices, head, path)


def read_scan(path: Path, problems: Problems) -> Mesh | None:
    """A scan, or None (told to `problems`) where it is missing, damaged or without faces; then the foreground is
    unknown.
    """
    try:
        mesh = read_ply(path)
    except InputError:
        mesh = None
    if mesh is None or not len(mesh.triangles):
        problems.add("scan missing or damaged, foreground unknown", path.name)
        return None
    return Mesh(mesh.vertices, mesh.triangles)


def read_photograph(path: Path, problems: Problems) -> np.ndarray | None:
    """An image, or None (told to `problems`) where it is missing or damaged."""
    if not path.is_file():
        problems.add("photograph missing", path.name)
        return None
    try:
        return read_image(path)
    except InputError:
        problems.add("photograph damaged", path.name)
        return None


def fits(image: np.ndarray, calibration: Calibration, camera: int, name: str, problems: Problems) -> bool:
    """Whether an image has the size that its camera is calibrated for; if not, `problems` is told."""
    width, height = (int(side) for side in np.asarray(calibration.cameras.image_size[camera]))
    if image.shape[:2] == (height, width):
        return True
    problems.add("photograph of another size than calibrated", name)
    return False
