"""`flowface view`: the address on standard output, and one line for what it cannot use."""

from __future__ import annotations

import socket
import threading
import urllib.request

import pytest

from flowface_jax.cli.main import main
from flowface_jax.viewing.browser import viewing
from tests.viewing.browser.shows import write_show

pytest.importorskip("viser")


@pytest.fixture(scope="module")
def tracked(tmp_path_factory):
    """A track's folder, the file of its head, and its clip."""
    return write_show(tmp_path_factory.mktemp("tracked"))


def _run(*arguments):
    try:
        return main(["view", *(str(argument) for argument in arguments)])
    except SystemExit as exit_:
        return exit_.code


def test_it_says_where_to_look_and_how_from_elsewhere(tracked, capsys, monkeypatch):
    track, head, clip = tracked
    opened, pages = [], []
    monkeypatch.setattr("flowface_jax.cli.view.open_browser", opened.append)
    run = viewing.Viewer.run

    def visited(self, stop):
        address = capsys.readouterr().out.splitlines()
        pages.append(address)
        with urllib.request.urlopen(address[0].replace("localhost", "127.0.0.1"), timeout=10) as page:
            pages.append(page.status)
        stop.set()
        run(self, stop)

    monkeypatch.setattr(viewing.Viewer, "run", visited)
    assert _run(track, "--head", head, "--video", clip, "--port", 0) == 0
    lines, status = pages
    port = lines[0].rpartition(":")[2]
    assert status == 200 and lines[0] == f"http://localhost:{port}" and f"ssh -L {port}:localhost:{port} " in lines[1]
    assert opened == [lines[0]]
    pages.clear()
    assert _run(track, "--head", head, "--port", 0, "--no-open", "--quiet") == 0
    assert len(pages[0]) == 1 and len(opened) == 1


def test_interrupting_it_is_how_it_ends(tracked, monkeypatch):
    track, head, _ = tracked

    def interrupted(self, stop):
        raise KeyboardInterrupt

    monkeypatch.setattr(viewing.Viewer, "run", interrupted)
    before = threading.active_count()
    assert _run(track, "--head", head, "--port", 0, "--no-open") == 0
    assert threading.active_count() <= before + 1, "the server has ended"


def test_wrong_inputs_get_one_line(tracked, tmp_path, capsys):
    track, head, clip = tracked
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for arguments, expected in (
            ((tmp_path, "--head", head), "holds no track.npz"),
            ((tmp_path / "no", "--head", head), "holds no track.npz"),
            ((track,), "load the same head"),
            ((track, "--head", tmp_path / "no.npz"), "no.npz"),
            ((track, track, track, "--head", head, "--head", head), "expected one for all tracks or one for each of 3"),
            ((track, "--head", head, "--video", clip, "--video", clip), "--video: expected one clip per camera"),
            ((track, "--head", head, "--video", tmp_path / "no.mp4"), "no such file"),
            ((track, "--head", head, "--alignment", tmp_path / "no.npz"), "no such file"),
            ((track, "--head", head, "--components", -1), "--components: expected 0 or more"),
            ((track, "--head", head, "--port", port), f"port {port} of 127.0.0.1 is in use"),
            ((track, "--head", head, "--port", port, "--live"), f"port {port} of 127.0.0.1 is in use"),
            ((track, "--head", head, "--port", 99999), "expected 0 to 65535"),
            ((track, "--head", head, "--host", "no.such.host.invalid"), "is no address of this computer"),
            ((track, "--live"), "load the same head"),
        ):
            assert _run("--no-open", *arguments) == 2, arguments
            error = capsys.readouterr().err.splitlines()
            assert len(error) == 1 and error[0].startswith("flowface: ") and expected in error[0], error
    assert not list(tmp_path.iterdir())


def test_without_viser_the_extra_is_named(tracked, capsys, monkeypatch):
    track, head, _ = tracked
    monkeypatch.setitem(__import__("sys").modules, "viser", None)
    assert _run(track, "--head", head, "--no-open") == 3
    assert "flowface-jax[viewer]" in capsys.readouterr().err
