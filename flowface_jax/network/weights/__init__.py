"""Weights: our own file of them, and how those of public checkpoints come into it."""

from flowface_jax.network.weights.convert import Converted, convert
from flowface_jax.network.weights.merge import merge_pieces
from flowface_jax.network.weights.store import Weights, load_weights, save_weights

__all__ = ["Converted", "Weights", "convert", "load_weights", "merge_pieces", "save_weights"]
