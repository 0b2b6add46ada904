"""What a training step sees of its samples, wherever they came from: crops and where the head's points are in them."""

from __future__ import annotations

import jax

from flowface_jax.pytrees import pytree_dataclass


@pytree_dataclass
class CropBatch:
    """B crops as the network takes them.

    image: [B,D,D,3] float32 RGB in [0, 1]. points: [B,V,2] px of the crop, the top-left pixel's centre at (0.5, 0.5);
    also those that are hidden or outside. known: [B,V] bool, whether a point is known. depth: [B,V] px of the crop, see
    `network.outputs.AlignedPoints`, or None. face: [B] bool, whether a crop shows its face (where it does not, its
    points do not count), or None: all do.
    """

    image: jax.Array
    points: jax.Array
    known: jax.Array
    depth: jax.Array | None = None
    face: jax.Array | None = None
