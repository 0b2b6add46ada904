"""Convolutions by the route that is fastest on the machine at hand; the parameters do not depend on the route."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp


class Convolution(nn.Module):
    """A two-dimensional convolution of images [B,H,W,in], parameters `kernel` [h,w,in,out] and `bias` [out].

    kernel_size: (h, w). stride: along both axes. padding: rows and columns of zeros added on (each side) of height and
    width, as PyTorch counts them; None: half the kernel, which keeps the size at stride 1. dtype: of the computation.
    """

    features: int
    kernel_size: tuple[int, int] = (3, 3)
    stride: int = 1
    padding: tuple[int, int] | None = None
    use_bias: bool = True
    dtype: Any = jnp.float32
    kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        height, width = self.kernel_size
        kernel = self.param("kernel", self.kernel_init, (height, width, images.shape[-1], self.features), jnp.float32)
        rows, columns = (height // 2, width // 2) if self.padding is None else self.padding
        result = convolve(images, kernel.astype(self.dtype), self.stride, (rows, columns))
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
            result = result + bias.astype(result.dtype)
        return result


class ConvolutionParameters(nn.Module):
    """The parameters of a convolution, to be split or joined before use: kernel [h,w,in,out], bias [out] or None."""

    features: int
    kernel_size: tuple[int, int]
    inputs: int
    use_bias: bool = True

    def setup(self) -> None:
        shape = (*self.kernel_size, self.inputs, self.features)
        self.kernel = self.param("kernel", nn.initializers.lecun_normal(), shape, jnp.float32)
        self.bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32) if self.use_bias else None

    def __call__(self) -> tuple[jax.Array, jax.Array | None]:
        return self.kernel, self.bias


def convolve(images: jax.Array, kernel: jax.Array, stride: int, padding: tuple[int, int]) -> jax.Array:
    """Images [B,H,W,in] convolved with a kernel [h,w,in,out], zeros outside: [B,H',W',out]."""
    rows, columns = padding
    return jax.lax.conv_general_dilated(
        images.astype(kernel.dtype),
        kernel,
        (stride, stride),
        ((rows, rows), (columns, columns)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
