"""What a capture hands to a renderer, frame by frame, and what it gets back."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal, Protocol

import numpy as np

from flowface_jax.cameras.model import Cameras
from flowface_jax.heads.model import HeadModel
from flowface_jax.synthesis.sequences import Motion

Photographs = Literal["clean", "rough"]
"""How the cameras treat their pictures: well, or as the worse among phones and webcams do."""


@dataclasses.dataclass(frozen=True)
class FilmSettings:
    """What all pictures of a capture share. seed: of the person's looks, the light, the room and the noise.
    accessories: whether hats and glasses may appear. photographs: how good the cameras are.
    """

    seed: int = 0
    accessories: bool = True
    photographs: Photographs = "clean"


@dataclasses.dataclass(frozen=True)
class Moment:
    """One frame of the performance; the world is the rig's frame (see `sequences.Motion`).

    frame: its number. vertices: [V,3] m, posed, in the head's frame. expression: [E]. joint_rotations: [K,3] rad. The
    poses, matrices [3,3] and translations [3] m, take head, torso (modelled in the head's frame) and room to the world.
    """

    frame: int
    vertices: np.ndarray
    expression: np.ndarray
    joint_rotations: np.ndarray
    head_rotation: np.ndarray
    head_translation: np.ndarray
    torso_rotation: np.ndarray
    torso_translation: np.ndarray
    room_rotation: np.ndarray
    room_translation: np.ndarray

    def world(self) -> np.ndarray:
        """Vertices in the world: [V,3] m."""
        return self.vertices @ self.head_rotation.T + self.head_translation


@dataclasses.dataclass(frozen=True)
class View:
    """What one camera sees of a moment. image: [H,W,3] RGB uint8. visible: [V] bool. depth: [H,W] m, infinite where
    nothing is. normals: [H,W,3] unit, camera axes, 0 where nothing is. segmentation: [H,W] of `truth.Segment`.
    """

    image: np.ndarray
    visible: np.ndarray
    depth: np.ndarray
    normals: np.ndarray
    segmentation: np.ndarray


class Renderer(Protocol):
    """Draws the person of one capture, whose looks and surroundings it has fixed."""

    def __call__(self, moment: Moment, cameras: Cameras) -> list[View]:
        """One view per camera."""


MakeRenderer = Callable[[HeadModel, Motion, FilmSettings], Renderer]
"""Decides all that stays the same in a capture: skin, hair, light, background."""
