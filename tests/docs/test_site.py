"""The site builds without a warning and fetches nothing from elsewhere; its drawings are those of the script."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys

import pytest

from tests.docs.blocks import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site. Skips where the extra `docs` is not installed."""
    pytest.importorskip("mkdocs")
    pytest.importorskip("mkdocstrings")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_pages_load_nothing_from_elsewhere(site):
    loaded = re.compile(r"<(?:script|img|iframe|source)[^>]*\bsrc=[\"']?(https?://[^\"' >]+)")
    linked = re.compile(r"<link[^>]*rel=[\"']?(?:stylesheet|preconnect|preload)[^>]*href=[\"']?(https?://[^\"' >]+)")
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert not loaded.findall(text) + linked.findall(text), page


def test_the_reference_has_the_main_names(site):
    fitting = (site / "api/fitting.html").read_text(encoding="utf-8")
    for name in ("config.FitConfig", "track.Track", "fit.fit", "differentiable.differentiable_fit"):
        assert f'id="flowface_jax.fitting.{name}"' in fitting


def test_fields_of_a_docstring_become_paragraphs():
    pytest.importorskip("griffe")
    spec = importlib.util.spec_from_file_location("docs_docstrings", ROOT / "docs/docstrings.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = "What it is: a thing.\n\nsize, side: how large,\n    in px. More.\nname: what it is called."
    assert module.paragraphs(text).splitlines() == [
        "What it is: a thing.", "", "", "`size, side`: how large,", "in px. More.", "", "`name`: what it is called.",
    ]  # fmt: skip


def test_drawings_are_what_the_script_draws(tmp_path):
    spec = importlib.util.spec_from_file_location("docs_drawings", ROOT / "docs/drawings.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.IMAGES = tmp_path
    for draw in (module.camera_axes, module.pixel_centres, module.world_to_camera):
        draw()
    drawn = sorted(path.name for path in tmp_path.iterdir())
    assert drawn == ["camera_axes.svg", "pixel_centres.svg", "world_to_camera.svg"]
    for name in drawn:
        assert (tmp_path / name).read_bytes() == (ROOT / "docs/images" / name).read_bytes()
