"""Pixels that a user excludes: points on them do not count, and masks that do not fit are refused."""

import numpy as np
import pytest
from PIL import Image

from flowface_jax.aligners.masks import MASK_BACKGROUND, with_masks
from flowface_jax.aligners.video import open_frames
from flowface_jax.alignment.alignment import make_alignment
from flowface_jax.errors import InputError
from tests.aligners.films import write_film

WIDTH, HEIGHT, FRAMES = 64, 48, 3
POINTS = np.asarray([[10.0, 10.0], [31.9, 20.0], [32.1, 20.0], [50.0, 40.0], [-5.0, 20.0], [70.0, 20.0]])


def _alignment(cameras=1, valid=None):
    shape = (cameras, FRAMES, len(POINTS))
    valid = np.ones(shape[:2], bool) if valid is None else valid
    mean = np.broadcast_to(POINTS, (*shape, 2))
    ids = np.zeros((len(POINTS), 3), int)
    weights = np.tile([[1.0, 0, 0]], (len(POINTS), 1))
    return make_alignment(mean, np.ones(shape), valid, [[WIDTH, HEIGHT]] * cameras, "surface", ids, weights)


def _left_half(share=0.5):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[:, : int(share * WIDTH)] = 255
    return mask


def _folder(path, masks):
    path.mkdir()
    for number, mask in enumerate(masks):
        Image.fromarray(mask).save(path / f"{number}.png")
    return path


def _masks(*paths):
    return [open_frames(path, background=MASK_BACKGROUND) for path in paths]


def test_points_on_black_pixels_are_not_observed_and_those_on_white_are(tmp_path):
    masks = [_left_half(), np.full((HEIGHT, WIDTH), 255, np.uint8), 255 - _left_half()]
    masked, shares = with_masks(_alignment(), _masks(_folder(tmp_path / "m", masks)))
    observed = np.isfinite(masked.std[0])
    assert observed[0].tolist() == [True, True, False, False, True, True]
    assert observed[1].all()
    assert observed[2].tolist() == [False, False, True, True, True, True]
    assert shares == [pytest.approx(1 / 3)]


def test_a_film_of_masks_and_one_mask_for_all_frames(tmp_path):
    film = write_film(tmp_path / "masks.mp4", [np.repeat(_left_half()[..., None], 3, 2)] * FRAMES)
    Image.fromarray(_left_half()).save(tmp_path / "one.png")
    for path in (film, tmp_path / "one.png"):
        masked, _ = with_masks(_alignment(), _masks(path))
        assert (np.isfinite(masked.std[0]) == [True, True, False, False, True, True]).all()


def test_what_is_transparent_is_excluded(tmp_path):
    Image.fromarray(np.dstack([np.full((HEIGHT, WIDTH, 3), 255, np.uint8), _left_half()])).save(tmp_path / "m.png")
    masked, _ = with_masks(_alignment(), _masks(tmp_path / "m.png"))
    assert np.isfinite(masked.std[0, 0]).tolist() == [True, True, False, False, True, True]


def test_masking_twice_is_masking_once(tmp_path):
    Image.fromarray(_left_half()).save(tmp_path / "m.png")
    once, shares = with_masks(_alignment(), _masks(tmp_path / "m.png"))
    again, same = with_masks(once, _masks(tmp_path / "m.png"))
    assert (once.std == again.std).all() and (once.valid == again.valid).all() and shares == same


def test_a_lens_is_straightened_before_the_points_are_looked_up(tmp_path):
    Image.fromarray(_left_half()).save(tmp_path / "m.png")
    mirrored, _ = with_masks(_alignment(), _masks(tmp_path / "m.png"), [lambda image: image[:, ::-1]])
    assert np.isfinite(mirrored.std[0, 0]).tolist() == [False, False, True, True, True, True]


def test_a_camera_that_ends_early_needs_masks_up_to_there(tmp_path):
    valid = np.ones((2, FRAMES), bool)
    valid[1, 2] = False
    masks = _masks(_folder(tmp_path / "a", [_left_half()] * 3), _folder(tmp_path / "b", [_left_half()] * 2))
    masked, _ = with_masks(_alignment(2, valid), masks)
    assert (masked.valid == valid).all()
    with pytest.raises(InputError, match="are 2, but there are 3 frames"):
        with_masks(_alignment(2), masks)


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ([np.zeros((HEIGHT, WIDTH + 2), np.uint8)] * FRAMES, "are 66 x 48 px, but the images of their camera 64 x 48"),
        ([_left_half()] * 2, "are 2, but there are 3 frames"),
        ([_left_half()] * 5, "go on after the 3 frames"),
    ],
)
def test_masks_of_another_size_or_number_are_refused(tmp_path, masks, message):
    with pytest.raises(InputError, match=message):
        with_masks(_alignment(), _masks(_folder(tmp_path / "m", masks)))


def test_masks_that_leave_nothing_are_refused(tmp_path):
    inside = make_alignment(
        np.full((1, 1, 4, 2), 20.0), np.ones((1, 1, 4)), [[True]], [[WIDTH, HEIGHT]], "surface",
        np.zeros((4, 3), int), np.tile([[1.0, 0, 0]], (4, 1)),
    )  # fmt: skip
    Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint8)).save(tmp_path / "black.png")
    with pytest.raises(InputError, match="inverted"):
        with_masks(inside, _masks(tmp_path / "black.png"))


def test_every_camera_needs_its_masks(tmp_path):
    Image.fromarray(_left_half()).save(tmp_path / "m.png")
    with pytest.raises(InputError, match="each of 2 camera"):
        with_masks(_alignment(2), _masks(tmp_path / "m.png"))
