"""The scene drawn without a browser, by the package's own rasteriser: what a video of a view is made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from flowface_jax.viewing.browser.legend import WIDTH as LEGEND_WIDTH
from flowface_jax.viewing.browser.legend import legend_picture
from flowface_jax.viewing.browser.nodes import MESH_COLOURS
from flowface_jax.viewing.browser.placing import (
    BEHIND,
    Pose,
    angles_side_by_side,
    camera_pose,
    field_of_view,
    head_depths,
    picture_plane,
    turned,
)
from flowface_jax.viewing.browser.shown import Show, ShownTrack
from flowface_jax.viewing.browser.state import ViewState
from flowface_jax.viewing.browser.values import PLAIN
from flowface_jax.viewing.colours import value_colours
from flowface_jax.viewing.overlay import draw_overlay
from flowface_jax.viewing.shading import shade
from flowface_jax.viewing.tiling import limited
from flowface_jax.viewing.visibility import visible_triangles

PAPER = (255, 255, 255)
_NEAR = 0.02
_LEGEND_PART = 0.34


def track_angles(show: Show, camera: int, side_by_side: bool) -> list[float]:
    """By how much each track is turned, rad: in a row, or all alike."""
    if len(show.tracks) == 1 or not side_by_side:
        return [0.0] * len(show.tracks)
    return angles_side_by_side([field_of_view(t.track.cameras, t.camera(camera))[0] for t in show.tracks])


def whole_view(show: Show, camera: int, side_by_side: bool) -> tuple[float, float]:
    """Horizontal and vertical angle, rad, that the pictures of all tracks fill, seen through the chosen camera."""
    views = [field_of_view(t.track.cameras, t.camera(camera)) for t in show.tracks]
    angles = track_angles(show, camera, side_by_side)
    reach = max(abs(angle) + width / 2 for angle, (width, _) in zip(angles, views, strict=True))
    return 2 * reach, max(height for _, height in views)


def draw_views(
    show: Show, state: ViewState, frames: Sequence[int], eye: Pose, view: float, size: tuple[int, int]
) -> Iterator[np.ndarray]:
    """Pictures [H,W,3] RGB uint8 of frames, as `state` shows them.

    eye: from the scene into the view's camera (x right, y down, z forward); view: its vertical angle, rad; size: width
    and height px. Camera frusta and small pictures are left out. Decodes each frame's picture once, in order.
    """
    focal = size[1] / 2 / np.tan(view / 2)
    angles = track_angles(show, state.camera, state.side_by_side)
    span = show.span(state.colour)
    legend = None if state.colour == PLAIN else legend_picture(state.colour, span)
    for frame in frames:
        canvas = np.full((size[1], size[0], 3), PAPER, np.uint8)
        number = int(show.frame_ids[frame])
        poses = [turned(angle).then(eye) for angle in angles]
        if state.pictures:
            for shown, pose in zip(show.tracks, poses, strict=True):
                _draw_picture(canvas, shown, shown.camera(state.camera), number, pose, focal)
        if state.mesh:
            for i, (shown, pose) in enumerate(zip(show.tracks, poses, strict=True)):
                canvas = _draw_mesh(canvas, shown, i, state, number, pose, focal, span)
        note = show.notes(frame)
        canvas = draw_overlay(canvas, caption=f"frame {number}" + (f"  {note}" if note else ""))
        if legend is not None:
            _draw_legend(canvas, legend)
        yield canvas


def _draw_picture(canvas: np.ndarray, shown: ShownTrack, camera: int, number: int, pose: Pose, focal: float) -> None:
    picture = shown.clips[camera].picture(number) if shown.clips else None
    if picture is None:
        return
    depth = float(head_depths(shown.track, camera).max()) + BEHIND
    corners = pose.of(picture_plane(shown.track.cameras, camera, depth).corners())
    if (corners[:, 2] < _NEAR).any():
        return
    height, width = picture.shape[:2]
    # Drawing functions count from the centre of the first pixel.
    middle = np.asarray([canvas.shape[1], canvas.shape[0]]) / 2
    target = (focal * corners[:, :2] / corners[:, 2:] + middle - 0.5).astype(np.float32)
    source = np.float32([[0, 0], [width, 0], [width, height], [0, height]]) - np.float32(0.5)
    matrix = cv2.getPerspectiveTransform(source, target)
    span = (canvas.shape[1], canvas.shape[0])
    cv2.warpPerspective(picture, matrix, span, canvas, cv2.INTER_LINEAR, cv2.BORDER_TRANSPARENT)


def _draw_mesh(
    canvas: np.ndarray,
    shown: ShownTrack,
    index: int,
    state: ViewState,
    number: int,
    pose: Pose,
    focal: float,
    span: tuple[float, float],
) -> np.ndarray:
    place = shown.places.get(number)
    if place is None:
        return canvas
    camera = shown.camera(state.camera)
    whole = camera_pose(shown.track.cameras, camera).then(pose)
    vertices = whole.of(shown.store.world(place, state.edits_of(index)).astype(np.float64))
    triangles = np.asarray(shown.head.triangles)
    if not (vertices[:, 2] > _NEAR).any():
        return canvas
    size = (canvas.shape[1], canvas.shape[0])
    middle = np.asarray(size) / 2
    if state.wireframe:
        pixels = focal * vertices[:, :2] / np.maximum(vertices[:, 2:], _NEAR) + middle
        seen = visible_triangles(pixels, vertices[:, 2], triangles)
        return draw_overlay(canvas, pixels, triangles, seen, mesh_opacity=state.opacity)
    if state.colour == PLAIN:
        colours = np.tile(np.asarray(MESH_COLOURS[index % len(MESH_COLOURS)]) / 255, (len(vertices), 1))
    else:
        colours = value_colours(shown.values.of(state.colour, place, camera), span[1], span[0]) / 255
    drawn = shade(vertices, triangles, focal, middle, size, colours, canvas)
    return drawn if state.opacity >= 1 else cv2.addWeighted(drawn, state.opacity, canvas, 1 - state.opacity, 0)


def _draw_legend(canvas: np.ndarray, legend: np.ndarray) -> None:
    """The colour scale in the top left corner."""
    small = limited(legend, max(160, min(LEGEND_WIDTH, round(_LEGEND_PART * canvas.shape[1]))))[0]
    height, width = (min(a, b) for a, b in zip(small.shape[:2], canvas.shape[:2], strict=True))
    canvas[:height, :width] = small[:height, :width]
