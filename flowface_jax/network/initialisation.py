"""Fresh variables of a network, drawn on the host: the same on every device, and without compiling a program."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from flowface_jax.errors import InputError

_TRUNCATED_STD = 0.87962566103423978
"""Standard deviation of a standard normal variable cut off at ±2."""


def variable_shapes(network: nn.Module, *inputs: Any) -> dict[str, Any]:
    """Shapes and dtypes of the network's variables for these inputs (arrays or shapes), nothing computed."""
    return dict(jax.eval_shape(network.init, jax.random.key(0), *inputs))


def draw_variables(shapes: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Variables of the given shapes as float32 arrays of the host: each leaf by its name and by the seed.

    Kernels are truncated normal with variance 1/inputs (LeCun), those of heads that must start at zero (`change`) are,
    positional textures are standard normal, norms start as the identity. These are the modules' own rules;
    `module.init` draws by them too, but compiles hundreds of random programs, which takes minutes for large networks.
    Raises InputError for a leaf whose name has no rule.
    """
    drawn = {}
    for path, shape in flatten_dict(dict(shapes)).items():
        # Keyed by the name, so that a leaf more (an optional head) does not change the others.
        name = int.from_bytes(hashlib.sha256("/".join(path).encode()).digest()[:8], "big")
        generator = np.random.Generator(np.random.Philox(key=[seed, name]))
        drawn[path] = _draw(path, tuple(shape.shape), generator).astype(np.float32)
    return unflatten_dict(drawn)


def parameter_count(variables: Mapping[str, Any]) -> int:
    """How many numbers are trained (batch statistics are not)."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables["params"]))


def _draw(path: tuple[str, ...], shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    name = path[-1]
    starts_at_zero = path[-2] == "change" or path[-3:-1] == ("extra_head", "output")
    if name in ("bias", "mean") or starts_at_zero:
        return np.zeros(shape)
    if name in ("scale", "var"):
        return np.ones(shape)
    if name == "slope":
        return np.full(shape, 0.25)
    if name.startswith("texture_"):
        return generator.standard_normal(shape)
    if name == "kernel":
        inputs = math.prod(shape[:-1])
        return _truncated_normal(shape, generator) / (_TRUNCATED_STD * math.sqrt(inputs))
    raise InputError(f"no rule to initialise {'/'.join(path)}; name it kernel, bias, scale, mean, var or texture_N")


def _truncated_normal(shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    values = generator.standard_normal(shape)
    outside = np.abs(values) > 2
    while outside.any():
        values[outside] = generator.standard_normal(int(outside.sum()))
        outside = np.abs(values) > 2
    return values
