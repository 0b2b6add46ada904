"""GNM files are read with their own conventions turned into ours."""

from __future__ import annotations

import logging

import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.errors import InputError, MissingAssetError
from flowface_jax.heads.gnm import KEYS, load_gnm
from flowface_jax.heads.model import vertices
from tests.heads.gnm_files import AREAS, EXPRESSION, IDENTITY, JOINTS, contour_ids, gnm_arrays
from tests.heads.gnm_files import write_gnm as write


@pytest.fixture(scope="module")
def arrays():
    return gnm_arrays()


def test_posed_vertices_are_those_of_the_definition(tmp_path, arrays):
    head = load_gnm(write(tmp_path, arrays), bind_to_atlas=False)
    rng = np.random.default_rng(0)
    identity, expression = rng.normal(size=IDENTITY), rng.normal(size=EXPRESSION)
    angles = np.array([0.3, -0.2, 0.4, 0.1])
    rotations = np.zeros((JOINTS, 3))
    rotations[:, 1] = angles
    matrices = np.array([[[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]] for a in angles])
    shaped = arrays["template_vertex_positions"] + np.tensordot(identity, arrays["vertex_identity_basis"], 1)
    shaped = shaped + np.tensordot(expression, arrays["expression_basis"], 1)
    shaped = shaped + ((matrices - np.eye(3)).ravel() @ arrays["pose_correctives_regressor"]).reshape(-1, 3)
    joints = arrays["template_joint_positions"] + np.tensordot(identity, arrays["joint_identity_basis"], 1)
    expected, chain = np.zeros_like(shaped), []
    for k, parent in enumerate([-1, 0, 1, 1]):
        rotation, origin = (np.eye(3), np.zeros(3)) if parent < 0 else chain[parent]
        local = joints[k] - (joints[parent] if parent >= 0 else 0)
        chain.append((rotation @ matrices[k], origin + rotation @ local))
        moved = (shaped - joints[k]) @ chain[k][0].T + chain[k][1]
        expected += arrays["skinning_weights"][k][:, None] * moved
    ours = vertices(head, jnp.asarray(identity), jnp.asarray(expression), jnp.asarray(rotations))
    np.testing.assert_allclose(ours, expected, atol=2e-6)


def test_structure_is_ours(tmp_path, arrays):
    head = load_gnm(write(tmp_path, arrays), bind_to_atlas=False)
    assert head.joint_parents == (-1, 0, 1, 1)
    assert head.joint_names == ("neck", "head", "left_eye", "right_eye")
    assert not np.any(head.joint_expression)
    assert "Apache-2.0" in head.licence
    assert head.landmarks.count == 68


def test_pose_correctives_that_are_all_zero_cost_nothing(tmp_path, arrays):
    zero = dict(arrays, pose_correctives_regressor=np.zeros_like(arrays["pose_correctives_regressor"]))
    assert load_gnm(write(tmp_path, zero), bind_to_atlas=False).pose_correctives.shape[-1] == 0


def test_groups_become_regions_and_inner_parts_never_count_as_face(tmp_path, arrays):
    head = load_gnm(write(tmp_path, arrays), bind_to_atlas=False)
    names = arrays["vertex_group_names"].tolist()
    group = lambda name: arrays["vertex_groups"][names.index(name)] > 0.5
    np.testing.assert_array_equal(head.regions["eyeballs"], group("left_eye") | group("right_eye"))
    np.testing.assert_array_equal(head.regions["tongue"], group("tongue"))
    np.testing.assert_array_equal(head.regions["ears"], group("ears"))
    assert not np.any(head.regions["nose"]), "a group may not redefine a region of the package"
    inner = np.asarray(head.regions["eyeballs"] | head.regions["tongue"])
    np.testing.assert_allclose(np.asarray(head.vertex_weights)[inner], 0.005, rtol=1e-6)


def test_a_smaller_expression_keeps_every_area(tmp_path, arrays):
    head = load_gnm(write(tmp_path, arrays), identity_size=3, expression_size=9, bind_to_atlas=False)
    areas = [name.rsplit("_", 1)[0] for name in head.expression_names]
    assert set(areas) == set(AREAS)
    assert "lower_face_region_000" in head.expression_names and "lower_face_region_005" not in head.expression_names
    kept = [arrays["expression_names"].tolist().index(name) for name in head.expression_names]
    assert kept == sorted(kept)
    np.testing.assert_array_equal(head.expression_basis, arrays["expression_basis"][kept].transpose(1, 2, 0))
    np.testing.assert_array_equal(head.identity_basis, arrays["vertex_identity_basis"][:3].transpose(1, 2, 0))


@pytest.mark.parametrize("factor, unit", [(100, "centimetre"), (1000, "millimetre")])
def test_other_units_are_scaled_to_metres_and_said(tmp_path, arrays, caplog, factor, unit):
    lengths = ("template_vertex_positions", "vertex_identity_basis", "expression_basis", "template_joint_positions")
    lengths += ("joint_identity_basis", "pose_correctives_regressor")
    scaled = {name: value * np.float32(factor) if name in lengths else value for name, value in arrays.items()}
    with caplog.at_level(logging.WARNING):
        head = load_gnm(write(tmp_path, scaled), bind_to_atlas=False)
    assert unit in caplog.text
    reference = tmp_path / "metres"
    reference.mkdir()
    metres = load_gnm(write(reference, arrays), bind_to_atlas=False)
    for name in (
        "template",
        "identity_basis",
        "expression_basis",
        "joint_template",
        "joint_identity",
        "pose_correctives",
    ):
        np.testing.assert_allclose(getattr(head, name), getattr(metres, name), rtol=1e-5, atol=1e-9)


def test_an_unknown_unit_is_refused(tmp_path, arrays):
    scaled = dict(arrays, template_vertex_positions=arrays["template_vertex_positions"] * np.float32(39.37))
    with pytest.raises(InputError, match=r"from chin to crown; expected 0\.2 to 0\.3 m"):
        load_gnm(write(tmp_path, scaled), bind_to_atlas=False)


def test_the_early_landmark_order_is_mended(tmp_path, arrays, caplog):
    right = contour_ids()
    early = [*right[:2], *right[6:1:-1], *right[7:]]
    reference = tmp_path / "right"
    reference.mkdir()
    expected = load_gnm(write(reference, arrays), bind_to_atlas=False)
    with caplog.at_level(logging.WARNING):
        head = load_gnm(write(tmp_path, arrays, early), bind_to_atlas=False)
    np.testing.assert_array_equal(head.landmarks.vertex_ids, expected.landmarks.vertex_ids)
    assert "backwards" in caplog.text


def test_the_hand_is_refused_by_name(tmp_path, arrays):
    with pytest.raises(InputError, match="'hand' variant of GNM; expected the head"):
        load_gnm(write(tmp_path, dict(arrays, variant=np.array("hand"))), bind_to_atlas=False)


def test_missing_landmarks_say_where_to_get_them(tmp_path, arrays):
    path = write(tmp_path, arrays)
    (tmp_path / "head_sparse_68.txt").unlink()
    with pytest.raises(MissingAssetError, match="no head_sparse_68.txt beside .*github.com/google/GNM"):
        load_gnm(path, bind_to_atlas=False)


def test_landmarks_are_found_where_the_repository_keeps_them(tmp_path, arrays):
    version = tmp_path / "data" / "versions" / "v3_0"
    version.mkdir(parents=True)
    path = write(version, arrays)
    (tmp_path / "data" / "landmarks").mkdir()
    (version / "head_sparse_68.txt").rename(tmp_path / "data" / "landmarks" / "head_sparse_68.txt")
    assert load_gnm(path, bind_to_atlas=False).landmarks.count == 68


@pytest.mark.parametrize("key", ["skinning_weights", "expression_basis", "joint_identity_basis", "vertex_groups"])
def test_wrong_shapes_are_named(tmp_path, arrays, key):
    with pytest.raises(InputError, match=f"expected {key} of shape"):
        load_gnm(write(tmp_path, dict(arrays, **{key: arrays[key].T})), bind_to_atlas=False)


def test_pickles_inside_are_refused(tmp_path, arrays):
    path = write(tmp_path, dict(arrays, joint_names=np.array(["neck", 1, 2, 3], dtype=object)))
    with pytest.raises(InputError, match="pickled Python objects, which are never loaded"):
        load_gnm(path, bind_to_atlas=False)


@pytest.mark.parametrize("value", [np.float64(1), np.array("text"), np.zeros((2, 2)), np.zeros(0), np.zeros((0, 3))])
@pytest.mark.parametrize("key", KEYS)
def test_nonsense_under_any_key_is_an_input_error(tmp_path, arrays, key, value):
    with pytest.raises(InputError):
        load_gnm(write(tmp_path, arrays | {key: value}), bind_to_atlas=False)
