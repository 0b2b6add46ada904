"""Who is who: made-up boxes of people who cross, leave, come back and hide."""

from __future__ import annotations

import numpy as np
import pytest

from flowface_jax.aligners.appearance import difference, looks
from flowface_jax.aligners.faces import overlap
from flowface_jax.aligners.people import PeopleSettings, Sighting, find_people
from flowface_jax.errors import InputError

RATE, STRIDE = 25.0, 3
RED, BLUE, GREEN = np.eye(3)


def _box(x, y=100.0, size=60.0):
    return np.asarray([x - size / 2, y - size / 2, x + size / 2, y + size / 2])


def _sightings(people, frames, noise=1.0, seed=0):
    """What a detector sees of people: functions of the frame that give (box or None, look), in random order."""
    random = np.random.default_rng(seed)
    found = []
    for frame in range(0, frames, STRIDE):
        seen = [(person(frame)) for person in people]
        seen = [(box + random.normal(0, noise, 4), look) for box, look in seen if box is not None]
        random.shuffle(seen)
        boxes = np.asarray([box for box, _ in seen]).reshape(-1, 4)
        known = len(seen[0][1]) if seen else 0
        found.append(Sighting(frame, boxes, np.asarray([look for _, look in seen]).reshape(len(seen), known)))
    return found


def _walk(start, speed, look=None, hidden=(0, 0), size=60.0):
    """Somebody at start + speed x frame, hidden from one frame to before another."""
    look = np.zeros(0) if look is None else look
    return lambda frame: (None if hidden[0] <= frame < hidden[1] else _box(start + speed * frame, size=size), look)


def _people(people, frames, settings=None, **options):
    return find_people(_sightings(people, frames, **options), 0, frames, STRIDE, RATE, settings)


def _follows(person, truth, tolerance=8.0):
    """Whether the path is one person's wherever it and he are."""
    errors = []
    for k, box in enumerate(person.path.boxes):
        true = truth(person.first + k)[0]
        if true is not None and np.isfinite(box).all():
            errors.append(np.abs(box - true).max())
    return len(errors) > 0 and max(errors) < tolerance


@pytest.mark.parametrize("seed", range(12))
def test_people_who_cross_keep_their_identities(seed):
    # The one behind is not seen while the other is in front of him.
    front, behind = _walk(60, 2.0), _walk(460, -2.0, hidden=(86, 116))
    found = _people([front, behind], 200, seed=seed)
    assert len(found) == 2
    assert {(_follows(p, front), _follows(p, behind)) for p in found} == {(True, False), (False, True)}
    assert all((p.first, p.end) == (0, 200) for p in found)


def test_people_who_meet_and_turn_back_are_told_apart_by_their_looks():
    meet = lambda start, sign, look, hidden: (
        lambda frame: (
            None if hidden and 92 <= frame < 108 else _box(start + sign * 2.0 * min(frame, 200 - frame)),
            look,
        )
    )
    left, right = meet(50, 1, RED, False), meet(450, -1, BLUE, True)
    found = _people([left, right], 200)
    assert len(found) == 2
    assert {(_follows(p, left), _follows(p, right)) for p in found} == {(True, False), (False, True)}


def test_one_who_leaves_takes_nobody_along():
    stays, leaves = _walk(100, 0.0), lambda frame: (_box(300 + 4.0 * frame) if frame < 60 else None, np.zeros(0))
    found = _people([stays, leaves], 150)
    assert [(p.first, p.end) for p in found] == [(0, 150), (0, 60)]
    assert _follows(found[0], stays) and _follows(found[1], leaves)


def test_one_who_comes_in_late_is_a_stretch_of_the_scene():
    early, late = _walk(100, 0.0, size=90), lambda frame: (_box(300) if frame >= 75 else None, np.zeros(0))
    found = _people([early, late], 150)
    assert [(p.first, p.end) for p in found] == [(0, 150), (73, 150)]


def test_one_who_turns_away_for_a_while_is_the_same_and_after_long_another():
    for hidden, expected in (((60, 90), 1), ((60, 180), 2)):
        assert len(_people([_walk(200, 0.2, RED, hidden)], 300)) == expected


def test_somebody_else_in_the_same_place_is_somebody_else():
    one = _walk(200, 0.0, RED, hidden=(60, 300))
    other = _walk(200, 0.0, BLUE, hidden=(0, 75))
    assert [(p.first, p.end) for p in _people([one, other], 150)] == [(73, 150), (0, 60)]


def test_where_someone_is_hidden_behind_another_his_path_is_empty():
    front, behind = _walk(260, 0.0, size=80), _walk(460, -2.0, hidden=(80, 122))
    found = next(p for p in _people([front, behind], 200) if _follows(p, behind))
    empty = np.isnan(found.path.boxes).any(axis=1)
    assert empty[90:112].all() and not empty[:75].any() and not empty[130:].any()
    # A face that a detector has merely missed is still looked for.
    missed = _people([_walk(100, 1.0, hidden=(40, 60))], 100)[0]
    assert np.isfinite(missed.path.boxes).all() and _follows(missed, _walk(100, 1.0))


def test_the_largest_comes_first():
    found = _people([_walk(100, 0, size=50), _walk(300, 0, size=120), _walk(500, 0, size=80)], 60)
    assert [round(float(person.path.boxes[0] @ [-1, 0, 1, 0]), -1) for person in found] == [120, 80, 50]


def test_glimpses_and_far_faces_are_nobody():
    glimpse = lambda frame: (_box(400) if 30 <= frame < 36 else None, np.zeros(0))
    crowd = [_walk(30 * k, 0.0, size=15) for k in range(5)]
    assert len(_people([_walk(200, 0.0), glimpse, *crowd], 100)) == 1
    assert len(_people([glimpse], 100, PeopleSettings(shortest_s=0.2))) == 1
    assert _people([], 30) == [] and find_people([], 0, 30, STRIDE, RATE) == []


def test_a_scene_within_a_film_keeps_the_films_numbers():
    sightings = [Sighting(frame, _box(100)[None], np.zeros((1, 0))) for frame in range(300, 360, STRIDE)]
    person = find_people(sightings, 299, 361, STRIDE, RATE)[0]
    assert (person.first, person.end, len(person.path.boxes)) == (299, 360, 61)


def test_clothes_and_hair_tell_people_apart_and_light_does_not():
    random = np.random.default_rng(0)
    picture = np.full((200, 400, 3), 128, np.uint8)
    picture[:, :200] = (170, 60, 50)
    picture[:, 200:] = (50, 70, 160)
    picture = np.clip(picture + random.normal(0, 8, picture.shape), 0, 255).astype(np.uint8)
    boxes = np.asarray([_box(100, 80), _box(300, 80), _box(110, 85)])
    red, blue, again = looks(picture, boxes)
    darker = looks((picture * 0.9).astype(np.uint8), boxes[:1])[0]
    assert difference(red, np.stack([red, again, darker, blue])) == pytest.approx([0, 0, 0, 1], abs=0.35)
    assert looks(picture, np.zeros((0, 4))).shape[0] == 0
    # A box outside the picture has no colours of its own.
    assert np.isfinite(looks(picture, np.asarray([[-90.0, -90, -80, -80]]))).all()


def test_settings_that_mean_nothing_are_refused():
    with pytest.raises(InputError, match="people.patience_s"):
        PeopleSettings(patience_s=-1.0)


def test_the_order_in_which_faces_are_detected_does_not_matter():
    people = [_walk(60, 2.0, RED), _walk(460, -2.0, BLUE), _walk(260, 0.0, GREEN, size=40)]
    first, second = (_people(people, 150, noise=0.0, seed=seed) for seed in (0, 1))
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(a.path.boxes, b.path.boxes, equal_nan=True)
        assert overlap(a.path.boxes[:1], b.path.boxes[:1])[0, 0] == 1
