"""Some training steps of a tiny network on simulated devices; what became of its weights is written to a file.

python tests/training/on_devices.py OUT.npz DEVICES ROUTE [ADDRESS PROCESSES INDEX]
"""

import sys
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from flowface_jax.network.config import NetworkConfig
from flowface_jax.network.dropping import Dropout, DropPath, Train
from flowface_jax.network.losses import LossConfig
from flowface_jax.network.normalised_convolution import NormalisedConvolution
from flowface_jax.network.outputs import AlignmentMaps

BATCH, SIDE, CELLS, STEPS = 8, 32, 8, 4
CONFIG = NetworkConfig("mit_b0", SIDE, CELLS, iterations=1)


class TinyNetwork(nn.Module):
    """Whatever makes copies of a network differ: statistics of the batch, dropped channels and dropped branches."""

    config: NetworkConfig = CONFIG
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, train: Train = False) -> AlignmentMaps:
        features = NormalisedConvolution(8, stride=4)(images, train)
        features = features + DropPath(0.5)(NormalisedConvolution(8)(features, train), train)
        features = Dropout(0.3, whole_channels=True)(features, train)
        numbers = nn.Conv(3, (3, 3))(features)[None]
        return AlignmentMaps(numbers[..., :2], numbers[..., 2], None, None, None, SIDE / CELLS)


def batch_of(step: int, head: Any) -> Any:
    """Crops of noise and points that depend on them; the same on every machine."""
    from flowface_jax.training.batches import CropBatch

    random = np.random.default_rng(step)
    image = random.random((BATCH, SIDE, SIDE, 3), np.float32)
    points = SIDE * (0.5 + 3 * np.asarray(head.template)[None, :, :2]) + 20 * image.mean((1, 2))[:, None, :2]
    known = random.random(points.shape[:2]) < 0.9
    return CropBatch(image, points.astype(np.float32), known)


def main(out: str, devices: int, route: str, address: str = "", processes: int = 1, index: int = 0) -> None:
    jax.config.update("jax_num_cpu_devices", devices)
    if address:
        from flowface_jax.training.distributed import start

        start(f"{address},{processes},{index}")
    from flowface_jax.network.initialisation import draw_variables
    from flowface_jax.training.devices import mapped, own_share, replicated, usable_devices
    from flowface_jax.training.state import initial_state
    from flowface_jax.training.step import Recipe, device_step
    from flowface_jax.training.supervision import make_supervision
    from tests.fitting.small import small_head

    head, network = small_head(), TinyNetwork()
    shapes = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, SIDE, SIDE, 3)))
    recipe = Recipe(network, LossConfig(), optax.sgd(1e-6, momentum=0.9), seed=3, average_decay=0.9)
    everything = usable_devices()
    share = own_share(everything)
    state = replicated(initial_state(draw_variables(shapes, 1), recipe.optimiser, True), everything)
    constants = replicated((make_supervision(head, CELLS), None), everything)
    take = mapped(device_step(recipe, lambda _, batch, key: batch), everything, route)
    own = BATCH // share.total
    for step in range(STEPS):
        dealt = jax.tree.map(lambda leaf: leaf.reshape(share.total, own, *leaf.shape[1:]), batch_of(step, head))
        mine = jax.tree.map(lambda leaf: leaf[share.first : share.first + share.count], dealt)
        state, terms = take(state, constants, mine)
        jax.block_until_ready(terms)
    leaves = jax.tree.leaves((state.params, state.batch_stats, state.averaged, terms))
    if index == 0:
        np.savez(out, *(np.asarray(leaf) for leaf in leaves))


if __name__ == "__main__":
    out, devices, route, *rest = sys.argv[1:]
    main(out, int(devices), route, *(rest[:1]), *map(int, rest[1:]))
