"""Everything that a training run carries from one step to the next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from flowface_jax.pytrees import pytree_dataclass


@pytree_dataclass
class TrainState:
    """step: int32, steps taken. params, batch_stats: the network's variables. moments: the optimiser's state. averaged:
    exponential moving average of params and batch_stats, or None where none is kept. failed: bool, a step met numbers
    that are not finite; from then on nothing changes any more, so that `step` tells which batch it was.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    moments: Any
    averaged: Any
    failed: jax.Array


def initial_state(variables: Mapping[str, Any], optimiser: optax.GradientTransformation, average: bool) -> TrainState:
    """The state before the first step, from the network's variables. average: whether to keep an average."""
    params, batch_stats = variables["params"], variables.get("batch_stats", {})
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        batch_stats=batch_stats,
        moments=optimiser.init(params),
        averaged={"params": params, "batch_stats": batch_stats} if average else None,
        failed=jnp.zeros((), bool),
    )


def best_variables(state: TrainState) -> dict[str, Any]:
    """The variables to evaluate and to keep: averaged ones where there are any."""
    variables = state.averaged or {"params": state.params, "batch_stats": state.batch_stats}
    return {name: tree for name, tree in variables.items() if tree}


def averaged_towards(average: Any, current: Any, decay: float, step: jax.Array) -> Any:
    """The moving average moved towards the current values; early steps count more, so that it forgets the start."""
    share = 1.0 - jnp.minimum(decay, (1.0 + step) / (10.0 + step))
    return jax.tree.map(lambda old, new: old + share * (new - old), average, current)
