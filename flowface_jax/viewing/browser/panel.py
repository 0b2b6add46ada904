"""The controls beside the scene."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from flowface_jax.heads.model import HeadModel
from flowface_jax.viewing.browser.legend import legend_picture
from flowface_jax.viewing.browser.shown import Show
from flowface_jax.viewing.browser.state import FASTEST, SLOWEST, ViewState
from flowface_jax.viewing.browser.values import PLAIN

IDENTITY_REACH = 3.0
"""Standard deviations that the identity's sliders go to."""
_STEP = 0.01


@dataclasses.dataclass(frozen=True)
class Actions:
    """What controls ask for. change: fields of the state. edit: a group, an index and a value of a track; reset: of it.
    look: bring a browser (or all, None) to the chosen camera. screenshot, video: for the browser that asked.
    """

    change: Callable[..., None]
    edit: Callable[[int, str, int, float], None]
    reset: Callable[[int], None]
    look: Callable[[Any], None]
    screenshot: Callable[[Any], None]
    video: Callable[[Any], None]


class Panel:
    """The controls of a show; `follow` brings them to a state."""

    def __init__(self, gui: Any, show: Show, state: ViewState, actions: Actions, components: int) -> None:
        self._gui, self._show, self._actions = gui, show, actions
        self._status = gui.add_markdown(_about(show))
        with gui.add_folder("Time"):
            self._time(state)
        with gui.add_folder("View"):
            self._view(state)
        with gui.add_folder("Colour"):
            self._colour(state)
        with gui.add_folder("Shape", expand_by_default=False):
            self._shape(components)
        with gui.add_folder("Save"):
            self._save()

    def follow(self, state: ViewState, coefficients: Callable[[int], tuple[np.ndarray, np.ndarray] | None]) -> None:
        """Bring the controls to a state. coefficients: identity and expression of a track as shown, None without."""
        _set(self._frame, state.frame)
        note = self._show.notes(state.frame)
        _set_content(
            self._note,
            f"frame **{int(self._show.frame_ids[state.frame])}**" + (f": {plain_text(note)}" if note else ""),
        )
        label = "Pause" if state.playing else "Play"
        if self._play.label != label:
            self._play.label = label
        if state.colour != self._legend_of:
            self._legend_of = state.colour
            self._legend.visible = state.colour != PLAIN
            if state.colour != PLAIN:
                self._legend.image = legend_picture(state.colour, self._show.span(state.colour))
        for track, groups in enumerate(self._sliders):
            values = coefficients(track)
            if values is not None:
                for slider, (group, index) in groups:
                    _set(slider, _inside(slider, float(values[group][index])))

    def renew(self, show: Show) -> None:
        """Other tracks of the same frames, cameras and heads."""
        self._show, self._legend_of = show, PLAIN

    def tell(self, text: str) -> None:
        """Put a line of news above the controls."""
        _set_content(self._status, _about(self._show) + (f"\n\n{text}" if text else ""))

    def _time(self, state: ViewState) -> None:
        gui, change = self._gui, self._actions.change
        last = self._show.frame_count - 1
        self._frame = gui.add_slider("Frame", 0, max(last, 0), 1, min(state.frame, last))
        self._note = gui.add_markdown("")
        self._play = gui.add_button("Play", disabled=last == 0)
        step = gui.add_button_group("Step", ("◀", "▶"))
        rate = gui.add_slider("Frames/s", SLOWEST, FASTEST, 0.5, float(np.clip(state.rate, SLOWEST, FASTEST)))
        _on_update(self._frame, lambda _, value: change(frame=int(value), playing=False))
        _on_update(rate, lambda _, value: change(rate=float(value)))
        _on_click(self._play, lambda _, __: change(toggle_playing=True))
        _on_click(step, lambda _, value: change(step=1 if value == "▶" else -1))

    def _view(self, state: ViewState) -> None:
        gui, actions, names = self._gui, self._actions, self._show.camera_names
        through = gui.add_button("Look through the camera")
        _on_click(through, lambda client, _: actions.look(client))
        if len(names) > 1:
            labels = tuple(f"{i}: {name}" for i, name in enumerate(names))
            chosen = gui.add_dropdown("Camera", labels, initial_value=labels[state.camera])

            def choose(_: Any, value: str) -> None:
                actions.change(camera=labels.index(value))
                actions.look(None)

            _on_update(chosen, choose)
        if len(self._show.tracks) > 1:
            beside = gui.add_checkbox("Side by side", state.side_by_side)

            def arrange(_: Any, value: bool) -> None:
                actions.change(side_by_side=value)
                actions.look(None)

            _on_update(beside, arrange)
        fields = {"pictures": "Pictures", "frusta": "Camera frusta", "mesh": "Mesh", "wireframe": "Wireframe"}
        for field, label in fields.items():
            if field != "pictures" or any(shown.clips for shown in self._show.tracks):
                box = gui.add_checkbox(label, getattr(state, field))
                _on_update(box, lambda _, value, field=field: actions.change(**{field: bool(value)}))
        opacity = gui.add_slider("Opacity", 0.05, 1.0, 0.05, state.opacity)
        _on_update(opacity, lambda _, value: actions.change(opacity=float(value)))

    def _colour(self, state: ViewState) -> None:
        choice = self._gui.add_dropdown("Show", self._show.colours, initial_value=state.colour)
        self._legend = self._gui.add_image(np.full((8, 8, 3), 255, np.uint8), visible=False)
        self._legend_of = PLAIN
        _on_update(choice, lambda _, value: self._actions.change(colour=str(value)))

    def _shape(self, components: int) -> None:
        self._sliders: list[list[tuple[Any, tuple[int, int]]]] = []
        for number, shown in enumerate(self._show.tracks):
            if len(self._show.tracks) == 1:
                self._sliders.append(self._shape_of(number, shown.head, components))
                continue
            with self._gui.add_folder(shown.name, expand_by_default=False):
                self._sliders.append(self._shape_of(number, shown.head, components))

    def _shape_of(self, number: int, head: HeadModel, components: int) -> list[tuple[Any, tuple[int, int]]]:
        gui, actions, sliders = self._gui, self._actions, []
        back = gui.add_button("Back to the track")
        _on_click(back, lambda _, __: actions.reset(number))
        low, high = expression_range(head)
        for index in range(min(components, head.identity_size)):
            slider = gui.add_slider(f"identity {index}", -IDENTITY_REACH, IDENTITY_REACH, _STEP, 0.0)
            _on_update(slider, lambda _, value, i=index: actions.edit(number, "identity", i, float(value)))
            sliders.append((slider, (0, index)))
        for index in range(min(components, head.expression_size)):
            name = head.expression_names[index] if head.expression_names else f"expression {index}"
            start = float(np.clip(0.0, low[index], high[index]))
            slider = gui.add_slider(name, float(low[index]), float(high[index]), _STEP, start)
            _on_update(slider, lambda _, value, i=index: actions.edit(number, "expression", i, float(value)))
            sliders.append((slider, (1, index)))
        return sliders

    def _save(self) -> None:
        picture, film = self._gui.add_button("Screenshot (PNG)"), self._gui.add_button("Video of this view (MP4)")
        _on_click(picture, lambda client, _: self._actions.screenshot(client))
        _on_click(film, lambda client, _: self._actions.video(client))


def expression_range(head: HeadModel) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest expression coefficients [E] of the sliders: the head's limits, or three deviations."""
    spread = 3.0 * np.asarray(head.expression_std, np.float64)
    low, high = np.asarray(head.expression_limits, np.float64).T
    return np.where(np.isfinite(low), low, -spread), np.where(np.isfinite(high), high, spread)


def _about(show: Show) -> str:
    return " · ".join(
        f"**{plain_text(t.name)}** {t.track.verdict or 'not judged'}, {t.track.frame_count} frames" for t in show.tracks
    )


def plain_text(text: str) -> str:
    """Text in which the panel's markup finds nothing to do."""
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]()<>#+-!|" else letter for letter in text)


def _on_update(handle: Any, act: Callable[[Any, Any], None]) -> None:
    """Call act(browser, value) when a user moves a control; not when the program does."""

    @handle.on_update
    def _(event: Any) -> None:
        if event.client is not None:
            act(event.client, event.target.value)


def _on_click(handle: Any, act: Callable[[Any, Any], None]) -> None:
    @handle.on_click
    def _(event: Any) -> None:
        act(event.client, event.target.value)


def _set(handle: Any, value: Any) -> None:
    if handle.value != value:
        handle.value = value


def _set_content(handle: Any, text: str) -> None:
    if handle.content != text:
        handle.content = text


def _inside(slider: Any, value: float) -> float:
    return float(np.clip(value, slider.min, slider.max))
