"""FLAME parameters under common names pose FLAME where the track has it."""

from __future__ import annotations

import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.exporting import export
from tests.exporting.flame_performances import arrays, flame_performance, matrices, posed, shaped
from tests.exporting.performances import image_vertices, performance, projected


def _smplx(data, frame):
    eyes = (data["leye_pose"][frame], data["reye_pose"][frame])
    return (
        data["betas"],
        data["expression"][frame],
        data["global_orient"][frame],
        data["transl"][frame],
        data["neck_pose"][frame],
        data["jaw_pose"][frame],
        eyes,
    )


def _vhap(data, frame):
    eyes = np.split(data["eyes_pose"][frame], 2)
    return (
        data["shape"],
        data["expr"][frame],
        data["rotation"][frame],
        data["translation"][frame],
        data["neck_pose"][frame],
        data["jaw_pose"][frame],
        eyes,
    )


def _deca(data, frame):
    turn, jaw = np.split(data["pose"][frame], 2)
    eyes = np.split(data["eye_pose"][frame], 2)
    return data["shape"][frame], data["exp"][frame], turn, data["transl"][frame], data["neck_pose"][frame], jaw, eyes


@pytest.mark.parametrize(("names", "read"), [("smplx", _smplx), ("vhap", _vhap), ("deca", _deca)])
def test_parameters_pose_the_file_s_own_flame_where_the_track_is(tmp_path, names, read):
    subject = flame_performance(turning=("neck", "jaw", "left_eye", "right_eye"))
    data = np.load(export(subject, "flame", tmp_path / "flame.npz", {"names": names}), allow_pickle=False)
    expected = image_vertices(subject)
    for frame in range(4):
        identity, expression, turn, shift, neck, jaw, eyes = read(data, frame)
        shape = shaped(identity, expression)
        root = arrays()["J_regressor"][0] @ shape
        mesh = posed(shape, matrices(np.zeros(3), neck, jaw, *eyes)) + data["offsets"]
        world = (mesh - root) @ matrices(turn)[0].T + root + shift
        for camera in range(2):
            local = world @ data["camera_rotation_world_to_camera"][camera].T
            local = local + data["camera_translation_world_to_camera_m"][camera]
            seen = projected(local, data["camera_focal_px"][camera], data["camera_principal_point_px"][camera])
            assert np.abs(seen - expected[camera, frame]).max() < 0.1


def test_what_is_not_a_parameter_is_stated(tmp_path):
    data = np.load(export(flame_performance(name="flame2023_no_jaw", turning=()), "flame", tmp_path / "a.npz"))
    assert data["seen"].tolist() == [True, True, False, True] and str(data["jaw"]) == "in the expressions"
    assert data["betas"].shape == (300,) and data["expression"].shape == (4, 100)
    assert "metres" in data["conventions"][1]


def test_other_heads_are_refused_with_the_way_out(tmp_path):
    with pytest.raises(InputError, match="lay it onto one \\(--retarget FILE\\)"):
        export(performance(), "flame", tmp_path / "a.npz")
