"""VOCASET's layout: meshes at an even rate, their sound beside them, templates that pickle reads."""

from __future__ import annotations

import dataclasses
import wave

import av
import numpy as np
import pytest

from flowface_jax.aligners import open_frames
from flowface_jax.errors import InputError
from flowface_jax.exporting import export
from flowface_jax.foreign.safe_pickle import read_pickle
from flowface_jax.heads.ply import read_ply
from tests.exporting.flame_performances import Clip, flame_head, flame_performance

RATE = 16000
BEEP_S = 4 / 30
"""When the made-up clip's tone begins, s after its first picture."""


def _film(path, delay_s=0.0, silent=False):
    """Twelve frames at 30 per second; from the fourth on a tone."""
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("mpeg4", rate=30)
        pictures.width, pictures.height, pictures.pix_fmt = 640, 480, "yuv420p"
        sounds = None if silent else container.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for number in range(12):
            frame = av.VideoFrame.from_ndarray(np.full((480, 640, 3), 10 * number, np.uint8), "rgb24")
            container.mux(pictures.encode(frame))
        container.mux(pictures.encode(None))
        if sounds is not None:
            seconds = np.arange(RATE // 2) / RATE
            tone = np.where(seconds >= BEEP_S - delay_s, 20000 * np.sin(2 * np.pi * 440 * seconds), 0)
            frame = av.AudioFrame.from_ndarray(tone.astype(np.int16)[None], "s16", "mono")
            frame.rate, frame.pts = RATE, round(delay_s * RATE)
            container.mux(sounds.encode(frame))
            container.mux(sounds.encode(None))
    return path


def _sound(path):
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float64)


@pytest.fixture(scope="module")
def subject():
    return flame_performance(("root", "neck", "jaw", "left_eye"), cameras=1)


def test_meshes_are_those_of_the_track_without_its_pose(tmp_path, subject):
    settings = {"frame_rate": 30, "subject": "FaceTalk_1_TA", "sentence": 7}
    folder = export(subject, "vocaset", tmp_path / "out", settings)
    meshes = np.load(folder / "vertices_npy" / "FaceTalk_1_TA_sentence07.npy")
    assert meshes.shape == (4, 3 * flame_head().vertex_count) and meshes.dtype == np.float32
    joints, expression = np.array(subject.track.joint_rotations), np.array(subject.track.expression)
    joints[:, :2] = 0
    # The third frame shows no face: its coefficients lie between those of its neighbours.
    joints[2], expression[2] = 0.5 * (joints[1] + joints[3]), 0.5 * (expression[1] + expression[3])
    still = dataclasses.replace(subject.track, joint_rotations=joints, expression=expression)
    for row, mesh in enumerate(meshes):
        expected = np.asarray(still.local_vertices(subject.head, row))
        np.testing.assert_allclose(mesh.reshape(-1, 3), expected, atol=1e-6)


def test_the_template_is_the_neutral_head_and_sits_in_a_pickle(tmp_path, subject):
    folder = export(subject, "vocaset", tmp_path / "out", {"subject": "anna"})
    templates = read_pickle(folder / "templates.pkl", "templates")
    np.testing.assert_allclose(templates["anna"], subject.track.neutral_vertices(subject.head), atol=1e-7)
    sample = read_ply(folder / "FLAME_sample.ply")
    np.testing.assert_array_equal(sample.triangles, subject.head.triangles)
    # As older NumPy named it: the loaders' Python has NumPy 1.
    assert b"numpy.core.multiarray" in (folder / "templates.pkl").read_bytes()


def test_every_second_of_60_frames_is_that_of_30(tmp_path, subject):
    fine = np.load(export(subject, "vocaset", tmp_path / "a") / "vertices_npy/made_up_sentence01.npy")
    coarse = np.load(
        export(subject, "vocaset", tmp_path / "b", {"frame_rate": 30}) / "vertices_npy/made_up_sentence01.npy"
    )
    assert len(fine) == 7
    np.testing.assert_allclose(fine[::2], coarse, atol=1e-6)


def test_eyes_can_stay_still(tmp_path, subject):
    still = dataclasses.replace(subject.track, expression=0 * subject.track.expression)
    joints = np.array(still.joint_rotations)
    joints[:, 2] = 0
    still = dataclasses.replace(subject, track=dataclasses.replace(still, joint_rotations=joints))
    moving = np.load(export(still, "vocaset", tmp_path / "a") / "vertices_npy/made_up_sentence01.npy")
    fixed = np.load(export(still, "vocaset", tmp_path / "b", {"eyes": False}) / "vertices_npy/made_up_sentence01.npy")
    assert np.ptp(moving, axis=0).max() > 1e-3 and np.ptp(fixed, axis=0).max() < 1e-7


@pytest.mark.parametrize("delay_s", [0.0, 0.05])
def test_sound_fits_the_frames(tmp_path, subject, delay_s):
    film = _film(tmp_path / "clip.mkv", delay_s)
    times = subject.track.frame_times + 0.1
    track = dataclasses.replace(subject.track, frame_times=times)
    heard = dataclasses.replace(subject, track=track, sources=(open_frames(film),))
    folder = export(heard, "vocaset", tmp_path / "out")
    sound = _sound(folder / "wav" / "made_up_sentence01.wav")
    assert len(sound) == pytest.approx(RATE * (3 / 30 + 1 / 60), abs=1)
    begins = np.flatnonzero(np.abs(sound) > 1000)[0] / RATE
    assert begins == pytest.approx(BEEP_S - 0.1, abs=0.002)


def test_sound_of_another_file(tmp_path, subject):
    film = _film(tmp_path / "clip.mkv")
    folder = export(subject, "vocaset", tmp_path / "out", {"sound": str(film)})
    assert (folder / "wav" / "made_up_sentence01.wav").is_file()
    with pytest.raises(InputError, match="holds no sound; name a file that does, or none"):
        export(subject, "vocaset", tmp_path / "b", {"sound": str(_film(tmp_path / "silent.mkv", silent=True))})


def test_without_sound_it_is_said(tmp_path, subject, caplog):
    folder = export(subject, "vocaset", tmp_path / "out")
    assert not (folder / "wav").exists() and "no wav is written" in caplog.text
    caplog.clear()
    photographs = dataclasses.replace(subject, sources=(Clip(),))
    export(photographs, "vocaset", tmp_path / "b", {"sound": "none"})
    assert "wav" not in caplog.text


def test_sequences_join_to_a_data_set(tmp_path, subject):
    film = _film(tmp_path / "clip.mkv")
    first = export(subject, "vocaset", tmp_path / "first", {"subject": "anna", "sound": str(film)})
    settings = {"subject": "ben", "sentence": 3, "earlier": str(first)}
    both = export(subject, "vocaset", tmp_path / "both", settings)
    found = sorted(str(file.relative_to(both)) for file in both.rglob("*.*"))
    assert found == ["FLAME_sample.ply", "export.json", "templates.pkl", "vertices_npy/anna_sentence01.npy",
                     "vertices_npy/ben_sentence03.npy", "wav/anna_sentence01.wav"]  # fmt: skip
    assert sorted(read_pickle(both / "templates.pkl", "templates")) == ["anna", "ben"]
    with pytest.raises(InputError, match="no such file: .*templates.pkl"):
        export(subject, "vocaset", tmp_path / "x", {"earlier": str(tmp_path)})


@pytest.mark.parametrize(("name", "value"), [("subject", "a/b"), ("sentence", 100), ("frame_rate", 0)])
def test_settings_that_the_layout_cannot_hold(tmp_path, subject, name, value):
    with pytest.raises(InputError, match="vocaset"):
        export(subject, "vocaset", tmp_path / "out", {name: value})
    assert list(tmp_path.iterdir()) == []
