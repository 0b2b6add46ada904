"""Random weights for PyTorch modules that published networks are compared with."""

from __future__ import annotations

import numpy as np


def randomise(module, seed=0):
    """The module in evaluation, with random kernels that keep signals' size and no norm that is the identity."""
    random = np.random.default_rng(seed)
    for name, value in module.state_dict().items():
        if value.ndim >= 2:
            drawn = random.standard_normal(tuple(value.shape)) * np.sqrt(2.0 / value[0].numel())
        elif name.endswith("running_var"):
            drawn = random.uniform(0.5, 1.5, tuple(value.shape))
        elif value.is_floating_point():
            drawn = 0.1 * random.standard_normal(tuple(value.shape)) + (name.endswith("weight") and value.numpy())
        else:
            continue
        value.copy_(value.new_tensor(drawn))
    return module.eval()
