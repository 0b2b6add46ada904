"""Videos that play everywhere, appear whole or not at all, and have the same bytes each time."""

import av
import numpy as np
import pytest

from flowface_jax.aligners.video import open_frames
from flowface_jax.errors import InputError
from flowface_jax.viewing.video_writer import VideoWriter, write_video


def _frames(count=6, height=48, width=64):
    ramp = np.linspace(0, 120, width)[None, :, None] * np.ones((height, 1, 3))
    return [(ramp + 20 * k).astype(np.uint8) for k in range(count)]


def test_what_is_written_can_be_read_back(tmp_path):
    frames = _frames()
    assert write_video(tmp_path / "out.mp4", iter(frames), 30) == 6
    source = open_frames(tmp_path / "out.mp4")
    assert source.info.size == (64, 48) and source.info.frame_rate == 30
    back = list(source)
    assert np.allclose([f.time_s for f in back], np.arange(6) / 30, atol=1e-4)
    assert all(np.abs(b.image.astype(int) - f).mean() < 4 for b, f in zip(back, frames, strict=True))


def test_colours_survive(tmp_path):
    red = np.tile(np.asarray([200, 40, 60], np.uint8), (48, 64, 1))
    write_video(tmp_path / "red.mp4", [red] * 2, 25)
    assert np.abs(next(iter(open_frames(tmp_path / "red.mp4"))).image.astype(int) - red).mean() < 4


def test_it_is_h264_yuv420p_with_its_index_first(tmp_path):
    write_video(tmp_path / "out.mp4", _frames(), 29.97)
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264" and stream.codec_context.pix_fmt == "yuv420p"
        assert float(stream.average_rate) == pytest.approx(29.97, abs=0.01)
    data = (tmp_path / "out.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_same_frames_same_bytes(tmp_path):
    for name in ("a.mp4", "b.mp4"):
        write_video(tmp_path / name, _frames(20, 240, 320), 25)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_odd_sides_are_padded(tmp_path):
    write_video(tmp_path / "odd.mp4", _frames(2, 47, 63), 25)
    assert open_frames(tmp_path / "odd.mp4").info.size == (64, 48)


def test_a_failure_leaves_nothing_and_keeps_the_older_film(tmp_path):
    write_video(tmp_path / "out.mp4", _frames(), 25)
    before = (tmp_path / "out.mp4").read_bytes()

    def interrupted():
        yield from _frames(2)
        raise RuntimeError("the fit failed")

    with pytest.raises(RuntimeError):
        write_video(tmp_path / "out.mp4", interrupted(), 25)
    assert (tmp_path / "out.mp4").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]


def test_wrong_uses_get_one_clear_line(tmp_path):
    with pytest.raises(InputError, match="no frame"):
        write_video(tmp_path / "out.mp4", [], 25)
    with pytest.raises(InputError, match="frame 1 is 32x32 px, the first was 64x48"):
        write_video(tmp_path / "out.mp4", [*_frames(1), np.zeros((32, 32, 3), np.uint8)], 25)
    with pytest.raises(InputError, match="frame rate above 0"):
        VideoWriter(tmp_path / "out.mp4", 0)
    with pytest.raises(InputError, match=r"ends in \.mp4"):
        VideoWriter(tmp_path / "out.avi", 25)
    assert not list(tmp_path.iterdir())
