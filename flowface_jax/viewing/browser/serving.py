"""A viser server on a port of this computer, and what to tell whoever started it."""

from __future__ import annotations

import contextlib
import errno
import getpass
import io
import os
import socket
import sys
import webbrowser
from collections.abc import Iterator, Mapping
from typing import Any

from flowface_jax.errors import InputError, MissingDependencyError
from flowface_jax.viewing.browser.placing import UP

LOCAL = "127.0.0.1"
_EVERYWHERE = ("0.0.0.0", "::", "")


def start_server(host: str, port: int, title: str) -> Any:
    """A viser server. port: 0 for any that is free. Raises InputError for a host or port that cannot be had, and
    MissingDependencyError without viser.
    """
    try:
        import viser
    except ImportError:
        raise MissingDependencyError("the viewer needs viser: pip install 'flowface-jax[viewer]'") from None
    check_port(host, port)
    with _unannounced():
        server = viser.ViserServer(host=host, port=port, label=title, verbose=False)
    # viser takes the next port where one is taken in this very moment; then the address told would be another's.
    if port and server.get_port() != port:
        stop_server(server)
        raise InputError(_taken(host, port))
    # A browser that is told this later forgets where it looked.
    server.scene.set_up_direction(UP)
    return server


def stop_server(server: Any) -> None:
    """End a server and its threads."""
    with _unannounced():
        server.stop()


def check_port(host: str, port: int) -> None:
    """Raise InputError where nothing can be served at a host and port."""
    if not 0 <= port <= 65535:
        raise InputError(f"--port: expected 0 to 65535, found {port}")
    try:
        kind, *_, address = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(kind, socket.SOCK_STREAM) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except PermissionError:
        raise InputError(f"--port: {port} is reserved for the system; name one from 1024 on") from None
    except socket.gaierror:
        raise InputError(f"--host: '{host}' is no address of this computer; try {LOCAL}") from None
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            raise InputError(f"--host: '{host}' is no address of this computer; try {LOCAL}") from None
        raise InputError(_taken(host, port)) from None


def address_lines(host: str, port: int, environment: Mapping[str, str] = os.environ) -> list[str]:
    """What to open, and from another computer, how to get there."""
    shown = "localhost" if host in (LOCAL, *_EVERYWHERE) else host
    lines = [f"http://{shown}:{port}"]
    name = socket.gethostname()
    if host in _EVERYWHERE:
        lines.append(f"from other computers: http://{name}:{port} (anyone who reaches it can look)")
        return lines
    user = environment.get("USER") or _user()
    lines.append(f"over SSH, on your computer: ssh -L {port}:{shown}:{port} {user}@{name}")
    return lines


def open_browser(url: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Open a window where there is a screen; whether that was tried and worked."""
    if "SSH_CONNECTION" in environment or "SSH_TTY" in environment:
        return False
    if sys.platform.startswith("linux") and not (environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")):
        return False
    try:
        return webbrowser.open(url)
    except webbrowser.Error:
        return False


@contextlib.contextmanager
def _unannounced() -> Iterator[None]:
    """Without what viser prints when it starts and stops, whether it is asked to or not."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def _taken(host: str, port: int) -> str:
    return f"port {port} of {host} is in use; name another with --port, or 0 for any that is free"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "USER"
