"""What there is to track in a film: its scenes, and the people in each, found in one pass."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from flowface_jax.aligners.appearance import looks
from flowface_jax.aligners.detection import Detector
from flowface_jax.aligners.frames import FrameSource
from flowface_jax.aligners.people import PeopleSettings, Person, Sighting, find_people
from flowface_jax.aligners.scene_cuts import CutFinder, SceneCutSettings, believable_rate

CUTS: Final = SceneCutSettings()


@dataclasses.dataclass(frozen=True)
class Scene:
    """Frames `first` to `end` − 1 of a film, and the people in them, the largest first."""

    first: int
    end: int
    people: tuple[Person, ...]


def find_scenes(
    source: FrameSource,
    detector: Detector,
    cuts: SceneCutSettings | None = CUTS,
    people: PeopleSettings | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> list[Scene]:
    """The scenes of a film and who is in them; its frames are read once, and memory does not grow with them.

    cuts: None takes the whole film as one scene. progress: called with (frames done, frames expected or None). A face's
    boxes are those of the detector. Raises InputError where the source cannot be read.
    """
    people = people or PeopleSettings()
    rate = believable_rate(source.info.frame_rate)
    stride = max(1, round(rate / people.detections_per_second)) if people.detections_per_second else 1
    finder = None if cuts is None else CutFinder(rate, cuts)
    sightings: list[Sighting] = []
    count = 0
    for frame in source:
        if finder is not None:
            finder.add(frame.image)
        if count % stride == 0:
            sightings.append(_sighting(count, frame.image, detector))
        count += 1
        if progress is not None:
            progress(count, source.info.frame_count)
    edges = [0, *(finder.cuts if finder is not None else []), count]
    return [_scene(sightings, a, b, stride, rate, people) for a, b in zip(edges, edges[1:], strict=False) if b > a]


def _sighting(number: int, image: np.ndarray, detector: Detector) -> Sighting:
    boxes = np.asarray(detector(image)[0], np.float64).reshape(-1, 4)
    boxes = boxes[np.isfinite(boxes).all(axis=1)]
    return Sighting(number, boxes, looks(image, boxes))


def _scene(
    sightings: Sequence[Sighting], first: int, end: int, stride: int, rate: float, settings: PeopleSettings
) -> Scene:
    inside = [sighting for sighting in sightings if first <= sighting.frame < end]
    return Scene(first, end, tuple(find_people(inside, first, end, stride, rate, settings)))
