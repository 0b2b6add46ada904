"""The building block of convolutional networks: convolution without bias, batch normalisation, rectifier."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from flowface_jax.network.convolution import Convolution
from flowface_jax.network.dropping import Train, batch_axis


class NormalisedConvolution(nn.Module):
    """`convolution` (no bias), `norm` (of the batch) and, if `rectified`, ReLU: [B,H,W,in] to [B,H',W',features].

    kernel_size, stride, padding, dtype: as for `Convolution`.
    """

    features: int
    kernel_size: tuple[int, int] = (3, 3)
    stride: int = 1
    padding: tuple[int, int] | None = None
    rectified: bool = True
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, train: Train = False) -> jax.Array:
        result = Convolution(
            self.features,
            self.kernel_size,
            self.stride,
            self.padding,
            use_bias=False,
            dtype=self.dtype,
            name="convolution",
        )(images)
        result = batch_norm(train, self.dtype, "norm")(result)
        return nn.relu(result) if self.rectified else result


def batch_norm(train: Train, dtype: Any, name: str) -> nn.BatchNorm:
    """Batch normalisation: by the statistics of the batch in training, by the running ones otherwise."""
    return nn.BatchNorm(
        use_running_average=not train,
        momentum=0.9,
        epsilon=1e-5,
        dtype=dtype,
        axis_name=batch_axis(train),
        name=name,
    )
