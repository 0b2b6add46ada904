"""3x3 depthwise convolutions by the route that is fastest on the machine at hand; the parameters do not depend on it.

Milliseconds with XLA on two CPU cores (float32, one image; the gradient with respect to images and kernel; the fastest
of several runs):

| images [H,W,C]  | grouped: forward, gradient | shifts: forward, gradient |
|-----------------|----------------------------|---------------------------|
| [128, 128, 256] | 109, 289                   | 2.6, 15.7                 |
| [64, 64, 512]   | 55, 168                    | 0.9, 4.4                  |
| [32, 32, 1280]  | 34, 249                    | 1.2, 3.9                  |
| [16, 16, 2048]  | 15, 212                    | 0.5, 1.5                  |
"""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from flowface_jax.errors import InputError

Route = Literal["auto", "shifts", "grouped"]


class DepthwiseConvolution(nn.Module):
    """A 3x3 convolution of each channel of images [B,H,W,C] by itself, zeros outside: [B,H',W',C·multiplier].

    Parameters `kernel` [3,3,1,C·multiplier] and `bias` [C·multiplier]; output channel c·multiplier + m is made of
    channel c. H' is H divided by the stride, rounded up. dtype: of the computation. route: see `depthwise_convolve`.
    """

    stride: int = 1
    multiplier: int = 1
    use_bias: bool = True
    dtype: Any = jnp.float32
    route: Route = "auto"

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        features = images.shape[-1] * self.multiplier
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (3, 3, 1, features), jnp.float32)
        result = depthwise_convolve(images, kernel.astype(self.dtype), self.stride, self.route)
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (features,), jnp.float32)
            result = result + bias.astype(result.dtype)
        return result


def depthwise_convolve(images: jax.Array, kernel: jax.Array, stride: int = 1, route: Route = "auto") -> jax.Array:
    """Images [B,H,W,C] convolved channel by channel with kernel [3,3,1,C·m], one row of zeros outside: [B,H',W',C·m].

    H' and W' are H and W divided by the stride, rounded up; the result has the kernel's type. route: "grouped" is XLA's
    grouped convolution, "shifts" a sum of nine shifted products, "auto" shifts on CPUs and grouped elsewhere, decided
    for the device the program is compiled for. "auto" and "shifts" have a reverse-mode derivative only (no `jax.jvp`).
    Raises InputError where the kernel does not fit the images or the route has another name.
    """
    channels, features = images.shape[-1], kernel.shape[-1]
    if kernel.shape[:3] != (3, 3, 1) or features % channels:
        raise InputError(
            f"expected a depthwise kernel [3,3,1,C·m] for images of C={channels} channels, found {list(kernel.shape)}: "
            "give a kernel whose last size is a multiple of C"
        )
    images = images.astype(kernel.dtype)
    if route == "grouped":
        return _grouped(images, kernel, stride)
    if route not in ("auto", "shifts"):
        raise InputError(f'expected the route "auto", "shifts" or "grouped", found {route!r}: name one of the three')
    return _routed(images, kernel, stride, route == "auto")


def _grouped(images: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    return jax.lax.conv_general_dilated(
        images,
        kernel,
        (stride, stride),
        ((1, 1), (1, 1)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=images.shape[-1],
    )


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _routed(images: jax.Array, kernel: jax.Array, stride: int, automatic: bool) -> jax.Array:
    """The derivative is our own because that of nine slices is nine padded sums and nine slow reductions."""
    if not automatic:
        return _shifts(images, kernel, stride)
    # Unlike jax.default_backend(), this follows the device of the compilation, also in an exported program.
    return jax.lax.platform_dependent(
        images, kernel, cpu=partial(_shifts, stride=stride), default=partial(_grouped, stride=stride)
    )


def _routed_forward(
    images: jax.Array, kernel: jax.Array, stride: int, automatic: bool
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _routed(images, kernel, stride, automatic), (images, kernel)


def _routed_backward(
    stride: int, automatic: bool, saved: tuple[jax.Array, jax.Array], cotangent: jax.Array
) -> tuple[jax.Array, jax.Array]:
    def by_shifts(images: jax.Array, kernel: jax.Array, cotangent: jax.Array) -> tuple[jax.Array, jax.Array]:
        height, width, channels = images.shape[1:]
        multiplier = kernel.shape[-1] // channels
        copies = _shifts(_spread(cotangent, stride, height, width), kernel[::-1, ::-1], 1)
        # Slices are faster than a reduction along the last axis.
        gradient = sum(copies[..., m::multiplier] for m in range(multiplier))
        return gradient, _kernel_gradient(_copy(images, multiplier), cotangent, stride)

    def by_group(images: jax.Array, kernel: jax.Array, cotangent: jax.Array) -> tuple[jax.Array, jax.Array]:
        return jax.vjp(partial(_grouped, stride=stride), images, kernel)[1](cotangent)

    if not automatic:
        return by_shifts(*saved, cotangent)
    return jax.lax.platform_dependent(*saved, cotangent, cpu=by_shifts, default=by_group)


_routed.defvjp(_routed_forward, _routed_backward)


def _shifts(images: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """Written as one expression of slices, which XLA compiles into a single pass over the padded images."""
    precision = jnp.promote_types(images.dtype, jnp.float32)
    height, width, channels = images.shape[1:]
    padded = _pad(_copy(images, kernel.shape[-1] // channels))
    total = sum(
        padded[:, i : i + height : stride, j : j + width : stride].astype(precision) * kernel[i, j, 0].astype(precision)
        for i in range(3)
        for j in range(3)
    )
    return total.astype(images.dtype)


def _kernel_gradient(images: jax.Array, cotangent: jax.Array, stride: int) -> jax.Array:
    """The kernel's cotangent [3,3,1,C], summed row by row.

    XLA's reductions over the leading axes of nine products take ten times as long on CPUs as this loop, whose nine sums
    [B,W',C] stay in the cache and are vectorised over channels.
    """
    precision = jnp.promote_types(images.dtype, jnp.float32)
    batch, rows, columns, channels = cotangent.shape
    padded, width = _pad(images), images.shape[2]

    def add_row(row: jax.Array, sums: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        here = jax.lax.dynamic_index_in_dim(cotangent, row, 1, keepdims=False).astype(precision)
        around = jax.lax.dynamic_slice_in_dim(padded, row * stride, 3, 1).astype(precision)
        return tuple(sums[3 * i + j] + around[:, i, j : j + width : stride] * here for i in range(3) for j in range(3))

    zeros = jnp.zeros((batch, columns, channels), precision)
    sums = jax.lax.fori_loop(0, rows, add_row, (zeros,) * 9)
    return jnp.stack([values.sum((0, 1)) for values in sums]).reshape(3, 3, 1, channels).astype(images.dtype)


def _spread(cotangent: jax.Array, stride: int, height: int, width: int) -> jax.Array:
    """The cotangent at the places of the images [B,H,W,C] where the kernel was centred, zeros between."""
    if stride == 1:
        return cotangent
    rows, columns = cotangent.shape[1:3]
    edges = [(0, size - (count - 1) * stride - 1, stride - 1) for size, count in ((height, rows), (width, columns))]
    return jax.lax.pad(cotangent, jnp.zeros((), cotangent.dtype), ((0, 0, 0), *edges, (0, 0, 0)))


def _copy(images: jax.Array, multiplier: int) -> jax.Array:
    """Each channel `multiplier` times in a row: [B,H,W,C·multiplier]."""
    return images if multiplier == 1 else jnp.repeat(images, multiplier, axis=-1)


def _pad(images: jax.Array) -> jax.Array:
    return jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
