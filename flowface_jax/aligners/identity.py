"""The neutral head of the person in the pictures, metric, as MICA predicts it: what E_MICA of the fit compares with."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from flowface_jax.aligners.face_crops import CROP_SIZE, crop_face, five_points
from flowface_jax.aligners.frames import FrameSource
from flowface_jax.alignment.alignment import Alignment
from flowface_jax.errors import InputError, MissingAssetError
from flowface_jax.heads.model import HeadModel
from flowface_jax.network.mica import Mica, neutral_vertices
from flowface_jax.network.weights.check import check_variables
from flowface_jax.network.weights.store import load_weights

FLAME_VERTICES, FLAME_TRIANGLES = 5023, 9976
LARGEST_BATCH = 8
"""Crops that the network sees at once: more are no faster on CPUs."""


@dataclass(frozen=True, eq=False)
class IdentityNetwork:
    """MICA with the head that its codes belong to.

    network: the module. variables: its "params" and "batch_stats". template: [V,3] m. identity_basis: [V,3,S] m.
    """

    network: Mica
    variables: Any
    template: np.ndarray
    identity_basis: np.ndarray


def load_mica(path: str | os.PathLike[str], flame: HeadModel | None = None) -> IdentityNetwork:
    """MICA from converted weights (kind "mica"), with the FLAME 2020 head that it was trained with.

    flame: that head, for weights that lack their own copy of it. Raises InputError for a file that is something else or
    a head that does not fit, and MissingAssetError where weights and arguments hold no head.
    """
    weights = load_weights(path, kinds=("mica",))
    network = Mica(
        **{name: tuple(value) if isinstance(value, list) else value for name, value in weights.config.items()}
    )
    variables = dict(weights.variables)
    own = variables.pop("flame", None)
    check_variables(path, variables, network, (1, CROP_SIZE, CROP_SIZE, 3))
    if own is None and flame is None:
        raise MissingAssetError(
            f"{path} holds no FLAME head to decode with: convert the complete mica.tar, or give a FLAME 2020 head "
            "(generic_model.pkl) as `flame`"
        )
    template, basis = (
        (own["template"], own["identity_basis"]) if own is not None else (flame.template, flame.identity_basis)
    )
    if basis.shape[0] != FLAME_VERTICES or basis.shape[-1] < network.code_size:
        raise InputError(
            f"MICA's codes are of FLAME 2020 with {FLAME_VERTICES} vertices and {network.code_size} identity "
            f"components, found {basis.shape[0]} and {basis.shape[-1]}; use generic_model.pkl with all components"
        )
    # Once on the device: the weights are 260 MB.
    return IdentityNetwork(
        network, jax.device_put(variables), np.asarray(template), np.asarray(basis)[..., : network.code_size]
    )


def check_topology(head: HeadModel) -> None:
    """Raise InputError unless the head has FLAME's vertices, which MICA's prediction is made of."""
    if (head.vertex_count, len(head.triangles)) != (FLAME_VERTICES, FLAME_TRIANGLES):
        raise InputError(
            f"MICA predicts FLAME's {FLAME_VERTICES} vertices, but head '{head.name}' has {head.vertex_count}; "
            "track with a FLAME head, or without MICA"
        )


def predict_neutral(
    sources: Sequence[FrameSource],
    alignment: Alignment,
    mica: IdentityNetwork,
    head: HeadModel | None = None,
    undistort: Sequence[Callable[[np.ndarray], np.ndarray] | None] | None = None,
    progress: Callable[[int], None] | None = None,
    largest_batch: int = LARGEST_BATCH,
) -> np.ndarray:
    """Neutral vertices [V,3] m, float32: MICA's prediction averaged over all frames and cameras that show the face.

    sources: one per camera of the alignment, read once. head: for alignments of vertices, as in `five_points`.
    undistort: per camera, from a frame as recorded to one of the pinhole camera that the alignment speaks of.
    progress: called with the number of crops done. Memory does not grow with the videos.
    Raises InputError where sources do not match the alignment or no frame shows eyes, nose and mouth.
    """
    if len(sources) != alignment.camera_count:
        raise InputError(f"the alignment has {alignment.camera_count} camera(s), found {len(sources)} source(s)")
    points, usable = five_points(alignment, head)
    usable &= _is_shown(points, alignment.image_size)
    expected = int(usable.sum())
    straighten = undistort or [None] * len(sources)
    total, done = np.zeros(mica.network.code_size, np.float64), 0
    crops = _crops(sources, points, usable, straighten)
    for batch, count in _batches(crops, min(largest_batch, max(expected, 1))):
        total += np.asarray(_codes(mica.network, mica.variables, batch), np.float64)[:count].sum(axis=0)
        done += count
        if progress is not None:
            progress(done)
    if not done:
        raise InputError("no frame shows eyes, nose and mouth of the face, which MICA needs; track without MICA")
    if not np.isfinite(total).all():
        raise InputError("MICA predicted NaN or infinity: its weights are damaged; convert the published file again")
    # The head is linear in the code, so the mean head is the head of the mean code.
    mean_code = (total / done).astype(np.float32)
    return np.asarray(neutral_vertices(mica.template, mica.identity_basis, mean_code), np.float32)


def _is_shown(points: np.ndarray, image_size: np.ndarray) -> np.ndarray:
    """Whether five points [C,F,5,2] px are a face with its centre in the image, [C,F]; image_size: [C,2] px."""
    centre = points.mean(axis=2)
    inside = ((centre >= 0) & (centre <= image_size[:, None])).all(axis=-1)
    return inside & (np.ptp(points, axis=2).max(axis=-1) > 0)


@jax.jit(static_argnums=0)
def _codes(network: Mica, variables: Any, crops: jax.Array) -> jax.Array:
    with jax.default_matmul_precision("highest"):
        return network.apply(variables, crops)


def _crops(
    sources: Sequence[FrameSource],
    points: np.ndarray,
    usable: np.ndarray,
    undistort: Sequence[Callable[[np.ndarray], np.ndarray] | None],
) -> Iterator[np.ndarray]:
    """The crops [112,112,3] uint8 of all usable frames, one camera after the other."""
    for c, (source, straighten) in enumerate(zip(sources, undistort, strict=True)):
        # Frames after the last usable one need not be decoded.
        last = np.flatnonzero(usable[c]).max(initial=-1)
        for f, frame in zip(range(last + 1), source, strict=False):
            if usable[c, f]:
                image = frame.image if straighten is None else straighten(frame.image)
                yield crop_face(image, points[c, f])


def _batches(crops: Iterator[np.ndarray], size: int) -> Iterator[tuple[np.ndarray, int]]:
    """Batches [size,112,112,3], the last filled up with black so that shapes never change, and the crops in each."""
    batch, count = np.zeros((size, CROP_SIZE, CROP_SIZE, 3), np.uint8), 0
    for crop in crops:
        batch[count] = crop
        count += 1
        if count == size:
            yield batch.copy(), count
            batch[:], count = 0, 0
    if count:
        yield batch, count
