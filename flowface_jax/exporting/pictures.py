"""The pictures of avatar data sets: frames, mattes, depth."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence

import cv2
import jax.numpy as jnp
import numpy as np

from flowface_jax.aligners import open_frames
from flowface_jax.conventions import METRES_TO_MILLIMETRES
from flowface_jax.errors import InputError
from flowface_jax.exporting.performance import Performance
from flowface_jax.storage import write_bytes
from flowface_jax.synthesis.rasteriser import Fragments, rasterise

_OPAQUE = 255


def write_png(path: str | os.PathLike[str], picture: np.ndarray) -> None:
    """A picture [H,W] uint8 or uint16, [H,W,3] RGB or [H,W,4] RGBA uint8 as PNG, atomically."""
    order = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    turned = picture if picture.ndim == 2 else cv2.cvtColor(picture, order[picture.shape[2]])
    write_bytes(path, cv2.imencode(".png", np.ascontiguousarray(turned))[1].tobytes())


def image_size(performance: Performance, camera: int) -> tuple[int, int]:
    """(width, height) px of a camera's images."""
    width, height = (int(side) for side in np.asarray(performance.track.cameras.image_size)[camera])
    return width, height


def camera_folders(performance: Performance) -> tuple[str, ...]:
    """A folder's name for each camera: its own, without what divides folders."""
    return tuple(name.replace("/", "_").replace("\\", "_") for name in performance.track.cameras.names)


def drawn(performance: Performance, camera: int, world: np.ndarray) -> Fragments:
    """Which triangles of the head each pixel of a camera's image shows: vertices [V,3] m in the world."""
    cameras, head = performance.track.cameras, performance.head
    local = cameras.to_camera(jnp.asarray(world, jnp.float32))[camera]
    pixels = cameras.project(jnp.asarray(world, jnp.float32))[camera]
    return rasterise(pixels, local[:, 2], head.triangles, image_size(performance, camera))


def depth_picture(fragments: Fragments) -> np.ndarray:
    """Depth [H,W] along the camera's axis in whole millimetres, uint16; 0 where nothing is."""
    millimetres = np.asarray(fragments.depth, np.float64) * METRES_TO_MILLIMETRES
    return np.where(np.isfinite(millimetres), np.rint(millimetres).clip(0, 65535), 0).astype(np.uint16)


def check_pictures(performance: Performance) -> None:
    """Raises InputError, before anything else is done, where the clips' pictures cannot be copied."""
    for camera in range(performance.track.cameras.count):
        next(performance.pictures(camera))


def matte_pictures(performance: Performance, mattes: Sequence[str], target: str) -> list[Iterator[np.ndarray]]:
    """For each camera its mattes [H,W] uint8, white where the person is, one for every frame of the track in turn.

    mattes: for each camera a film or a folder of pictures, as a matting program writes them for the clip. Raises
    InputError where they are not one per camera, of another size, or end early.
    """
    count = performance.track.cameras.count
    if len(mattes) != count:
        raise InputError(f"{target}.mattes: expected {count}, one for each camera of the track, found {len(mattes)}")
    return [follow_frames(performance, camera, path, f"{target}.mattes") for camera, path in enumerate(mattes)]


def follow_frames(performance: Performance, camera: int, path: str, setting: str) -> Iterator[np.ndarray]:
    """The pictures [H,W] uint8 of a film or folder that belongs to a camera's clip, for every frame of the track.

    Raises InputError where they have another size than the clip, or end before the track does.
    """
    source = open_frames(path)
    expected = image_size(performance, camera)
    if tuple(source.info.size) != expected:
        found, wanted = (f"{w} x {h}" for w, h in (source.info.size, expected))
        raise InputError(f"{setting}: {path} is {found} px, the clip {wanted}; make it for the tracked clip")
    sources: list = [None] * performance.track.cameras.count
    sources[camera] = source
    for picture in dataclasses.replace(performance, sources=tuple(sources)).pictures(camera):
        yield np.ascontiguousarray(picture[..., 1])


def with_matte(picture: np.ndarray, matte: np.ndarray | None) -> np.ndarray:
    """Picture [H,W,3] and matte [H,W] as RGBA [H,W,4] uint8; opaque without a matte."""
    alpha = np.full(picture.shape[:2], _OPAQUE, np.uint8) if matte is None else matte
    return np.dstack([picture, alpha])
