"""Depth, normals, regions and outline of the tracked head in every camera's image, drawn by the rasteriser."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Final, Literal

import cv2
import numpy as np

from flowface_jax.cameras.conversion import OPENGL_AXES
from flowface_jax.errors import InputError
from flowface_jax.exporting.performance import Performance
from flowface_jax.exporting.pictures import camera_folders, depth_picture, drawn, write_png
from flowface_jax.exporting.target import Target
from flowface_jax.heads.model import HeadModel
from flowface_jax.heads.registration import vertex_normals
from flowface_jax.reporting import Reporter
from flowface_jax.storage import write_bytes, write_json
from flowface_jax.synthesis.rasteriser import Fragments
from flowface_jax.viewing.visibility import front_facing

NAME = "maps"
FORMAT = "flowface-maps/1"
KINDS: Final = ("depth", "normals", "regions", "mask")
LABELS: Final = (
    *("background", "skin", "face", "scalp", "neck", "left_ear", "right_ear", "forehead", "brows", "cheeks", "chin"),
    *("nose", "eyelids", "lips", "left_eyeball", "right_eyeball", "teeth", "tongue", "mouth_interior", "inside"),
)
"""Names of the numbers in the region maps. A later one covers an earlier one; a head need not have them all."""
_AXES: Final = {"opencv": np.eye(3), "opengl": OPENGL_AXES}


@dataclasses.dataclass(frozen=True)
class MapsSettings:
    """kinds: which maps. axes: of the normals, opengl (x right, y up, z towards the viewer) or opencv (x right, y down,
    z forward), in the camera's frame. metres: write depth as float32 TIFF in metres instead of whole millimetres.
    """

    kinds: tuple[str, ...] = KINDS
    axes: Literal["opengl", "opencv"] = "opengl"
    metres: bool = False


def write_maps(performance: Performance, folder: Path, settings: MapsSettings, reporter: Reporter) -> None:
    """Write maps.json and, for each camera, a folder for each kind. Raises InputError for a kind that is none."""
    unknown = [kind for kind in settings.kinds if kind not in KINDS]
    if unknown or not settings.kinds:
        raise InputError(f"maps.kinds: expected some of {', '.join(KINDS)}, found '{','.join(settings.kinds)}'")
    track, head, seen = performance.track, performance.head, performance.seen
    painter = _Painter(np.asarray(head.triangles), vertex_labels(head))
    folders = camera_folders(performance)
    bar = reporter.bar(NAME, track.frame_count, "frames")
    for frame, world in enumerate(track.each_world_vertices(head)):
        for camera, name in enumerate(folders if seen[frame] else ()):
            fragments = drawn(performance, camera, np.asarray(world))
            pictures = _pictures(performance, settings, painter, camera, np.asarray(world), fragments)
            for kind, picture in pictures.items():
                file = folder / name / kind / f"{int(track.frame_ids[frame]):06d}"
                if picture.dtype == np.float32:
                    write_bytes(file.with_suffix(".tiff"), cv2.imencode(".tiff", picture)[1].tobytes())
                else:
                    write_png(file.with_suffix(".png"), picture)
        bar.advance_to(frame + 1)
    bar.close()
    write_json(folder / "maps.json", _about(performance, settings, folders))


def vertex_labels(head: HeadModel) -> np.ndarray:
    """[V] uint8, the number in `LABELS` of the last region that holds each vertex; skin where none does."""
    regions = {name: np.asarray(mask) for name, mask in head.regions.items()}
    left = np.asarray(head.template)[:, 0] > 0
    for pair, side in (("ear", "ears"), ("eyeball", "eyeballs")):
        regions |= {f"left_{pair}": regions[side] & left, f"right_{pair}": regions[side] & ~left}
    labels = np.full(head.vertex_count, LABELS.index("skin"), np.uint8)
    for number, name in enumerate(LABELS):
        if name in regions:
            labels[regions[name]] = number
    return labels


@dataclasses.dataclass(frozen=True, eq=False)
class _Painter:
    """triangles: [T,3]. labels: [V] uint8."""

    triangles: np.ndarray
    labels: np.ndarray

    def corners(self, fragments: Fragments) -> np.ndarray:
        """[H,W,3] vertices of the triangle at each pixel, those of some triangle where nothing is."""
        return self.triangles[np.asarray(fragments.triangle)]

    def regions(self, fragments: Fragments, mesh_px: np.ndarray) -> np.ndarray:
        """[H,W] uint8 labels of the nearest corner; the skin's back, through mouth or neck, is the inside."""
        nearest = np.asarray(fragments.barycentric).argmax(-1)[..., None]
        shown = self.labels[np.take_along_axis(self.corners(fragments), nearest, axis=-1)[..., 0]]
        behind = ~front_facing(mesh_px, self.triangles)[np.asarray(fragments.triangle)]
        shown = np.where(behind, LABELS.index("inside"), shown)
        return np.where(np.asarray(fragments.seen), shown, 0).astype(np.uint8)

    def normals(self, fragments: Fragments, of_vertices: np.ndarray) -> np.ndarray:
        """[H,W,3] unit normals, 0 where nothing is, from those of the vertices [V,3]."""
        mixed = np.einsum("hwk,hwkd->hwd", np.asarray(fragments.barycentric), of_vertices[self.corners(fragments)])
        length = np.linalg.norm(mixed, axis=-1, keepdims=True)
        return np.where(np.asarray(fragments.seen)[..., None], mixed / np.maximum(length, 1e-9), 0.0)


def _pictures(
    performance: Performance,
    settings: MapsSettings,
    painter: _Painter,
    camera: int,
    world: np.ndarray,
    fragments: Fragments,
) -> dict[str, np.ndarray]:
    """The asked for maps of one camera's image."""
    cameras, pictures = performance.track.cameras, {}
    seen = np.asarray(fragments.seen)
    if "depth" in settings.kinds:
        metres = np.where(seen, np.asarray(fragments.depth), 0).astype(np.float32)
        pictures["depth"] = metres if settings.metres else depth_picture(fragments)
    if "normals" in settings.kinds:
        turn = np.asarray(cameras.rotation, np.float64)[camera]
        own = vertex_normals(np.asarray(world, np.float64), painter.triangles) @ turn.T @ _AXES[settings.axes]
        pictures["normals"] = encoded(painter.normals(fragments, own), seen)
    if "regions" in settings.kinds:
        pictures["regions"] = painter.regions(fragments, np.asarray(cameras.project(world))[camera])
    if "mask" in settings.kinds:
        pictures["mask"] = (255 * seen).astype(np.uint8)
    return pictures


def encoded(normals: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Normals [H,W,3] as RGB uint8: −1 is 0, 1 is 255; black where nothing is seen [H,W]."""
    return np.where(seen[..., None], np.rint((normals + 1) * 127.5), 0).clip(0, 255).astype(np.uint8)


def _about(performance: Performance, settings: MapsSettings, folders: tuple[str, ...]) -> dict[str, Any]:
    track = performance.track
    depth = "float32 metres" if settings.metres else "whole millimetres, uint16"
    return {
        "format": FORMAT,
        "maps": {
            "depth": f"along the camera's axis (z), {depth}; 0: nothing",
            "normals": f"unit vectors in the camera's frame, axes of {settings.axes}; RGB = (n + 1) * 127.5; black: "
            "nothing",
            "regions": "numbers of `labels`",
            "mask": "255: the head",
        },
        "kinds": list(settings.kinds),
        "labels": dict(enumerate(LABELS)),
        "frame_ids": np.asarray(track.frame_ids)[performance.seen].tolist(),
        "frames_without_a_face": np.asarray(track.frame_ids)[~performance.seen].tolist(),
        "cameras": {
            folder: {
                "name": track.cameras.names[camera],
                "image_size": np.asarray(track.cameras.image_size)[camera].tolist(),
                "focal_px": float(track.cameras.focal[camera]),
                "principal_point_px": np.asarray(track.cameras.principal_point)[camera].tolist(),
                "rotation_world_to_camera": np.asarray(track.cameras.rotation)[camera].tolist(),
                "translation_world_to_camera_m": np.asarray(track.cameras.translation)[camera].tolist(),
            }
            for camera, folder in enumerate(folders)
        },
    }


TARGET = Target(NAME, "depth, normals, regions and mask of the head in every image", MapsSettings, write_maps)
