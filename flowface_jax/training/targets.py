"""What a rendered picture teaches the network: its exact truth in the form that the losses take."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from flowface_jax.heads.model import HeadModel
from flowface_jax.network.losses import Targets
from flowface_jax.synthesis.truth import Truth


def targets_of(truth: Truth, head: HeadModel) -> Targets:
    """The targets of B crops from their batched truth (leaves [B,...]), rendered with this head; every vertex counts
    with the head's weight λ, hidden or not, as in the paper: the uncertainty is what learns of hiding.
    """
    return Targets(
        mean=truth.vertices,
        weight=head.vertex_weights,
        dense=truth.dense,
        dense_weight=truth.dense_weight,
        depth=_depth(truth, head),
    )


def _depth(truth: Truth, head: HeadModel) -> jax.Array:
    """Depths [B,V] from the face's mean depth, in px of the crop at that depth."""
    face = jnp.asarray(head.regions["face"], jnp.float32)
    mean = (truth.vertex_depth * face).sum(-1, keepdims=True) / face.sum()
    return (truth.vertex_depth - mean) * truth.focal[:, None] / mean
