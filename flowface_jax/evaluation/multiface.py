"""The Multiface benchmark (paper, section 3.3 and appendix C): which sequences, which camera, which truth.

The authors' list of 86 sequences and their masks are not released. Here they follow from a rule, from the release's
metadata alone, so that everybody who has the data evaluates the same:

- Subjects: the ten of the first release, or those that are named. 86 sequences are shared out evenly, eight or nine
  for each; who gets nine is decided by the lot.
- Sequences: segments of at least 2 s, of longer ones than 4 s their middle 4 s. Taken in turns from each kind that
  the subject has (the letters that the name begins with: expressions E, EXP, sentences SEN), in the lot's order.
- Camera: the lot's first of the calibrated ones that see the face in the sequence's first frame from at most 60°
  beside and 35° above or below.
- The lot: ascending SHA-256 of "seed/what/is/drawn", the same on every machine.
- Masks: drawn by `redraw_regions` on the mean mesh (vert_mean.bin) of the first subject, and used for all; its
  placement of the built-in head also says which way a face looks.
- Truth: the tracked mesh with its head pose, seen by the camera's ideal pinhole; the images that are tracked must be
  undistorted to it (`cameras.calibration.undistort_image`; the published images need that in name only). Ids that the
  frame list leaves out are invalid frames.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

import numpy as np

from flowface_jax.cameras.readers.multiface import read_multiface
from flowface_jax.errors import InputError
from flowface_jax.evaluation.geometry import fit_similarity
from flowface_jax.evaluation.mesh_sequence import MeshSequence
from flowface_jax.evaluation.redrawn_regions import redraw_regions
from flowface_jax.evaluation.ssme import REGIONS
from flowface_jax.storage import read_json, write_json
from flowface_jax.training.datasets.frontal import FaceFrame, is_within
from flowface_jax.training.datasets.multiface import MultifaceCapture, identity_of, open_capture, read_mesh_binary
from flowface_jax.training.datasets.source import folders_in

FORMAT = "flowface-multiface-benchmark/1"
FRAMES_PER_SECOND = 30.0
FIRST_RELEASE = (
    "002757580", "002539136", "6674443", "6795937", "8870559", "2183941", "002643814", "5372021", "7889059",
    "002914589",
)  # fmt: skip
"""The ten identities of Multiface's first version: the paper has ten subjects."""


@dataclasses.dataclass(frozen=True)
class BenchmarkConfig:
    """How the benchmark is chosen. sequence_count: of all subjects. shortest, longest: seconds. horizontal_limit,
    vertical_limit: degrees. subjects: identities. image_size: (width, height) px of the images that are tracked, the
    published ones halved by default.
    """

    seed: int = 0
    sequence_count: int = 86
    shortest: float = 2.0
    longest: float = 4.0
    horizontal_limit: float = 60.0
    vertical_limit: float = 35.0
    subjects: tuple[str, ...] = FIRST_RELEASE
    image_size: tuple[int, int] = (667, 1024)


@dataclasses.dataclass(frozen=True)
class BenchmarkSequence:
    """One sequence of the benchmark: folder of the capture, segment, camera, and its frames' ids."""

    capture: str
    segment: str
    camera: str
    frames: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{identity_of(self.capture)}/{self.segment}/{self.camera}"


@dataclasses.dataclass(frozen=True, eq=False)
class BenchmarkTopology:
    """Multiface's mesh: mean vertices [7306,3] m of one subject, triangles [T,3], masks [7306] bool by region, and the
    rotation [3,3] from the built-in head's axes (z out of the face) to the mean mesh's.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    regions: dict[str, np.ndarray]
    axes: np.ndarray


def benchmark_topology(root: str | os.PathLike[str], config: BenchmarkConfig | None = None) -> BenchmarkTopology:
    """The mesh, its masks and its axes, from the first subject's metadata and its first OBJ. Some seconds.

    Raises InputError where a subject, vert_mean.bin or every OBJ is missing.
    """
    config = BenchmarkConfig() if config is None else config
    captures = _captures(Path(root), config)[config.subjects[0]]
    folder = captures[0]
    mean = read_mesh_binary(folder / "vert_mean.bin") / 1000.0
    meshes = sorted((folder / "tracked_mesh").glob("*/*.obj"))
    if not meshes:
        raise InputError(f"{folder / 'tracked_mesh'}: expected an OBJ of Multiface's mesh, found none; fetch a segment")
    triangles = open_capture(folder).topology(meshes[0].parent.name, meshes[0].stem).triangles
    drawn = redraw_regions(mean, triangles, REGIONS)
    return BenchmarkTopology(mean, triangles, drawn.masks, drawn.placement.rotation)


def select_sequences(
    root: str | os.PathLike[str], topology: BenchmarkTopology, config: BenchmarkConfig | None = None
) -> tuple[BenchmarkSequence, ...]:
    """The benchmark's sequences, by this module's rule, from a folder of captures.

    Needs KRT, frame_list.txt and the first mesh of each chosen sequence, no images. Raises InputError for a subject
    that is missing, has too few segments, or whose chosen segments lack their meshes or a camera within the limits.
    """
    config = BenchmarkConfig() if config is None else config
    captures = _captures(Path(root), config)
    share, left = divmod(config.sequence_count, len(config.subjects))
    favoured = _drawn(config.subjects, config.seed, "nine")[:left]
    chosen = []
    for subject in config.subjects:
        opened = [open_capture(folder) for folder in captures[subject]]
        count = share + (subject in favoured)
        for capture, segment, frames in _segments(opened, subject, count, config):
            camera = _camera(capture, segment, frames[0], topology, config)
            chosen.append(BenchmarkSequence(capture.folder.name, segment, camera, frames))
    return tuple(chosen)


def save_selection(path: str | os.PathLike[str], sequences: Sequence[BenchmarkSequence]) -> None:
    """Write the sequences as JSON, for those who are to evaluate on the same."""
    records = [dataclasses.asdict(sequence) | {"frames": list(sequence.frames)} for sequence in sequences]
    write_json(path, {"format": FORMAT, "sequences": records})


def load_selection(path: str | os.PathLike[str]) -> tuple[BenchmarkSequence, ...]:
    """Sequences that `save_selection` wrote. Raises InputError for another file."""
    value = read_json(path, "a selection of Multiface sequences")
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise InputError(f'{path} is no selection of Multiface sequences: expected "format": "{FORMAT}"')
    try:
        return tuple(
            BenchmarkSequence(str(r["capture"]), str(r["segment"]), str(r["camera"]), tuple(map(str, r["frames"])))
            for r in value["sequences"]
        )
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: a sequence is incomplete ({error})") from None


def truth_sequence(
    root: str | os.PathLike[str],
    sequence: BenchmarkSequence,
    topology: BenchmarkTopology,
    config: BenchmarkConfig | None = None,
) -> MeshSequence:
    """The true mesh of a sequence in metres with masks and its one camera. Raises InputError for missing files."""
    config = BenchmarkConfig() if config is None else config
    capture = open_capture(Path(root) / sequence.capture)
    places = _places(sequence.frames)
    valid = np.isin(np.arange(places[-1] + 1), places)
    vertices = np.zeros((len(valid), len(topology.vertices), 3), np.float32)
    for place, frame in zip(places, sequence.frames, strict=True):
        vertices[place] = capture.vertices(sequence.segment, frame)
    cameras = read_multiface(capture.folder, [sequence.camera], config.image_size).cameras
    return MeshSequence(
        vertices, topology.triangles, valid, topology.regions, cameras, None, FRAMES_PER_SECOND, sequence.name
    )


def truth_sequences(
    root: str | os.PathLike[str],
    sequences: Sequence[BenchmarkSequence],
    topology: BenchmarkTopology,
    config: BenchmarkConfig | None = None,
) -> Iterator[MeshSequence]:
    """The true meshes of all sequences, one after the other."""
    for sequence in sequences:
        yield truth_sequence(root, sequence, topology, config)


def _captures(root: Path, config: BenchmarkConfig) -> dict[str, list[Path]]:
    """The folders of each subject. Raises InputError where one has none."""
    folders = [folder for folder in folders_in(root) if (folder / "KRT").is_file()] if root.is_dir() else []
    found = {subject: [f for f in folders if identity_of(f.name) == subject] for subject in config.subjects}
    absent = [subject for subject, own in found.items() if not own]
    if absent or not found:
        raise InputError(
            f"{root}: expected a capture (m--…--GHS with a KRT file) of each of {len(found)} subjects, found none of "
            f"{', '.join(absent) or 'any'}; fetch them or name those that you have"
        )
    return found


def _drawn(names: Sequence[str], seed: int, purpose: str) -> list[str]:
    """The names in the lot's order."""
    return sorted(names, key=lambda name: hashlib.sha256(f"{seed}/{purpose}/{name}".encode()).digest())


def _places(frames: Sequence[str]) -> np.ndarray:
    """Which frame of the film, from 0, each listed id is; ids that the list leaves out make gaps.

    Ids advance by the same number, three in the release, because the cameras ran faster than what is published.
    """
    numbers = np.asarray([int(frame) for frame in frames])
    steps = np.diff(numbers)
    if not len(steps):
        return np.zeros(len(numbers), int)
    if steps.min() < 1:
        raise InputError(f"expected ids of frames in ascending order, found {numbers[:-1][steps < 1][0]} out of order")
    return np.rint((numbers - numbers[0]) / np.bincount(steps).argmax()).astype(int)


def _segments(
    captures: Sequence[MultifaceCapture], subject: str, count: int, config: BenchmarkConfig
) -> list[tuple[MultifaceCapture, str, tuple[str, ...]]]:
    """A subject's chosen segments with their frames."""
    found, kinds = {}, {}
    for capture in captures:
        for segment, frames in capture.frames.items():
            if _places(frames)[-1] + 1 >= config.shortest * FRAMES_PER_SECOND:
                name = f"{capture.folder.name}/{segment}"
                found[name] = (capture, segment, _middle(frames, config))
                kinds.setdefault(re.match(r"[A-Za-z]*", segment)[0], []).append(name)
    if len(found) < count:
        raise InputError(
            f"subject {subject}: expected {count} segments of {config.shortest:g} s or more, found {len(found)}; "
            "fetch all of its metadata"
        )
    ordered = [_drawn(kinds[kind], config.seed, "segment") for kind in _drawn(list(kinds), config.seed, subject)]
    turns = [name for turn in zip_longest(*ordered) for name in turn if name is not None]
    return [found[name] for name in turns[:count]]


def _middle(frames: tuple[str, ...], config: BenchmarkConfig) -> tuple[str, ...]:
    """The frames of the segment's middle, where it is longer than the longest sequence."""
    places, longest = _places(frames), int(config.longest * FRAMES_PER_SECOND)
    first = max(0, places[-1] + 1 - longest) // 2
    return tuple(frame for frame, place in zip(frames, places, strict=True) if first <= place < first + longest)


def _camera(
    capture: MultifaceCapture, segment: str, frame: str, topology: BenchmarkTopology, config: BenchmarkConfig
) -> str:
    """The lot's camera among those that see the face from before it."""
    world, face = capture.vertices(segment, frame), topology.regions["face"]
    pose = fit_similarity(topology.vertices[face], world[face])
    view = FaceFrame(pose.rotation @ topology.axes, pose.translation, pose.scale, world[face].mean(0))
    cameras = capture.calibration.cameras
    centres = np.asarray(cameras.centres(), np.float64)
    limits = config.horizontal_limit, config.vertical_limit
    within = [name for name, centre in zip(cameras.names, centres, strict=True) if is_within(centre, view, *limits)]
    if not within:
        raise InputError(
            f"{capture.folder}/{segment}: no camera sees the face from at most {limits[0]:g}° beside and "
            f"{limits[1]:g}° above; expected one in KRT"
        )
    return _drawn(within, config.seed, f"camera/{capture.identity}/{segment}")[0]
