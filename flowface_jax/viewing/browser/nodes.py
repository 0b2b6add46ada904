"""The things of one track in the browser's scene: its mesh, its cameras, and their pictures."""

from __future__ import annotations

import time
from typing import Any

import jax
import numpy as np

from flowface_jax.synthesis.rasteriser import vertex_normals
from flowface_jax.viewing.browser.coloured_mesh import coloured_glb
from flowface_jax.viewing.browser.placing import (
    BEHIND,
    Pose,
    camera_pose,
    frustum_lines,
    head_depths,
    picture_plane,
    turned,
)
from flowface_jax.viewing.browser.shown import ShownTrack
from flowface_jax.viewing.browser.state import ViewState
from flowface_jax.viewing.browser.values import PLAIN
from flowface_jax.viewing.colours import value_colours
from flowface_jax.viewing.visibility import visible_triangles

MESH_COLOURS = ((214, 208, 202), (112, 178, 226), (236, 164, 96), (150, 200, 130))
_LINE_COLOUR = (90, 110, 140)
_LINE_PX = 1.5
_SMALL = 0.15
"""Depth of the pictures of cameras that are not the chosen one, as a part of the head's distance."""
_SETTLING = 0.08
"""s until the browser has taken up a coloured mesh; only then is it shown in place of the one before."""
_QUALITY = 80


_normals = jax.jit(vertex_normals)


class ColouredMesh:
    """A mesh whose vertex colours change: the browser reads such a mesh anew, so two take turns without a gap."""

    def __init__(self, scene: Any, name: str) -> None:
        self._scene, self._name = scene, name
        self._both: list[Any] = [None, None]
        self._front = 0
        self._loaded: float | None = None
        self.shown = False

    def load(self, glb: bytes) -> None:
        """Give the hidden one its new content, to be shown by `settle`."""
        if self._loaded is not None:
            self._flip()
        back = 1 - self._front
        if self._both[back] is None:
            self._both[back] = self._scene.add_glb(f"{self._name}_{back}", glb, visible=False)
        else:
            self._both[back].glb_data = glb
        self._loaded = time.monotonic()

    def settle(self) -> bool:
        """Show what was loaded, if it has settled; whether something still waits."""
        if self._loaded is not None and time.monotonic() - self._loaded >= _SETTLING:
            self._flip()
        return self._loaded is not None

    def hide(self) -> None:
        """Show neither."""
        self._loaded, self.shown = None, False
        for handle in self._both:
            if handle is not None:
                handle.visible = False

    def _flip(self) -> None:
        self._front, self._loaded, self.shown = 1 - self._front, None, True
        self._both[self._front].visible = True
        if self._both[1 - self._front] is not None:
            self._both[1 - self._front].visible = False


class TrackNodes:
    """One track's things; only what changes is sent."""

    def __init__(self, scene: Any, number: int, shown: ShownTrack) -> None:
        self.shown = shown
        root = f"/track{number}"
        self._all = np.asarray(shown.head.triangles, np.uint32)
        self._turn = scene.add_frame(root, show_axes=False)
        self._world = scene.add_frame(f"{root}/world", show_axes=False)
        self._plain = scene.add_mesh_simple(
            f"{root}/world/mesh",
            np.asarray(shown.store.neutral),
            self._all,
            color=MESH_COLOURS[number % len(MESH_COLOURS)],
            side="front",
            visible=False,
        )
        self._coloured = ColouredMesh(scene, f"{root}/world/coloured")
        self._mesh_drawn: object = None
        self._wanted_plain = False
        self._cameras = [_CameraNodes(scene, root, shown, c) for c in range(shown.track.cameras.count)]

    def place(self, camera: int, angle: float) -> None:
        """Stand so that the chosen camera is the scene's, turned by an angle, rad."""
        chosen = self.shown.camera(camera)
        self._turn.wxyz = turned(angle).wxyz
        pose = camera_pose(self.shown.track.cameras, chosen)
        self._world.wxyz, self._world.position = pose.wxyz, pose.translation
        for node in self._cameras:
            node.place(chosen)

    def draw(
        self, state: ViewState, frame_id: int, number: int, span: tuple[float, float], pictures: dict[int, Any]
    ) -> None:
        """Show a frame. pictures: [H,W,3] RGB uint8 by camera, those that are at hand."""
        place = self.shown.places.get(frame_id)
        for c, node in enumerate(self._cameras):
            node.draw(pictures.get(c) if state.pictures else None, state.frusta)
        self._draw_mesh(state, place, number, span)

    def settle(self) -> bool:
        """Swap coloured meshes that the browser has taken up; whether one still waits."""
        waiting = self._coloured.settle()
        visible = self._wanted_plain or (waiting and not self._coloured.shown)
        if self._plain.visible != visible:
            self._plain.visible = visible
        return waiting

    def _draw_mesh(self, state: ViewState, place: int | None, number: int, span: tuple[float, float]) -> None:
        edits = state.edits_of(number)
        look = (state.mesh, state.colour, state.camera, state.opacity, state.wireframe)
        wanted = (place, edits, *look, self.shown, span)
        if wanted == self._mesh_drawn:
            return
        self._mesh_drawn = wanted
        if place is None or not state.mesh:
            self._wanted_plain = False
            self._plain.visible = False
            self._coloured.hide()
            return
        vertices = self.shown.store.world(place, edits)
        triangles = self._triangles(vertices, state)
        colourful = state.colour != PLAIN and not state.wireframe
        self._plain.opacity = None if state.opacity >= 1 else state.opacity
        self._plain.wireframe = state.wireframe
        if not colourful or not self._coloured.shown:
            self._plain.vertices = vertices
            if self._plain.faces is not triangles:
                self._plain.faces = triangles
        self._wanted_plain = not colourful
        if colourful:
            values = self.shown.values.of(state.colour, place, self.shown.camera(state.camera))
            colours = value_colours(values, span[1], span[0])
            normals = np.asarray(_normals(vertices, self._all))
            self._coloured.load(coloured_glb(vertices, normals, triangles, colours, state.opacity))
        else:
            self._plain.visible = True
            self._coloured.hide()

    def _triangles(self, vertices: np.ndarray, state: ViewState) -> np.ndarray:
        """[T,3]: of a mesh that is seen through, those that the chosen camera sees, else eyes and teeth shine out."""
        if state.opacity >= 1 or state.wireframe:
            return self._all
        cameras, camera = self.shown.track.cameras, self.shown.camera(state.camera)
        local = camera_pose(cameras, camera).of(vertices.astype(np.float64))
        pixels = np.asarray(cameras.focal)[camera] * local[:, :2] / np.maximum(local[:, 2:], 1e-3)
        return self._all[visible_triangles(pixels, local[:, 2], self._all.astype(np.int32))]


class _CameraNodes:
    """A camera: the pyramid from its centre to its picture, drawn at depth 1 and scaled."""

    def __init__(self, scene: Any, root: str, shown: ShownTrack, camera: int) -> None:
        cameras = shown.track.cameras
        self._scene, self._camera = scene, camera
        self._name = f"{root}/world/camera{camera}"
        depths = head_depths(shown.track, camera)
        self._far, self._near = float(depths.max()) + BEHIND, _SMALL * float(np.median(np.abs(depths)))
        self._plane = picture_plane(cameras, camera, 1.0)
        pose: Pose = camera_pose(cameras, camera).inverse()
        scene.add_frame(self._name, show_axes=False, wxyz=pose.wxyz, position=pose.translation)
        self._lines = scene.add_line_segments(
            f"{self._name}/frustum",
            frustum_lines(self._plane).astype(np.float32),
            _LINE_COLOUR,
            thickness=_LINE_PX,
            thickness_units="screen",
        )
        self._picture: Any = None
        self._shown: np.ndarray | None = None
        self._depth = self._near

    def place(self, chosen: int) -> None:
        """The chosen camera's picture hangs behind the head; those of the others are small, before their cameras."""
        self._depth = self._far if chosen == self._camera else self._near
        self._lines.scale = self._depth
        if self._picture is not None:
            self._picture.scale, self._picture.position = self._depth, self._plane.centre * self._depth

    def draw(self, picture: np.ndarray | None, lines: bool) -> None:
        """Show a picture, or none."""
        self._lines.visible = lines
        if picture is None:
            if self._picture is not None:
                self._picture.visible = False
            self._shown = None
            return
        if picture is self._shown:
            return
        self._shown = picture
        if self._picture is None:
            self._picture = self._scene.add_image(
                f"{self._name}/picture",
                picture,
                self._plane.width,
                self._plane.height,
                format="jpeg",
                jpeg_quality=_QUALITY,
                cast_shadow=False,
                receive_shadow=False,
                scale=self._depth,
                position=self._plane.centre * self._depth,
            )
        else:
            self._picture.image = picture
        self._picture.visible = True
