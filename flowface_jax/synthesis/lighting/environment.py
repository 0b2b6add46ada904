"""Light from all round as spherical harmonics up to order 2, written as a polynomial: turning it is plain algebra."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.pytrees import pytree_dataclass

_DIRECTION_COUNT = 192
_COSINE = (1.0, 2.0 / 3.0, 1.0 / 4.0)
"""Factors of the harmonics' orders 0, 1, 2 from radiance to irradiance / π (Ramamoorthi and Hanrahan, 2001)."""


@pytree_dataclass
class Environment:
    """Radiance c + l·d + dᵀQd towards direction d, per channel: exactly the harmonics of order 0, 1 and 2.

    constant: [3]. linear: [3,3] channel, axis. quadratic: [3,3,3] channel, axis, axis; symmetric with trace 0.
    """

    constant: jax.Array
    linear: jax.Array
    quadratic: jax.Array


def sphere_directions(count: int = _DIRECTION_COUNT) -> np.ndarray:
    """Directions [count,3] spread evenly over the sphere (Fibonacci lattice), unit."""
    i = np.arange(count) + 0.5
    height, turn = 1.0 - 2.0 * i / count, i * np.pi * (3.0 - np.sqrt(5.0))
    ring = np.sqrt(1.0 - height**2)
    return np.stack([ring * np.cos(turn), height, ring * np.sin(turn)], axis=-1).astype(np.float32)


def project(radiance: jax.Array, directions: jax.Array) -> Environment:
    """The harmonics of radiance [N,3] seen in evenly spread directions [N,3]."""
    square = jnp.einsum("ni,nj->nij", directions, directions) - jnp.eye(3) / 3.0
    return Environment(
        constant=radiance.mean(axis=0),
        linear=3.0 * jnp.einsum("nc,ni->ci", radiance, directions) / radiance.shape[0],
        quadratic=7.5 * jnp.einsum("nc,nij->cij", radiance, square) / radiance.shape[0],
    )


def turned(environment: Environment, rotation: jax.Array) -> Environment:
    """The same light in the frame that rotation [3,3] leads to."""
    with jax.default_matmul_precision("highest"):
        return Environment(
            constant=environment.constant,
            linear=environment.linear @ rotation.T,
            quadratic=rotation @ environment.quadratic @ rotation.T,
        )


def scaled(environment: Environment, gain: jax.Array) -> Environment:
    """The light times gain: a scalar, or one factor per channel [3]."""
    gain = jnp.broadcast_to(gain, (3,))
    return Environment(
        constant=environment.constant * gain,
        linear=environment.linear * gain[:, None],
        quadratic=environment.quadratic * gain[:, None, None],
    )


def irradiance(environment: Environment) -> Environment:
    """Irradiance / π by surface normal: the radiance of a white diffuse surface, as a polynomial of the normal."""
    return Environment(
        constant=environment.constant * _COSINE[0],
        linear=environment.linear * _COSINE[1],
        quadratic=environment.quadratic * _COSINE[2],
    )


def evaluate(environment: Environment, directions: tuple[jax.Array, jax.Array, jax.Array]) -> list[jax.Array]:
    """The polynomial towards unit directions, given as three arrays [...]: one array [...] per channel, at least 0.

    Components are kept apart because the compiler turns planes into vector instructions and interleaved channels not.
    """
    x, y, z = directions
    channels = []
    for c in range(3):
        q, l = environment.quadratic[c], environment.linear[c]
        value = environment.constant[c] + x * (l[0] + q[0, 0] * x + 2.0 * q[0, 1] * y + 2.0 * q[0, 2] * z)
        value = value + y * (l[1] + q[1, 1] * y + 2.0 * q[1, 2] * z) + z * (l[2] + q[2, 2] * z)
        channels.append(jnp.maximum(value, 0.0))
    return channels


def evaluate_planes(environment: Environment, directions: jax.Array) -> jax.Array:
    """The polynomial towards unit directions given as planes [3,H,W]: radiance [3,H,W], at least 0."""
    x, y, z = directions
    each = lambda values: values[:, None, None]
    q, l = environment.quadratic, environment.linear
    value = each(environment.constant)
    value = value + x * (each(l[:, 0]) + each(q[:, 0, 0]) * x + 2.0 * (each(q[:, 0, 1]) * y + each(q[:, 0, 2]) * z))
    value = value + y * (each(l[:, 1]) + each(q[:, 1, 1]) * y + 2.0 * each(q[:, 1, 2]) * z)
    return jnp.maximum(value + z * (each(l[:, 2]) + each(q[:, 2, 2]) * z), 0.0)
