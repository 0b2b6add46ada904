"""Fixtures that tests of several parts share."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import jax
import pytest

# Tests leave nothing in the user's home; commands that they start in processes of their own inherit this.
os.environ["FLOWFACE_COMPILATION_CACHE"] = "off"

_SWITCH = "jax_disable_most_optimizations"
_MAPPINGS = Path("/proc/self/maps")
_MOST_MAPPINGS = 20_000
"""Compiled programs take memory mappings, of which Linux allows a process 65,530; beyond them it is aborted."""


@pytest.fixture(scope="module", autouse=True)
def forgotten_programs():
    """Drop compiled programs after a file of tests that left many, so that one process can run all of them."""
    yield
    if _MAPPINGS.is_file() and _MAPPINGS.read_bytes().count(b"\n") > _MOST_MAPPINGS:
        jax.clear_caches()
        gc.collect()


@pytest.fixture(scope="module")
def quick_compilation_of_module():
    """Compile without optimising: for files that draw a few small pictures, where compiling takes most of the time."""
    jax.config.update(_SWITCH, True)
    yield
    jax.config.update(_SWITCH, False)


@pytest.fixture
def quick_compilation():
    """The same for one test."""
    jax.config.update(_SWITCH, True)
    yield
    jax.config.update(_SWITCH, False)
