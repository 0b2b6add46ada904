"""Playing keeps time, and what is held in one track leaves the others alone."""

from flowface_jax.viewing.browser.state import MOST_LEFT_OUT, Clock, ViewState
from flowface_jax.viewing.browser.vertices import NO_EDITS, Edits


def test_frames_come_at_the_rate_and_start_again_after_the_last():
    clock, frame, shown = Clock(7, 0.0), 7, []
    for tick in range(1, 9):
        clock, frame = clock.advanced(tick * 0.05, 10.0, 9)
        shown.append(frame)
    assert shown == [7, 8, 8, 0, 0, 1, 1, 2]


def test_time_between_two_looks_is_not_lost():
    clock = Clock(0, 0.0)
    for tick in range(1, 101):
        clock, frame = clock.advanced(tick * 0.03, 25.0, 1000)
    assert frame == 75


def test_a_slow_computer_slows_the_film_down_and_does_not_leap():
    clock, frame = Clock(0, 0.0).advanced(10.0, 25.0, 1000)
    assert frame == MOST_LEFT_OUT + 1
    assert clock.advanced(10.01, 25.0, 1000)[1] == frame, "what was missed is not caught up"


def test_edits_belong_to_one_track():
    held = Edits(identity=((0, 1.0),))
    state = ViewState().with_edits(1, held)
    assert state.edits_of(0) == NO_EDITS and state.edits_of(1) == held and state.edits_of(5) == NO_EDITS
    assert state.with_edits(1, NO_EDITS).edits_of(1) == NO_EDITS
