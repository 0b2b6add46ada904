"""What every data set is read as: units of work, and in each a stream of photographs of a head whose mesh is known."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from flowface_jax.cameras.calibration import Calibration
from flowface_jax.errors import InputError
from flowface_jax.heads.model import HeadModel
from flowface_jax.settings import check_settings

Split = Literal["all", "train", "val"]
VALIDATION_SHARE = 84 / 595
"""The paper validates on 84 of its 360 + 140 + 95 subjects (section 4.3)."""


@dataclass(frozen=True)
class Mesh:
    """A surface in the world of a calibration. vertices: [V,3] float64. triangles: [T,3] int32."""

    vertices: np.ndarray
    triangles: np.ndarray


@dataclass(frozen=True)
class View:
    """One photograph of a head.

    image: [H,W,3] uint8 as taken, lens distortion included. calibration, camera: whose photograph it is. vertices:
    [V,3] of the head's topology, in the calibration's world. surface: all of the person that the photograph shows, or
    None where that is not known. widening: by how much its outline is widened to make the foreground, in longer sides
    of the face box; a registered head lacks the hair. source: dataset, subject, sequence, view, frame.
    """

    image: np.ndarray
    calibration: Calibration
    camera: int
    vertices: np.ndarray
    surface: Mesh | None
    widening: float
    source: Mapping[str, str]


@dataclass(frozen=True)
class Unit:
    """A piece of a data set that is read by itself: one sequence, or one expression, of one subject."""

    subject: str
    sequence: str

    def __str__(self) -> str:
        return f"{self.subject}/{self.sequence}"


@dataclass
class Problems:
    """What was left out of one unit, and why: counted all, named a few."""

    where: str
    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, what: str = "") -> None:
        """One more thing left out; `what` names it in the warning, nothing makes it a matter of course."""
        self.counts[reason] += 1
        if what:
            self.examples.setdefault(reason, []).append(what)

    def warnings(self) -> list[str]:
        """One line for each reason that names something."""
        return [
            f"{self.where}: {reason}: {', '.join(named[:4])}{f' and {len(named) - 4} more' if len(named) > 4 else ''}"
            for reason, named in sorted(self.examples.items())
        ]


@dataclass(frozen=True)
class ReaderSettings:
    """What is read of a data set.

    horizontal_limit, vertical_limit: degrees by which a view may deviate from frontal (paper, appendix D). every: of
    films, one frame out of so many. synthetic_views: pictures made of each textured scan. seed: of those. split:
    subjects of training or of validation. validation_share: share of the subjects that are kept for validation where
    the data set names none. subjects: only these; empty: all.
    """

    horizontal_limit: float = 90.0
    vertical_limit: float = 45.0
    every: int = 10
    synthetic_views: int = 30
    seed: int = 0
    split: Split = "all"
    validation_share: float = VALIDATION_SHARE
    subjects: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_settings(self, "data")
        if self.every < 1:
            raise InputError("data.every: expected 1 (every frame) or more, found 0")

    def takes(self, subject: str, listed: Mapping[str, frozenset[str]] | None = None) -> bool:
        """Whether a subject is read. listed: the data set's own subjects of each split, where it names them; otherwise
        a hash of the name decides, so that a subject never changes sides.
        """
        if self.subjects and subject not in self.subjects:
            return False
        if self.split == "all":
            return True
        if listed is not None:
            return subject in listed[self.split]
        return (_hashed(subject) < self.validation_share) == (self.split == "val")


class Reader(Protocol):
    """A data set in its released layout. settings: those that it was made with."""

    dataset: str
    settings: ReaderSettings

    def units(self) -> list[Unit]:
        """All units on disk, in a fixed order."""

    def views(self, unit: Unit, problems: Problems) -> Iterator[View]:
        """The views of a unit, one at a time, in a fixed order; what is missing is told to `problems`."""


ReaderMaker = Callable[[Path, HeadModel, ReaderSettings, Path | None], Reader]


def source_ids(dataset: str, unit: Unit, view: str, frame: str = "0") -> dict[str, str]:
    """Where a sample is from, as it is stored with it."""
    return {"dataset": dataset, "subject": unit.subject, "sequence": unit.sequence, "view": view, "frame": frame}


def chosen_units(reader: Reader) -> list[Unit]:
    """The reader's units. Raises InputError where there is none, or none of a subject that was asked for."""
    units = reader.units()
    absent = sorted(set(reader.settings.subjects) - {unit.subject for unit in units})
    if absent:
        raise InputError(f"no subject {absent[0]} in the {reader.dataset} data (of this split); check --subjects")
    if not units:
        raise InputError(f"no subject of this split in the {reader.dataset} data; choose another --split")
    return units


def check_topology(vertices: np.ndarray, head: HeadModel, path: Path) -> np.ndarray:
    """The vertices, if they are as many as the head's. Raises InputError otherwise."""
    if len(vertices) != head.vertex_count:
        raise InputError(
            f"{path} has {len(vertices)} vertices, but the head '{head.name}' has {head.vertex_count}; pass the head "
            "whose topology the meshes have (--head)"
        )
    return vertices


def folders_in(folder: Path) -> list[Path]:
    """Folders directly inside, numbers in names sorted by value; hidden ones left out."""
    found = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
    return sorted(found, key=lambda path: natural(path.name))


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """A sorting key by which 10_dimpler comes after 9_mouth_right."""
    return tuple((0, int(part), part) if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name))


def _hashed(subject: str) -> float:
    """A number in [0, 1) that depends on the name alone."""
    return zlib.crc32(subject.encode("utf-8")) / 2**32
