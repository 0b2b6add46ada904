"""Confidence intervals by resampling what was measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from flowface_jax.errors import InputError

LEVEL, SAMPLES = 0.95, 2000
_CELLS_AT_ONCE = 4_000_000


@dataclasses.dataclass(frozen=True)
class Interval:
    """A percentile interval. unit: what was resampled ("frames", "sequences", …), `count` of them. level: of
    confidence. samples, seed: of the resampling; the same give the same interval.
    """

    estimate: float
    low: float
    high: float
    unit: str
    count: int
    level: float
    samples: int
    seed: int

    def __str__(self) -> str:
        return f"{self.estimate:.4g} [{self.low:.4g}, {self.high:.4g}] ({self.level:.0%}, {self.count} {self.unit})"


def bootstrap_interval(
    values: np.ndarray,
    groups: Sequence[str] | np.ndarray | None = None,
    unit: str | None = None,
    statistic: Callable[[np.ndarray], float] | None = None,
    level: float = LEVEL,
    samples: int = SAMPLES,
    seed: int = 0,
) -> Interval:
    """The interval of a statistic of values [N] that a new draw of the same kind would fall into.

    groups: [N], to which sequence (subject, …) each value belongs: whole groups are drawn, since frames of one sequence
    are no independent measurements; None: values are drawn one by one. unit: how the drawn things are called, without
    one "sequences" with groups and else "frames". statistic: of a row of values; None: the mean over all values. NaN
    values do not count.
    Raises InputError for fewer than two things to draw, shapes that do not fit, or settings out of range.
    """
    values = np.asarray(values, np.float64)
    kept = np.isfinite(values)
    if values.ndim != 1 or (groups is not None and len(groups) != len(values)):
        raise InputError(f"expected values [N] and a group for each, found {list(values.shape)}")
    if not 0 < level < 1 or samples < 1:
        raise InputError(f"expected a level between 0 and 1 and samples above 0, found {level} and {samples}")
    labels = np.arange(len(values)) if groups is None else np.asarray(groups)
    names, member = np.unique(labels[kept], return_inverse=True)
    used, unit = values[kept], unit or ("frames" if groups is None else "sequences")
    if len(names) < 2:
        raise InputError(f"expected at least two {unit} to draw from, found {len(names)}")
    draw = np.random.default_rng(seed)
    drawn = _means(used, member, len(names), samples, draw) if statistic is None else np.empty(samples)
    if statistic is not None:
        rows = [np.flatnonzero(member == group) for group in range(len(names))]
        for sample in range(samples):
            chosen = draw.integers(len(names), size=len(names))
            drawn[sample] = statistic(used[np.concatenate([rows[group] for group in chosen])])
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    estimate = float(used.mean() if statistic is None else statistic(used))
    return Interval(estimate, float(low), float(high), unit, len(names), level, samples, seed)


def bootstrap_difference(
    one: np.ndarray,
    other: np.ndarray,
    groups: Sequence[str] | np.ndarray | None = None,
    unit: str | None = None,
    level: float = LEVEL,
    samples: int = SAMPLES,
    seed: int = 0,
) -> Interval:
    """The interval of the mean of `one` less `other`, measured on the same things [N]; pairs are drawn together.

    An interval without 0 says that the two differ. Pairs with NaN do not count. Raises InputError as
    `bootstrap_interval`.
    """
    one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
    if one.shape != other.shape:
        raise InputError(f"expected pairs of values, found {list(one.shape)} and {list(other.shape)}")
    return bootstrap_interval(one - other, groups, unit, None, level, samples, seed)


def _means(values: np.ndarray, member: np.ndarray, count: int, samples: int, draw: np.random.Generator) -> np.ndarray:
    """Means [samples] over all values of drawn groups, from the groups' sums."""
    sums, sizes = np.bincount(member, values, count), np.bincount(member, minlength=count)
    means = np.empty(samples)
    step = max(1, _CELLS_AT_ONCE // count)
    for first in range(0, samples, step):
        chosen = draw.integers(count, size=(min(step, samples - first), count))
        means[first : first + step] = sums[chosen].sum(1) / sizes[chosen].sum(1)
    return means
