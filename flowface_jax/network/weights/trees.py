"""Variables as nested tables and as flat ones, whose names are paths joined by "/", collection first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import flax.linen as nn
import jax
from flax.traverse_util import flatten_dict, unflatten_dict


def flatten(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Leaves by path: {"params": {"norm": {"scale": x}}} to {"params/norm/scale": x}."""
    return flatten_dict(tree, sep="/")


def unflatten(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The nested tables that `flatten` made flat."""
    return unflatten_dict(flat, sep="/")


# Tracing the larger networks takes seconds.
@lru_cache(maxsize=32)
def module_shapes(module: nn.Module, *inputs: tuple[int, ...], under: str = "") -> Mapping[str, tuple[int, ...]]:
    """Shape of every variable of a module that takes arrays of these shapes, by path; nothing is computed.

    under: where the module sits in a network, put after the collection: "encoder" gives "params/encoder/…".
    """
    return MappingProxyType(shapes_of(module.init, *inputs, under=under))


def shapes_of(init: Callable[..., Any], *inputs: tuple[int, ...], under: str = "") -> dict[str, tuple[int, ...]]:
    """As `module_shapes`, for a function of a key and inputs that returns a module's variables."""
    arrays = [jax.ShapeDtypeStruct(shape, "float32") for shape in inputs]
    variables = jax.eval_shape(init, jax.random.key(0), *arrays)
    below = f"{under}/" if under else ""
    return {
        f"{collection}/{below}{path}": tuple(leaf.shape)
        for collection, tree in variables.items()
        for path, leaf in flatten(tree).items()
    }
