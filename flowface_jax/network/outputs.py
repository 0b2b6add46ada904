"""What an alignment network answers: maps over UV space or points, for every iteration; and points read from maps."""

from __future__ import annotations

from typing import TypeVar

import jax
import jax.numpy as jnp

from flowface_jax.network.resampling import cell_centres, sample, uv_to_cells
from flowface_jax.pytrees import pytree_dataclass, static_field

Output = TypeVar("Output")


@pytree_dataclass
class AlignmentMaps:
    """The UV-to-image flow of N iterations for B crops, the last iteration the best; row 0 of a map is v = 1.

    flow: [N,B,U,U,2] cells, from each UV cell to its place in the image (F of equation 4). log_std: [N,B,U,U], log of
    S in cells. shape: [N,B,U,U,2], see `AlignedPoints`, or None. depth: [N,B,U,U,2], depth and log of its standard
    deviation in cells, or None. presence: [B], log-odds that the crop shows a face, or None. cell: px of the crop
    per cell.
    """

    flow: jax.Array
    log_std: jax.Array
    shape: jax.Array | None
    depth: jax.Array | None
    presence: jax.Array | None
    cell: float = static_field()

    @property
    def mean(self) -> jax.Array:
        """Where each UV cell lies in the crop, [N,B,U,U,2] px."""
        return (cell_centres(self.flow.shape[-2]) + self.flow) * self.cell

    @property
    def log_std_px(self) -> jax.Array:
        """[N,B,U,U], log of the standard deviation in px of the crop."""
        return self.log_std + jnp.log(self.cell)


@pytree_dataclass
class AlignedPoints:
    """Where P points lie in B crops, by N iterations; px of the crop, the top-left pixel's centre at (0.5, 0.5).

    mean: [N,B,P,2] px. log_std: [N,B,P], log of the standard deviation σ in px. shape: [N,B,P,2] or None (a circle):
    numbers (a, b) that make the covariance σ²·exp([[a, b], [b, −a]]), an ellipse with the circle's area.
    depth: [N,B,P] px of the crop, away from the camera, 0 at the face's mean depth (depth differences × focal length /
    mean depth), and depth_log_std: [N,B,P], or None. presence: [B], log-odds that the crop shows a face, or None.
    """

    mean: jax.Array
    log_std: jax.Array
    shape: jax.Array | None = None
    depth: jax.Array | None = None
    depth_log_std: jax.Array | None = None
    presence: jax.Array | None = None

    @property
    def std(self) -> jax.Array:
        """[N,B,P] px: σ, or with a shape the root of the mean variance along the axes."""
        std = jnp.exp(self.log_std)
        if self.shape is None:
            return std
        return std * jnp.sqrt(jnp.cosh(_length(self.shape)))


def last_iteration(output: Output) -> Output:
    """The same of the last iteration alone, N = 1; what depends on no iteration stays."""
    return jax.tree.map(lambda leaf: leaf[-1:] if leaf.ndim > 1 else leaf, output)


def points_of(output: AlignmentMaps | AlignedPoints, uv: jax.Array, interpolated: str = "std") -> AlignedPoints:
    """The points whose atlas coordinates are `uv` [P,2], read from the maps (equation 1): μ = ν + F(ν), σ = S(ν).

    interpolated: "std" reads the map of S, "log_std" that of its logarithm. Points pass unchanged.
    """
    if isinstance(output, AlignedPoints):
        return output
    nu = uv_to_cells(uv, output.flow.shape[-2])
    log_cell = jnp.log(output.cell)
    log_std = sample_log_std(output.log_std, nu, interpolated) + log_cell
    depth = None if output.depth is None else sample(output.depth, nu)
    return AlignedPoints(
        mean=(nu + sample(output.flow, nu)) * output.cell,
        log_std=log_std,
        shape=None if output.shape is None else sample(output.shape, nu),
        depth=None if depth is None else depth[..., 0] * output.cell,
        depth_log_std=None if depth is None else depth[..., 1] + log_cell,
        presence=output.presence,
    )


def sample_log_std(log_std: jax.Array, places: jax.Array, interpolated: str) -> jax.Array:
    """Maps [...,U,U] of log σ read at places [P,2] (cells), still as logarithms: [...,P]."""
    log_std = log_std[..., None].astype(jnp.float32)
    if interpolated == "log_std":
        return sample(log_std, places)[..., 0]
    # Each map's largest value is taken out first: a mixture of tiny σ must not become log 0.
    largest = jax.lax.stop_gradient(log_std.max(axis=(-3, -2), keepdims=True))
    mixed = sample(jnp.exp(log_std - largest), places)[..., 0]
    return jnp.log(jnp.maximum(mixed, jnp.finfo(jnp.float32).tiny)) + largest[..., 0, 0]


def _length(shape: jax.Array) -> jax.Array:
    """√(a² + b²) of (a, b) [...,2], differentiable at zero."""
    squared = (shape * shape).sum(-1)
    return jnp.sqrt(squared + 1e-12)
