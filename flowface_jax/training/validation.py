"""How good the network is on crops that it does not learn from."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.network import AlignmentNetwork, LossConfig, alignment_loss, points_of
from flowface_jax.pytrees import pytree_dataclass
from flowface_jax.training.batches import CropBatch
from flowface_jax.training.devices import AXIS, OnDevice
from flowface_jax.training.state import TrainState, best_variables
from flowface_jax.training.step import Prepare
from flowface_jax.training.supervision import Supervision, targets_of


@pytree_dataclass
class Tally:
    """Sums over crops: of the loss, of each crop's error in per cent of its face's box (the longer side), of the shares
    of face points within one and two σ of the truth; and how many crops were counted."""

    loss: jax.Array
    error: jax.Array
    within_one: jax.Array
    within_two: jax.Array
    crops: jax.Array

    @property
    def means(self) -> dict[str, float]:
        """loss, nme (per cent), within_one_std and within_two_std (39.3 and 86.5 per cent where σ is right)."""
        count = max(float(self.crops), 1.0)
        return {
            "loss": float(self.loss) / count,
            "nme": float(self.error) / count,
            "within_one_std": float(self.within_one) / count,
            "within_two_std": float(self.within_two) / count,
        }


@pytree_dataclass
class Examples:
    """A few crops to look at: image [N,D,D,3] in [0,1], true and predicted points [N,V,2] px, and σ [N,V] px."""

    image: jax.Array
    points: jax.Array
    mean: jax.Array
    std: jax.Array


def device_validation(network: AlignmentNetwork, loss: LossConfig, prepare: Prepare, examples: int = 0) -> OnDevice:
    """(state, (supervision, constants), one device's inputs) to (None, (Tally, Examples)), for `mapped`.

    The best variables of the state are tried, without augmentation's randomness. examples: how many crops of the first
    device to give back.
    """

    def validate(state: TrainState, constants: tuple[Supervision, Any], inputs: Any) -> tuple[None, Any]:
        supervision, prepared = constants
        batch = prepare(prepared, inputs, jax.random.key(0))
        output = network.apply(best_variables(state), batch.image, train=False)
        points = points_of(output, supervision.uv, network.config.interpolated)
        _, terms = alignment_loss(output, supervision.uv, targets_of(batch, supervision), network.config, loss)
        mean, std = points.mean[-1], points.std[-1]
        tally = jax.lax.psum(_tally(batch, supervision.face, mean, std, terms["loss"]), AXIS)
        first = jax.lax.axis_index(AXIS) == 0
        shown = Examples(batch.image[:examples], batch.points[:examples], mean[:examples], std[:examples])
        return None, (tally, jax.lax.psum(jax.tree.map(lambda leaf: jnp.where(first, leaf, 0), shown), AXIS))

    return validate


def total(tallies: list[Tally]) -> Tally:
    """The sum of tallies, on the host in double precision."""
    return jax.tree.map(lambda *leaves: np.sum([np.asarray(leaf, np.float64) for leaf in leaves]), *tallies)


def _tally(batch: CropBatch, face: jax.Array, mean: jax.Array, std: jax.Array, loss: jax.Array) -> Tally:
    counted = batch.known & face
    if batch.face is not None:
        counted &= batch.face[:, None]
    some = counted.any(1)
    distance = jnp.linalg.norm(jnp.where(counted[..., None], mean - batch.points, 0.0), axis=-1)
    low = jnp.where(counted[..., None], batch.points, jnp.inf).min(1)
    high = jnp.where(counted[..., None], batch.points, -jnp.inf).max(1)
    side = jnp.where(some, (high - low).max(-1), 1.0)
    points = jnp.maximum(counted.sum(1), 1)
    share = lambda values: jnp.where(some, (values * counted).sum(1) / points, 0.0).sum()
    return Tally(
        loss=loss * len(distance),
        error=100.0 * share(distance / side[:, None]),
        within_one=100.0 * share(distance <= std),
        within_two=100.0 * share(distance <= 2.0 * std),
        crops=some.sum().astype(jnp.float32),
    )
