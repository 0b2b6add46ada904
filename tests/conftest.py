"""Fixtures that tests of several parts share."""

from __future__ import annotations

import os

import jax
import pytest

# Tests leave nothing in the user's home; commands that they start in processes of their own inherit this.
os.environ["FLOWFACE_COMPILATION_CACHE"] = "off"

_SWITCH = "jax_disable_most_optimizations"


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
