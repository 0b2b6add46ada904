"""Scene cuts in made-up films whose cuts are known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from flowface_jax.aligners.scene_cuts import CutFinder, SceneCutSettings
from flowface_jax.errors import InputError

HEIGHT, WIDTH = 90, 160


def _room(seed, colours=(40, 210)):
    """A picture of large soft shapes, wider than the frame, so that a camera can pan over it."""
    random = np.random.default_rng(seed)
    coarse = random.uniform(*colours, (6, 20, 3)) * random.uniform(0.5, 1.2, 3)
    return cv2.resize(np.clip(coarse, 0, 255).astype(np.float32), (4 * WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


def _shown(room, left=0.0, light=1.0, seed=None):
    """What a camera sees of a room, with noise."""
    shift = np.float32([[1, 0, -left], [0, 1, 0]])
    picture = cv2.warpAffine(room, shift, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
    noise = 0 if seed is None else np.random.default_rng(seed).normal(0, 3, picture.shape)
    return np.clip(picture * light + noise, 0, 255).astype(np.uint8)


def _scene(room, frames, speed=0.5):
    return [_shown(room, speed * k, seed=k) for k in range(frames)]


def _cuts(frames, rate=25.0, settings=None):
    finder = CutFinder(rate, settings)
    for frame in frames:
        finder.add(frame)
    return finder.cuts


@pytest.mark.parametrize("rate", [12.5, 25.0, 60.0])
def test_cuts_are_found_at_their_frame(rate):
    rooms = [_room(seed) for seed in range(8)]
    lengths = [40, 25, 60, 30, 25, 80, 33, 40]
    film = [frame for room, length in zip(rooms, lengths, strict=True) for frame in _scene(room, length)]
    assert _cuts(film, rate) == np.cumsum(lengths)[:-1].tolist()


def test_a_cut_to_another_view_of_the_same_room_is_found():
    room = _room(3)
    assert _cuts([*_scene(room, 40), *[_shown(room, 300 + 0.5 * k, seed=k) for k in range(40)]]) == [40]


def test_a_cut_while_everything_moves_is_found():
    assert _cuts([*_scene(_room(1), 60, speed=2.5), *_scene(_room(2), 60, speed=2.5)]) == [60]


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_flash_is_no_cut(length):
    film = _scene(_room(0), 90)
    for k in (30, 31, 32)[:length]:
        film[k] = np.clip(film[k].astype(int) * 2 + 100, 0, 255).astype(np.uint8)
    assert _cuts(film) == []


def test_a_flash_beside_a_cut_hides_it_not():
    film = [*_scene(_room(0), 60), *_scene(_room(1), 60)]
    film[54] = np.full_like(film[54], 250)
    assert _cuts(film) == [60]


def test_a_picture_that_is_dropped_for_a_moment_is_no_cut():
    film = _scene(_room(0), 90)
    film[40] = np.zeros_like(film[40])
    film[60:62] = [film[59]] * 2
    assert _cuts(film) == []


@pytest.mark.parametrize("frames", [15, 25, 50])
def test_a_dissolve_is_no_cut(frames):
    a, b = _scene(_room(0), 120), _scene(_room(1), 120)
    share = np.clip((np.arange(120) - 40) / frames, 0, 1)
    film = [np.rint((1 - s) * p + s * q).astype(np.uint8) for s, p, q in zip(share, a, b, strict=True)]
    assert _cuts(film) == []


def test_a_fade_to_black_and_back_is_no_cut():
    light = np.clip(np.abs(np.arange(120) - 60) / 30, 0, 1)
    assert _cuts([_shown(_room(0), 0.5 * k, light=s, seed=k) for k, s in enumerate(light)]) == []


def test_pans_shakes_and_changing_light_are_no_cuts():
    room, random = _room(0), np.random.default_rng(0)
    assert _cuts([_shown(room, left, seed=k) for k, left in enumerate(random.normal(60, 6, 120))]) == []
    # A whip pan: half the picture's width in ten frames, from rest to rest.
    path = 80 * np.clip((np.arange(120) - 60) / 10, 0, 1) ** 2
    assert _cuts([_shown(room, left, seed=k) for k, left in enumerate(path)]) == []
    assert _cuts([_shown(room, light=s, seed=k) for k, s in enumerate(np.linspace(1.2, 0.4, 60))]) == []


def test_someone_who_crosses_the_picture_is_no_cut():
    film = _scene(_room(0), 90)
    for k in range(30, 50):
        left = int((k - 30) / 20 * (WIDTH + 50)) - 50
        film[k][:, max(left, 0) : max(left + 50, 0)] = (30, 20, 60)
    assert _cuts(film) == []


def test_a_picture_that_stands_still_has_no_cuts_and_repeated_frames_hide_none():
    still = _shown(_room(0))
    assert _cuts([still] * 60) == []
    film = [*_scene(_room(0), 20), *_scene(_room(1), 20)]
    assert _cuts([frame for frame in film for _ in range(2)], 50.0) == [40]


def test_films_shorter_than_a_flash_have_no_cuts():
    for length in range(6):
        assert _cuts([_shown(_room(k)) for k in range(length)]) == []


def test_thresholds_are_the_callers():
    film = [*_scene(_room(0), 40), *_scene(_room(1), 40)]
    assert _cuts(film, settings=SceneCutSettings(least_change=0.9)) == []
    with pytest.raises(InputError, match="cuts.least_change"):
        SceneCutSettings(least_change=-1.0)
    with pytest.raises(InputError, match="expected a picture"):
        _cuts([np.zeros((4, 4))])
