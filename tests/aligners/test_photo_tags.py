"""What is believed of photographs' EXIF: which way is up, and how long the lens was."""

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from flowface_jax.aligners.images import open_images, read_image
from flowface_jax.aligners.photo_tags import read_photo_tags
from flowface_jax.aligners.video import open_frames
from tests.aligners.films import corner_picture, corners
from tests.aligners.photos import ratio, write_photo

SIZE = (400, 300)
DIAGONAL = 500.0
FILM_DIAGONAL = (36**2 + 24**2) ** 0.5


def _picture(size=SIZE):
    return np.full((size[1], size[0], 3), 90, np.uint8)


def _info(tmp_path, size=SIZE, name="photo.jpg", **tags):
    return open_frames(write_photo(tmp_path / name, _picture(size), **tags)).info


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_shown_as_the_photographs_own_programs_show_it(tmp_path, suffix, orientation):
    path = write_photo(tmp_path / f"photo{suffix}", corner_picture(), orientation)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))
    image = read_image(path)
    assert image.shape == expected.shape and corners(image) == corners(expected)


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".png"])
def test_the_35_mm_equivalent_compares_diagonals(tmp_path, suffix):
    info = _info(tmp_path, name=f"photo{suffix}", focal_35=26)
    assert info.focal_px == pytest.approx(26 / FILM_DIAGONAL * DIAGONAL)
    assert info.notes == ()


def test_a_photograph_taken_upright_has_the_same_focal_length(tmp_path):
    assert _info(tmp_path, focal_35=26, orientation=6).focal_px == pytest.approx(26 / FILM_DIAGONAL * DIAGONAL)


@pytest.mark.parametrize(("unit", "per_unit"), [(2, 25.4), (3, 10.0), (4, 1.0)])
def test_the_focal_planes_resolution_in_any_unit(tmp_path, unit, per_unit):
    # A sensor of 20 mm with 400 pixels: 20 a millimetre.
    info = _info(tmp_path, focal_mm=ratio(30), plane_resolution=ratio(round(20 * per_unit * 10), 10), plane_unit=unit)
    assert info.focal_px == pytest.approx(600, rel=1e-3)


def test_a_picture_that_was_made_smaller_keeps_its_angle_of_view(tmp_path):
    tags = {"focal_mm": ratio(30), "plane_resolution": ratio(200), "plane_unit": 4, "width": 4000, "height": 3000}
    assert _info(tmp_path, **tags).focal_px == pytest.approx(600)


@pytest.mark.parametrize(
    ("tags", "note"),
    [
        ({"focal_35": 0}, "focal length of 0"),
        ({"focal_35": 0, "focal_mm": ratio(0), "plane_resolution": ratio(200)}, "focal length of 0"),
        ({"focal_mm": ratio(1, 0), "plane_resolution": ratio(200), "plane_unit": 4}, "focal length of 0"),
        ({"focal_mm": ratio(5), "plane_resolution": ratio(0), "plane_unit": 2}, "focal length of 0"),
        ({"focal_mm": ratio(5), "plane_resolution": ratio(72), "plane_unit": 2}, "a sensor"),
        ({"focal_mm": ratio(5), "plane_resolution": ratio(72), "plane_unit": 77}, "a sensor"),
        ({"focal_35": 2}, "picture widths"),
        ({"focal_35": 60000}, "picture widths"),
        ({"focal_35": 26, "width": 4000, "height": 2000}, "was cropped"),
    ],
)
def test_nonsense_is_not_believed_and_said(tmp_path, tags, note):
    info = _info(tmp_path, **tags)
    assert info.focal_px is None
    assert len(info.notes) == 1 and note in info.notes[0] and "photo.jpg" in info.notes[0]


def test_a_photograph_that_says_nothing_has_no_note(tmp_path):
    cv2.imwrite(str(tmp_path / "plain.jpg"), _picture())
    for info in (open_frames(tmp_path / "plain.jpg").info, _info(tmp_path, focal_mm=ratio(5))):
        assert info.focal_px is None and info.notes == ()


def test_bytes_that_only_look_like_exif_do_no_harm():
    damaged = b"\xff\xd8\xff\xe1\x00\x10Exif\x00\x00MM\x00*\xff\xff\xff\xff"
    for data in (b"Exif", damaged, b"RIFF\x10\x00\x00\x00WEBPEXIF"):
        assert read_photo_tags(data, SIZE).focal_px is None and read_photo_tags(data).orientation == 1


def test_photographs_of_one_lens_share_it_and_others_are_told_apart(tmp_path):
    same = [write_photo(tmp_path / f"{k}.jpg", _picture(), focal_35=26) for k in range(3)]
    assert open_images(same, "photos").info.focal_px == pytest.approx(26 / FILM_DIAGONAL * DIAGONAL)
    zoomed = write_photo(tmp_path / "9.jpg", _picture(), focal_35=52)
    info = open_images([*same, zoomed], "photos").info
    assert info.focal_px is None and "300 to 601 px" in info.notes[0]
    silent = write_photo(tmp_path / "8.jpg", _picture())
    info = open_images([*same, silent], "photos").info
    assert info.focal_px is None and "only 3 of 4" in info.notes[0]
