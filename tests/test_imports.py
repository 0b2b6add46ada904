"""Imports go one way, so that a part can be read, used and tested without what is built on it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "flowface_jax"

LAYERS = [
    {"errors", "conventions", "storage", "pytrees", "reporting", "compilation", "settings", "clusters"},
    {"assets", "foreign"},
    {"heads", "cameras"},
    {"alignment"},
    {"network"},
    {"aligners", "fitting", "synthesis"},
    {"training", "evaluation", "exporting", "viewing", "job_folders"},
    {"guidance", "pipeline", "diagnosis", "texturing"},
    {"capturing", "batches"},
    {"demo"},
    {"cli"},
]
"""From the ground up; a part may import from lower layers and from itself."""

FORBIDDEN = {("fitting", "network"), ("fitting", "aligners"), ("heads", "cameras"), ("cameras", "heads")}
LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}


def _part(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py")


def _imported_parts(path: Path) -> set[str]:
    parts = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [node.module or ""]
            if node.module == "flowface_jax":
                names = [f"flowface_jax.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        parts |= {name.split(".")[1] for name in names if name.startswith("flowface_jax.")}
    return parts


MODULES = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_from_below(path):
    own = _part(path)
    for other in _imported_parts(path) - {own}:
        assert LEVEL[other] <= LEVEL[own], f"{own} imports {other}, which is built on top of it"
        assert (own, other) not in FORBIDDEN, f"{own} must not know {other}"


def test_every_part_has_a_place():
    assert {_part(path) for path in MODULES} <= set(LEVEL)


def test_importing_the_package_starts_no_device():
    """Processes of a job must be able to join before that, and command lines must be able to choose devices."""
    program = (
        "import importlib, pkgutil, flowface_jax\n"
        "from jax._src import xla_bridge\n"
        "for module in pkgutil.walk_packages(flowface_jax.__path__, 'flowface_jax.'):\n"
        "    if module.name.rpartition('.')[2] not in ('__main__', 'on_ray'):\n"
        "        importlib.import_module(module.name)\n"
        "    assert not xla_bridge.backends_are_initialized(), module.name\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
