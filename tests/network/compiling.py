"""Compiling quickly: tests run programs once on small inputs, so most of their time would go into compiling."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax

quick_jit: Callable[..., Any] = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
"""`jax.jit` with few optimisations of the machine code: half the time to compile, the same operations."""
