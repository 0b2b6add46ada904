"""The overlay video of a track: each frame with the fitted mesh, the observed points, and why it is flagged."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.aligners.frames import FrameSource
from flowface_jax.aligners.reading import read_ahead, worked_ahead
from flowface_jax.alignment.alignment import Alignment
from flowface_jax.cameras.model import Cameras
from flowface_jax.fitting.track import Track
from flowface_jax.heads.model import HeadModel
from flowface_jax.viewing.overlay import draw_overlay
from flowface_jax.viewing.tiling import tile_views
from flowface_jax.viewing.video_writer import write_video
from flowface_jax.viewing.visibility import visible_triangles

WIREFRAME_TRIANGLES = 9000
"""A finer mesh is drawn fainter: its lines would hide the face."""
OPACITY = 0.3
FALLBACK_RATE = 25.0
AHEAD = 3
"""Frames that are decoded, and drawn, before they are asked for."""
WORKERS = 2
"""Frames that are drawn at the same time; encoding waits for them, and more would take the memory of more pictures."""


def write_overlay(
    path: str | os.PathLike[str],
    track: Track,
    head: HeadModel,
    alignment: Alignment,
    sources: Sequence[FrameSource],
    undistort: Sequence[Callable[[np.ndarray], np.ndarray] | None] | None = None,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Write overlay.mp4 with the views side by side and return the number of frames.

    undistort: per camera, from a frame as recorded to one of the ideal pinhole. Memory does not grow with the video:
    decoding, drawing and encoding go on at the same time, a few frames apart.
    """
    rate = sources[0].info.frame_rate
    drawn = overlay_frames(track, head, alignment, sources, undistort, progress)
    with read_ahead(drawn, AHEAD) as frames:
        return write_video(path, frames, rate if np.isfinite(rate) and rate > 0 else FALLBACK_RATE)


def overlay_frames(
    track: Track,
    head: HeadModel,
    alignment: Alignment,
    sources: Sequence[FrameSource],
    undistort: Sequence[Callable[[np.ndarray], np.ndarray] | None] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Iterator[np.ndarray]:
    """The pictures of `write_overlay`, one at a time: [H,W,3] RGB uint8."""
    flags = {flag["frame"]: "; ".join(flag["reasons"]) for flag in track.summary.get("flags", [])}
    surface = alignment.points_on(head)
    triangles = _drawn_triangles(head)
    opacity = OPACITY * min(1.0, WIREFRAME_TRIANGLES / max(len(triangles), 1)) ** 0.5
    straighten = undistort or [None] * len(sources)
    views = zip(*(_pictures(s, u, track.frame_count) for s, u in zip(sources, straighten, strict=True)), strict=True)

    def picture(item: tuple[int, tuple[jax.Array, tuple[np.ndarray, ...]]]) -> np.ndarray:
        f, (world, images) = item
        projected = _projected(track.cameras, world, surface.vertex_ids, surface.barycentric)
        pixels, points, depth = (np.asarray(array) for array in projected)
        number = int(alignment.frame_ids[f])
        drawn = []
        for c, image in enumerate(images):
            seen = bool(alignment.valid[c, f])
            drawn.append(
                draw_overlay(
                    image,
                    mesh_px=pixels[c] if alignment.valid[:, f].any() else None,
                    triangles=triangles,
                    visible=visible_triangles(pixels[c], depth[c], triangles),
                    observed_px=alignment.mean[c, f] if seen else None,
                    points_px=points[c] if seen else None,
                    std_px=alignment.std[c, f] if seen else None,
                    caption=f"frame {number}",
                    warning=flags.get(number, ""),
                    mesh_opacity=opacity,
                )
            )
        return drawn[0] if len(drawn) == 1 else tile_views(drawn)

    frames = enumerate(zip(track.each_world_vertices(head), views, strict=True))
    for count, drawn in enumerate(worked_ahead(picture, frames, WORKERS), 1):
        yield drawn
        if progress is not None:
            progress(count)


def _pictures(
    source: FrameSource, straighten: Callable[[np.ndarray], np.ndarray] | None, count: int
) -> Iterator[np.ndarray]:
    """`count` pictures of one camera, undistorted; black ones where it ends early."""
    width, height = source.info.size
    with read_ahead(source, AHEAD) as frames:
        for _ in range(count):
            frame = next(frames, None)
            image = np.zeros((height, width, 3), np.uint8) if frame is None else frame.image
            yield image if straighten is None else straighten(image)


@jax.jit
def _projected(
    cameras: Cameras, world: jax.Array, vertex_ids: jax.Array, barycentric: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Vertices [C,V,2] px, observed points [C,P,2] px and vertex depths [C,V] m."""
    on_surface = jnp.einsum("pkd,pk->pd", world[vertex_ids], barycentric)
    return cameras.project(world), cameras.project(on_surface), cameras.to_camera(world)[..., 2]


def _drawn_triangles(head: HeadModel) -> np.ndarray:
    """The triangles of face and ears: what the alignment is about."""
    wanted = np.asarray(head.regions["face"]) | np.asarray(head.regions["ears"])
    triangles = np.asarray(head.triangles)
    return triangles[wanted[triangles].all(1)]
