"""The same picture, through every way in that a user has, gives the same pixels."""

from __future__ import annotations

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from flowface_jax.aligners.frames import BACKGROUND
from flowface_jax.aligners.mediapipe import align_mediapipe
from flowface_jax.aligners.video import open_frames
from flowface_jax.errors import InputError
from tests.aligners.films import set_display_matrix, write_film
from tests.shared_data import clip_path

COLOURS = np.asarray([[230, 20, 20], [20, 230, 20], [20, 20, 230], [230, 230, 230], [128, 128, 128], [30, 60, 90]])
BT709, BT2020, LIMITED, FULL = 1, 9, 1, 2


def _picture():
    """Smooth colours, which coding hardly changes."""
    rows, columns = np.mgrid[0:1:64j, 0:1:96j][..., None]
    left, right = COLOURS[0] * (1 - rows) + COLOURS[2] * rows, COLOURS[1] * (1 - rows) + COLOURS[5] * rows
    return np.rint(left * (1 - columns) + right * columns).astype(np.uint8)


def _film(path, codec, pixels, image, kind="rgb24", colour_space=None, colour_range=None, **options):
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no {codec}")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = *image.shape[:2], pixels
        if colour_space is not None:
            stream.codec_context.colorspace, stream.codec_context.color_range = colour_space, colour_range
        for _ in range(2):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format=kind)
            if colour_space is not None:
                frame = frame.reformat(format=pixels, dst_colorspace=colour_space, dst_color_range=colour_range)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


FILMS = {
    "h264.mp4": ("libx264", "yuv420p", {"crf": "4"}),
    "h264_10bit.mp4": ("libx264", "yuv420p10le", {"crf": "4"}),
    "h264_709.mp4": ("libx264", "yuv420p", {"crf": "4", "colour_space": BT709, "colour_range": LIMITED}),
    "h264_709_full.mp4": ("libx264", "yuv420p", {"crf": "4", "colour_space": BT709, "colour_range": FULL}),
    "h264_10bit_2020.mp4": ("libx264", "yuv420p10le", {"crf": "4", "colour_space": BT2020, "colour_range": LIMITED}),
    "h265_10bit.mp4": ("libx265", "yuv420p10le", {"crf": "4", "x265-params": "log-level=none"}),
    "prores.mov": ("prores_ks", "yuv422p10le", {}),
    "ffv1_16bit.mkv": ("ffv1", "yuv444p16le", {}),
    "vp9.webm": ("libvpx-vp9", "yuv420p", {"crf": "4", "b": "0"}),
}


@pytest.mark.parametrize("name", FILMS)
def test_films_of_any_depth_and_colour_space_show_the_same_picture(tmp_path, name):
    codec, pixels, options = FILMS[name]
    source = open_frames(_film(tmp_path / name, codec, pixels, _picture(), **options))
    for frame in source:
        assert frame.image.dtype == np.uint8 and source.info.size == (96, 64)
        assert np.abs(frame.image.astype(int) - _picture()).max() <= 10
        assert np.abs(frame.image.astype(int) - _picture()).mean() <= 2.5


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [("p.png", 0), ("p.bmp", 0), ("p.tif", 0), ("p.webp", 3), ("p.jpg", 3), ("deep.png", 0), ("deep.tif", 0)],
)
def test_pictures_of_any_kind_and_depth_are_the_same(tmp_path, name, tolerance):
    image = _picture()[..., ::-1]
    image = image.astype(np.uint16) * 257 if name.startswith("deep") else image
    options = [cv2.IMWRITE_JPEG_QUALITY, 98] if name.endswith("jpg") else []
    assert cv2.imwrite(str(tmp_path / name), image, options)
    read = next(iter(open_frames(tmp_path / name))).image
    assert np.abs(read.astype(int) - _picture()).mean() <= tolerance


def test_sixteen_bits_are_rounded(tmp_path):
    values = np.arange(0, 65536, 61, np.uint16)[None].repeat(2, 0)
    cv2.imwrite(str(tmp_path / "deep.png"), values)
    read = next(iter(open_frames(tmp_path / "deep.png"))).image[..., 0]
    assert np.abs(read - values / 257.0).max() <= 0.501


def test_grey_films_and_pictures_are_grey(tmp_path):
    grey = cv2.cvtColor(_picture(), cv2.COLOR_RGB2GRAY)
    Image.fromarray(grey).convert("LA").save(tmp_path / "la.png")
    Image.fromarray(grey).save(tmp_path / "l.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "l16.png")
    _film(tmp_path / "grey.mkv", "ffv1", "yuv444p", np.repeat(grey[..., None], 3, 2))
    for name in ("la.png", "l.png", "l16.png", "grey.mkv"):
        read = next(iter(open_frames(tmp_path / name))).image
        assert read.shape == (64, 96, 3) and np.abs(read.astype(int) - grey[..., None]).max() <= 2, name


@pytest.mark.parametrize("name", ["a.png", "a.webp", "deep.png", "palette.png", "a.mov", "prores.mov", "film.mkv"])
def test_what_is_transparent_shows_the_background(tmp_path, name):
    image = np.dstack([_picture(), np.full((64, 96), 255, np.uint8)])
    image[:32, :, 3], image[:16, :, 3] = 102, 0
    path = tmp_path / name
    if name == "deep.png":
        cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGBA2BGRA).astype(np.uint16) * 257)
    elif name == "palette.png":
        image[..., :3] = (10, 200, 30)
        image[:32, :, 3] = 0
        Image.fromarray(image).quantize(8, Image.Quantize.FASTOCTREE).save(path)
    elif name == "a.mov":
        _film(path, "png", "rgba", image, "rgba")
    elif name == "prores.mov":
        _film(path, "prores_ks", "yuva444p10le", image, "rgba")
    elif name == "film.mkv":
        _film(path, "ffv1", "yuva444p", image, "rgba")
    else:
        Image.fromarray(image).save(path, **({"lossless": True, "exact": True} if name == "a.webp" else {}))
    share = image[..., 3:] / 255
    expected = image[..., :3] * share + np.asarray(BACKGROUND) * (1 - share)
    read = next(iter(open_frames(path))).image
    assert np.abs(read - expected).mean() <= 2.5 and np.abs(read[2:12] - np.asarray(BACKGROUND)).max() <= 3


def test_another_background_may_be_asked_for(tmp_path):
    Image.fromarray(np.zeros((4, 4, 4), np.uint8)).save(tmp_path / "clear.png")
    assert (next(iter(open_frames(tmp_path / "clear.png", background=(1, 2, 3)))).image == (1, 2, 3)).all()


def test_pictures_that_would_show_a_tile_are_refused(tmp_path):
    (tmp_path / "phone.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    with pytest.raises(InputError, match="JPEG or PNG"):
        open_frames(tmp_path / "phone.HEIC")


def test_a_frame_rate_that_is_none_is_refused(tmp_path):
    with pytest.raises(InputError, match="above 0"):
        open_frames(tmp_path, frame_rate=0.0)


def test_a_face_is_aligned_alike_however_it_comes_in(tmp_path):
    pytest.importorskip("mediapipe", reason="the MediaPipe aligner is optional")
    with av.open(str(clip_path("d19"))) as container:
        frame = next(container.decode(video=0)).to_ndarray(format="rgb24")
    height, width = (n - n % 2 for n in frame.shape[:2])
    frame = np.ascontiguousarray(frame[:height, :width])
    Image.fromarray(frame).save(tmp_path / "face.png")
    Image.fromarray(frame).save(tmp_path / "face.webp", quality=95)
    Image.fromarray(np.dstack([frame, np.full(frame.shape[:2], 255, np.uint8)])).save(tmp_path / "alpha.png")
    cv2.imwrite(str(tmp_path / "deep.png"), frame[..., ::-1].astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = np.ascontiguousarray(np.rot90(frame))
    Image.fromarray(turned).save(tmp_path / "turned.jpg", quality=97, exif=exif)
    write_film(tmp_path / "film.mp4", [frame] * 2, times_ms=[0, 130])
    set_display_matrix(write_film(tmp_path / "phone.mp4", [turned] * 2), 0, 1, -1, 0)
    _film(tmp_path / "ten.mp4", "libx264", "yuv420p10le", frame, crf="6")
    means = {}
    for path in sorted(tmp_path.iterdir()):
        alignment = align_mediapipe([path], static=True)
        means[path.name] = alignment.mean[0, 0]
        if path.name == "film.mp4":
            assert np.allclose(alignment.frame_times, [0, 0.13], atol=1e-3)
    for name, mean in means.items():
        off = np.linalg.norm(mean - means["face.png"], axis=-1)
        exact = name in ("alpha.png", "deep.png")
        assert np.median(off) <= (0 if exact else 0.5) and off.max() <= (0 if exact else 3), (name, off.max())
