"""The alignment network (stage 1), its losses, and weights: crops of faces in, the place and σ of every vertex out."""

from flowface_jax.network.alignment_network import (
    AlignmentNetwork,
    apply_one_by_one,
    initial_variables,
    network_shapes,
)
from flowface_jax.network.config import NetworkConfig
from flowface_jax.network.initialisation import parameter_count
from flowface_jax.network.losses import LossConfig, Targets, alignment_loss
from flowface_jax.network.outputs import AlignedPoints, AlignmentMaps, points_of

__all__ = [
    "AlignedPoints",
    "AlignmentMaps",
    "AlignmentNetwork",
    "LossConfig",
    "NetworkConfig",
    "Targets",
    "alignment_loss",
    "apply_one_by_one",
    "initial_variables",
    "network_shapes",
    "parameter_count",
    "points_of",
]
