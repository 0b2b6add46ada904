"""One training step, as every device takes it on its part of the batch (equation 7 and section 4)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from flowface_jax.network import AlignmentNetwork, LossConfig, alignment_loss
from flowface_jax.training.batches import CropBatch
from flowface_jax.training.devices import AXIS, OnDevice
from flowface_jax.training.state import TrainState, averaged_towards
from flowface_jax.training.supervision import Supervision, targets_of

Prepare = Callable[[Any, Any, jax.Array], CropBatch]


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What a step does. seed: of augmentation and dropout. micro_batches: parts that a device's batch is computed in,
    one after the other, for memory. average_decay: of the moving average, where the state has one.
    """

    network: AlignmentNetwork
    loss: LossConfig
    optimiser: optax.GradientTransformation
    seed: int
    micro_batches: int = 1
    average_decay: float = 0.0


def device_step(recipe: Recipe, prepare: Prepare) -> OnDevice:
    """The step as a function of (state, (supervision, the source's constants), one device's inputs), for `mapped`.

    Returns the new state and the terms of the loss, all equal on every device: gradients and statistics are averaged
    over the axis. Where the loss or the gradient is not finite, the state is marked and otherwise unchanged.
    """

    def step(state: TrainState, constants: tuple[Supervision, Any], inputs: Any) -> tuple[TrainState, dict[str, Any]]:
        supervision, prepared = constants
        augmentation_key, dropout_key = step_keys(recipe.seed, state.step)
        batch = prepare(prepared, inputs, augmentation_key)
        gradient, batch_stats, terms = _gradient(recipe, state, supervision, batch, dropout_key)
        gradient, batch_stats, terms = jax.lax.pmean((gradient, batch_stats, terms), AXIS)
        terms["gradient_norm"] = optax.tree.norm(gradient)
        return _advance(recipe, state, gradient, batch_stats, terms)

    return step


def step_keys(seed: int, step: jax.Array | int) -> tuple[jax.Array, jax.Array]:
    """The keys of augmentation and of dropout at a step, equal on all devices."""
    key = jax.random.fold_in(jax.random.key(seed), step)
    first, second = jax.random.split(key)
    return first, second


def _gradient(
    recipe: Recipe, state: TrainState, supervision: Supervision, batch: CropBatch, key: jax.Array
) -> tuple[Any, Any, dict[str, jax.Array]]:
    """The loss' gradient, the new statistics and the terms, means over this device's crops."""

    def loss(params: Any, batch_stats: Any, part: CropBatch, part_key: jax.Array) -> tuple[jax.Array, tuple[Any, Any]]:
        output, changed = recipe.network.apply(
            {"params": params, "batch_stats": batch_stats},
            part.image,
            train=AXIS,
            mutable=["batch_stats"],
            rngs={"dropout": part_key},
        )
        targets = targets_of(part, supervision)
        total, terms = alignment_loss(output, supervision.uv, targets, recipe.network.config, recipe.loss)
        return total, (changed.get("batch_stats", {}), terms)

    differentiate = jax.value_and_grad(loss, has_aux=True)
    count, batch_stats = recipe.micro_batches, state.batch_stats
    if count == 1:
        (_, (batch_stats, terms)), gradient = differentiate(state.params, batch_stats, batch, key)
        return gradient, batch_stats, terms
    parts = jax.tree.map(lambda leaf: leaf.reshape(count, leaf.shape[0] // count, *leaf.shape[1:]), batch)

    def add(carry: tuple[Any, Any], part: tuple[CropBatch, jax.Array]) -> tuple[tuple[Any, Any], Any]:
        total, batch_stats = carry
        crops, place = part
        (_, (batch_stats, terms)), gradient = differentiate(
            state.params, batch_stats, crops, jax.random.fold_in(key, place)
        )
        return (jax.tree.map(lambda a, b: a + b / count, total, gradient), batch_stats), terms

    # CPUs take gradients of convolutions inside a compiled loop many times slower than outside of it.
    unroll = count if jax.default_backend() == "cpu" else 1
    start = (jax.tree.map(jnp.zeros_like, state.params), batch_stats)
    (gradient, batch_stats), terms = jax.lax.scan(add, start, (parts, jnp.arange(count)), unroll=unroll)
    return gradient, batch_stats, jax.tree.map(lambda values: values.mean(0), terms)


def _advance(
    recipe: Recipe, state: TrainState, gradient: Any, batch_stats: Any, terms: dict[str, jax.Array]
) -> tuple[TrainState, dict[str, jax.Array]]:
    """The state after the optimiser's update, or the same state marked where a number is not finite."""
    sound = jnp.isfinite(terms["loss"]) & jnp.isfinite(terms["gradient_norm"]) & ~state.failed
    updates, moments = recipe.optimiser.update(gradient, state.moments, state.params)
    params = optax.apply_updates(state.params, updates)
    averaged = state.averaged
    if averaged is not None:
        current = {"params": params, "batch_stats": batch_stats}
        averaged = averaged_towards(averaged, current, recipe.average_decay, state.step)
    new = TrainState(state.step + 1, params, batch_stats, moments, averaged, state.failed)
    kept = jax.tree.map(lambda ours, old: jnp.where(sound, ours, old), new, state)
    return dataclasses.replace(kept, failed=~sound), terms
