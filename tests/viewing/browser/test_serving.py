"""An address that works, or one line that says why there is none."""

import socket

import pytest

from flowface_jax.errors import InputError
from flowface_jax.viewing.browser.serving import address_lines, check_port, open_browser, start_server, stop_server


def test_a_port_in_use_is_named():
    pytest.importorskip("viser")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port} of 127.0.0.1 is in use; name another with --port"):
            start_server("127.0.0.1", port, "track")


@pytest.mark.parametrize(
    ("host", "port", "expected"),
    [
        ("127.0.0.1", 70000, "expected 0 to 65535, found 70000"),
        ("127.0.0.1", -1, "expected 0 to 65535"),
        ("no.such.host.invalid", 8080, "is no address of this computer"),
        ("192.0.2.1", 8080, "is no address of this computer"),
    ],
)
def test_what_cannot_be_served_at_is_refused(host, port, expected):
    with pytest.raises(InputError, match=expected):
        check_port(host, port)


def test_any_free_port_is_told_and_nothing_else_is_printed(capfd):
    pytest.importorskip("viser")
    server = start_server("127.0.0.1", 0, "track")
    try:
        with socket.create_connection(("127.0.0.1", server.get_port()), timeout=5):
            pass
    finally:
        stop_server(server)
    assert capfd.readouterr().out == ""


def test_the_line_for_ssh_forwards_the_port():
    lines = address_lines("127.0.0.1", 8091, {"USER": "ada"})
    assert lines[0] == "http://localhost:8091"
    assert f"ssh -L 8091:localhost:8091 ada@{socket.gethostname()}" in lines[1]


def test_serving_everyone_says_so():
    assert "anyone" in address_lines("0.0.0.0", 8080)[1]


def test_no_window_is_opened_on_a_far_computer_or_without_a_screen(monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or True)
    monkeypatch.setattr("sys.platform", "linux")
    assert not open_browser("http://localhost:1", {"SSH_CONNECTION": "a b c d", "DISPLAY": ":0"})
    assert not open_browser("http://localhost:1", {})
    assert not opened
    assert open_browser("http://localhost:1", {"DISPLAY": ":0"}) and opened == ["http://localhost:1"]
