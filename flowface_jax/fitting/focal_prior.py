"""What is known beforehand of focal lengths that are solved for: photographs state theirs, other views have a guess."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from flowface_jax.alignment.alignment import Alignment
from flowface_jax.errors import InputError
from flowface_jax.fitting.config import FitConfig
from flowface_jax.fitting.observability import INDEPENDENT_FRAMES, INDEPENDENT_POINTS

STATED_STD = 0.05
"""Standard deviation of log focal where a photograph states it: lenses are labelled to a few per cent, equivalents are
whole millimetres, and focusing near lengthens the focal length."""


@dataclasses.dataclass(frozen=True)
class FocalPrior:
    """focal_px: one for each camera, None where nothing is known. std: relative standard deviation of each that is."""

    focal_px: tuple[float | None, ...]
    std: float = STATED_STD

    def __post_init__(self) -> None:
        known = [focal for focal in self.focal_px if focal is not None]
        if not all(np.isfinite(focal) and focal > 0 for focal in known) or not (np.isfinite(self.std) and self.std > 0):
            raise InputError(
                f"focal prior: expected focal lengths and a standard deviation above 0, found {known}, {self.std:g}"
            )

    @property
    def known(self) -> np.ndarray:
        """Which cameras' focal lengths are known beforehand: [C] bool."""
        return np.asarray([focal is not None for focal in self.focal_px])


def focal_guesses(prior: FocalPrior | None, usual: np.ndarray) -> np.ndarray:
    """The focal lengths [C] px to begin with: those known beforehand, else the `usual` [C]."""
    if prior is None:
        return usual
    return np.asarray([guess if focal is None else focal for focal, guess in zip(prior.focal_px, usual, strict=True)])


def focal_stds(prior: FocalPrior | None, config: FitConfig, cameras: int) -> np.ndarray:
    """Standard deviation [C] of the prior on each log focal; 0 = no prior, as in FitConfig."""
    usual = np.full(cameras, config.focal_prior_std)
    if prior is None or config.focal_prior_std == 0:
        return usual
    return np.where(prior.known, np.minimum(prior.std, usual), usual)


def weighed_stds(prior: FocalPrior | None, config: FitConfig, alignment: Alignment) -> np.ndarray:
    """`focal_stds` [C] as the energy needs them: smaller where something is known, by as much as the energy takes an
    image's points for more than they are worth.

    What is wrong with an alignment is much the same in all its points and frames (see `observability`), and wrong in
    the same way as another focal length would be: counted as independent, hundreds of points outvote any lens.
    """
    stds = focal_stds(prior, config, alignment.camera_count)
    if prior is None:
        return stds
    observed = np.stack([np.isfinite(s).sum(-1) * v for s, v in zip(alignment.std, alignment.valid, strict=True)])
    images = np.maximum((observed > 0).sum(1), 1)
    excess = np.maximum(observed.sum(1) / images / INDEPENDENT_POINTS, 1) * np.maximum(images / INDEPENDENT_FRAMES, 1)
    return np.where(prior.known, stds / np.sqrt(excess), stds)


def prior_weights(stds: np.ndarray, config: FitConfig) -> np.ndarray:
    """How many times as heavy as fit.focal_prior_std says priors of standard deviations [C] are: [C] float32."""
    if config.focal_prior_std == 0:
        return np.ones(len(stds), np.float32)
    return ((config.focal_prior_std / stds) ** 2).astype(np.float32)


def checked_prior(prior: FocalPrior | None, cameras: int, are_known: bool) -> FocalPrior | None:
    """The prior, or None where nothing is known beforehand or the cameras are. Raises InputError for other counts."""
    if prior is not None and len(prior.focal_px) != cameras:
        raise InputError(f"the focal prior is of {len(prior.focal_px)} camera(s), the alignment has {cameras}")
    return None if are_known or prior is None or not prior.known.any() else prior


def std_with_prior(std: np.ndarray, prior: FocalPrior | None, config: FitConfig) -> np.ndarray:
    """Relative standard deviations [C] of focal lengths, once what was known beforehand joins what images tell [C]."""
    if prior is None or config.focal_prior_std == 0:
        return std
    stds = focal_stds(prior, config, len(std))
    return np.where(prior.known, std * stds / np.hypot(std, stds), std)


def prior_record(
    prior: FocalPrior, config: FitConfig, names: tuple[str, ...], focal: np.ndarray
) -> list[dict[str, Any]]:
    """For the track: what was known beforehand of each camera, and the focal length [C] px that came out."""
    stds = focal_stds(prior, config, len(names))
    return [
        {"camera": name, "focal_px": known, "relative_std": float(std), "fitted_px": float(found)}
        for name, known, std, found in zip(names, prior.focal_px, stds, focal, strict=True)
        if known is not None
    ]
