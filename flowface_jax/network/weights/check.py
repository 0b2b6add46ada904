"""Do the variables of a weights file fit the module that is to use them?"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.network.weights.trees import flatten, module_shapes


def check_variables(
    path: str | os.PathLike[str], variables: Mapping[str, Any], module: nn.Module, *inputs: tuple[int, ...]
) -> None:
    """Raise InputError, naming the file, unless the variables are those of the module for inputs of these shapes."""
    expected = module_shapes(module, *inputs)
    found = {name: tuple(np.shape(value)) for name, value in flatten(variables).items()}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            described = [f"shape {list(s[name])}" if name in s else "no such array" for s in (expected, found)]
            raise InputError(
                f"{path}: {name} does not fit {type(module).__name__}: expected {described[0]}, found {described[1]}; "
                "make or convert it again"
            )
