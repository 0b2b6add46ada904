"""Calling the compiled kernels from inside jit, on CPUs."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import jax

_PREFIX = "flowface_"


@functools.cache
def available(name: str) -> bool:
    """Whether a native kernel can be used; compiles and registers it on the first call."""
    try:
        from flowface_jax.synthesis.rasteriser.handlers import compile_handler

        handler = compile_handler(name)
        jax.ffi.register_ffi_target(_PREFIX + name, jax.ffi.pycapsule(handler.ctypes), platform="cpu")
    except Exception as error:  # whatever goes wrong in compiling, the slower way gives the same picture
        _warn_once(f"{type(error).__name__}: {error}".splitlines()[0])
        return False
    _KEPT.append(handler)
    return True


_KEPT: list[Any] = []
"""Handlers live as long as the process: XLA holds their addresses."""


@functools.cache
def _warn_once(reason: str) -> None:
    warnings.warn(
        f"the native rasteriser is not available ({reason}); rendering on the CPU will be slow. Is numba installed?",
        RuntimeWarning,
        stacklevel=2,
    )


def call(name: str, results: Any, *arguments: jax.Array) -> Any:
    """Run a kernel on arrays of one image; under vmap it runs once for the batch without copying what is shared."""
    return jax.ffi.ffi_call(_PREFIX + name, results, vmap_method="expand_dims")(*arguments)


def choose(name: str, native: Callable[..., Any], portable: Callable[..., Any], *arguments: jax.Array) -> Any:
    """native(*arguments), which calls kernel `name`, where the program is compiled for CPUs, else portable."""
    if not available(name):
        return portable(*arguments)
    return jax.lax.platform_dependent(*arguments, cpu=native, default=portable)
