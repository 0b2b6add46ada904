"""Smooth waves that bend a crop: other proportions of the same face, with its points bent along (not in the paper)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from flowface_jax.pytrees import pytree_dataclass
from flowface_jax.synthesis.noise import worked_out

WAVES = 4
LONGEST, SHORTEST = 0.3, 3.0
"""Waves per side of the crop: from the shape of the whole head to that of lips and lids."""
STRONGEST = 0.5
"""Largest bend there may be: the steps of `bend_points` halve their error at least."""
_CLOSE = 2e-5
"""Sides of the crop by which the last of these steps may still move a point."""
_MOST_STEPS = 24
"""Points many sides away, where rounding alone is more than that, would never come to rest."""


@pytree_dataclass
class Bend:
    """Where a pixel of the crop is read, besides its own place: by W sine waves.

    frequency: [W,2] radians per side of the crop. direction: [W,2] shift at a wave's crest, in sides of the crop.
    phase: [W] radians.
    """

    frequency: jax.Array
    direction: jax.Array
    phase: jax.Array


def sample_bend(key: jax.Array, strongest: float) -> Bend:
    """Waves of every length, as often short as long, that together stretch no place by more than `strongest` (1: by its
    own length).
    """
    length_key, towards_key, along_key, phase_key, share_key, strength_key = jax.random.split(key, 6)
    low, high = jnp.log(LONGEST), jnp.log(SHORTEST)
    frequency = 2.0 * jnp.pi * jnp.exp(jax.random.uniform(length_key, (WAVES,), minval=low, maxval=high))
    share = jax.random.uniform(share_key, (WAVES,), minval=0.2)
    stretch = strongest * jax.random.uniform(strength_key) * share / share.sum()
    towards, along, phase = (
        jax.random.uniform(k, (WAVES,), maxval=2.0 * jnp.pi) for k in (towards_key, along_key, phase_key)
    )
    return Bend(frequency[:, None] * _direction(towards), (stretch / frequency)[:, None] * _direction(along), phase)


def bend_grid(bend: Bend, size: int) -> jax.Array:
    """Where the pixels of a crop of `size` px are read [2,size,size] px, x and y, from its middle."""
    grid = (jnp.arange(size, dtype=jnp.float32) + 0.5) / size - 0.5

    def along(k: int) -> jax.Array:
        """A wave as a sum of products of functions of one axis: sines of rows and columns, not of pixels."""
        across, down = bend.frequency[k, 0] * grid + bend.phase[k], bend.frequency[k, 1] * grid
        return jnp.sin(across)[None, :] * jnp.cos(down)[:, None] + jnp.cos(across)[None, :] * jnp.sin(down)[:, None]

    waves = jnp.stack([along(k) for k in range(WAVES)])
    plain = jnp.stack(jnp.meshgrid(grid, grid))
    return worked_out(~jnp.isnan(bend.phase[0]), lambda: size * (plain + jnp.tensordot(bend.direction.T, waves, 1)))


def bend_points(bend: Bend, points: jax.Array, size: int) -> jax.Array:
    """Where points [...,2] px of the crop of `size` px come to lie: the places at which their pixels are read."""
    wanted = points / size - 0.5

    def step(state: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
        place, _, count = state
        moved = wanted - jnp.sin(place @ bend.frequency.T + bend.phase) @ bend.direction
        return moved, jnp.abs(moved - place).max(), count + 1

    def more(state: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        return (state[1] > _CLOSE) & (state[2] < _MOST_STEPS)

    place, _, _ = jax.lax.while_loop(more, step, (wanted, jnp.asarray(jnp.inf), jnp.asarray(0)))
    return size * (place + 0.5)


def _direction(angle: jax.Array) -> jax.Array:
    return jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)
