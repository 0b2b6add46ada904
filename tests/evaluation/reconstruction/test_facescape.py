"""The FaceScape benchmark on the built-in head."""

from __future__ import annotations

import json

import numpy as np
import pytest

from flowface_jax.cameras.model import Cameras
from flowface_jax.errors import InputError
from flowface_jax.evaluation.mesh_sequence import MeshSequence
from flowface_jax.evaluation.reconstruction import (
    LabView,
    WildView,
    facescape_errors,
    mesh_in_camera,
    summarise_facescape,
)
from flowface_jax.evaluation.reconstruction.cylinder import SIDE, CylinderMap, cylinder_map, cylinder_mesh
from flowface_jax.evaluation.reconstruction.depth_shift import depth_shift
from flowface_jax.evaluation.reconstruction.facescape import PUPIL_DISTANCE, normal_error
from flowface_jax.evaluation.reconstruction.facescape_files import lab_images, read_lab_truth, read_wild_truth
from flowface_jax.evaluation.reconstruction.now_files import obj_bytes
from flowface_jax.evaluation.reconstruction.surface import Surface
from tests.evaluation.reconstruction.faces import head, moved, skin

_FLIP = np.diag([1.0, -1.0, -1.0])
_DISTANCE = 1500.0


def _lab(scale=1.0, degrees=(0, 0, 0)):
    """The head before a lab camera, as mesh and view; `scale` about the camera."""
    vertices, triangles, *_ = head()
    centre = vertices.mean(0)
    rotation = _FLIP @ moved(np.eye(3), degrees=degrees).T
    placed = (vertices - centre) @ rotation.T + [0, 0, _DISTANCE]
    intrinsics = np.asarray([[1200.0, 0, 128], [0, 1200.0, 128], [0, 0, 1]])
    return (scale * placed, skin(vertices, triangles)), LabView(intrinsics, np.asarray([0, 0, _DISTANCE]), rotation)


def test_a_cylinder_is_unrolled_to_its_radius_everywhere():
    angles = np.linspace(0, 2 * np.pi, 721)[:-1]
    ring = np.stack([80 * np.sin(angles), 0 * angles, 80 * np.cos(angles)], -1)
    vertices = np.concatenate([ring + [0, 200, 0], ring - [0, 200, 0]])
    n, i = len(ring), np.arange(len(ring))
    triangles = np.concatenate(
        [np.stack([i, n + i, (i + 1) % n], -1), np.stack([(i + 1) % n, n + i, n + (i + 1) % n], -1)]
    )
    found = cylinder_map(vertices, triangles)
    np.testing.assert_allclose(found.radius, 80, atol=2e-3)
    # Column 0 looks along -z, a quarter of the columns later along -x.
    np.testing.assert_allclose(found.normal[128, 0], [0, 0, -1], atol=0.01)
    np.testing.assert_allclose(found.normal[128, 64], [-1, 0, 0], atol=0.02)
    mesh = cylinder_mesh(found.radius)
    assert len(mesh[0]) == SIDE * SIDE
    assert np.abs(np.hypot(mesh[0][:, 0], mesh[0][:, 2]) - 80).max() < 2e-3


def test_of_several_hits_the_outermost_counts_and_jumps_are_not_joined():
    wall = np.asarray([[-20, -20, 0], [20, -20, 0], [20, 20, 0], [-20, 20, 0]], float)
    vertices = np.concatenate([wall + [0, 0, 50], wall + [0, 0, 90]])
    triangles = np.asarray([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]])
    radius = cylinder_map(vertices, triangles).radius
    middle = radius[128, 128]
    assert middle == pytest.approx(90, rel=1e-3)
    # Beyond the outer wall's edge the inner one shows, 40 mm nearer.
    seen = radius[128][radius[128] > 0]
    assert seen.min() < 60 and seen.max() >= 90
    places, faces = cylinder_mesh(radius)
    edges = places[faces][:, [0, 1, 2]] - places[faces][:, [1, 2, 0]]
    assert np.linalg.norm(edges, axis=-1).max() < 15


def test_the_true_mesh_has_no_error_and_another_size_hardly_one():
    truth, view = _lab()
    found = facescape_errors(truth, truth, view)
    assert found.chamfer < 1e-3 and found.completeness == 1 and found.normal < 1e-3
    # 30 % would be 25 mm; what is left is the mean depth in place of the median, as published.
    for scale in (0.9, 1.3):
        found = facescape_errors(_lab(scale)[0], truth, view)
        assert found.chamfer < 1.2 and found.completeness > 0.97 and found.normal < 0.02
        assert found.shift == pytest.approx((1 - scale) * _DISTANCE, rel=0.02)


def test_a_tracked_frame_is_taken_into_its_camera():
    (placed, triangles), view = _lab()
    cameras = Cameras(
        focal=np.asarray([1200.0]),
        principal_point=np.asarray([[128.0, 128.0]]),
        rotation=view.rotation[None],
        translation=np.asarray([[0, 0, 1.5]]),
        image_size=np.asarray([[256, 256]]),
        names=("lab",),
    )
    world = (placed / 1000 - [0, 0, 1.5]) @ view.rotation
    sequence = MeshSequence(np.stack([world] * 2), triangles, np.asarray([False, True]), cameras=cameras)
    np.testing.assert_allclose(mesh_in_camera(sequence, 1)[0], placed, atol=1e-6)
    with pytest.raises(InputError, match="frame 0"):
        mesh_in_camera(sequence)
    with pytest.raises(InputError, match="camera"):
        mesh_in_camera(sequence, 1, camera=3)


def test_errors_grow_with_what_is_wrong():
    truth, view = _lab(degrees=(0, 30, 0))
    vertices, triangles = truth
    bumpy = vertices + np.random.default_rng(0).normal(0, 2, vertices.shape)
    worse = facescape_errors((bumpy, triangles), truth, view)
    good = facescape_errors(truth, truth, view)
    assert worse.chamfer > good.chamfer + 0.3 and worse.normal > good.normal + 0.05
    upright = (vertices - view.head_centre) @ view.rotation
    face_only = triangles[(upright[triangles][:, :, 2] > 0).all(1)]
    half = facescape_errors((vertices, face_only), truth, view)
    assert 0.2 < half.completeness < 0.7 and half.chamfer < 0.05


def test_in_the_wild_depth_is_shifted_and_size_is_given():
    vertices, triangles, *_ = head()
    triangles = skin(vertices, triangles)
    scale = 180.0
    placed = (vertices - vertices.mean(0)) / scale + [0, 0, -3]
    view = WildView(scale, np.asarray([0, 0, -3.0]), np.eye(3))
    found = facescape_errors((placed + [0, 0, 0.2], triangles), (placed, triangles), view)
    assert found.shift == pytest.approx(0.2 * scale, abs=0.5)
    assert found.chamfer < 0.05 and found.completeness > 0.99
    assert facescape_errors((1.1 * placed, triangles), (placed, triangles), view).chamfer > 1


def test_normals_are_compared_as_published():
    one, other = np.zeros((2, SIDE, SIDE, 3))
    one[0, 0], other[0, 0] = [0, 0, 1], [1, 0, 0]
    one[1, 1] = [0, 1, 0]
    apart = normal_error(CylinderMap(one[..., 0], one), CylinderMap(other[..., 0], other))
    # (1, 1, 2) and (2, 1, 1): 33.6 degrees instead of 90.
    assert apart == pytest.approx(np.arccos(5 / 6))
    assert normal_error(CylinderMap(one[..., 0], one), CylinderMap(one[..., 0], one)) == pytest.approx(0, abs=1e-6)


def test_the_shift_is_the_median_of_the_differences():
    draw = np.random.default_rng(0)
    true, predicted = draw.uniform(900, 1100, (2, 64, 64))
    true[:8], predicted[:, :8] = 0, 0
    found = depth_shift(true, predicted)
    both = (true != 0) & (predicted != 0)
    best = np.median((true - predicted)[both])
    cost = [np.abs((true - predicted)[both] - s).sum() for s in (found.shift, best)]
    assert cost[0] <= cost[1] * 1.001
    assert found.share == pytest.approx(7 / 8)


def test_the_published_folders_are_read(tmp_path):
    vertices, triangles, *_ = head()
    _, view = _lab()
    predef = tmp_path / "code" / "predef"
    predef.mkdir(parents=True)
    for folder in ("lab_gt_mesh", "lab_cam", "wild_gt_mesh"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    (tmp_path / "data" / "lab_gt_mesh" / "03.obj").write_bytes(obj_bytes(vertices / PUPIL_DISTANCE, triangles))
    (tmp_path / "data" / "wild_gt_mesh" / "007.obj").write_bytes(obj_bytes(vertices, triangles))
    pose = np.concatenate([_FLIP, [[0], [0], [_DISTANCE / PUPIL_DISTANCE]]], axis=1)
    (tmp_path / "data" / "lab_cam" / "03_1_04.json").write_text(json.dumps([view.intrinsics.tolist(), pose.tolist()]))
    np.save(predef / "lab_head_centers.npy", np.arange(9.0).reshape(3, 3))
    np.save(predef / "lab_rotations.npy", np.arange(99.0).reshape(11, 3, 3))
    np.save(predef / "wild_pupil_scales.npy", np.arange(400.0))
    np.save(predef / "wild_head_centers.npy", np.zeros((400, 3)))
    np.save(predef / "wild_rotations.npy", np.zeros((400, 3, 3)))
    images = list(lab_images())
    assert len(images) == 660 and images[3 * 33 + 11 + 4].name == "03_1_04"
    (found, _), lab = read_lab_truth(tmp_path, images[3 * 33 + 11 + 4])
    np.testing.assert_allclose(found, vertices * [1, -1, -1] + [0, 0, _DISTANCE], atol=1e-3)
    np.testing.assert_array_equal(lab.head_centre, [3, 4, 5])
    np.testing.assert_array_equal(lab.rotation.ravel(), np.arange(36, 45))
    assert read_wild_truth(tmp_path, 7)[1].pupil_scale == 7
    with pytest.raises(InputError, match="no such file"):
        read_lab_truth(tmp_path, images[0])
    (tmp_path / "data" / "lab_cam" / "03_1_04.json").write_text("[[1], [2]]")
    with pytest.raises(InputError, match="expected K"):
        read_lab_truth(tmp_path, images[3 * 33 + 11 + 4])


def test_missing_images_do_not_enter_means_and_wrong_cameras_are_named():
    truth, view = _lab()
    found = facescape_errors(truth, truth, view)
    numbers = summarise_facescape([found, None, found])
    assert (numbers.images, numbers.missing, numbers.chamfer) == (2, 1, pytest.approx(found.chamfer))
    with pytest.raises(InputError, match="at least one image"):
        summarise_facescape([None])
    with pytest.raises(InputError, match="share no pixel"):
        facescape_errors((truth[0] + [5000, 0, 0], truth[1]), truth, view)
    with pytest.raises(InputError, match="share no pixel"):
        # Away from the camera, whose y axis points down.
        wall = np.asarray([[-60, -60, _DISTANCE], [60, -60, _DISTANCE], [0, 60, _DISTANCE]])
        facescape_errors((wall, np.asarray([[0, 1, 2]])), truth, view)


def test_surfaces_of_cylinder_meshes_can_be_measured():
    radius = np.zeros((SIDE, SIDE))
    radius[100:110, 100:110] = 70
    assert Surface(*cylinder_mesh(radius)).nearest(np.zeros((1, 3))).distance[0] == pytest.approx(70, rel=0.1)
