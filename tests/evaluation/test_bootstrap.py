"""Confidence intervals by resampling."""

from __future__ import annotations

import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.evaluation.bootstrap import bootstrap_difference, bootstrap_interval


def test_the_interval_of_a_mean_is_the_textbook_one():
    values = np.random.default_rng(0).normal(3, 2, 400)
    found = bootstrap_interval(values)
    half = 1.96 * values.std() / np.sqrt(400)
    assert found.estimate == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.1 * half)
    assert (found.unit, found.count) == ("frames", 400)


def test_the_same_seed_gives_the_same_interval():
    values = np.random.default_rng(0).normal(size=50)
    assert bootstrap_interval(values, seed=3) == bootstrap_interval(values, seed=3)
    assert bootstrap_interval(values, seed=3) != bootstrap_interval(values, seed=4)


def test_frames_of_one_sequence_are_no_independent_measurements():
    draw = np.random.default_rng(0)
    of_sequence = draw.normal(0, 1, 8)
    groups = np.repeat([f"s{n}" for n in range(8)], 100)
    values = np.repeat(of_sequence, 100) + draw.normal(0, 0.1, 800)
    by_frame, by_sequence = bootstrap_interval(values), bootstrap_interval(values, groups)
    assert by_sequence.high - by_sequence.low > 5 * (by_frame.high - by_frame.low)
    assert (by_sequence.unit, by_sequence.count) == ("sequences", 8)
    assert "8 sequences" in str(by_sequence)


def test_any_statistic_agrees_with_the_quick_way_for_means():
    draw = np.random.default_rng(0)
    values, groups = draw.normal(size=60), np.arange(60) // 5
    quick, slow = bootstrap_interval(values, groups), bootstrap_interval(values, groups, statistic=np.mean)
    assert quick.low == pytest.approx(slow.low, abs=0.05) and quick.high == pytest.approx(slow.high, abs=0.05)
    median = bootstrap_interval(np.append(values, 1e6), statistic=np.median)
    assert median.high < 1


def test_pairs_are_drawn_together():
    draw = np.random.default_rng(0)
    common = draw.normal(0, 10, 100)
    one, other = common + 1 + 0.1 * draw.normal(size=100), common
    found = bootstrap_difference(one, other)
    assert 0.9 < found.low < 1 < found.high < 1.1


def test_values_that_are_not_known_do_not_count():
    values = np.asarray([1.0, 2, np.nan, 3])
    assert bootstrap_interval(values).estimate == 2 and bootstrap_interval(values).count == 3


def test_wrong_inputs_are_named():
    with pytest.raises(InputError, match="at least two sequences"):
        bootstrap_interval(np.arange(5.0), np.zeros(5))
    with pytest.raises(InputError, match="a group for each"):
        bootstrap_interval(np.arange(5.0), np.zeros(4))
    with pytest.raises(InputError, match="level"):
        bootstrap_interval(np.arange(5.0), level=95)
    with pytest.raises(InputError, match="pairs"):
        bootstrap_difference(np.arange(5.0), np.arange(4.0))
