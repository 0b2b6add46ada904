"""A track and its pictures give a texture; what does not belong together is refused in one line."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.synthesis.textures.colour import srgb_to_linear
from flowface_jax.texturing import make_texture, texture_track
from tests.fitting.small import small_head
from tests.synthesis.domes import dome_head, head_rotation, picture, skin_pattern, track_of, write_pictures

SIDE = 128
ROTATIONS = [head_rotation(yaw) for yaw in (-30, -10, 0, 15)]


@pytest.fixture(scope="module")
def filmed(tmp_path_factory):
    head = dome_head()
    pictures = [picture(head, rotation, skin_pattern(256)) for rotation in ROTATIONS]
    return head, track_of(ROTATIONS), write_pictures(tmp_path_factory.mktemp("film") / "frames", pictures)


def test_the_film_of_a_head_gives_its_texture(filmed):
    head, track, folder = filmed
    texture = make_texture(track, [folder], head, side=SIDE, keep_light=True)
    sure = texture.confidence > 250
    assert sure.mean() > 0.3
    error = np.abs(srgb_to_linear(texture.albedo) / skin_pattern(SIDE) - 1)[sure]
    assert np.quantile(error, 0.99) < 0.05
    assert texture.frames.tolist() == [[0, 0], [0, 1], [0, 2], [0, 3]]


def test_the_same_input_gives_the_same_bytes(filmed, tmp_path):
    head, track, folder = filmed
    track.save(tmp_path)
    wanted = [tmp_path / "a.npz", tmp_path / "b.npz"]
    files = [texture_track(tmp_path, [folder], path, head, side=64, max_frames=2)[1] for path in wanted]
    assert files[0].read_bytes() == files[1].read_bytes()
    with pytest.raises(InputError, match="exists already"):
        texture_track(tmp_path, [folder], files[0], head, side=64)


def test_few_frames_are_chosen_for_what_they_add(filmed):
    head, track, folder = filmed
    texture = make_texture(track, [folder], head, side=64, max_frames=2)
    assert texture.frames[:, 1].tolist() in ([0, 3], [0, 2], [1, 3])


def test_flagged_frames_are_left_out(filmed):
    head, track, folder = filmed
    track = dataclasses.replace(track, record='{"flags": [{"frame": 2, "reasons": ["blurred"]}]}')
    assert 2 not in make_texture(track, [folder], head, side=64).frames[:, 1]


def test_what_does_not_belong_together_is_refused(filmed, tmp_path):
    head, track, folder = filmed
    with pytest.raises(InputError, match=r"1 camera\(s\), found 2"):
        make_texture(track, [folder, folder], head, side=64)
    with pytest.raises(InputError, match="more"):
        make_texture(track_of(ROTATIONS[:2]), [folder], head, side=64)
    with pytest.raises(InputError, match="has 4"):
        make_texture(track_of(ROTATIONS * 2), [folder], head, side=64)
    with pytest.raises(InputError, match="load the same head"):
        make_texture(track, [folder], small_head(), side=64)
    with pytest.raises(InputError, match="no frame with a face"):
        make_texture(dataclasses.replace(track, observed=np.zeros((1, 4), bool)), [folder], head, side=64)
    with pytest.raises(InputError, match="multiple of 8"):
        make_texture(track, [folder], head, side=100)
    smaller = write_pictures(tmp_path / "small", [np.zeros((64, 64, 3), np.uint8)] * 4)
    with pytest.raises(InputError, match="64 x 64 px"):
        make_texture(track, [smaller], head, side=64)
