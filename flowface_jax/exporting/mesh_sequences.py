"""One mesh for every frame, as OBJ or PLY, beside the person's neutral head and the cameras."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from flowface_jax.conventions import METRES_TO_MILLIMETRES
from flowface_jax.exporting.performance import Performance
from flowface_jax.exporting.ply import write_ply
from flowface_jax.exporting.target import Target
from flowface_jax.heads.model import HeadModel
from flowface_jax.reporting import Reporter
from flowface_jax.storage import write_bytes, write_json

UNITS = {"m": 1.0, "cm": 100.0, "mm": METRES_TO_MILLIMETRES}
_NAMES = {"m": "metre", "cm": "centimetre", "mm": "millimetre"}


@dataclasses.dataclass(frozen=True)
class MeshSequenceSettings:
    """space: "world" (OpenCV's axes, that of cameras.json), "camera" (of the first camera) or "head" (y up, without the
    head's pose). unit: of the files. unseen: write frames without a face as well.
    """

    space: Literal["world", "camera", "head"] = "world"
    unit: Literal["m", "cm", "mm"] = "m"
    unseen: bool = False


def posed_vertices(performance: Performance, space: str) -> Iterator[np.ndarray]:
    """Vertices [V,3] m of every frame in turn, in the world, the first camera's frame or the head's own."""
    track, head = performance.track, performance.head
    if space == "head":
        for frame in range(track.frame_count):
            yield np.asarray(track.local_vertices(head, frame))
        return
    for world in track.each_world_vertices(head):
        yield np.asarray(world) if space == "world" else np.asarray(track.cameras.to_camera(world))[0]


def obj_bytes(vertices: np.ndarray, head: HeadModel, comment: str, with_uv: bool = True) -> bytes:
    """A Wavefront OBJ of vertices [V,3] with the head's triangles and atlas coordinates, one for each vertex."""
    text = io.StringIO()
    text.write(f"# {comment}\n")
    np.savetxt(text, vertices, fmt="v %.7g %.7g %.7g")
    corners = np.asarray(head.triangles) + 1
    if with_uv:
        np.savetxt(text, np.asarray(head.uv), fmt="vt %.6f %.6f")
        np.savetxt(text, np.repeat(corners, 2, axis=1), fmt="f %d/%d %d/%d %d/%d")
    else:
        np.savetxt(text, corners, fmt="f %d %d %d")
    return text.getvalue().encode("ascii")


def _write_obj(path: Path, vertices: np.ndarray, head: HeadModel, unit: str) -> None:
    write_bytes(path, obj_bytes(vertices, head, f"unit: {unit}"))


def _write_ply(path: Path, vertices: np.ndarray, head: HeadModel, unit: str) -> None:
    write_ply(path, vertices, np.asarray(head.triangles), unit)


def _writer(
    suffix: str, write_mesh: Callable[[Path, np.ndarray, HeadModel, str], None]
) -> Callable[[Performance, Path, MeshSequenceSettings, Reporter], None]:
    def write(performance: Performance, folder: Path, settings: MeshSequenceSettings, reporter: Reporter) -> None:
        track, head = performance.track, performance.head
        scale, unit = UNITS[settings.unit], _NAMES[settings.unit]
        bar = reporter.bar(suffix, track.frame_count, "frames")
        write_mesh(folder / f"neutral.{suffix}", scale * np.asarray(track.neutral_vertices(head)), head, unit)
        written = []
        for frame, vertices in enumerate(posed_vertices(performance, settings.space)):
            if performance.seen[frame] or settings.unseen:
                number = int(track.frame_ids[frame])
                write_mesh(folder / f"{number:06d}.{suffix}", scale * vertices, head, unit)
                written.append(frame)
            bar.advance_to(frame + 1)
        bar.close()
        track.cameras.save(folder / "cameras.json")
        about = {
            "head": head.name,
            "licence": head.licence,
            "unit": unit,
            "space": settings.space,
            "axes": "x to the subject's left, y up, z out of the face"
            if settings.space == "head"
            else "OpenCV: x right, y down, z forward",
            "frames_per_second": performance.frame_rate,
            "frame_ids": np.asarray(track.frame_ids)[written],
            "frame_times_s": np.asarray(track.frame_times)[written],
        }
        write_json(folder / "sequence.json", about)

    return write


TARGETS = (
    Target("obj", "one OBJ per frame, with atlas coordinates", MeshSequenceSettings, _writer("obj", _write_obj)),
    Target("ply", "one binary PLY per frame", MeshSequenceSettings, _writer("ply", _write_ply)),
)
