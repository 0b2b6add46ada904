"""`view`: tracks in the browser until the user stops it; with `live`, as a fit goes on writing them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from flowface_jax.errors import FlowfaceError
from flowface_jax.heads.model import HeadModel
from flowface_jax.viewing.browser.live import POLL, FollowedFolder, Found
from flowface_jax.viewing.browser.panel import plain_text
from flowface_jax.viewing.browser.serving import LOCAL, start_server, stop_server
from flowface_jax.viewing.browser.session import Viewer
from flowface_jax.viewing.browser.shown import Show, open_show

PORT = 8080
COMPONENTS = 10


def view(
    folders: Sequence[str | os.PathLike[str]],
    heads: Sequence[HeadModel],
    *,
    videos: Sequence[str | os.PathLike[str]] = (),
    alignments: Sequence[str | os.PathLike[str]] = (),
    host: str = LOCAL,
    port: int = PORT,
    live: bool = False,
    components: int = COMPONENTS,
    started: Callable[[Any], None] = lambda server: None,
    stop: threading.Event | None = None,
) -> None:
    """Serve tracks to browsers until `stop` is set or the user interrupts.

    heads: one for all tracks, or one each. videos: the tracked clips, one per camera. alignments: what was fitted, one
    per track, where the folder holds none. live: wait for tracks that are not there yet, and show newer ones as they
    are written. components: sliders of identity and of expression. started: called with the server when it serves.
    Raises InputError for what `open_show` and `start_server` refuse.
    """
    stop = stop or threading.Event()
    opened = lambda places: open_show(places, heads, videos, alignments, beside=folders)
    followed = [FollowedFolder(folder) for folder in folders]
    show = None
    if not live:
        show = opened(folders)
    elif all(found := [folder.newer() for folder in followed]):
        # What is there already is checked before anything is served.
        opened([each.place for each in found])
    server = start_server(host, port, ", ".join(Path(folder).resolve().name for folder in folders))
    try:
        started(server)
        if show is not None:
            Viewer(server, show, components).run(stop)
        else:
            _Following(server, followed, opened, components).run(stop)
    finally:
        stop_server(server)


class _Following:
    """Folders whose newest tracks are shown, as soon as each of them has one."""

    def __init__(
        self,
        server: Any,
        folders: Sequence[FollowedFolder],
        opened: Callable[[Sequence[Path]], Show],
        components: int,
    ) -> None:
        self._server, self._folders, self._opened, self._components = server, folders, opened, components
        self._shown: list[Found | None] = [None] * len(folders)
        self._viewer: Viewer | None = None
        names = ", ".join(folder.folder.resolve().name for folder in folders)
        self._waiting = server.gui.add_markdown(f"Waiting for a track in {plain_text(names)} …")

    def run(self, stop: threading.Event) -> None:
        """Look and draw until told to stop."""
        looked = -POLL
        try:
            while not stop.is_set():
                if time.monotonic() - looked >= POLL:
                    looked = time.monotonic()
                    self._look()
                if self._viewer is None:
                    stop.wait(POLL)
                else:
                    self._viewer.once()
        finally:
            if self._viewer is not None:
                self._viewer.close()

    def _look(self) -> None:
        newer = [folder.newer() for folder in self._folders]
        found = [new or old for new, old in zip(newer, self._shown, strict=True)]
        if not any(newer) or not all(found):
            return
        try:
            show = self._opened([each.place for each in found])
        except FlowfaceError as error:
            # It may be in the middle of being replaced: the next look tells.
            self._tell(f"Not shown: {error}")
            return
        for folder, each in zip(self._folders, found, strict=True):
            folder.show(each)
        self._shown = found
        if self._viewer is None:
            self._viewer = Viewer(self._server, show, self._components)
        else:
            self._viewer.renew(show)
        self._viewer.tell(_news(show, found))

    def _tell(self, text: str) -> None:
        if self._viewer is None:
            self._waiting.content = plain_text(text)
        else:
            self._viewer.tell(plain_text(text))


def _news(show: Show, found: Sequence[Found]) -> str:
    """How far the fits are that still go on."""
    lines = []
    for shown, each in zip(show.tracks, found, strict=True):
        if not each.finished:
            history = shown.track.energy_history
            energy = f", energy {float(history[-1]):.4g}" if len(history) else ""
            lines.append(f"{plain_text(shown.name)}: the fit goes on, {len(history)} steps{energy}")
    return "; ".join(lines)
