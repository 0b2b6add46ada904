"""Captures on disk: the truth agrees with itself and with the pictures, the same bytes again, resumed where killed."""

from __future__ import annotations

import dataclasses
import json

import cv2
import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.alignment.alignment import Alignment
from flowface_jax.cameras import load_cameras
from flowface_jax.capturing import DEPTH_UNIT, CaptureSettings, capture
from flowface_jax.errors import InputError
from flowface_jax.fitting.config import FitConfig
from flowface_jax.fitting.track import Track
from flowface_jax.pipeline import CameraChoice, fit_file
from tests.fitting.small import small_head
from tests.plaster import make_plaster_renderer

SETTINGS = CaptureSettings(
    cameras=2, frames=3, size=96, maps=("depth", "normals", "segmentation", "visibility"), meshes=True
)


@pytest.fixture(scope="module")
def head():
    return small_head()


@pytest.fixture(scope="module")
def folder(head, tmp_path_factory):
    out = tmp_path_factory.mktemp("capture") / "out"
    capture(head, out, SETTINGS, make_plaster_renderer)
    return out


def _files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_track_projected_with_the_cameras_is_the_alignment(head, folder):
    track, cameras = Track.load(folder), load_cameras(folder / "cameras.json").cameras
    alignment = Alignment.load(folder / "alignment.npz")
    chosen = alignment.vertex_ids[:, 0]
    assert track.summary["ground_truth"] is True and track.frame_count == 3
    for frame in range(3):
        pixels = np.asarray(cameras.project(track.world_vertices(head, frame)))[:, chosen]
        np.testing.assert_allclose(alignment.mean[:, frame], pixels, atol=1e-3)


def test_the_meshes_are_the_track(head, folder):
    body = (folder / "meshes/00001.ply").read_bytes().split(b"end_header\n")[1]
    stored = np.frombuffer(body[: 12 * head.vertex_count], "<f4").reshape(-1, 3)
    np.testing.assert_allclose(stored, Track.load(folder).world_vertices(head, 1), atol=1e-6)


def test_depth_maps_agree_with_visible_vertices(head, folder):
    visible = np.load(folder / "visibility.npz")["visible"]
    track = Track.load(folder)
    depth = cv2.imread(str(folder / "maps/depth/camera_01/00002.png"), cv2.IMREAD_UNCHANGED) * DEPTH_UNIT
    world = track.world_vertices(head, 2)
    pixels = np.asarray(track.cameras.project(world))[1]
    distance = np.asarray(track.cameras.to_camera(world))[1, :, 2]
    inner = visible[1, 2] & (pixels > 4).all(1) & (pixels < 92).all(1)
    assert inner.sum() > 5
    column, row = np.floor(pixels[inner]).astype(int).T
    found = depth[row, column]
    assert np.median(np.abs(found - distance[inner])[found > 0]) < 5e-3


def test_videos_and_pictures_show_the_head(folder):
    film = cv2.VideoCapture(str(folder / "camera_00.mp4"))
    assert film.get(cv2.CAP_PROP_FRAME_COUNT) == 3
    image = film.read()[1]
    seen = cv2.imread(str(folder / "maps/segmentation/camera_00/00000.png"), cv2.IMREAD_UNCHANGED) > 0
    assert image.shape == (96, 96, 3) and 0.05 < seen.mean() < 0.9
    assert image[seen].std() > 3 * image[~seen].std()
    assert json.loads((folder / "capture.json").read_text())["settings"]["seed"] == 7


def test_the_same_settings_give_the_same_bytes_even_when_resumed(head, folder, tmp_path):
    calls = 0

    class KilledError(Exception):
        pass

    def make_mortal(*arguments):
        render = make_plaster_renderer(*arguments)

        def once(moment, cameras):
            nonlocal calls
            calls += 1
            if calls == 2:
                raise KilledError
            return render(moment, cameras)

        return once

    out = tmp_path / "again"
    with pytest.raises(KilledError):
        capture(head, out, SETTINGS, make_mortal)
    assert not (out / "track.npz").exists()
    capture(head, out, SETTINGS, make_mortal, existing="resume")
    assert calls == 4
    assert _files(out) == _files(folder)
    capture(head, out, SETTINGS, make_mortal, existing="resume")
    assert calls == 4


def test_a_folder_in_use_is_refused_and_overwriting_leaves_other_files_alone(head, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    settings = dataclasses.replace(SETTINGS, frames=1, cameras=1, png=True)
    with pytest.raises(InputError, match="in use"):
        capture(head, out, settings, make_plaster_renderer)
    capture(head, out, settings, make_plaster_renderer, existing="overwrite")
    assert (out / "camera_00/00000.png").is_file() and not (out / "camera_00.mp4").exists()
    plain = dataclasses.replace(settings, png=False, maps=(), meshes=False)
    capture(head, out, plain, make_plaster_renderer, existing="overwrite")
    assert (out / "notes.txt").read_text() == "mine"
    assert not (out / "camera_00").exists() and not (out / "maps").exists() and not (out / "meshes").exists()
    with pytest.raises(InputError, match="other synth"):
        capture(head, out, dataclasses.replace(settings, seed=8), make_plaster_renderer, existing="resume")


@pytest.mark.minutes
def test_the_written_alignment_fits_back_to_the_truth(head, folder, tmp_path):
    truth, cameras = Track.load(folder), load_cameras(folder / "cameras.json")
    alignment = Alignment.load(folder / "alignment.npz")
    fitted = fit_file(
        folder / "alignment.npz",
        alignment,
        tmp_path / "fit",
        head,
        CameraChoice(calibration=cameras),
        FitConfig(prior_weight=1e-3, temporal_weight=0.0, error_bars=False),
    )
    pixels = np.asarray(fitted.image_vertices(head, 1))[:, alignment.vertex_ids[:, 0]]
    assert np.median(np.abs(pixels - alignment.mean[:, 1])) < 0.15
    gap = np.linalg.norm(fitted.head_translation - truth.head_translation, axis=1)
    assert gap.max() < 0.03


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cameras": 0}, "cameras"),
        ({"frames": 0}, "frames"),
        ({"size": 8}, "size"),
        ({"size": 97}, "even"),
        ({"frame_rate": 0.0}, "frame rate"),
        ({"maps": ("colour",)}, "colour"),
        ({"seed": -1}, "seed"),
        ({"spread": float("nan")}, "spread"),
        ({"photographs": "blurry"}, "photographs"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change, said):
    with pytest.raises(InputError, match=said):
        dataclasses.replace(SETTINGS, **change)


def test_points_behind_a_camera_are_not_observed(head, folder):
    from flowface_jax.capturing import true_alignment

    track = Track.load(folder)
    behind = dataclasses.replace(track, head_translation=track.head_translation + np.float32([0, 0, 5.0]))
    alignment = true_alignment(head, behind, np.zeros((2, 3, head.vertex_count), bool))
    assert not alignment.valid.any() and np.isinf(alignment.std).all()
    assert jnp.isfinite(jnp.asarray(alignment.mean)).all()
