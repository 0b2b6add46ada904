"""Downloads arrive whole and checked or not at all; everything here talks to a server on this machine only."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import threading

import pytest

from flowface_jax import assets
from flowface_jax.assets import ASSETS, Asset, DownloadError, RemoteFile, download, verify
from flowface_jax.errors import InputError
from tests.shared_data import ict_folder

CONTENT = {"model.npz": b"numbers" * 1000, "deep/landmarks.txt": b"0 1 0 0 0 0\n", "LICENSE": b"free"}
PINNED = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENT.items() if name != "LICENSE"}


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class CutShort(Quiet):
    """Announces more than it sends."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "7000")
        self.end_headers()
        self.wfile.write(b"numb")


@pytest.fixture
def served(tmp_path):
    folder = tmp_path / "served"
    for name, content in CONTENT.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def serve(served):
    """Start a server with the given handler; gives its address."""
    running = []

    def start(handler=Quiet):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(served)))
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        running.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def made_up(monkeypatch):
    """An asset of three files, two of them with a known checksum."""
    files = tuple(RemoteFile(name, f"http://127.0.0.1:9/{name}", PINNED.get(name)) for name in CONTENT)
    asset = Asset("made-up", "a made-up head", "CC0", "http://127.0.0.1:9", files)
    monkeypatch.setitem(assets.ASSETS, "made-up", asset)
    return asset


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != "served")


def test_every_file_arrives_and_its_checksum_is_written_down(tmp_path, serve):
    seen = []
    paths = download("made-up", tmp_path / "head", serve(), progress=lambda *step: seen.append(step))
    assert [path.read_bytes() for path in paths] == list(CONTENT.values())
    record = json.loads((tmp_path / "head" / "CHECKSUMS.json").read_text())
    assert record["sha256"] == {name: hashlib.sha256(content).hexdigest() for name, content in CONTENT.items()}
    assert record["licence"] == "CC0"
    assert ("model.npz", 7000, 7000) in seen
    assert leftovers(tmp_path) == ["head"]
    verify("made-up", tmp_path / "head")


def test_the_files_own_addresses_are_used_without_a_mirror(tmp_path):
    asked = []

    def opener(url, timeout):
        asked.append(url)
        raise OSError("no network here")

    with pytest.raises(DownloadError, match=r"cannot fetch http://127\.0\.0\.1:9/model\.npz: no network here"):
        download("made-up", tmp_path / "head", opener=opener)
    assert asked == ["http://127.0.0.1:9/model.npz"]
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda folder: (folder / "model.npz").write_bytes(b"other"), "is not the expected file: SHA-256"),
        (lambda folder: (folder / "deep" / "landmarks.txt").unlink(), "landmarks.txt: HTTP Error 404"),
    ],
)
def test_a_wrong_or_missing_file_leaves_nothing_behind(tmp_path, served, serve, damage, message):
    damage(served)
    with pytest.raises(DownloadError, match=message):
        download("made-up", tmp_path / "head", serve())
    assert leftovers(tmp_path) == []


def test_a_download_that_breaks_off_leaves_nothing_behind(tmp_path, serve):
    with pytest.raises(DownloadError, match="ended after 4 of 7000 bytes"):
        download("made-up", tmp_path / "head", serve(CutShort))
    assert leftovers(tmp_path) == []


def test_an_interrupted_download_leaves_nothing_behind(tmp_path, serve):
    def interrupt(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download("made-up", tmp_path / "head", serve(), progress=interrupt)
    assert leftovers(tmp_path) == []


def test_nothing_is_overwritten(tmp_path, serve):
    (tmp_path / "head").mkdir()
    (tmp_path / "head" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="exists already and is not overwritten"):
        download("made-up", tmp_path / "head", serve())
    assert (tmp_path / "head" / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["model.npz", "LICENSE"])
def test_a_changed_file_is_found_later(tmp_path, serve, name):
    download("made-up", tmp_path / "head", serve())
    (tmp_path / "head" / name).write_bytes(b"changed")
    with pytest.raises(InputError, match=f"{name} has changed: expected SHA-256"):
        verify("made-up", tmp_path / "head")


def test_a_lost_file_is_found_later(tmp_path, serve):
    download("made-up", tmp_path / "head", serve())
    (tmp_path / "head" / "LICENSE").unlink()
    with pytest.raises(InputError, match="LICENSE is missing"):
        verify("made-up", tmp_path / "head")


def test_unknown_assets_list_the_known_ones(tmp_path):
    with pytest.raises(InputError, match="no asset 'flame' .*gnm, ict-facekit"):
        download("flame", tmp_path / "head")


def test_the_notice_says_the_licence_and_what_is_trusted(made_up):
    assert "CC0" in made_up.notice and "2 of 3 files" in made_up.notice and "CHECKSUMS.json" in made_up.notice


@pytest.mark.parametrize("name", ["gnm", "ict-facekit"])
def test_the_published_heads_are_fetched_over_https_from_fixed_revisions(name):
    asset = ASSETS[name]
    assert len({file.name for file in asset.files}) == len(asset.files)
    for file in asset.files:
        assert file.url.startswith("https://") and file.url.endswith(file.name)
        assert "/main/" not in file.url and "/master/" not in file.url
        assert not file.name.startswith("/") and ".." not in file.name


def test_the_list_of_ict_files_is_what_the_checkout_lists():
    listed = json.loads((ict_folder() / "vertex_indices.json").read_text())["expressions"]
    names = {file.name for file in ASSETS["ict-facekit"].files}
    assert {f"FaceXModel/{name}.obj" for name in listed} <= names
    assert sum("identity" in name for name in names) == 100


def test_known_checksums_are_those_of_the_published_ict_files():
    checked = 0
    for file in ASSETS["ict-facekit"].files:
        path = ict_folder().parent / file.name
        if file.sha256 is not None and path.is_file():
            assert hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256, file.name
            checked += 1
    assert checked >= 6
