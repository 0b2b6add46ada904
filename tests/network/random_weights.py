"""Made-up weights of a sensible size, quicker than the modules' own initialisation."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np


def random_variables(module: nn.Module, image_shape: tuple[int, ...], seed: int = 0) -> dict:
    """Variables of the module for images of that shape: signals keep their size, statistics are not trivial."""
    shapes = jax.eval_shape(module.init, jax.random.key(0), jax.ShapeDtypeStruct(image_shape, jnp.uint8))
    return random_leaves(shapes, seed)


def random_leaves(shapes: dict, seed: int = 0) -> dict:
    """Variables of the given shapes, as `random_variables` makes them."""
    rng = np.random.default_rng(seed)

    def leaf(path, shape):
        name = path[-1].key
        if name == "kernel":
            deviation = np.float32(np.sqrt(2 / np.prod(shape.shape[:-1])))
            return deviation * rng.standard_normal(shape.shape, np.float32)
        if name in ("scale", "var"):
            return rng.uniform(0.8, 1.2, shape.shape).astype(np.float32)
        return (0.1 * rng.standard_normal(shape.shape)).astype(np.float32)

    return jax.tree_util.tree_map_with_path(leaf, shapes)
