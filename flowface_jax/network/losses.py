"""What the network is trained by: Gaussian negative log-likelihoods of points and of the dense map (equations 5-7)."""

from __future__ import annotations

import dataclasses
from typing import get_type_hints

import jax
import jax.numpy as jnp

from flowface_jax.errors import InputError
from flowface_jax.network.config import NetworkConfig
from flowface_jax.network.outputs import AlignedPoints, AlignmentMaps, points_of
from flowface_jax.pytrees import pytree_dataclass


@dataclasses.dataclass(frozen=True)
class LossConfig:
    """How the terms are weighed and kept finite.

    decay: α, the weight of an iteration relative to the next one. dense_weight: λ_dense. std_floor: px of the crop,
    added in quadrature to every σ, so that a perfect point does not gain without end; 0 is the paper's form.
    residual_limit: px, beyond which a residual counts as this long (0: no limit); a target far outside the crop would
    otherwise outweigh a batch. distance_weight: per px, of the distances of points and texels to their targets, beside
    the likelihood; they pull however unsure the network is, which small networks need to leave the mean face (the paper
    has none). opening_weight: per px, of how far the openings of lids and mouth are off on average, as though every
    point were off as far: a point's own error says little about an opening of few px (the paper has none).
    opening_emphasis: how much more an opening counts that is not as at rest, relative to its difference from that in
    radii of the face: shut lids and open mouths are rare, and a network that is unsure shrinks them towards the rest.
    depth_weight: of the depth's negative log-likelihood. presence_weight: of the cross-entropy of face or no face.
    """

    decay: float = 0.8
    dense_weight: float = 0.01
    std_floor: float = 1e-3
    residual_limit: float = 0.0
    distance_weight: float = 0.0
    opening_weight: float = 0.0
    opening_emphasis: float = 0.0
    depth_weight: float = 0.1
    presence_weight: float = 1.0

    def __post_init__(self) -> None:
        hints = get_type_hints(LossConfig)
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
                raise InputError(
                    f"loss {field.name}: expected a {hints[field.name].__name__} of at least 0, found {value!r}"
                )


@pytree_dataclass
class Targets:
    """What is true of B crops, px of the crop.

    mean: [B,P,2] px and weight: [P] or [B,P], the λ_i. dense: [B,U,U,2] px and dense_weight: [U,U] or [B,U,U], the
    λ_p; 0 where the atlas is empty. depth: [B,P] px (see `AlignedPoints`) or None. face: [B], 1 where the crop shows
    the face and 0 where it does not (then its points do not count), or None: all do. openings: [K,2] int32, pairs of
    points across lids and mouth, or None. openings_at_rest: [K], their lengths on the head at rest, in radii of the
    points (`radius_of`).
    """

    mean: jax.Array
    weight: jax.Array
    dense: jax.Array | None = None
    dense_weight: jax.Array | None = None
    depth: jax.Array | None = None
    face: jax.Array | None = None
    openings: jax.Array | None = None
    openings_at_rest: jax.Array | None = None


def radius_of(points: jax.Array, weight: jax.Array) -> jax.Array:
    """Root mean square distance of points [...,P,2] from their mean, weighed by [P] or [...,P]: [...]."""
    share = weight / jnp.maximum(weight.sum(-1, keepdims=True), 1e-12)
    # What does not count may hold anything, also NaN.
    points = jnp.where(share[..., None] > 0, points, 0.0)
    centre = (points * share[..., None]).sum(-2, keepdims=True)
    return jnp.sqrt((((points - centre) ** 2).sum(-1) * share).sum(-1))


def alignment_loss(
    output: AlignmentMaps | AlignedPoints,
    uv: jax.Array,
    targets: Targets,
    network: NetworkConfig,
    config: LossConfig | None = None,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The loss (equation 7), a mean over crops of sums over points, texels and iterations, and its terms.

    uv: [P,2], atlas coordinates of the points. Computed in float32 whatever the network's precision; finite with finite
    gradients for σ from 1e-4 to 1e4 px. Terms: "vertex" and "dense" (L of the last iteration, weighted as in equations
    5 and 6), "error_px" (weighted mean distance of the points, last iteration), "log_std" (weighted mean), where
    weighed "opening_px" (mean error of the openings, last iteration), and where predicted "depth" and "presence".
    """
    config = config or LossConfig()
    points = points_of(output, uv, network.interpolated)
    counted = jnp.ones(targets.mean.shape[0]) if targets.face is None else targets.face.astype(jnp.float32)
    weight = jnp.broadcast_to(targets.weight, targets.mean.shape[:2]) * counted[:, None]
    residual = _where_counted(points.mean, targets.mean, weight)
    vertex = _summed(_point_loss(residual, points.log_std, config, points.shape), weight)
    terms = {
        "vertex": vertex[-1],
        "error_px": _average(jnp.sqrt((residual[-1] ** 2).sum(-1) + 1e-12), weight),
        "log_std": _average(points.log_std[-1], weight),
    }
    per_iteration = vertex
    if isinstance(output, AlignmentMaps) and targets.dense is not None:
        dense = _dense_term(output, targets, counted, config)
        terms["dense"] = dense[-1]
        per_iteration = per_iteration + config.dense_weight * dense
    if config.opening_weight > 0 and targets.openings is not None and targets.openings.shape[0]:
        opening = _opening_errors(residual, weight, targets, config)
        terms["opening_px"] = opening[-1]
        # The other terms are sums over points: the mean opening counts as much as all of them.
        per_iteration = per_iteration + config.opening_weight * weight.sum(1).mean() * opening
    if points.depth is not None and targets.depth is not None:
        away = _where_counted(points.depth[..., None], targets.depth[..., None], weight)
        depth = _summed(negative_log_likelihood(away, points.depth_log_std, config), weight)
        terms["depth"] = depth[-1]
        per_iteration = per_iteration + config.depth_weight * depth
    count = per_iteration.shape[0]
    total = (per_iteration * config.decay ** jnp.arange(count - 1, -1, -1)).sum()
    if points.presence is not None and targets.face is not None:
        terms["presence"] = _cross_entropy(points.presence, targets.face.astype(jnp.float32)).mean()
        total = total + config.presence_weight * terms["presence"]
    return total, {**terms, "loss": total}


def negative_log_likelihood(
    residual: jax.Array, log_std: jax.Array, config: LossConfig, shape: jax.Array | None = None
) -> jax.Array:
    """log σ² + ‖residual‖²/2σ² of residuals [...,D] under log σ [...] (the bracket of equations 5 and 6), float32.

    With shapes [...,2] the squared length is that under the covariance σ²·exp([[a, b], [b, −a]]); its determinant is
    that of the circle, so the first term stays. Written with log σ, nothing is divided by a small number; σ² gets the
    floor's square added in the logarithm.
    """
    residual, log_std = residual.astype(jnp.float32), log_std.astype(jnp.float32)
    if config.residual_limit > 0:
        length = jnp.sqrt((residual * residual).sum(-1, keepdims=True) + 1e-12)
        residual = residual * jnp.minimum(1.0, config.residual_limit / length)
    log_variance = 2.0 * log_std
    if config.std_floor > 0:
        log_variance = jnp.logaddexp(log_variance, 2.0 * jnp.log(config.std_floor))
    squared = (residual * residual).sum(-1) if shape is None else _squared_under(residual, shape.astype(jnp.float32))
    return log_variance + 0.5 * squared * jnp.exp(-log_variance)


def _squared_under(residual: jax.Array, shape: jax.Array) -> jax.Array:
    """dᵀ exp(−[[a, b], [b, −a]]) d: the matrix is traceless, so its exponential is cosh r·I − (sinh r / r)·matrix."""
    a, b = shape[..., 0], shape[..., 1]
    x, y = residual[..., 0], residual[..., 1]
    length = jnp.sqrt(a * a + b * b + 1e-12)
    along = a * (x * x - y * y) + 2.0 * b * x * y
    return jnp.cosh(length) * (x * x + y * y) - jnp.sinh(length) / length * along


def _dense_term(output: AlignmentMaps, targets: Targets, counted: jax.Array, config: LossConfig) -> jax.Array:
    """L_dense of every iteration, [N]."""
    if output.mean.shape[2:4] != targets.dense.shape[1:3]:
        raise InputError(
            f"the dense target is {targets.dense.shape[1]} texels a side, the network's map {output.mean.shape[2]}; "
            "make the dense grid of the network's `map_size`"
        )
    weight = jnp.broadcast_to(targets.dense_weight, targets.dense.shape[:3]) * counted[:, None, None]
    residual = _where_counted(output.mean, targets.dense, weight)
    return _summed(_point_loss(residual, output.log_std_px, config, output.shape), weight)


def _point_loss(
    residual: jax.Array, log_std: jax.Array, config: LossConfig, shape: jax.Array | None = None
) -> jax.Array:
    """The negative log-likelihood, and the distance where it has a weight."""
    loss = negative_log_likelihood(residual, log_std, config, shape)
    if config.distance_weight == 0:
        return loss
    return loss + config.distance_weight * jnp.sqrt((residual.astype(jnp.float32) ** 2).sum(-1) + 1e-6)


def _opening_errors(residual: jax.Array, weight: jax.Array, targets: Targets, config: LossConfig) -> jax.Array:
    """How far openings are off, px, mean over those whose ends both count, and crops: [N]."""
    first, second = targets.openings[:, 0], targets.openings[:, 1]
    away = residual[:, :, first] - residual[:, :, second]
    counted = ((weight[:, first] > 0) & (weight[:, second] > 0)).astype(jnp.float32)
    length = jnp.sqrt((away.astype(jnp.float32) ** 2).sum(-1) + 1e-6)
    emphasis = jnp.ones_like(counted)
    if config.opening_emphasis > 0 and targets.openings_at_rest is not None:
        across = jnp.where(counted[..., None] > 0, targets.mean[:, first] - targets.mean[:, second], 0.0)
        opened = jnp.linalg.norm(across, axis=-1) / jnp.maximum(radius_of(targets.mean, weight), 1e-6)[:, None]
        emphasis = 1.0 + config.opening_emphasis * jnp.abs(opened - targets.openings_at_rest)
    return (length * counted * emphasis).sum((1, 2)) / jnp.maximum(counted.sum(), 1)


def _where_counted(found: jax.Array, truth: jax.Array, weight: jax.Array) -> jax.Array:
    """found - truth [N,B,…,D], zero where the weight [B,…] is."""
    # What does not count may hold anything, also NaN, which a zero factor afterwards would not keep from gradients.
    counted = weight[..., None] > 0
    return jnp.where(counted, found - jnp.where(counted, truth, 0.0), 0.0)


def _summed(values: jax.Array, weight: jax.Array) -> jax.Array:
    """Σ λ·value over everything but iterations [N] and crops, whose mean is taken: [N]."""
    weighted = jnp.where(weight > 0, values, 0.0) * weight
    return weighted.reshape(*weighted.shape[:2], -1).sum(-1).mean(-1)


def _average(values: jax.Array, weight: jax.Array) -> jax.Array:
    return (jnp.where(weight > 0, values, 0.0) * weight).sum() / jnp.maximum(weight.sum(), 1e-12)


def _cross_entropy(log_odds: jax.Array, truth: jax.Array) -> jax.Array:
    return jax.nn.softplus(log_odds) - truth * log_odds
