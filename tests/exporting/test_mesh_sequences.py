"""OBJ and PLY sequences: read as other programs do, the meshes lie where the track has them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from flowface_jax.cameras import load_cameras
from flowface_jax.exporting import export
from flowface_jax.heads.obj import read_obj
from flowface_jax.heads.ply import read_ply
from tests.exporting.performances import image_vertices, performance, projected


def _vertices(path):
    return read_obj(path).vertices if path.suffix == ".obj" else np.asarray(read_ply(path).vertices)


@pytest.mark.parametrize("kind", ["obj", "ply"])
def test_frames_lie_in_the_images_where_the_track_has_them(tmp_path, kind):
    folder = export(performance(), kind, tmp_path / "out")
    assert sorted(f.name for f in folder.glob(f"0*.{kind}")) == [f"{n:06d}.{kind}" for n in (7, 8, 10)]
    cameras = load_cameras(folder / "cameras.json").cameras
    found = np.asarray(cameras.project(_vertices(folder / f"000010.{kind}").astype(np.float32)))
    assert np.abs(found - image_vertices()[:, 3]).max() < 0.1


def test_units_and_spaces(tmp_path):
    settings = {"space": "camera", "unit": "mm", "unseen": "true"}
    folder = export(performance(), "obj", tmp_path / "out", settings)
    seen = read_obj(folder / "000009.obj").vertices / 1000.0
    cameras = performance().track.cameras
    flat = projected(seen, float(cameras.focal[0]), np.asarray(cameras.principal_point)[0])
    assert np.abs(flat - image_vertices()[0, 2]).max() < 0.1
    about = json.loads((folder / "sequence.json").read_text())
    assert (about["unit"], about["space"], about["frame_ids"]) == ("millimetre", "camera", [7, 8, 9, 10])
    assert about["frames_per_second"] == pytest.approx(30)


def test_an_obj_has_the_heads_triangles_and_atlas_coordinates(tmp_path):
    mesh, head = read_obj(export(performance(), "obj", tmp_path / "out") / "neutral.obj"), performance().head
    np.testing.assert_array_equal(mesh.triangles, head.triangles)
    np.testing.assert_allclose(mesh.uv, head.uv, atol=1e-6)
    np.testing.assert_allclose(mesh.vertices, performance().track.neutral_vertices(head), atol=1e-6)
