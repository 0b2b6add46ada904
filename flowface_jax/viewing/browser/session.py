"""`Viewer`: the state, the loop that draws it, and what browsers ask for."""

from __future__ import annotations

import dataclasses
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from flowface_jax.viewing.browser.drawing import draw_views, track_angles, whole_view
from flowface_jax.viewing.browser.nodes import TrackNodes
from flowface_jax.viewing.browser.panel import Actions, Panel
from flowface_jax.viewing.browser.placing import UP, Pose, fitting_view, head_depths
from flowface_jax.viewing.browser.shown import Show
from flowface_jax.viewing.browser.state import Clock, ViewState
from flowface_jax.viewing.browser.vertices import NO_EDITS
from flowface_jax.viewing.video_writer import write_video

IDLE = 0.25
"""s between looks at the state when nothing was asked for."""
SETTLE = 0.03
PANEL_PERIOD = 0.2
"""s between movements of the shape's sliders while playing."""
VIDEO_HEIGHT = 540
SCREENSHOT_WAIT = 30.0
_NARROWEST, _WIDEST = 0.5, 2.4


class Viewer:
    """A show in the browsers that are connected to a viser server. Controls only replace the state; `step`, called by
    one thread, does all drawing.
    """

    def __init__(self, server: Any, show: Show, components: int = 10) -> None:
        self.show, self._server, self._components = show, server, components
        self._state = ViewState(rate=show.frame_rate)
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._clock = Clock(0, 0.0)
        self._drawn: tuple[ViewState, Show] | None = None
        self._followed = 0.0
        self._placed: object = None
        self._pictures: dict[tuple[int, int], tuple[int, np.ndarray | None]] = {}
        self._build()
        server.initial_camera.position, server.initial_camera.look_at = (0.0, 0.0, 0.0), self._middle()
        server.on_client_connect(self.look)
        self.look(None)

    @property
    def state(self) -> ViewState:
        with self._lock:
            return self._state

    def change(self, step: int = 0, toggle_playing: bool = False, **fields: Any) -> None:
        """Replace fields of the state; step: to a frame so many further on, and stop there."""
        with self._lock:
            state = dataclasses.replace(self._state, **fields)
            if step:
                frame = min(max(state.frame + step, 0), self.show.frame_count - 1)
                state = dataclasses.replace(state, frame=frame, playing=False)
            if toggle_playing:
                state = dataclasses.replace(state, playing=not state.playing)
            self._clock = Clock(state.frame, time.monotonic())
            self._state = state
        self._wake.set()

    def edit(self, track: int, group: str, index: int, value: float) -> None:
        """Hold a coefficient of a track: group "identity" or "expression"."""
        with self._lock:
            edits = self._state.edits_of(track).holding(group, index, value)
            self._state = self._state.with_edits(track, edits)
        self._wake.set()

    def reset(self, track: int) -> None:
        """Let go of what is held in a track."""
        with self._lock:
            self._state = self._state.with_edits(track, NO_EDITS)
        self._wake.set()

    def renew(self, show: Show) -> None:
        """Show other tracks, as a fit that goes on writes them; the state is kept as far as it applies."""
        same = [_shape_of(t) for t in show.tracks] == [_shape_of(t) for t in self.show.tracks]
        with self._lock:
            frame = min(self._state.frame, show.frame_count - 1)
            colour = self._state.colour if self._state.colour in show.colours else show.colours[0]
            self._state = dataclasses.replace(self._state, frame=frame, colour=colour)
            same = same and show.frame_count == self.show.frame_count and show.colours == self.show.colours
            self.show, before = show, self.show
        before.close()
        self._pictures.clear()
        if same:
            self._panel.renew(show)
            for node, shown in zip(self._nodes, show.tracks, strict=True):
                node.shown = shown
        else:
            self._build()
        self._placed = None
        self._wake.set()

    def step(self, now: float) -> float:
        """Draw what the state says at a moment, s; returns after how many seconds to be called again."""
        with self._lock:
            if self._state.playing:
                self._clock, frame = self._clock.advanced(now, self._state.rate, self.show.frame_count)
                self._state = dataclasses.replace(self._state, frame=frame)
            state = self._state
        if self._drawn is None or self._drawn[0] != state or self._drawn[1] is not self.show:
            self._draw(state)
            self._drawn = (state, self.show)
        waiting = any([node.settle() for node in self._nodes])
        if now - self._followed >= PANEL_PERIOD or not state.playing:
            self._followed = now
            self._panel.follow(self.state, lambda track: self._coefficients(track, state))
        if state.playing:
            return max(0.0, self._clock.since + 1 / state.rate - time.monotonic())
        return SETTLE if waiting else IDLE

    def run(self, stop: threading.Event) -> None:
        """`once` until told to stop."""
        try:
            while not stop.is_set():
                self.once()
        finally:
            self.close()

    def once(self) -> None:
        """Draw, and wait for the next reason to."""
        self._wake.clear()
        self._wake.wait(min(self.step(time.monotonic()), IDLE))

    def look(self, client: Any) -> None:
        """Bring one browser, or all of them (None), to the chosen camera."""
        for each in [client] if client is not None else self._server.get_clients().values():
            horizontal, vertical = whole_view(self.show, self.state.camera, self.state.side_by_side)
            with each.atomic():
                each.camera.position = (0.0, 0.0, 0.0)
                each.camera.up_direction = UP
                each.camera.look_at = self._middle()
                each.camera.fov = fitting_view(horizontal, vertical, each.camera.aspect)

    def screenshot(self, client: Any) -> None:
        """Send a browser the picture that it shows, as it is there."""
        if client is None:
            return
        camera = client.camera
        try:
            picture = client.get_render(
                camera.image_height, camera.image_width, transport_format="png", timeout=SCREENSHOT_WAIT
            )
        except (RuntimeError, TimeoutError) as error:
            client.add_notification("No screenshot", str(error))
            return
        client.send_file_download(f"{self._file_name()}.png", png_of(picture), save_immediately=True)

    def video(self, client: Any) -> None:
        """Send a browser a film of all frames from where it looks, drawn here."""
        if client is None:
            return
        state, show, camera = self.state, self.show, client.camera
        size = video_size(camera.aspect)
        telling = client.add_notification("Video", "0 %", loading=True, with_close_button=False)
        eye = Pose.of_wxyz(camera.wxyz, camera.position).inverse()
        count = show.frame_count

        def told() -> Any:
            for done, picture in enumerate(draw_views(show, state, range(count), eye, camera.fov, size)):
                if client.client_id not in self._server.get_clients():
                    raise _GoneError
                if done % 10 == 0:
                    telling.body = f"{100 * done // count} %"
                yield picture

        try:
            with tempfile.TemporaryDirectory() as place:
                file = Path(place) / "view.mp4"
                write_video(file, told(), state.rate)
                client.send_file_download(f"{self._file_name()}.mp4", file.read_bytes(), save_immediately=True)
            telling.remove()
        except _GoneError:
            return

    def close(self) -> None:
        """Let go of files."""
        self.show.close()

    def tell(self, news: str) -> None:
        """Put a line above the controls."""
        self._panel.tell(news)

    def _build(self) -> None:
        """Scene and controls from nothing."""
        self._server.scene.reset()
        self._server.gui.reset()
        self._nodes = [TrackNodes(self._server.scene, i, shown) for i, shown in enumerate(self.show.tracks)]
        actions = Actions(self.change, self.edit, self.reset, self.look, self.screenshot, self.video)
        self._panel = Panel(self._server.gui, self.show, self.state, actions, self._components)
        self._drawn, self._placed = None, None
        self._pictures.clear()

    def _draw(self, state: ViewState) -> None:
        number = int(self.show.frame_ids[state.frame])
        pictures = [self._pictures_of(i, number, state) for i in range(len(self._nodes))]
        span = self.show.span(state.colour)
        with self._server.atomic():
            placed = (state.camera, state.side_by_side)
            if placed != self._placed:
                self._placed = placed
                angles = track_angles(self.show, *placed)
                for node, angle in zip(self._nodes, angles, strict=True):
                    node.place(state.camera, angle)
            for i, node in enumerate(self._nodes):
                node.draw(state, number, i, span, pictures[i])

    def _pictures_of(self, track: int, number: int, state: ViewState) -> dict[int, np.ndarray]:
        """Pictures of a track's cameras; of the chosen one alone while playing, which has to be quick."""
        shown = self.show.tracks[track]
        found = {}
        # Who moves the slider on does not wait for what was passed.
        passed = lambda: not state.playing and self.state.frame != state.frame
        for camera, clip in enumerate(shown.clips if state.pictures else ()):
            last = self._pictures.get((track, camera), (-1, None))
            chosen = camera == shown.camera(state.camera)
            if last[0] != number and (chosen or not state.playing):
                picture = clip.picture(number, passed)
                last = (number if picture is not None else -1, picture)
                self._pictures[track, camera] = last
            if last[1] is not None:
                found[camera] = last[1]
        return found

    def _coefficients(self, track: int, state: ViewState) -> tuple[np.ndarray, np.ndarray] | None:
        shown = self.show.tracks[track]
        place = shown.places.get(int(self.show.frame_ids[state.frame]))
        return None if place is None else shown.store.coefficients(place, self.state.edits_of(track))

    def _middle(self) -> tuple[float, float, float]:
        """Where the heads are, seen from the chosen camera: what turning the view turns about."""
        first = self.show.tracks[0]
        depth = float(np.median(np.abs(head_depths(first.track, first.camera(self.state.camera)))))
        return 0.0, 0.0, max(depth, 0.05)

    def _file_name(self) -> str:
        return f"{self.show.tracks[0].name}_frame{int(self.show.frame_ids[self.state.frame]):05d}"


class _GoneError(Exception):
    """The browser that asked is no longer there."""


def video_size(aspect: float) -> tuple[int, int]:
    """Width and height px of a film of a window (aspect: width over height), even numbers."""
    return 2 * round(VIDEO_HEIGHT * float(np.clip(aspect, _NARROWEST, _WIDEST)) / 2), VIDEO_HEIGHT


def png_of(picture: np.ndarray) -> bytes:
    """PNG of a picture [H,W,3] RGB or [H,W,4] RGBA uint8; what is transparent becomes white."""
    colour = np.asarray(picture[..., :3], np.float64)
    if picture.shape[-1] == 4:
        alpha = picture[..., 3:] / 255
        colour = alpha * colour + (1 - alpha) * 255
    return cv2.imencode(".png", colour.round().astype(np.uint8)[..., ::-1])[1].tobytes()


def _shape_of(shown: Any) -> tuple[int, ...]:
    """What the scene's things of a track depend on, beside what moves."""
    return shown.head.vertex_count, shown.track.frame_count, shown.track.cameras.count, len(shown.clips)
