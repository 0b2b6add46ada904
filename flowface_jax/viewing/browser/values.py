"""Numbers over the surface that colour the mesh: uncertainty, residuals, and the alignment's own σ."""

from __future__ import annotations

import functools

import jax.numpy as jnp
import numpy as np

from flowface_jax.alignment.alignment import Alignment
from flowface_jax.fitting.track import Track
from flowface_jax.heads.model import HeadModel
from flowface_jax.viewing.browser.vertices import VertexStore
from flowface_jax.viewing.report.contents import upper
from flowface_jax.viewing.report.measures import check_alignment, over_vertices

PLAIN = "plain"
UNCERTAINTY = "uncertainty"
SHAPE_UNCERTAINTY = "uncertainty of the shape"
RESIDUAL = "residual"
RESIDUAL_SIGMAS = "residual / σ"
ALIGNMENT_SIGMA = "alignment σ"

UNITS = {UNCERTAINTY: "mm", SHAPE_UNCERTAINTY: "mm", RESIDUAL: "px", RESIDUAL_SIGMAS: "σ", ALIGNMENT_SIGMA: "px"}
MEANINGS = {
    UNCERTAINTY: "standard deviation in the world, distance included",
    SHAPE_UNCERTAINTY: "standard deviation of the neutral head",
    RESIDUAL: "distance between observed and fitted points",
    RESIDUAL_SIGMAS: "the same, divided by the stated σ",
    ALIGNMENT_SIGMA: "standard deviation that the alignment states",
}
SIGMA_LIMIT = 3.0
_OF_VERTICES = (UNCERTAINTY, SHAPE_UNCERTAINTY)
_SAMPLES = 12
_KEPT = 256


class SurfaceValues:
    """What a track and the alignment it was fitted to say of each vertex, frame by frame."""

    def __init__(self, track: Track, head: HeadModel, store: VertexStore, alignment: Alignment | None) -> None:
        """Raises InputError where the alignment is not the track's."""
        if alignment is not None:
            check_alignment(track, alignment)
        self._track, self._store, self._alignment = track, store, alignment
        self._surface = None if alignment is None else alignment.points_on(head)
        self._face = np.asarray(head.regions["face"])
        # Carrying values from points to vertices looks for neighbours; a frame that is shown again must not do so.
        self.of = functools.lru_cache(_KEPT)(self._of)
        self.span = functools.cache(self._span)

    @property
    def available(self) -> tuple[str, ...]:
        """What can be shown, `PLAIN` first."""
        observed = () if self._alignment is None else (RESIDUAL, RESIDUAL_SIGMAS, ALIGNMENT_SIGMA)
        known = () if self._track.uncertainty is None else (UNCERTAINTY, SHAPE_UNCERTAINTY)
        return (PLAIN, *known, *observed)

    def _of(self, name: str, frame: int, camera: int) -> np.ndarray:
        """Values [V], NaN where nothing is known. frame: its place in the track. camera: whose image is meant."""
        uncertainty = self._track.uncertainty
        if name in _OF_VERTICES and uncertainty is not None:
            spread = np.asarray(uncertainty.vertices_mm if name == UNCERTAINTY else uncertainty.neutral_mm[None])
            values = spread[min(frame, len(spread) - 1)].astype(np.float64)
            return np.where(np.isfinite(values), values, np.nan)
        if self._alignment is None or self._surface is None or name not in UNITS:
            return np.full(len(self._store.neutral), np.nan)
        return over_vertices(self._at_points(name, frame, camera), self._surface, self._store.neutral)

    def _at_points(self, name: str, frame: int, camera: int) -> np.ndarray:
        """Values [P] at the observed points, NaN where they were not observed."""
        alignment = self._alignment
        std = np.asarray(alignment.std[camera, frame], np.float64)
        seen = bool(alignment.valid[camera, frame]) & np.isfinite(std)
        values = std
        if name != ALIGNMENT_SIGMA:
            points = self._surface.of(jnp.asarray(self._store.world(frame)))
            fitted = np.asarray(self._track.cameras.project(points))[camera]
            values = np.linalg.norm(fitted - alignment.mean[camera, frame], axis=-1)
        return np.where(seen, values / std if name == RESIDUAL_SIGMAS else values, np.nan)

    def _span(self, name: str) -> tuple[float, float]:
        """Where the colours begin and end, the same in all frames and cameras."""
        if name == RESIDUAL_SIGMAS:
            return 0.0, SIGMA_LIMIT
        cameras, frames = np.asarray(self._track.observed).shape
        known: list[np.ndarray] = []
        for frame in np.unique(np.linspace(0, frames - 1, _SAMPLES).astype(int)):
            for camera in range(1 if name in _OF_VERTICES else cameras):
                if name in _OF_VERTICES:
                    known.append(self.of(name, int(frame), camera)[self._face])
                else:
                    known.append(self._at_points(name, int(frame), camera))
        values = np.concatenate(known)
        values = values[np.isfinite(values)]
        if not len(values):
            return 0.0, 1.0
        # What is uncertain alike everywhere, as by the distance, would leave one colour on a scale from 0.
        return (float(np.percentile(values, 2)) if name in _OF_VERTICES else 0.0), upper(values)
