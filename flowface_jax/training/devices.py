"""One function on all devices of all processes: what is shared is given to each, what is own is dealt out.

Two routes with equal results: `jax.pmap`, and `jax.jit` of `jax.shard_map`. Both see the same arrays: shared ones
replicated over the devices, without an axis for them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from flowface_jax.errors import InputError

Route = Literal["pmap", "shard_map"]
AXIS = "devices"
"""Name of the axis that batches are spread over."""


@dataclasses.dataclass(frozen=True)
class Share:
    """The part of the devices that this process feeds: `count` of `total` devices, of which `first` come before."""

    first: int = 0
    count: int = 1
    total: int = 1


OnDevice = Callable[[Any, Any, Any], tuple[Any, Any]]
"""(state, constants, one device's inputs) to (state, numbers), both equal on all devices."""


def usable_devices(count: int = 0) -> tuple[jax.Device, ...]:
    """The first `count` devices of all processes; 0: all. Raises InputError where there are fewer."""
    devices = jax.devices()
    if count > len(devices):
        raise InputError(
            f"expected at least {count} devices, found {len(devices)} ({devices[0].platform}); use fewer, or simulate "
            f"them on CPUs with JAX_NUM_CPU_DEVICES={count}"
        )
    return tuple(devices[: count or len(devices)])


def own_share(devices: Sequence[jax.Device]) -> Share:
    """Which of the devices this process feeds. Raises InputError unless its devices are neighbours in the order."""
    places = [place for place, device in enumerate(devices) if device.process_index == jax.process_index()]
    if not places or places != list(range(places[0], places[0] + len(places))):
        raise InputError(f"process {jax.process_index()} has no run of the {len(devices)} devices to feed; use all")
    return Share(places[0], len(places), len(devices))


def replicated(tree: Any, devices: Sequence[jax.Device]) -> Any:
    """The host's arrays on every device."""
    sharding = everywhere(devices)
    return jax.tree.map(lambda leaf: jax.device_put(leaf, sharding), tree)


def placed_globally(tree: Any, devices: Sequence[jax.Device]) -> Any:
    """What a mapped function returned, placed as `replicated` places it: under pmap each of several processes holds a
    copy of its own, which cannot be saved as one."""
    if jax.process_count() == 1:
        return tree
    place = lambda leaf: jax.make_array_from_process_local_data(everywhere(devices), np.asarray(leaf), leaf.shape)
    return jax.tree.map(place, tree)


def everywhere(devices: Sequence[jax.Device]) -> NamedSharding:
    """The placement of an array that each device holds whole."""
    return NamedSharding(_mesh(devices), PartitionSpec())


def mapped(function: OnDevice, devices: Sequence[jax.Device], route: Route, donate: bool = True) -> OnDevice:
    """`function` compiled for all devices, over the axis AXIS.

    The state and the constants are replicated arrays; inputs are arrays of the host [own devices,…]. With `donate` the
    state's memory is used for the new one.
    """
    donated = (0,) if donate else ()
    if route == "pmap":
        return jax.pmap(
            function,
            axis_name=AXIS,
            in_axes=(None, None, 0),
            out_axes=(None, None),
            devices=None if tuple(devices) == tuple(jax.devices()) else list(devices),
            donate_argnums=donated,
        )
    mesh, whole, dealt = _mesh(devices), PartitionSpec(), PartitionSpec(AXIS)

    def one(state: Any, constants: Any, inputs: Any) -> tuple[Any, Any]:
        return function(state, constants, jax.tree.map(lambda leaf: leaf[0], inputs))

    # As under pmap, a sum over the axis is differentiated into a sum; the step divides by the number of devices.
    spread = jax.shard_map(one, mesh=mesh, in_specs=(whole, whole, dealt), out_specs=(whole, whole), check_vma=False)
    compiled = jax.jit(spread, donate_argnums=donated)
    sharding = NamedSharding(mesh, dealt)

    def call(state: Any, constants: Any, inputs: Any) -> tuple[Any, Any]:
        place = lambda leaf: jax.make_array_from_process_local_data(sharding, np.asarray(leaf))
        return compiled(state, constants, jax.tree.map(place, inputs))

    return call


def _mesh(devices: Sequence[jax.Device]) -> Mesh:
    return Mesh(np.asarray(devices), (AXIS,))
