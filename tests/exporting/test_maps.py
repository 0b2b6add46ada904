"""Maps of the head: what they state by their own conventions is where and what the track is."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.exporting import export
from flowface_jax.exporting.maps import LABELS
from flowface_jax.heads.atlas import closest_points
from flowface_jax.heads.registration import vertex_normals
from tests.exporting.performances import performance


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return export(performance(), "maps", tmp_path_factory.mktemp("maps") / "out", {"metres": True})


def _about(folder):
    return json.loads((folder / "maps.json").read_text())


def _surface(folder, camera, number):
    """World points of the pixels that have a depth, by the exported camera; and those pixels."""
    about = _about(folder)["cameras"][camera]
    depth = cv2.imread(str(folder / camera / "depth" / f"{number:06d}.tiff"), cv2.IMREAD_UNCHANGED)
    rows, columns = np.nonzero(depth)
    ray = (np.c_[columns, rows] + 0.5 - about["principal_point_px"]) / about["focal_px"]
    points = np.c_[ray, np.ones(len(ray))] * depth[rows, columns, None]
    rotation = np.array(about["rotation_world_to_camera"])
    return (points - about["translation_world_to_camera_m"]) @ rotation, (rows, columns)


@pytest.mark.parametrize("camera", ["front", "left side"])
def test_depth_lies_on_the_mesh(folder, camera):
    points, _ = _surface(folder, camera, 8)
    head, track = performance().head, performance().track
    mesh = np.asarray(track.world_vertices(head, 1))
    chosen = np.random.default_rng(0).choice(len(points), 500, replace=False)
    _, distance = closest_points(points[chosen], mesh, np.asarray(head.triangles))
    # A tenth of a pixel at this distance is a tenth of a millimetre.
    assert len(points) > 5000 and distance.max() < 5e-5


def test_normals_are_the_meshs_in_the_stated_axes(folder):
    points, (rows, columns) = _surface(folder, "left side", 8)
    head, track = performance().head, performance().track
    mesh, triangles = np.asarray(track.world_vertices(head, 1)), np.asarray(head.triangles)
    chosen = np.random.default_rng(1).choice(len(points), 500, replace=False)
    found, _ = closest_points(points[chosen], mesh, triangles)
    expected = np.einsum("nk,nkd->nd", found.barycentric, vertex_normals(mesh, triangles)[found.vertex_ids])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    expected = expected @ np.asarray(track.cameras.rotation)[1].T * [1, -1, -1]
    picture = cv2.cvtColor(cv2.imread(str(folder / "left side" / "normals" / "000008.png")), cv2.COLOR_BGR2RGB)
    shown = picture[rows[chosen], columns[chosen]] / 127.5 - 1
    assert "opengl" in _about(folder)["maps"]["normals"]
    assert np.quantile(np.abs(shown - expected).max(1), 0.98) < 0.02


def test_regions_are_named_where_their_vertices_are_seen(folder):
    head, track = performance().head, performance().track
    regions = cv2.imread(str(folder / "front" / "regions" / "000008.png"), cv2.IMREAD_UNCHANGED)
    mask = cv2.imread(str(folder / "front" / "mask" / "000008.png"), cv2.IMREAD_UNCHANGED)
    assert ((regions > 0) == (mask == 255)).all()
    pixels = np.asarray(track.image_vertices(head, 1))[0]
    depth = np.asarray(track.cameras.to_camera(np.asarray(track.world_vertices(head, 1))))[0, :, 2]
    shown = cv2.imread(str(folder / "front" / "depth" / "000008.tiff"), cv2.IMREAD_UNCHANGED)
    labels = _about(folder)["labels"]
    for name in ("nose", "lips", "left_ear", "scalp"):
        members = np.asarray(head.regions[name])
        column, row = np.floor(pixels[members]).astype(int).T
        seen = np.abs(shown[row, column] - depth[members]) < 0.001
        found = regions[row[seen], column[seen]]
        number = int(next(key for key, label in labels.items() if label == name))
        assert seen.sum() > 10 and (found == number).mean() > 0.6, name


def test_whole_millimetres_are_the_default_and_faceless_frames_are_left_out(tmp_path, folder):
    out = export(performance(), "maps", tmp_path / "out", {"kinds": "depth"})
    rough = cv2.imread(str(out / "front" / "depth" / "000008.png"), cv2.IMREAD_UNCHANGED)
    exact = cv2.imread(str(folder / "front" / "depth" / "000008.tiff"), cv2.IMREAD_UNCHANGED)
    assert rough.dtype == np.uint16 and np.abs(rough - 1e3 * exact).max() <= 0.5 + 1e-3
    assert sorted(p.name for p in (out / "front").iterdir()) == ["depth"]
    assert sorted(p.stem for p in (out / "front" / "depth").iterdir()) == ["000007", "000008", "000010"]
    assert _about(out)["frames_without_a_face"] == [9]


def test_a_kind_that_is_none_is_refused(tmp_path):
    with pytest.raises(InputError, match="maps.kinds: expected some of depth, normals, regions, mask, found 'albedo'"):
        export(performance(), "maps", tmp_path / "out", {"kinds": "albedo"})
    assert LABELS[0] == "background" and len(set(LABELS)) == len(LABELS)
