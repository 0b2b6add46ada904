"""Where the commands keep compiled programs, and when they do not."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from flowface_jax import compilation
from flowface_jax.compilation import cache_folder, keep_compilations


@pytest.fixture
def settings():
    """JAX's settings, put back afterwards."""
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: getattr(jax.config, name) for name in names}
    jax.config.update("jax_compilation_cache_dir", None)
    yield
    for name, value in before.items():
        jax.config.update(name, value)


def test_the_folder_is_the_users_cache_unless_the_environment_says_otherwise():
    assert cache_folder({"XDG_CACHE_HOME": "/caches"}) == Path("/caches/flowface_jax/compilations")
    assert cache_folder({"XDG_CACHE_HOME": "relative"}) == Path.home() / ".cache/flowface_jax/compilations"
    assert cache_folder({}) == Path.home() / ".cache/flowface_jax/compilations"
    assert cache_folder({"FLOWFACE_COMPILATION_CACHE": "/elsewhere"}) == Path("/elsewhere")
    assert cache_folder({"FLOWFACE_COMPILATION_CACHE": "OFF", "XDG_CACHE_HOME": "/caches"}) is None


def test_a_folder_that_cannot_be_made_is_not_used(settings, tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert keep_compilations({"FLOWFACE_COMPILATION_CACHE": str(tmp_path / "file" / "cache")}) is None
    assert keep_compilations({"FLOWFACE_COMPILATION_CACHE": "off"}) is None
    assert jax.config.jax_compilation_cache_dir is None


def test_a_choice_of_jaxs_own_is_left_alone(settings, tmp_path):
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "mine"))
    assert keep_compilations({"FLOWFACE_COMPILATION_CACHE": str(tmp_path / "other")}) is None
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "mine") and not (tmp_path / "other").exists()


def test_the_folder_does_not_grow_without_end(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(compilation, "LARGEST_BYTES", 250)
    for age in range(5):
        path = tmp_path / f"jit_{age}-cache"
        path.write_bytes(b"x" * 100)
        os.utime(path, (1e9 - age, 1e9 - age))
    (tmp_path / "note.txt").write_text("not ours")
    assert keep_compilations({"FLOWFACE_COMPILATION_CACHE": str(tmp_path)}) == tmp_path
    assert sorted(path.name for path in tmp_path.iterdir()) == ["jit_0-cache", "jit_1-cache", "note.txt"]


def test_only_commands_keep_programs(tmp_path):
    script = (
        "import jax, flowface_jax, flowface_jax.cli.main as cli\n"
        "assert jax.config.jax_compilation_cache_dir is None\n"
        "cli.main(['fit', 'absent.npz', '--out', 'nowhere'])\n"
        "assert jax.config.jax_compilation_cache_dir"
    )
    environment = {**os.environ, "FLOWFACE_COMPILATION_CACHE": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment, capture_output=True)
    assert (tmp_path / "cache").is_dir()
