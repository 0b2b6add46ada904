"""The alignment network (stage 1): image features, UV features, and their iterative alignment (section 3.1)."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.network.bisenet import PRESETS, BiSeNetV2
from flowface_jax.network.config import NetworkConfig
from flowface_jax.network.correlation import Route, correlation_pyramid, look_up
from flowface_jax.network.dropping import Train
from flowface_jax.network.initialisation import draw_variables, variable_shapes
from flowface_jax.network.nano import NanoNetwork
from flowface_jax.network.outputs import AlignedPoints, AlignmentMaps
from flowface_jax.network.positional_encoding import PositionalEncoding
from flowface_jax.network.prnet import PRNet
from flowface_jax.network.resampling import average_pool, cell_centres
from flowface_jax.network.resnet import DenseRegressor
from flowface_jax.network.segformer import MIT_SIZES, DecodeHead, MixTransformer
from flowface_jax.network.update import UpdateBlock

IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)
"""Of ImageNet's RGB in [0, 1], as the backbones were trained."""
FIRST_STD_SHARE = 8.0
"""Heads answer log σ relative to this part of the crop's side, as large as the first errors: from a far smaller σ the
first steps do nothing but raise it, and what the features lose by that does not come back."""


def normalise(images: jax.Array) -> jax.Array:
    """Images [...,3] RGB in [0, 1] with ImageNet's mean and standard deviation taken out."""
    return (images - jnp.asarray(IMAGE_MEAN)) / jnp.asarray(IMAGE_STD)


class ImageEncoder(nn.Module):
    """Images [B,D,D,3] to features [B,U,U,features] (equation 2)."""

    config: NetworkConfig
    dtype: Any = jnp.float32
    rematerialised: bool = False

    def setup(self) -> None:
        config = self.config
        if config.backbone.startswith("bisenet"):
            self.encoder = BiSeNetV2(
                **PRESETS[config.backbone],
                head_dropout=config.head_dropout,
                features=config.feature_size,
                dtype=self.dtype,
            )
            return
        size = MIT_SIZES[config.backbone]
        epsilon = 1e-6 if config.norm_epsilon == "nvlabs" else 1e-5
        self.encoder = MixTransformer(
            size, config.drop_path, epsilon, dtype=self.dtype, rematerialised=self.rematerialised
        )
        pool = config.image_size // 4 // config.uv_size
        self.decode_head = DecodeHead(size.head, config.feature_size, pool, config.head_dropout, self.dtype)

    def __call__(self, images: jax.Array, train: Train) -> jax.Array:
        encoded = self.encoder(normalise(images), train)
        if isinstance(encoded, list):
            return self.decode_head(encoded, train)
        return average_pool(encoded, encoded.shape[1] // self.config.uv_size)


class UvFlow(nn.Module):
    """Image features [B,U,U,D] to the UV-to-image flow of every iteration (equations 3 and 4)."""

    config: NetworkConfig
    dtype: Any = jnp.float32
    unroll: int = 0
    look_up_route: Route = "gather"
    rematerialised: bool = False

    def setup(self) -> None:
        config = self.config
        encoding = lambda features: PositionalEncoding(config.uv_size, features, config.texture_size, self.dtype)
        self.uv_features = encoding(config.feature_size)
        self.uv_context = encoding(config.hidden_size)
        self.uv_hidden = encoding(config.hidden_size)
        self.update = UpdateBlock(
            config.hidden_size,
            config.hidden_size,
            config.hidden_size,
            config.uncertainty_input,
            config.uncertainty_form,
            config.channel_count - 3,
            self.dtype,
            np.log(config.uv_size / FIRST_STD_SHARE),
        )

    def __call__(self, features: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array | None]:
        """Flow [N,B,U,U,2] and log σ [N,B,U,U,1] in cells, and the extra head's numbers [N,B,U,U,extra] or None."""
        config, batch, side = self.config, features.shape[0], self.config.uv_size
        volumes = correlation_pyramid(self.uv_features(), features, config.correlation_levels)
        context = self.update.of_context(_activate(self.uv_context(), config.context_activation))
        hidden = _activate(self.uv_hidden(), config.hidden_activation)
        start = cell_centres(side) - 0.5
        spread = lambda value, *shape: jnp.full((batch, side, side, *shape), value, jnp.float32)
        carry = (
            jnp.broadcast_to(hidden, (batch, *hidden.shape[1:])),
            spread(0.0, 2),
            spread(jnp.log(config.initial_std), 1),
        )

        def refine(block: UpdateBlock, carry: tuple, _: None) -> tuple:
            # As in RAFT, gradients do not pass through the estimate that a step starts from.
            hidden, flow, log_std = carry[0], *jax.lax.stop_gradient(carry[1:])
            places = (start + flow).reshape(batch, side * side, 2)
            seen = look_up(volumes, places, config.correlation_radius, self.look_up_route)
            hidden, flow, log_std, extra = block(hidden, seen.reshape(batch, side, side, -1), flow, log_std, context)
            return (hidden, flow, log_std), (flow, log_std, extra)

        refine = nn.remat(refine) if self.rematerialised else refine
        if self.unroll in (0, config.iterations):
            steps = []
            for _ in range(config.iterations):
                carry, step = refine(self.update, carry, None)
                steps.append(step)
            return jax.tree.map(lambda *leaves: jnp.stack(leaves), *steps)
        scan = nn.scan(
            refine,
            variable_broadcast="params",
            split_rngs={"params": False},
            length=config.iterations,
            unroll=self.unroll,
        )
        return scan(self.update, carry, None)[1]


class AlignmentNetwork(nn.Module):
    """Crops [B,D,D,3] to where every point of the head is in them: one interface for every backbone.

    images: RGB, uint8 or float in [0, 1]. Returns `AlignmentMaps`, or `AlignedPoints` from "resnet101"; `points_of`
    reads points from either. dtype: of the computation (parameters, norms, softmax, correlations, estimates and σ
    stay float32). unroll: iterations compiled one after the other instead of as a loop; 0: all of them, which CPUs
    need for fast gradients. rematerialised: gradients compute each transformer block and each iteration anew, for less
    memory. Raises InputError for images of another size than the config's.
    """

    config: NetworkConfig
    dtype: Any = jnp.float32
    unroll: int = 0
    look_up_route: Route = "gather"
    rematerialised: bool = False

    def setup(self) -> None:
        config = self.config
        if config.backbone == "resnet101":
            self.regressor = DenseRegressor(config.vertex_count, config.channel_count, dtype=self.dtype)
            nn.share_scope(self, self.regressor)
        elif config.backbone == "nano":
            self.whole = NanoNetwork(
                config.uv_size,
                config.iterations,
                config.feature_size,
                config.hidden_size,
                config.texture_size,
                config.correlation_radius,
                config.correlation_levels,
            )
            nn.share_scope(self, self.whole)
        elif config.backbone == "prnet":
            self.regressor = PRNet(config.channel_count, dtype=self.dtype)
            nn.share_scope(self, self.regressor)
        else:
            self.image = ImageEncoder(config, self.dtype, self.rematerialised)
            self.uv_flow = UvFlow(config, self.dtype, self.unroll, self.look_up_route, self.rematerialised)
            # One flat tree (encoder, decode_head, uv_features, …, update), whatever modules the code is split into.
            nn.share_scope(self, self.image)
            nn.share_scope(self, self.uv_flow)
        if config.presence:
            self.presence_head = nn.Dense(1)

    def __call__(self, images: jax.Array, train: Train = False) -> AlignmentMaps | AlignedPoints:
        images = _checked(images, self.config.image_size)
        if self.config.backbone == "resnet101":
            return self._regressed_points(self.regressor(normalise(images), train))
        if self.config.backbone == "nano":
            return self._whole_maps(*self.whole(normalise(images)))
        if self.config.backbone == "prnet":
            return self._regressed_maps(self.regressor(images, train))
        features = self.image(images, train)
        flow, log_std, extra = self.uv_flow(features)
        presence = self._presence(features.astype(jnp.float32).mean((1, 2)))
        shape, depth = _split(extra, self.config)
        cell = self.config.image_size / self.config.uv_size
        return AlignmentMaps(flow, log_std[..., 0], shape, depth, presence, cell)

    def _whole_maps(self, position: jax.Array, log_std: jax.Array, pooled: jax.Array) -> AlignmentMaps:
        """Positions [N,B,U,U,2] and log σ [N,B,U,U] in shares of the crop as maps in cells."""
        side = position.shape[-2]
        flow = position * side - cell_centres(side)
        cell = self.config.image_size / side
        return AlignmentMaps(flow, log_std + jnp.log(side), None, None, self._presence(pooled), cell)

    def _regressed_maps(self, raw: jax.Array) -> AlignmentMaps:
        """PRNet's numbers [B,U,U,channels] as the maps of one iteration."""
        raw = raw.astype(jnp.float32)[None]
        side = raw.shape[-2]
        flow = (raw[..., :2] + 0.5) * side - cell_centres(side)
        shape, depth = _split(raw[..., 3:], self.config)
        log_std = raw[..., 2] + np.log(side / FIRST_STD_SHARE)
        depth = None if depth is None else depth * side
        return AlignmentMaps(flow, log_std, shape, depth, self._presence(raw[0].mean((1, 2))), 1.0)

    def _regressed_points(self, raw: jax.Array) -> AlignedPoints:
        """The numbers [B,P,channels] of the direct regressor as the points of one iteration."""
        raw = raw.astype(jnp.float32)[None]
        side = self.config.image_size
        shape, depth = _split(raw[..., 3:], self.config)
        log_std = raw[..., 2] + np.log(side / FIRST_STD_SHARE)
        mean = (raw[..., :2] + 0.5) * side
        presence = self._presence(raw[0].mean(1))
        if depth is None:
            return AlignedPoints(mean, log_std, shape, presence=presence)
        return AlignedPoints(mean, log_std, shape, depth[..., 0] * side, depth[..., 1] + jnp.log(side), presence)

    def _presence(self, pooled: jax.Array) -> jax.Array | None:
        return self.presence_head(pooled)[:, 0] if self.config.presence else None


def network_shapes(network: AlignmentNetwork) -> dict[str, Any]:
    """Shapes and dtypes of the network's variables: `params` and, where it normalises batches, `batch_stats`."""
    side = network.config.image_size
    return variable_shapes(network, jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32))


def initial_variables(network: AlignmentNetwork, seed: int) -> dict[str, Any]:
    """Fresh variables of the network, the same for the same seed on every machine. See `draw_variables`."""
    return draw_variables(network_shapes(network), seed)


def apply_one_by_one(
    network: AlignmentNetwork, variables: dict[str, Any], images: jax.Array
) -> AlignmentMaps | AlignedPoints:
    """`network.apply` for crops [B,D,D,3], one after the other inside one program, with the same result.

    For CPUs: there it is a quarter faster than all crops together, whose intermediate maps leave the caches.
    """
    each = jax.lax.map(lambda crop: network.apply(variables, crop[None]), images)
    # Leaves are [B,N,1,…], and [B,1] where they depend on no iteration.
    return jax.tree.map(lambda leaf: leaf[:, 0] if leaf.ndim == 2 else jnp.moveaxis(leaf[:, :, 0], 0, 1), each)


def _activate(values: jax.Array, name: str) -> jax.Array:
    return {"tanh": jnp.tanh, "relu": nn.relu, "none": lambda x: x}[name](values)


def _split(extra: jax.Array | None, config: NetworkConfig) -> tuple[jax.Array | None, jax.Array | None]:
    """The extra numbers [...,extra] as shape [...,2] and depth [...,2], None for what is not predicted."""
    shape = extra[..., :2] if config.covariance else None
    depth = extra[..., 2 * config.covariance :] if config.depth else None
    return shape, depth


def _checked(images: jax.Array, side: int) -> jax.Array:
    """Images as float32 in [0, 1]. Raises InputError where they are not [B,side,side,3]."""
    if images.ndim != 4 or images.shape[1:] != (side, side, 3):
        raise InputError(f"expected crops of shape [B,{side},{side},3], found {list(images.shape)}; resize them first")
    if images.dtype == jnp.uint8:
        return images.astype(jnp.float32) / 255.0
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise InputError(f"expected crops as uint8, or float in [0, 1]; found {images.dtype}")
    return images.astype(jnp.float32)
