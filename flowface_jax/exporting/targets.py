"""The targets of `flowface export`: every format module ends with its own; this is the one list of them."""

from __future__ import annotations

from flowface_jax.exporting import (
    arkit,
    cap4d,
    flame_parameters,
    gltf,
    insta,
    maps,
    mesh_sequences,
    metrical_tracker,
    segmentation,
    track_folder,
    usd,
    vhap,
    vocaset,
)
from flowface_jax.exporting.target import Target

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        gltf.TARGET,
        *mesh_sequences.TARGETS,
        usd.TARGET,
        insta.TARGET,
        vhap.TARGET,
        metrical_tracker.TARGET,
        cap4d.TARGET,
        vocaset.TARGET,
        arkit.TARGET,
        flame_parameters.TARGET,
        maps.TARGET,
        segmentation.TARGET,
        track_folder.TARGET,
    )
}
