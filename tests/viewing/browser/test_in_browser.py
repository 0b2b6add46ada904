"""The viewer in a real browser: it loads, plays, changes frame, colour and view, and says nothing on the console."""

from __future__ import annotations

import shutil
import threading
import time

import cv2
import numpy as np
import pytest

from flowface_jax.viewing.browser.viewing import view
from tests.viewing.browser.shows import shaped_head, write_show

pytest.importorskip("viser")
playwright = pytest.importorskip("playwright.sync_api", reason="the browser's tests need playwright")

pytestmark = pytest.mark.minutes

ARGUMENTS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
# What the libraries inside viser's page say to each other's developers.
EXPECTED = ("THREE.Clock",)
PATIENCE = 60_000


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        installed = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        try:
            browser = driver.chromium.launch(executable_path=installed, args=ARGUMENTS)
        except playwright.Error as error:
            pytest.skip(f"no Chromium to test in: {str(error).splitlines()[0]}")
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Where two tracks of one clip are served."""
    track, _, clip = write_show(tmp_path_factory.mktemp("show"))
    stop, ready, found = threading.Event(), threading.Event(), []

    def started(server):
        found.append(f"http://127.0.0.1:{server.get_port()}")
        ready.set()

    arguments = {"videos": [clip], "port": 0, "components": 2, "started": started, "stop": stop}
    serving = threading.Thread(target=view, args=([track, track], [shaped_head()]), kwargs=arguments)
    serving.start()
    assert ready.wait(60)
    yield found[0]
    stop.set()
    serving.join(30)


@pytest.fixture(scope="module")
def page(browser, address):
    page = browser.new_page(viewport={"width": 900, "height": 600}, accept_downloads=True)
    page.said = []
    page.on("console", lambda message: page.said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: page.said.append(f"error: {error}"))
    page.goto(address)
    page.get_by_role("button", name="Play").wait_for(timeout=PATIENCE)
    return page


def _picture(page):
    """[H,W,3] of the scene, without the controls, notices and axes around it."""
    encoded = np.frombuffer(page.screenshot(), np.uint8)
    return cv2.imdecode(encoded, cv2.IMREAD_COLOR)[200:520, :560].astype(int)


def _settled(page, differs_from=None):
    """The scene once it has stopped changing, and differs from an earlier picture where that is asked for."""
    last = _picture(page)
    for _ in range(80):
        time.sleep(0.5)
        now = _picture(page)
        changed = differs_from is None or np.abs(now - differs_from).mean() > 0.5
        if changed and np.abs(now - last).max() <= 2:
            return now
        last = now
    raise AssertionError("the scene does not come to rest, or did not change")


def _frame(page):
    """The number of the frame that is shown, after the names of the tracks."""
    return page.locator("strong").last.inner_text()


def _choose(page, label, option):
    page.get_by_role("combobox", name=label).click()
    page.get_by_role("option", name=option, exact=True).click()


def test_it_loads_plays_and_changes_what_is_asked_for(page):
    first = _settled(page)
    assert len(np.unique(first.reshape(-1, 3), axis=0)) > 100, "a mesh before a picture, not an empty page"
    page.get_by_text("▶").click()
    second = _settled(page, differs_from=first)
    assert _frame(page) == "1"
    _choose(page, "Show", "uncertainty of the shape")
    coloured = _settled(page, differs_from=second)
    # The first track alone: the second has a colour of its own.
    spread = lambda picture: np.ptp(picture[:, 60:390], axis=-1).max()
    assert spread(coloured) > spread(second) + 40, "colours on the mesh"
    page.mouse.move(300, 400)
    page.mouse.down()
    page.mouse.move(420, 380, steps=5)
    page.mouse.up()
    turned = _settled(page, differs_from=coloured)
    page.get_by_role("button", name="Look through the camera").click()
    assert np.abs(_settled(page, differs_from=turned) - coloured).mean() < 5, "back where it began"
    page.get_by_role("button", name="Play").click()
    shown = set()
    for _ in range(400):
        shown.add(_frame(page))
        if len(shown) >= 3:
            break
        time.sleep(0.05)
    page.get_by_role("button", name="Pause").click()
    assert len(shown) >= 3, "playing changes the frame"


def test_a_screenshot_and_a_film_come_as_files(page, tmp_path):
    with page.expect_download(timeout=PATIENCE) as download:
        page.get_by_role("button", name="Screenshot (PNG)").click()
    download.value.save_as(tmp_path / "shot.png")
    picture = cv2.imread(str(tmp_path / "shot.png"))
    # A busy browser draws with fewer pixels than its window has.
    assert picture.shape[1] / picture.shape[0] == pytest.approx(1.5, abs=0.02) and picture.std() > 5
    with page.expect_download(timeout=2 * PATIENCE) as download:
        page.get_by_role("button", name="Video of this view (MP4)").click()
    download.value.save_as(tmp_path / "view.mp4")
    film = cv2.VideoCapture(str(tmp_path / "view.mp4"))
    assert int(film.get(cv2.CAP_PROP_FRAME_COUNT)) == 5


def test_nothing_went_wrong_on_the_way(page):
    wrong = [line for line in page.said if line.split(":")[0] in ("error", "warning")]
    assert [line for line in wrong if not any(part in line for part in EXPECTED)] == []
