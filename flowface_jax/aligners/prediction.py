"""A trained network made ready for one head: face crops in, where each vertex is and how sure that is, out."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.heads.model import HeadModel
from flowface_jax.network.alignment_network import AlignmentNetwork, apply_one_by_one
from flowface_jax.network.config import NetworkConfig
from flowface_jax.network.outputs import AlignedPoints, AlignmentMaps, last_iteration, points_of
from flowface_jax.network.weights.check import check_variables
from flowface_jax.network.weights.store import MERGEABLE, NETWORK, load_weights

CPU_BATCH, ACCELERATOR_BATCH = 4, 8
"""Crops that the network sees at once. Larger batches look for a moving face where it was longer ago, and keep more
frames in memory."""


class Prediction(NamedTuple):
    """What the network says of B crops; host arrays.

    mean: [B,V,2] px of the crop, float32. std: [B,V] px, float32. presence: [B], probability that the crop shows a
    face, or None where the network does not predict it.
    """

    mean: np.ndarray
    std: np.ndarray
    presence: np.ndarray | None = None


class Predictor(Protocol):
    """What `align_network` needs of a network."""

    @property
    def name(self) -> str:
        """What the alignment's source says of it."""

    @property
    def image_size(self) -> int:
        """Side of the crops, px."""

    @property
    def batch_size(self) -> int:
        """Largest number of crops in a call."""

    @property
    def point_count(self) -> int:
        """Vertices of the head that it answers for."""

    def start(self, crops: np.ndarray) -> Callable[[], Prediction]:
        """Begin with crops [B,D,D,3] uint8, without waiting; what is returned waits for the answer."""


class NetworkPredictor:
    """The alignment network on JAX's default device, compiled once, with the atlas coordinates of one head's vertices.

    config, variables: the network. head: whose vertices are predicted. name: for the alignment's source. dtype: of the
    computation; by default bfloat16 on accelerators and float32 on CPUs. batch_size: crops per run of the network;
    smaller batches are filled up, so that nothing is compiled twice. Raises InputError where the network regresses
    another number of vertices, or the batch size is less than 1.
    """

    def __init__(
        self,
        config: NetworkConfig,
        variables: Any,
        head: HeadModel,
        name: str = "flowface",
        dtype: Any = None,
        batch_size: int | None = None,
    ) -> None:
        check_head(config, head)
        if batch_size is not None and batch_size < 1:
            raise InputError(f"batch_size: expected 1 or more, found {batch_size}")
        on_cpu = jax.default_backend() == "cpu"
        dtype = dtype or (jnp.float32 if on_cpu else jnp.bfloat16)
        self.name, self.config = name, config
        self.batch_size = batch_size or (CPU_BATCH if on_cpu else ACCELERATOR_BATCH)
        self.point_count = head.vertex_count
        apply = partial(apply_one_by_one if on_cpu else AlignmentNetwork.apply, AlignmentNetwork(config, dtype))
        self._bound = jax.device_put((variables, jnp.asarray(head.uv, jnp.float32)))
        self._run = jax.jit(lambda variables, uv, crops: predict_points(config, apply, variables, uv, crops))

    @property
    def image_size(self) -> int:
        return self.config.image_size

    def start(self, crops: np.ndarray) -> Callable[[], Prediction]:
        """Begin with crops [B,D,D,3] uint8, B up to the batch size; the returned function waits for the prediction.

        Raises InputError for other shapes or dtypes.
        """
        side, count = self.image_size, len(crops)
        if crops.shape[1:] != (side, side, 3) or crops.dtype != np.uint8 or not 0 < count <= self.batch_size:
            raise InputError(
                f"expected 1 to {self.batch_size} crops [B,{side},{side},3] uint8, "
                f"found {list(crops.shape)} {crops.dtype}"
            )
        if count < self.batch_size:
            filling = np.zeros((self.batch_size - count, side, side, 3), np.uint8)
            crops = np.concatenate([crops, filling])
        running = self._run(*self._bound, crops)

        def wait() -> Prediction:
            mean, std, presence = jax.device_get(running)
            return Prediction(mean[:count], std[:count], None if presence is None else presence[:count])

        return wait

    def predict(self, crops: np.ndarray) -> Prediction:
        """Means and standard deviations for any number of crops [B,D,D,3] uint8, px of the crop."""
        if not len(crops):
            raise InputError("expected at least one crop, found none")
        waits = [self.start(crops[first : first + self.batch_size]) for first in range(0, len(crops), self.batch_size)]
        parts = [wait() for wait in waits]
        presence = None if parts[0].presence is None else np.concatenate([part.presence for part in parts])
        return Prediction(
            np.concatenate([part.mean for part in parts]), np.concatenate([part.std for part in parts]), presence
        )


def predict_points(
    config: NetworkConfig,
    apply: Callable[[Any, jax.Array], AlignmentMaps | AlignedPoints],
    variables: Any,
    uv: jax.Array,
    crops: jax.Array,
) -> tuple[jax.Array, jax.Array, jax.Array | None]:
    """Means [B,P,2] and standard deviations [B,P] px of the crop, and presence [B] or None, of the last iteration.

    The standard deviations are those that the network states times its `std_scale`.

    apply: the network, from variables and crops to its output. uv: [P,2], atlas coordinates of the points (not used by
    networks that regress them). crops: [B,D,D,3] uint8.
    """
    # Earlier iterations are of use in training only.
    last = last_iteration(apply(variables, crops))
    points = points_of(last, uv, config.interpolated)
    # Neither end of float32 may turn into a standard deviation that is zero or infinite.
    std = jnp.clip(config.std_scale * points.std[0], 1e-6, 1e6)
    presence = None if points.presence is None else jax.nn.sigmoid(points.presence)
    return points.mean[0], std, presence


def check_head(config: NetworkConfig, head: HeadModel) -> None:
    """Raise InputError where the network regresses the vertices of another head; networks of maps serve every head."""
    if config.backbone == "resnet101" and config.vertex_count != head.vertex_count:
        raise InputError(
            f"the network regresses the {config.vertex_count} vertices of the head that it was trained for, but "
            f"head '{head.name}' has {head.vertex_count}; use that head, or a network that predicts maps"
        )


def load_predictor(
    path: str | os.PathLike[str],
    head: HeadModel,
    dtype: Any = None,
    batch_size: int | None = None,
    name: str | None = None,
) -> NetworkPredictor:
    """The network from a weights file (kind "network"), ready for the head.

    name: for the alignment's source; by default the backbone and the file's name.
    Raises InputError for a file that is something else (published weights are converted by `flowface convert`, pieces
    of networks have to be trained first) or a head that does not fit.
    """
    weights = load_weights(path)
    if weights.kind != NETWORK:
        is_part = weights.kind in MERGEABLE
        otherwise = "is only a part of an alignment network: train it first" if is_part else "aligns nothing"
        raise InputError(f"{path} holds {weights.kind}, which {otherwise}; expected a trained alignment network")
    try:
        config = NetworkConfig.from_mapping(weights.config)
    except InputError as error:
        raise InputError(f"{path}: {error}; it was made by another version") from None
    check_head(config, head)
    side = config.image_size
    check_variables(path, weights.variables, AlignmentNetwork(config), (1, side, side, 3))
    name = name or f"flowface {config.backbone} {Path(path).name}"
    return NetworkPredictor(config, weights.variables, head, name, dtype, batch_size)
