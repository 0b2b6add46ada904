"""Working ahead of the caller: the order stays, memory is bounded, errors arrive where they belong."""

import threading

import pytest

from flowface_jax.aligners.reading import read_ahead, worked_ahead


def test_results_come_in_order_and_side_by_side():
    both = threading.Barrier(2, timeout=60)

    def work(number):
        both.wait()
        return number**2

    assert list(worked_ahead(work, range(20), 2)) == [number**2 for number in range(20)]


def test_work_never_runs_far_ahead_of_the_caller():
    given = []

    def items():
        for number in range(50):
            given.append(number)
            yield number

    for taken, _ in enumerate(worked_ahead(lambda number: number, items(), 3)):
        assert len(given) <= taken + 2 * 3


def test_an_error_is_raised_where_its_item_would_have_come():
    def work(number):
        if number == 3:
            raise ValueError("the third")
        return number

    taken = []
    with pytest.raises(ValueError, match="the third"):
        for number in worked_ahead(work, range(10), 2):
            taken.append(number)
    assert taken == [0, 1, 2]
    with pytest.raises(ValueError, match="the third"), read_ahead(map(work, range(10)), 2) as numbers:
        list(numbers)


def test_what_is_not_asked_for_any_more_ends_the_threads():
    before = threading.active_count()
    results = worked_ahead(lambda number: number, range(1000), 2)
    assert next(results) == 0
    results.close()
    assert threading.active_count() == before
