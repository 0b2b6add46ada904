"""What each pixel of the clip shows, by a face parser on the tracked head (paper, appendix G)."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.exporting.flame import require_camera
from flowface_jax.exporting.insta_regions import CODES
from flowface_jax.exporting.performance import Performance
from flowface_jax.exporting.pictures import write_png
from flowface_jax.exporting.target import Target
from flowface_jax.network.face_parser import FaceParser, load_face_parser
from flowface_jax.reporting import Reporter
from flowface_jax.storage import write_json

NAME = "segmentation"
FORMAT = "flowface-segmentation/1"
CLASSES: Final = tuple(CODES)
"""CelebAMask-HQ's 19 classes by number."""
PARSED_SIDE: Final = 512
"""Side of the pictures that the parser was trained on, px."""


@dataclasses.dataclass(frozen=True)
class SegmentationSettings:
    """parser: face-parsing.PyTorch's 79999_iter.pth. camera: number of the one whose clip is parsed. margin: side of
    the square that is parsed, to the head's longer side in the image; what lies beyond it stays background.
    """

    parser: str = ""
    camera: int = 0
    margin: float = 1.6


def write_segmentation(
    performance: Performance, folder: Path, settings: SegmentationSettings, reporter: Reporter
) -> None:
    """Write a label map of the clip's size for every frame with a face. Raises InputError without parser or clip."""
    if not settings.parser:
        raise InputError("segmentation needs a face parser; name it with --set segmentation.parser=79999_iter.pth")
    if settings.margin <= 0:
        raise InputError(f"segmentation.margin: expected more than 0, found {settings.margin}")
    require_camera(performance, settings.camera, NAME)
    parser = load_face_parser(settings.parser)
    track, head, seen = performance.track, performance.head, performance.seen
    bar = reporter.bar(NAME, track.frame_count, "frames")
    for frame, picture in enumerate(performance.pictures(settings.camera)):
        if seen[frame]:
            mesh = np.asarray(track.image_vertices(head, frame))[settings.camera]
            labels = parsed(parser, picture, mesh, settings.margin)
            write_png(folder / "labels" / f"{int(track.frame_ids[frame]):06d}.png", labels)
        bar.advance_to(frame + 1)
    bar.close()
    write_json(
        folder / "labels.json",
        {
            "format": FORMAT,
            "labels": dict(enumerate(CLASSES)),
            "left and right": "the subject's",
            "camera": track.cameras.names[settings.camera],
            "frame_ids": np.asarray(track.frame_ids)[seen].tolist(),
            "frames_without_a_face": np.asarray(track.frame_ids)[~seen].tolist(),
        },
    )


def parsed(parser: FaceParser, picture: np.ndarray, mesh_px: np.ndarray, margin: float) -> np.ndarray:
    """Labels [H,W] uint8 of a picture [H,W,3] around a head whose vertices lie at mesh_px [V,2]; 0 elsewhere.

    The parser expects heads that fill much of the picture, so a square around the head is brought to its size.
    """
    height, width = picture.shape[:2]
    low, high = mesh_px.min(0), mesh_px.max(0)
    side = margin * float((high - low).max())
    corner, scale = (low + high - side) / 2, PARSED_SIDE / side
    # Pixel centres lie at halves: continuous x ↦ scale (x − corner), in OpenCV's integer-centred coordinates.
    shift = scale * (0.5 - corner) - 0.5
    to_square = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    square = cv2.warpAffine(picture, to_square, (PARSED_SIDE, PARSED_SIDE), flags=cv2.INTER_LINEAR)
    found = parser.labels(square)
    return cv2.warpAffine(found, to_square, (width, height), flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP)


TARGET = Target(NAME, "face parsing of the clip by a BiSeNet (needs --video)", SegmentationSettings, write_segmentation)
