"""What the documentation shows works: examples run, commands parse, links lead somewhere, fields are all described."""

from __future__ import annotations

import ast
import json
import re

import numpy as np
import pytest

from flowface_jax.cli.main import COMMANDS
from flowface_jax.conventions import CONVENTIONS
from flowface_jax.heads.generic import generic_head
from flowface_jax.heads.store import save_head
from flowface_jax.training.archive import ArchiveKind
from flowface_jax.training.records import _FIELDS as RECORD_FIELDS
from tests.docs.blocks import PAGES, ROOT, blocks_of, commands_of, inline_commands_of, name_of
from tests.docs.commands import problem_of
from tests.docs.data import prepare, track_folder

HEAVY = {"README.md", "docs/python_api.md", "docs/inputs.md", "docs/evaluation.md"}
"""Pages whose examples fit or render: they take minutes."""
NOT_AT_HAND = {"README.md": {"import jax\nfrom flowface_jax.network import AlignmentNetwork": "public checkpoints"}}
"""Blocks, by how they begin, that need what no test can have; they are parsed and their imports are made."""
GIVEN = {"README.md": {"truth": 0.0}}
"""Names that a page's text introduces."""
WITH_PYTHON = [page for page in PAGES if any(block.language == "python" for block in blocks_of(page))]
LANGUAGES = {"", "bash", "console", "python", "text", "yaml", "json"}


def _of_weight(page):
    return pytest.param(page, marks=pytest.mark.minutes if name_of(page) in HEAVY else (), id=name_of(page))


@pytest.mark.parametrize("page", [_of_weight(page) for page in WITH_PYTHON])
def test_every_python_example_of_a_page_runs(page, tmp_path, monkeypatch):
    prepare(name_of(page), tmp_path)
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "documentation", **GIVEN.get(name_of(page), {})}
    for block in blocks_of(page):
        if block.language != "python":
            continue
        missing = [start for start in NOT_AT_HAND.get(name_of(page), {}) if block.text.startswith(start)]
        tree = ast.parse(block.text)
        if missing:
            tree.body = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        ast.increment_lineno(tree, block.line - 1)
        exec(compile(tree, str(page), "exec"), namespace)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_of_a_page_is_understood(page):
    found = [(command.place, problem_of(command.text)) for command in commands_of(page)]
    # In running text a command may be named without what it needs, so only its name and its options are looked at.
    found += [(command.place, problem_of(command.text, is_form=True)) for command in inline_commands_of(page)]
    wrong = [f"{place}: {problem}" for place, problem in found if problem]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_says_its_language(page):
    unknown = {block.language for block in blocks_of(page)} - LANGUAGES
    assert not unknown, f"blocks of {unknown} are neither run nor checked"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_of_a_page_leads_to_a_file(page):
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize(
    "line, told",
    [
        ("flowface trak clip.mp4", "no command 'trak'"),
        ("flowface track clip.mp4", "does not parse"),
        ("flowface track clip.mp4 --out a --frobnicate", "does not parse"),
        ("flowface track clip.mp4 --out a --set fit.temporal_wight=3", "temporal_wight"),
        ("flowface view TRACK [TRACK ...] [--vidoe CLIP]", "no option --vidoe"),
        ("flowface export t --to glb --set glb.blend_shape=false", "blend_shape"),
        ("python experiments/trane.py", "no file"),
        ("python experiments/sweep.py --grids a=1", "no option --grids"),
        ("python experiments/train.py --config=configs/table4.py:mit_b9 --out=x", "mit_b9"),
        ("python experiments/train.py --config=configs/nano.py --out=x --config.run.batchsize=3", "batchsize"),
        ("python experiments/train.py --config=configs/nano.py --config.data.records=a,b", "is one entry"),
        ("make dmeo", "no target dmeo"),
        ("pip install '.[cuda11]'", "no extra 'cuda11'"),
    ],
)
def test_a_wrong_command_is_found(line, told):
    assert told in problem_of(line)


@pytest.mark.parametrize(
    "line",
    [
        "flowface track 'rig/cam*.mp4' --cameras KRT --out track   # a comment",
        "JAX_PLATFORMS=cpu flowface doctor",
        "flowface evaluate MEASURE PRED [PRED …] TRUTH",
        "python benchmarks/fit.py --preset small|rig|uncalibrated --rounds 2",
        "ls -la",
        "",
    ],
)
def test_a_right_command_passes(line):
    assert problem_of(line) is None


def test_file_formats_describes_every_field_that_is_written(tmp_path):
    track_folder(tmp_path)
    save_head(generic_head(), tmp_path / "head.npz")
    page = (ROOT / "docs/file_formats.md").read_text(encoding="utf-8")
    described = set(re.findall(r"`([\w]+)`", page))
    for file in ("track.npz", "alignment.npz", "head.npz"):
        with np.load(tmp_path / file) as arrays:
            assert set(arrays.files) <= described, file
    cameras = json.loads((tmp_path / "cameras.json").read_text())
    assert {*cameras, *cameras["cameras"][0]} <= described
    assert {*RECORD_FIELDS, *ArchiveKind("", "", 1, 1, {}).record()} <= described


def test_file_formats_describes_error_bars():
    from flowface_jax.fitting.track import _UNCERTAINTY

    page = (ROOT / "docs/file_formats.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in page for name in _UNCERTAINTY.values())


def test_conventions_names_every_convention():
    page = (ROOT / "docs/conventions.md").read_text(encoding="utf-8")
    assert "(0.5, 0.5)" in page and "x right, y down, z forward" in page
    assert CONVENTIONS["uv"].partition("; ")[2].replace("-", "−") in page


def test_every_command_is_shown_somewhere():
    shown = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert [name for name in COMMANDS if f"flowface {name}" not in shown] == []


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
    assert [page for page in pages if f": {page}\n" not in navigation] == []
