"""The ICT model is the same head from its light file and from a checkout, in metres, with eyes that turn."""

from __future__ import annotations

import functools
import logging

import jax.numpy as jnp
import jaxlie
import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.heads.ict import KEYS, VERTEX_COUNT, VERTEX_RANGES, arkit_name, load_ict
from flowface_jax.heads.model import REGION_NAMES, vertices
from tests.shared_data import ict_folder, ict_path

INSIDE = ("mouth_socket", "gums_and_tongue", "teeth", "left_eyeball", "right_eyeball", "eyelashes", "eye_occlusion")


@functools.cache
def made_up_arrays():
    """The light file's layout with two identities, three expressions and a few faces."""
    rng = np.random.default_rng(0)
    return {
        "neutral": rng.normal(0, 8, (VERTEX_COUNT, 3)).astype(np.float32),
        "identity": rng.normal(0, 0.1, (2, VERTEX_COUNT, 3)).astype(np.float32),
        "expression": rng.normal(0, 0.1, (3, VERTEX_COUNT, 3)).astype(np.float32),
        "expression_names": np.array(["browDown_L", "jawOpen", "eyeBlink_R"]),
        "faces": np.array([[0, 1, 2, 3], [4, 5, 6, -1], [7, 8, 9, 10]], np.int32),
        "landmarks68": np.arange(68, dtype=np.int32) * 7,
    }


def write(tmp_path, arrays):
    path = tmp_path / "ict.npz"
    np.savez(path, **arrays)
    return path


def test_centimetres_become_metres_and_quads_triangles(tmp_path):
    arrays = made_up_arrays()
    head = load_ict(write(tmp_path, arrays), bind_to_atlas=False)
    np.testing.assert_allclose(head.template, arrays["neutral"] / 100, rtol=1e-6)
    np.testing.assert_allclose(head.identity_basis[..., 1], arrays["identity"][1] / 100, rtol=1e-6)
    np.testing.assert_allclose(head.expression_basis[..., 2], arrays["expression"][2] / 100, rtol=1e-6)
    np.testing.assert_array_equal(head.triangles, [[0, 1, 2], [0, 2, 3], [4, 5, 6], [7, 8, 9], [7, 9, 10]])
    np.testing.assert_allclose(
        head.landmarks.of(head.template), arrays["neutral"][arrays["landmarks68"]] / 100, rtol=1e-6
    )
    assert head.expression_names == ("browDownLeft", "jawOpen", "eyeBlinkRight")


def test_expressions_are_arkit_shapes(tmp_path):
    head = load_ict(write(tmp_path, made_up_arrays()), bind_to_atlas=False)
    np.testing.assert_allclose(head.expression_std, 0.3)
    np.testing.assert_array_equal(head.expression_limits, [[0, 1]] * 3)


def test_what_is_inside_stays_out_of_a_bound_face(tmp_path, stand_in_binding):
    stand_in_binding.face = np.ones(VERTEX_COUNT, bool)
    head = load_ict(write(tmp_path, made_up_arrays()))
    inside = np.arange(VERTEX_COUNT) >= 11248
    np.testing.assert_array_equal(head.regions["face"], ~inside)
    np.testing.assert_allclose(np.asarray(head.vertex_weights)[inside], 0.005, rtol=1e-6)
    np.testing.assert_array_equal(np.asarray(head.vertex_weights)[~inside], 0.5)
    np.testing.assert_array_equal(head.uv, 0.25)


@pytest.mark.parametrize(
    "ict, arkit", [("eyeBlink_L", "eyeBlinkLeft"), ("noseSneer_R", "noseSneerRight"), ("jawLeft", "jawLeft")]
)
def test_names_are_spelt_as_arkit_spells_them(ict, arkit):
    assert arkit_name(ict) == arkit


def test_sizes_keep_the_leading_components(tmp_path):
    head = load_ict(write(tmp_path, made_up_arrays()), identity_size=1, expression_size=2, bind_to_atlas=False)
    assert (head.identity_size, head.expression_size) == (1, 2)
    assert head.expression_names == ("browDownLeft", "jawOpen")


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("neutral", np.zeros((100, 3)), "with 26719 vertices, found shape"),
        ("identity", np.zeros((2, 100, 3)), "expected identity of shape"),
        ("expression_names", np.array(["jawOpen"]), "3 expressions but 1 names"),
        ("faces", np.zeros((4, 3), np.int32), "expected faces of shape"),
        ("landmarks68", np.zeros(51, np.int32), "expected 68 landmark vertices"),
    ],
)
def test_a_wrong_light_file_says_what_is_wrong(tmp_path, key, value, message):
    with pytest.raises(InputError, match=message):
        load_ict(write(tmp_path, made_up_arrays() | {key: value}), bind_to_atlas=False)


@pytest.fixture(scope="module")
def head():
    return load_ict(ict_path(), bind_to_atlas=False)


class TestRealModel:
    """Facts of the published mesh."""

    def test_is_a_life_size_head_that_faces_forward(self, head):
        chin, crown = head.template[head.landmarks.vertex_ids[8, 0], 1], head.template[:, 1].max()
        assert 0.2 < crown - chin < 0.3
        nose, left_eye = head.template[head.landmarks.vertex_ids[30, 0]], head.joint_template[1]
        assert nose[2] > left_eye[2], "z points out of the face"
        assert left_eye[0] > 0, "x points to the subject's left"

    def test_all_53_shapes_are_there(self, head):
        assert head.identity_size == 100 and head.expression_size == 53
        assert {"browInnerUpLeft", "browInnerUpRight", "cheekPuffLeft", "jawOpen"} <= set(head.expression_names)

    def test_an_eye_joint_turns_its_eyeball_about_its_centre(self, head):
        assert head.joint_names == ("root", "left_eye", "right_eye") and head.joint_parents == (-1, 0, 0)
        rotation = jnp.array([0.1, 0.3, 0.0])
        rest = vertices(head, jnp.zeros(1), jnp.zeros(1))
        turned = vertices(head, jnp.zeros(1), jnp.zeros(1), jnp.zeros((3, 3)).at[1].set(rotation))
        ball = np.asarray(head.regions["left_eyeball"])
        centre = head.joint_template[1]
        expected = (rest[ball] - centre) @ jaxlie.SO3.exp(rotation).as_matrix().T + centre
        np.testing.assert_allclose(turned[ball], expected, atol=1e-6)
        np.testing.assert_allclose(turned[~ball], rest[~ball], atol=1e-7)

    def test_the_centre_stays_in_the_eyeball_of_every_identity(self, head):
        identity = jnp.asarray(np.random.default_rng(0).normal(size=100), jnp.float32)
        shaped = np.asarray(vertices(head, identity, jnp.zeros(1)))
        centres = np.asarray(head.joint_template + head.joint_identity @ identity)
        for joint, first in ((1, 21451), (2, 23021)):
            radii = np.linalg.norm(shaped[first : first + 770] - centres[joint], axis=1)
            assert radii.std() / radii.mean() < 0.06
            assert 0.011 < radii.mean() < 0.02

    def test_mediapipe_points_lie_on_the_outside_of_the_face(self, head):
        assert head.mediapipe.count in (0, 478)
        for row, landmark in ((1, 30), (33, 36), (263, 45), (61, 48), (291, 54), (152, 8)):
            if head.mediapipe.count:
                mediapipe, landmark = (
                    points.of(head.template)[i] for points, i in ((head.mediapipe, row), (head.landmarks, landmark))
                )
                assert np.linalg.norm(mediapipe - landmark) < 0.012, row

    def test_no_expression_moves_an_eyeball(self, head):
        balls = np.asarray(head.regions["eyeballs"])
        assert not np.any(np.asarray(head.expression_basis)[balls])

    def test_what_is_inside_never_counts_as_face(self, head):
        face = np.asarray(head.regions["face"] | head.regions["ears"])
        for name in INSIDE:
            start, stop = VERTEX_RANGES[name]
            assert not face[start:stop].any(), name
            np.testing.assert_allclose(head.vertex_weights[start:stop], 0.005, rtol=1e-6)
        assert head.vertex_weights[head.landmarks.vertex_ids[30, 0]] == 1
        assert set(REGION_NAMES) <= set(head.regions)

    def test_a_checkout_gives_the_same_head(self, head, caplog):
        with caplog.at_level(logging.WARNING):
            checkout = load_ict(ict_folder().parent, bind_to_atlas=False)
        assert "2 of the 53 expressions" in caplog.text
        np.testing.assert_allclose(checkout.template, head.template, atol=1e-7)
        np.testing.assert_array_equal(checkout.triangles, head.triangles)
        np.testing.assert_allclose(checkout.identity_basis[..., 0], head.identity_basis[..., 0], atol=1e-7)
        for i, name in enumerate(checkout.expression_names):
            full = head.expression_basis[..., head.expression_names.index(name)]
            np.testing.assert_allclose(checkout.expression_basis[..., i], full, atol=1e-7)


class TestCheckout:
    """A checkout that lacks what a head needs."""

    @pytest.fixture
    def folder(self, tmp_path):
        copy = tmp_path / "FaceXModel"
        copy.mkdir()
        for file in ict_folder().iterdir():
            (copy / file.name).symlink_to(file)
        return copy

    def test_without_any_identity(self, folder):
        (folder / "identity000.obj").unlink()
        with pytest.raises(InputError, match="0 identity and 2 expression meshes"):
            load_ict(folder, bind_to_atlas=False)

    def test_without_the_neutral_mesh(self, folder):
        (folder / "generic_neutral_mesh.obj").unlink()
        with pytest.raises(InputError, match="no generic_neutral_mesh.obj"):
            load_ict(folder, bind_to_atlas=False)

    def test_with_a_cut_mesh(self, folder):
        whole = (folder / "jawOpen.obj").read_text()
        (folder / "jawOpen.obj").unlink()
        (folder / "jawOpen.obj").write_text(whole[:200_000].rsplit("\n", 1)[0])
        with pytest.raises(InputError, match=r"jawOpen.obj has \d+ vertices but the neutral mesh has 26719"):
            load_ict(folder, bind_to_atlas=False)

    def test_without_the_vertex_indices(self, folder):
        (folder / "vertex_indices.json").unlink()
        with pytest.raises(InputError, match="vertex_indices.json"):
            load_ict(folder, bind_to_atlas=False)


@pytest.mark.parametrize("value", [np.float64(1), np.array("text"), np.zeros((2, 2)), np.zeros(0), np.zeros((0, 3))])
@pytest.mark.parametrize("key", KEYS)
def test_nonsense_under_any_key_is_an_input_error(tmp_path, key, value):
    with pytest.raises(InputError):
        load_ict(write(tmp_path, made_up_arrays() | {key: value}), bind_to_atlas=False)
