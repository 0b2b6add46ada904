"""One factor on predicted standard deviations, such that they hold the truth as often as they say."""

from __future__ import annotations

import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.evaluation.alignment_accuracy import HALF, NINETY

_STEPS = 2001


def std_factor(sigmas: np.ndarray) -> float:
    """The factor on σ with which the 50 % and 90 % radii hold most nearly 50 % and 90 % of the distances [...] (in σ).

    Least squares over the two shares. Above 1: the network is too sure of itself. Raises InputError without a finite
    distance.
    """
    known = np.sort(sigmas[np.isfinite(sigmas)])
    if not known.size:
        raise InputError("expected at least one point with a reference to calibrate σ on, found none")
    # Either factor alone makes one of the two shares right; the best compromise lies between them.
    exact = np.quantile(known, 0.5) / HALF, np.quantile(known, 0.9) / NINETY
    factors = np.geomspace(max(min(exact), 1e-6), max(max(exact), 1e-6), _STEPS)
    shares = [np.searchsorted(known, radius * factors, side="right") / known.size for radius in (HALF, NINETY)]
    loss = (shares[0] - 0.5) ** 2 + (shares[1] - 0.9) ** 2
    # The middle of the factors that are equally good.
    best = np.flatnonzero(loss <= loss.min() + 1e-12)
    return float(factors[best[len(best) // 2]])
