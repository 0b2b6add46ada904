"""The aligners and detectors by name or weights file, as the command line and configuration files choose them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import jax

from flowface_jax.aligners.assembly import Progress, Undistort
from flowface_jax.aligners.detection import Detector
from flowface_jax.aligners.face_detector import load_face_detector
from flowface_jax.aligners.face_paths import FacePath
from flowface_jax.aligners.frames import FrameSource
from flowface_jax.aligners.mediapipe import align_mediapipe, mediapipe_detector
from flowface_jax.aligners.network import align_network
from flowface_jax.aligners.prediction import load_predictor
from flowface_jax.alignment.alignment import Alignment
from flowface_jax.errors import InputError
from flowface_jax.heads.model import HeadModel
from flowface_jax.network.bundled import bundled_file, bundled_names, default_network

AUTO: Final = "auto"
"""The bundled network that suits the device, or MediaPipe where none is bundled."""
WEIGHTS_SUFFIX: Final = ".safetensors"


class Aligner(Protocol):
    """What every aligner takes: one source per camera; see `align_mediapipe` for the arguments."""

    def __call__(
        self,
        sources: Sequence[str | os.PathLike[str] | FrameSource],
        face: int = 1,
        progress: Progress | None = None,
        undistort: Sequence[Undistort | None] | None = None,
        static: bool | None = None,
        frame_rate: float | None = None,
        paths: Sequence[FacePath] | None = None,
    ) -> Alignment: ...


ALIGNERS: Final[dict[str, Aligner]] = {"mediapipe": align_mediapipe}
"""Those that need no weights; any other aligner is a network, bundled or named by its file."""

DETECTORS: Final = ("mediapipe",)
"""Those that need no weights file; any other detector is S3FD, named by its file."""


def align(
    name: str,
    sources: Sequence[str | os.PathLike[str] | FrameSource],
    face: int = 1,
    progress: Progress | None = None,
    undistort: Sequence[Undistort | None] | None = None,
    static: bool | None = None,
    frame_rate: float | None = None,
    head: HeadModel | None = None,
    detector: str = "mediapipe",
    paths: Sequence[FacePath] | None = None,
) -> Alignment:
    """The alignment that an aligner makes of the sources.

    name: "auto" (see `resolve_aligner`), one of `ALIGNERS`, a bundled network (`bundled_names`), or the path of a
    network's weights (.safetensors). A network needs the `head` whose vertices it is to find and a `detector`: one of
    `DETECTORS`, or the path of S3FD's weights. paths: of the face, one per camera, where they are known: then no
    detector is used. Raises InputError for a name that is not known, weights of another kind, or a head that does not
    fit.
    """
    name = resolve_aligner(name)
    check_aligner(name, detector)
    if name in ALIGNERS:
        return ALIGNERS[name](sources, face, progress, undistort, static, frame_rate, paths)
    if head is None:
        raise InputError("a network finds the vertices of a head model, found none; pass `head`")
    bundled = name in bundled_names()
    predictor = load_predictor(bundled_file(name) if bundled else name, head, name=name if bundled else None)
    return align_network(
        sources,
        predictor,
        head,
        load_detector(detector) if paths is None else None,
        face,
        progress,
        undistort,
        static,
        frame_rate,
        paths=paths,
    )


def resolve_aligner(name: str) -> str:
    """What "auto" stands for on JAX's default device: the bundled network for it, or "mediapipe" where none is bundled.

    Any other name is returned as it is.
    """
    if name != AUTO:
        return name
    return default_network(accelerated=jax.default_backend() != "cpu") or "mediapipe"


def load_detector(name: str) -> Detector:
    """The detector of a name (`DETECTORS`) or of S3FD's converted weights. Raises InputError for anything else."""
    if name == "mediapipe":
        return mediapipe_detector()
    return load_face_detector(name)


def check_aligner(name: str, detector: str = "mediapipe") -> None:
    """Raise InputError unless aligner and detector are known names or files, and the aligner uses the detector."""
    _check_known("aligner", name, aligner_names(), "a trained network")
    _check_known("detector", detector, DETECTORS, "S3FD's converted weights")
    name = resolve_aligner(name)
    if name in ALIGNERS and detector != "mediapipe":
        raise InputError(f"the aligner '{name}' detects faces by itself; a detector is for networks: leave it out")


def aligner_names() -> tuple[str, ...]:
    """Every aligner that needs no path: "auto", the bundled networks that are there, and `ALIGNERS`."""
    return AUTO, *bundled_names(), *sorted(ALIGNERS)


def weights_file(name: str) -> Path | None:
    """The file of an aligner's or detector's weights, None for those that need none."""
    name = resolve_aligner(name)
    if name in ALIGNERS or name in DETECTORS:
        return None
    return bundled_file(name) if name in bundled_names() else Path(name)


def _check_known(kind: str, name: str, known: tuple[str, ...], otherwise: str) -> None:
    if name not in known and Path(name).suffix != WEIGHTS_SUFFIX and not Path(name).is_file():
        raise InputError(
            f"unknown {kind} '{name}'; choose one of: {', '.join(known)}, or the path of {otherwise} ({WEIGHTS_SUFFIX})"
        )
