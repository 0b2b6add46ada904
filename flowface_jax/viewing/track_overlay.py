"""The overlay video of a track: each frame with the fitted mesh, the observed points, and why it is flagged."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.aligners.frames import FrameSource
from flowface_jax.alignment.alignment import Alignment
from flowface_jax.fitting.track import Track
from flowface_jax.heads.model import HeadModel
from flowface_jax.viewing.overlay import draw_overlay
from flowface_jax.viewing.tiling import tile_views
from flowface_jax.viewing.video_writer import write_video
from flowface_jax.viewing.visibility import visible_triangles

WIREFRAME_TRIANGLES = 9000
"""A finer mesh is drawn fainter: its lines would hide the face."""
FALLBACK_RATE = 25.0


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

    undistort: per camera, from a frame as recorded to one of the ideal pinhole. Memory does not grow with the video.
    """
    frames = overlay_frames(track, head, alignment, sources, undistort, progress)
    rate = sources[0].info.frame_rate
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
    flags = {flag["frame"]: flag["reasons"] for flag in track.summary.get("flags", [])}
    surface = alignment.points_on(head)
    triangles = _drawn_triangles(head)
    iterators = [iter(source) for source in sources]
    last: list[np.ndarray | None] = [None] * len(sources)
    for f in range(track.frame_count):
        world = track.world_vertices(head, f)
        pixels, points, depth = (
            np.asarray(a) for a in _projected(track, world, surface.vertex_ids, surface.barycentric)
        )
        views = []
        for c, iterator in enumerate(iterators):
            frame = next(iterator, None)
            if frame is not None:
                image = frame.image
                if undistort is not None and undistort[c] is not None:
                    image = undistort[c](image)
                last[c] = image
            elif last[c] is not None:
                last[c] = np.zeros_like(last[c])
            if last[c] is None:
                continue
            reasons = flags.get(int(alignment.frame_ids[f]), [])
            seen = bool(alignment.valid[c, f])
            fallen = f"frame {int(alignment.frame_ids[f])}"
            views.append(
                draw_overlay(
                    last[c],
                    mesh_px=pixels[c] if alignment.valid[:, f].any() else None,
                    triangles=triangles,
                    visible=visible_triangles(pixels[c], depth[c], triangles),
                    observed_px=alignment.mean[c, f] if seen else None,
                    points_px=points[c] if seen else None,
                    std_px=alignment.std[c, f] if seen else None,
                    caption=fallen,
                    warning="; ".join(reasons),
                    mesh_opacity=0.3 * min(1.0, WIREFRAME_TRIANGLES / max(len(triangles), 1)) ** 0.5,
                )
            )
        if not views:
            return
        yield views[0] if len(views) == 1 else tile_views(views)
        if progress is not None:
            progress(f + 1)


@jax.jit
def _projected(
    track: Track, world: jax.Array, vertex_ids: jax.Array, barycentric: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Vertices [C,V,2] px, observed points [C,P,2] px and vertex depths [C,V] m."""
    cameras = track.cameras
    on_surface = jnp.einsum("pkd,pk->pd", world[vertex_ids], barycentric)
    return cameras.project(world), cameras.project(on_surface), cameras.to_camera(world)[..., 2]


def _drawn_triangles(head: HeadModel) -> np.ndarray:
    """The triangles of face and ears: what the alignment is about."""
    wanted = np.asarray(head.regions["face"]) | np.asarray(head.regions["ears"])
    triangles = np.asarray(head.triangles)
    return triangles[wanted[triangles].all(1)]
