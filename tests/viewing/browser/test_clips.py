"""Pictures of a clip by number: the right ones, forward, backward and beyond the end, in bounded memory."""

import numpy as np
import pytest

from flowface_jax.aligners.frames import Frame, SourceInfo
from flowface_jax.viewing.browser.clips import LONG_SIDE, ClipPictures
from tests.viewing.browser.shows import clip_frames, frame_of


class Counted:
    """A source of frames that counts how many were decoded."""

    def __init__(self, frames):
        self.frames, self.decoded = frames, 0
        height, width = frames[0].shape[:2]
        self.info = SourceInfo("clip", (width, height), len(frames), 25.0, True)

    def __iter__(self):
        for number, image in enumerate(self.frames):
            self.decoded += 1
            yield Frame(number, number / 25, image)


@pytest.fixture
def source():
    return Counted(clip_frames(7))


def test_any_frame_in_any_order(source):
    clip = ClipPictures(source)
    for number in (3, 4, 0, 6, 2):
        assert frame_of(clip.picture(number)) == number
    assert clip.picture(7) is None and clip.picture(-1) is None
    assert frame_of(clip.picture(5)) == 5


def test_what_was_decoded_is_not_decoded_again(source):
    clip = ClipPictures(source)
    for number in (4, 0, 1, 4):
        clip.picture(number)
    assert source.decoded == 5


def test_memory_is_bounded(source):
    clip = ClipPictures(source, memory=1)
    assert [frame_of(clip.picture(n)) for n in (6, 0, 1)] == [6, 0, 1]
    assert source.decoded == 9, "only the last picture is kept, so going back starts anew and going on does not"


def test_who_no_longer_wants_a_frame_does_not_wait_for_it(source):
    clip = ClipPictures(source)
    assert clip.picture(5, lambda: source.decoded == 2) is None
    assert source.decoded == 2
    assert frame_of(clip.picture(5)) == 5 and source.decoded == 6


def test_large_pictures_are_scaled_down():
    clip = ClipPictures(Counted([np.zeros((500, 2 * LONG_SIDE, 3), np.uint8)]))
    assert clip.picture(0).shape == (250, LONG_SIDE, 3)
