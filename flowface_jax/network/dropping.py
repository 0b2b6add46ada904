"""Random omissions in training, drawn for each sample by its place in the whole batch."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

Train = bool | str
"""False: no training. True: training, the batch is whole. A name: training on one of several devices that share a
batch, mapped over an axis of this name; statistics are then those of the whole batch, and every sample draws what it
would draw on a single device."""


def batch_axis(train: Train) -> str | None:
    """The name of the mapped axis that the batch is spread over, or None."""
    return train if isinstance(train, str) else None


class DropPath(nn.Module):
    """Leaves out a whole residual branch [B,H,W,C], image by image, with the given probability; the rest is scaled up.

    Needs the random stream "dropout" in training.
    """

    probability: float

    @nn.compact
    def __call__(self, branch: jax.Array, train: Train) -> jax.Array:
        if not train or self.probability == 0:
            return branch
        kept = _kept(self.make_rng("dropout"), 1 - self.probability, (branch.shape[0], 1, 1, 1), train)
        return branch * (kept / (1 - self.probability)).astype(branch.dtype)


class Dropout(nn.Module):
    """Sets numbers of features [B,H,W,C] to zero with the given probability and scales up the rest.

    whole_channels: a channel is dropped at all places or at none. Needs the random stream "dropout" in training.
    """

    probability: float
    whole_channels: bool = False

    @nn.compact
    def __call__(self, features: jax.Array, train: Train) -> jax.Array:
        if not train or self.probability == 0:
            return features
        batch, height, width, channels = features.shape
        shape = (batch, 1, 1, channels) if self.whole_channels else (batch, height, width, channels)
        kept = _kept(self.make_rng("dropout"), 1 - self.probability, shape, train)
        return jnp.where(kept, features / (1 - self.probability), 0).astype(features.dtype)


def _kept(key: jax.Array, probability: float, shape: tuple[int, ...], train: Train) -> jax.Array:
    """Which numbers [B,…] stay: bool, a function of the key and of the sample's place in the whole batch."""
    axis = batch_axis(train)
    first = 0 if axis is None else jax.lax.axis_index(axis) * shape[0]
    keys = jax.vmap(lambda place: jax.random.fold_in(key, place))(first + jnp.arange(shape[0]))
    return jax.vmap(lambda own: jax.random.bernoulli(own, probability, shape[1:]))(keys)
