"""What a user relies on when a video, an image or a folder is opened."""

import logging

import av
import cv2
import numpy as np
import pytest

from flowface_jax.aligners.frames import FrameSource
from flowface_jax.aligners.video import open_frames
from flowface_jax.errors import InputError
from tests.aligners.films import corner_picture, corners, set_display_matrix, write_film


def _grey(value, width=64, height=48):
    return np.full((height, width, 3), value, np.uint8)


def test_frames_come_in_order_with_times_and_number(tmp_path):
    path = write_film(tmp_path / "film.mp4", [_grey(20 * i) for i in range(10)])
    source = open_frames(path)
    assert isinstance(source, FrameSource)
    assert source.info.size == (64, 48) and source.info.frame_count == 10 and source.info.is_video
    frames = list(source)
    assert [f.frame_id for f in frames] == list(range(10))
    assert np.allclose([f.time_s for f in frames], 0.04 * np.arange(10))
    assert np.allclose([f.image.mean() for f in frames], 20 * np.arange(10), atol=4)
    assert frames[0].image.dtype == np.uint8 and frames[0].image.shape == (48, 64, 3)


def test_iterating_again_starts_at_the_first_frame(tmp_path):
    source = open_frames(write_film(tmp_path / "film.mp4", [_grey(20 * i) for i in range(5)]))
    half_read = iter(source)
    next(half_read), next(half_read)
    assert [f.frame_id for f in source] == [0, 1, 2, 3, 4]
    assert all((a.image == b.image).all() for a, b in zip(source, source, strict=True))


def test_colours_are_red_green_blue(tmp_path):
    frame = next(iter(open_frames(write_film(tmp_path / "film.mp4", [corner_picture()]))))
    assert corners(frame.image) == "rgbw"


@pytest.mark.parametrize(
    ("matrix", "expected", "size"),
    [
        ((0, 1, -1, 0), "brwg", (48, 64)),  # a quarter turn clockwise: a phone held upright
        ((-1, 0, 0, -1), "wbgr", (64, 48)),  # held upside down
        ((0, -1, 1, 0), "gwrb", (48, 64)),  # a quarter turn anticlockwise
        ((-1, 0, 0, 1), "grwb", (64, 48)),  # mirrored
    ],
)
def test_rotation_tag_of_phones_is_applied(tmp_path, matrix, expected, size):
    path = write_film(tmp_path / "phone.mp4", [corner_picture()] * 3)
    set_display_matrix(path, *matrix)
    source = open_frames(path)
    frames = list(source)
    assert source.info.size == size
    assert all(f.image.shape == (size[1], size[0], 3) and corners(f.image) == expected for f in frames)


def test_variable_frame_rate_keeps_the_containers_times(tmp_path):
    times = [0, 30, 100, 110, 400]
    source = open_frames(write_film(tmp_path / "film.mp4", [_grey(30 * i) for i in range(5)], times_ms=times))
    assert np.allclose([f.time_s for f in source], np.asarray(times) / 1000, atol=1e-3)


def test_a_time_that_is_stated_twice_does_not_stand_still(tmp_path):
    with av.open(str(tmp_path / "film.mkv"), "w") as container:
        stream = container.add_stream("mjpeg", rate=2500)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for _ in range(6):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(_grey(90), format="rgb24")))
        container.mux(stream.encode())
    with av.open(str(tmp_path / "film.mkv")) as container:
        assert len({frame.time for frame in container.decode(video=0)}) < 6
    assert (np.diff([frame.time_s for frame in open_frames(tmp_path / "film.mkv")]) > 0).all()


def test_odd_sizes_are_kept(tmp_path):
    source = open_frames(write_film(tmp_path / "film.mp4", [_grey(90, 61, 47)] * 2))
    assert source.info.size == (61, 47) and next(iter(source)).image.shape == (47, 61, 3)


def test_one_image_is_one_frame(tmp_path):
    cv2.imwrite(str(tmp_path / "face.png"), corner_picture()[..., ::-1])
    source = open_frames(tmp_path / "face.png")
    frames = list(source)
    assert len(frames) == 1 and corners(frames[0].image) == "rgbw" and not source.info.is_video


def test_a_folder_of_images_is_sorted_by_number(tmp_path):
    for number in (10, 9, 100):
        cv2.imwrite(str(tmp_path / f"frame{number}.png"), _grey(number))
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "._frame1.png").write_bytes(b"left behind by a file manager")
    source = open_frames(tmp_path, frame_rate=10)
    assert [int(f.image[0, 0, 0]) for f in source] == [9, 10, 100]
    assert np.allclose([f.time_s for f in source], [0, 0.1, 0.2]) and source.info.frame_count == 3


def test_grey_transparent_and_deep_images_become_rgb8(tmp_path):
    rgb = corner_picture()
    cv2.imwrite(str(tmp_path / "1_rgba.png"), np.dstack([rgb[..., ::-1], np.full(rgb.shape[:2], 255, np.uint8)]))
    cv2.imwrite(str(tmp_path / "2_deep.png"), rgb[..., ::-1].astype(np.uint16) * 257)
    cv2.imwrite(str(tmp_path / "3_grey.png"), rgb[..., 0])
    rgba, deep, grey = (f.image for f in open_frames(tmp_path))
    assert (rgba == rgb).all() and (deep == rgb).all() and (grey == rgb[..., :1]).all()
    assert grey.dtype == np.uint8 and grey.shape == rgb.shape


def test_exif_orientation_of_photographs_is_applied(tmp_path):
    encoded = cv2.imencode(".jpg", corner_picture()[..., ::-1])[1].tobytes()
    tiff = b"MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00"
    body = b"Exif\x00\x00" + tiff
    exif = b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body
    (tmp_path / "photo.jpg").write_bytes(encoded[:2] + exif + encoded[2:])
    frame = next(iter(open_frames(tmp_path / "photo.jpg")))
    assert frame.image.shape == (64, 48, 3) and corners(frame.image) == "brwg"


def test_images_of_several_sizes_are_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), _grey(1))
    cv2.imwrite(str(tmp_path / "b.png"), _grey(1, 80, 48))
    with pytest.raises(InputError, match=r"b\.png is 80x48 px, but a\.png is 64x48"):
        list(open_frames(tmp_path))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("text.mp4", b"this is no film\n" * 50, "not a readable video"),
        ("text.txt", b"this is no film\n" * 50, "not a video file|not a readable video"),
        ("list.mp4", b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://localhost/a.ts\n#EXT-X-ENDLIST\n", "not a"),
        ("empty.mp4", b"", "is empty"),
        ("text.png", b"this is no picture", "not a readable image"),
    ],
)
def test_files_that_are_no_pictures_get_one_clear_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        open_frames(tmp_path / name)
    assert "\n" not in str(caught.value) and name in str(caught.value)


def test_nothing_there_and_empty_folders_get_one_clear_line(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        open_frames(tmp_path / "absent.mp4")
    with pytest.raises(InputError, match="no image in the folder"):
        open_frames(tmp_path)


def test_sound_without_pictures_is_refused(tmp_path):
    import wave

    with wave.open(str(tmp_path / "sound.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(1600))
    with pytest.raises(InputError, match="no picture"):
        open_frames(tmp_path / "sound.wav")


def test_a_film_cut_off_keeps_what_can_be_read_and_warns(tmp_path, caplog):
    noise = np.random.default_rng(0).integers(0, 255, (20, 48, 64, 3), np.uint8)
    path = write_film(tmp_path / "film.mp4", list(noise), faststart=True)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with caplog.at_level(logging.WARNING):
        frames = list(open_frames(path))
    assert 5 <= len(frames) <= 15
    assert [f.frame_id for f in frames] == list(range(len(frames)))
    assert "film.mp4" in caplog.text and "20 frames" in caplog.text


def test_a_film_cut_off_before_its_index_is_refused(tmp_path):
    path = write_film(tmp_path / "film.mp4", [_grey(9)] * 5)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match="damaged|no frame"):
        open_frames(path)


def test_damage_in_the_middle_does_not_end_the_film(tmp_path, caplog):
    noise = np.random.default_rng(0).integers(0, 255, (20, 48, 64, 3), np.uint8)
    path = write_film(tmp_path / "film.mp4", list(noise), faststart=True, gop=1)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4000] = bytes(4000)
    path.write_bytes(bytes(data))
    frames = list(open_frames(path))
    assert len(frames) >= 10
    assert np.abs(frames[-1].image.astype(int) - noise[-1]).mean() < 60
