"""The targets of `flowface export`: every format module ends with its own; this is the one list of them."""

from __future__ import annotations

from flowface_jax.exporting import gltf, mesh_sequences, usd
from flowface_jax.exporting.target import Target

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        gltf.TARGET,
        *mesh_sequences.TARGETS,
        usd.TARGET,
    )
}
