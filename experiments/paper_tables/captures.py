"""The benchmark's synthetic captures: who is filmed, from where, and where pictures and truth lie.

A subject is one performance of the built-in head (speech, emotions, blinks, head turns), cut into sequences, each seen
by another camera: straight ahead first, then from 20° and 40° to either side, as far as the head itself does not turn.
The rig is carried: trembling hands for even subjects, a walk round the face for odd ones, so every camera moves.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from flowface_jax.cameras.model import Cameras, make_cameras
from flowface_jax.capturing import FACE_SHARE, CaptureSettings, moments, true_track
from flowface_jax.errors import InputError
from flowface_jax.evaluation.mesh_sequence import MeshSequence, sequence_of_track
from flowface_jax.fitting.track import RECORD, Track
from flowface_jax.heads.model import HeadModel
from flowface_jax.job_folders import REQUEST_FILE, prepare_folder
from flowface_jax.reporting import Bar
from flowface_jax.storage import read_json, write_bytes
from flowface_jax.synthesis.film import make_film_renderer
from flowface_jax.synthesis.filming import FilmSettings
from flowface_jax.synthesis.sequences import FRAMES_PER_SECOND, Motion, make_motion

CAMERAS = 5
"""Cameras to choose from: at 0°, ∓20° and ∓40°."""
FRAMES, TRUTH = "frames", "truth"
_NAME = "subject_{:02d}_{}"


@dataclasses.dataclass(frozen=True)
class CaptureSize:
    """subjects, sequences of each, frames of each sequence. side: px of the square pictures. seed: of everything
    random. accessories: whether hats and glasses may appear.
    """

    subjects: int = 10
    sequences: int = 3
    frames: int = 48
    side: int = 384
    seed: int = 0
    accessories: bool = True

    def __post_init__(self) -> None:
        least = {"subjects": 1, "sequences": 1, "frames": 2, "side": 64, "seed": 0}
        for name, smallest in least.items():
            if getattr(self, name) < smallest:
                raise InputError(f"--{name}: expected {smallest} or more, found {getattr(self, name)}")
        if self.sequences > CAMERAS:
            raise InputError(f"--sequences: expected at most {CAMERAS}, one for each camera, found {self.sequences}")

    def request(self) -> dict[str, object]:
        """What a folder's captures are made of; the number of subjects may grow."""
        return {"synthetic_benchmark": {k: v for k, v in dataclasses.asdict(self).items() if k != "subjects"}}


@dataclasses.dataclass(frozen=True)
class Captured:
    """One sequence of the folder: its name and the subject's number."""

    folder: Path
    subject: int
    number: int

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def frames(self) -> Path:
        return self.folder / FRAMES

    def truth(self) -> Track:
        """The truth as a track."""
        return Track.load(self.folder / TRUTH)

    def true_sequence(self, head: HeadModel) -> MeshSequence:
        """The truth as a mesh sequence with the head's regions."""
        return sequence_of_track(self.truth(), head, self.name)


def prepare(out: Path, size: CaptureSize) -> Path:
    """The folder, new or with captures of the same settings. Raises InputError where it holds others."""
    return prepare_folder(out, "resume" if (out / REQUEST_FILE).is_file() else "refuse", size.request())


def size_of(folder: Path) -> CaptureSize:
    """The settings of a folder's captures. Raises InputError where it holds none."""
    if not (folder / REQUEST_FILE).is_file():
        raise InputError(
            f"{folder} holds no synthetic captures; make them: python experiments/synthetic_benchmark.py --out {folder}"
        )
    made = read_json(folder / REQUEST_FILE, "settings of synthetic captures").get("synthetic_benchmark")
    if not isinstance(made, dict):
        raise InputError(f"{folder} is the folder of another job; name the output of synthetic_benchmark.py")
    subjects = len({path.name.split("_")[1] for path in folder.glob("subject_*")})
    return CaptureSize(subjects=max(1, subjects), **made)


def planned(folder: Path, size: CaptureSize) -> Iterator[Captured]:
    """All sequences of these settings, filmed or not."""
    for subject in range(size.subjects):
        for number in range(size.sequences):
            yield Captured(folder / _NAME.format(subject, number), subject, number)


def filmed(folder: Path) -> list[Captured]:
    """The sequences that are complete. Raises InputError where there is none."""
    found = [one for one in planned(folder, size_of(folder)) if (one.folder / TRUTH / RECORD).is_file()]
    if not found:
        raise InputError(f"{folder}: expected a filmed sequence, found none; run synthetic_benchmark.py to its end")
    return found


def motion_of(head: HeadModel, size: CaptureSize, one: Captured) -> Motion:
    """What happens in one sequence, seen by its one camera."""
    whole = make_motion(
        head,
        _seed(size, one),
        size.frames * size.sequences,
        CAMERAS,
        size.side,
        FACE_SHARE * size.side,
        FRAMES_PER_SECOND,
        "orbit" if one.subject % 2 else "handheld",
    )
    shown = slice(one.number * size.frames, (one.number + 1) * size.frames)
    constant = {"identity", "cameras", "frame_rate"}
    cut = {f.name: getattr(whole, f.name)[shown] for f in dataclasses.fields(whole) if f.name not in constant}
    return dataclasses.replace(whole, cameras=single(whole.cameras, one.number), **cut)


def single(cameras: Cameras, number: int) -> Cameras:
    """One of several cameras, in the world of all."""
    fields = ("focal", "principal_point", "rotation", "translation", "image_size")
    chosen = [np.asarray(getattr(cameras, name))[number : number + 1] for name in fields]
    return make_cameras(*chosen, [cameras.names[number]])


def film(head: HeadModel, size: CaptureSize, sequences: Sequence[Captured], bar: Bar) -> None:
    """Render what is missing of one subject's sequences, a picture at a time; a sequence's truth is written last."""
    render = None
    for done, one in enumerate(sequences):
        if (one.folder / TRUTH / RECORD).is_file():
            continue
        motion = motion_of(head, size, one)
        truth = true_track(head, motion, CaptureSettings(1, size.frames, size.side, size.seed))
        # Looks, light and room are the subject's, whichever of its sequences they are prepared from.
        render = render or make_film_renderer(head, motion, film_settings(size, one))
        for moment in moments(head, motion, truth):
            path = one.frames / f"{moment.frame:05d}.png"
            if not path.is_file():
                picture = render(moment, motion.cameras)[0].image
                write_bytes(path, cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))[1].tobytes())
            bar.advance_to(done * size.frames + moment.frame + 1, one.name)
        truth.save(one.folder / TRUTH)


def film_settings(size: CaptureSize, one: Captured) -> FilmSettings:
    """Looks, light and room, which a subject keeps in all its sequences."""
    return FilmSettings(_seed(size, one), size.accessories, "clean")


def _seed(size: CaptureSize, one: Captured) -> int:
    return 1000 * size.seed + one.subject
