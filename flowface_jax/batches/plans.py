"""Which tracks a video is made of, found once and kept in its folder, so that a resumed job tracks the same."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from flowface_jax.aligners import FacePath, ForwardReader, FrameSource, Scene, find_scenes, load_detector
from flowface_jax.aligners.parts import Part
from flowface_jax.aligners.people import Person
from flowface_jax.batches.settings import BatchSettings
from flowface_jax.errors import InputError
from flowface_jax.storage import read_npz, write_npz

PLAN_FILE = "scenes.npz"
SCENE_FOLDER, PERSON_FOLDER = "scene_{:03d}", "person_{:02d}"


@dataclasses.dataclass(frozen=True)
class PlannedTrack:
    """scene, person: numbers from 0. part: of the video, None for all of it."""

    scene: int
    person: int
    part: Part | None

    @property
    def folder(self) -> Path:
        """Within the video's folder."""
        return Path(SCENE_FOLDER.format(self.scene), PERSON_FOLDER.format(self.person))


def plan_tracks(source: FrameSource, settings: BatchSettings, folder: Path, size: int) -> list[PlannedTrack]:
    """The tracks that a video is to become, in order.

    folder: the video's, where scenes and people are looked up, or kept once found. size: of the video, bytes; what an
    earlier video of that name has left is deleted. Photographs, and a whole video's largest face, need no plan.
    Raises InputError where nobody is seen.
    """
    if settings.whole or not source.info.is_video:
        return [PlannedTrack(0, 0, None)]
    scenes = _read(folder / PLAN_FILE, size)
    if scenes is None:
        for old in folder.glob("scene_*"):
            shutil.rmtree(old, ignore_errors=True)
        found = find_scenes(source, load_detector(settings.detector), settings.cuts, settings.linking)
        _write(folder / PLAN_FILE, found, size)
        # What is read back is rounded, and the same for a job that is resumed.
        scenes = _read(folder / PLAN_FILE, size)
    planned = list(_planned(scenes or [], ForwardReader(source), settings))
    if not planned:
        raise InputError(
            f"no face was found in {source.info.name} for {settings.linking.shortest_s:g} s; check that one is "
            "visible, upright and in focus"
        )
    return planned


def _planned(scenes: list[Scene], reader: ForwardReader, settings: BatchSettings) -> Iterator[PlannedTrack]:
    for number, scene in enumerate(scenes):
        for rank, person in enumerate(scene.people[: 1 if settings.people == "one" else None]):
            yield PlannedTrack(number, rank, Part(reader.stretch(person.first, person.end), person.path))


def _write(path: Path, scenes: list[Scene], size: int) -> None:
    people = [(number, person) for number, scene in enumerate(scenes) for person in scene.people]
    boxes = [person.path.boxes for _, person in people]
    frames = [person.frames for _, person in people]
    arrays = {
        "video_bytes": np.asarray(size),
        "scenes": np.asarray([(scene.first, scene.end) for scene in scenes], np.int64).reshape(-1, 2),
        "people": np.asarray([(n, p.first, p.end, len(p.frames)) for n, p in people], np.int64).reshape(-1, 4),
        "boxes_px": np.concatenate([np.zeros((0, 4)), *boxes]).astype(np.float32),
        "detected_frames": np.concatenate([np.zeros(0), *frames]).astype(np.int64),
    }
    write_npz(path, arrays)


def _read(path: Path, size: int) -> list[Scene] | None:
    """The scenes that were found before, None where there are none for a video of that size."""
    if not path.is_file():
        return None
    arrays = read_npz(path, "a video's scenes", ("video_bytes", "scenes", "people", "boxes_px", "detected_frames"))
    if int(arrays["video_bytes"]) != size:
        return None
    people: list[list[Person]] = [[] for _ in arrays["scenes"]]
    boxes, detected = arrays["boxes_px"], arrays["detected_frames"]
    for number, first, end, count in arrays["people"].tolist():
        path_of = FacePath(boxes[: end - first])
        people[number].append(Person(first, end, path_of, detected[:count]))
        boxes, detected = boxes[end - first :], detected[count:]
    return [Scene(a, b, tuple(found)) for (a, b), found in zip(arrays["scenes"].tolist(), people, strict=True)]
