"""FLAME of every generation becomes the same `HeadModel`, and a wrong file says in one line what is wrong."""

from __future__ import annotations

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.errors import InputError, MissingAssetError
from flowface_jax.heads.flame import load_flame
from flowface_jax.heads.model import REGION_NAMES, vertices
from tests.heads import flame_files

FILE_NAMES = {
    "2017": "generic_model.pkl",
    "2020": "female_model.pkl",
    "2023": "flame2023.pkl",
    "2023_no_jaw": "flame2023_no_jaw.pkl",
    "2023_open": "flame2023_Open.pkl",
    "npz": "flame2023_no_jaw.npz",
}


@pytest.fixture(scope="module")
def arrays():
    return flame_files.flame_arrays()


@pytest.fixture(scope="module")
def small():
    return flame_files.flame_arrays(identity=6, expression=4)


SIZES = {"identity_size": 6, "expression_size": 4}


def write(tmp_path, arrays, generation="2023"):
    return flame_files.write_flame(tmp_path / FILE_NAMES[generation], arrays, generation)


@pytest.mark.parametrize("generation", flame_files.GENERATIONS)
def test_every_generation_gives_the_same_head(tmp_path, arrays, generation):
    head = load_flame(write(tmp_path, arrays, generation), bind_to_atlas=False)
    np.testing.assert_array_equal(head.template, arrays["v_template"].astype(np.float32))
    np.testing.assert_array_equal(head.triangles, arrays["f"])
    np.testing.assert_array_equal(head.identity_basis, arrays["shapedirs"][..., :300].astype(np.float32))
    np.testing.assert_array_equal(head.expression_basis, arrays["shapedirs"][..., 300:].astype(np.float32))
    assert head.joint_parents == (-1, 0, 1, 1, 1)
    assert head.joint_names == ("root", "neck", "jaw", "left_eye", "right_eye")
    assert head.pose_correctives.shape == (len(arrays["v_template"]), 3, 45)
    assert not np.any(head.pose_correctives[..., :9])


def test_rest_joints_follow_identity_and_expression(tmp_path, small):
    head = load_flame(write(tmp_path, small), **SIZES, bind_to_atlas=False)
    identity, expression = np.linspace(-2, 2, 6), np.linspace(1, -1, 4)
    shaped = small["v_template"] + small["shapedirs"] @ np.concatenate([identity, expression])
    ours = head.joint_template + head.joint_identity @ identity + head.joint_expression @ expression
    np.testing.assert_allclose(ours, small["J_regressor"] @ shaped, atol=1e-7)


def test_names_tell_the_files_apart(tmp_path, small):
    names = {}
    for generation in flame_files.GENERATIONS:
        folder = tmp_path / f"FLAME{generation}"
        folder.mkdir()
        names[generation] = load_flame(write(folder, small, generation), **SIZES, bind_to_atlas=False).name
    assert names["2023_no_jaw"] == "flame2023_no_jaw"
    assert names["2017"] == "flame2017_generic_model"
    assert names["2020"] == "flame2020_female_model"
    assert (
        "CC-BY"
        in load_flame(tmp_path / "FLAME2023_open" / FILE_NAMES["2023_open"], **SIZES, bind_to_atlas=False).licence
    )


def test_fewer_components_keep_the_leading_ones(tmp_path, arrays):
    head = load_flame(write(tmp_path, arrays), identity_size=100, expression_size=50, bind_to_atlas=False)
    np.testing.assert_array_equal(head.identity_basis, arrays["shapedirs"][..., :100].astype(np.float32))
    np.testing.assert_array_equal(head.expression_basis, arrays["shapedirs"][..., 300:350].astype(np.float32))


def test_a_short_basis_needs_its_split_stated(tmp_path, small):
    path = write(tmp_path, small)
    with pytest.raises(InputError, match=r"expected shapedirs \(V,3,400\), found \(197, 3, 10\).*identity_size"):
        load_flame(path, bind_to_atlas=False)
    head = load_flame(path, **SIZES, bind_to_atlas=False)
    assert (head.identity_size, head.expression_size) == (6, 4)


def test_asking_for_more_than_there_is_says_how_many_there_are(tmp_path, arrays):
    with pytest.raises(InputError, match="300 identity and 100 expression components; asked for 300 and 120"):
        load_flame(write(tmp_path, arrays), expression_size=120, bind_to_atlas=False)


@pytest.mark.parametrize("key", ["v_template", "f", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table"])
def test_every_key_is_missed_by_name_and_checked_for_shape(tmp_path, small, key):
    without = {name: value for name, value in small.items() if name != key}
    path = tmp_path / "flame.npz"
    np.savez(path, **without)
    with pytest.raises(InputError, match=f"lacks {key}"):
        load_flame(path, **SIZES, bind_to_atlas=False)
    np.savez(path, **without, **{key: small[key][..., :1]})
    with pytest.raises(InputError, match="expected .* of shape|expected shapedirs") as caught:
        load_flame(path, **SIZES, bind_to_atlas=False)
    assert "\n" not in str(caught.value)


def test_numbers_that_are_not_finite_are_refused(tmp_path, small):
    broken = dict(small, v_template=small["v_template"].copy())
    broken["v_template"][3, 1] = np.nan
    with pytest.raises(InputError, match="template holds numbers that are not finite"):
        load_flame(write(tmp_path, broken), **SIZES, bind_to_atlas=False)


def test_triangles_outside_the_mesh_are_refused(tmp_path, small):
    broken = dict(small, f=small["f"] + 100)
    with pytest.raises(InputError, match="f must hold vertex ids from 0 to 196"):
        load_flame(write(tmp_path, broken), **SIZES, bind_to_atlas=False)


def test_another_pickle_says_what_a_flame_file_holds(tmp_path):
    path = tmp_path / "other.pkl"
    path.write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(InputError, match="holds a list; expected a FLAME head model"):
        load_flame(path, bind_to_atlas=False)


class TestLandmarks:
    """The 68 landmarks, in every form that their files have."""

    embedding = flame_files.landmark_embedding()

    def expected(self, arrays):
        corners = arrays["f"][self.embedding["full_lmk_faces_idx"][0]].astype(int)
        return np.einsum("pkd,pk->pd", arrays["v_template"][corners], self.embedding["full_lmk_bary_coords"][0])

    def check(self, path, arrays, **options):
        head = load_flame(path, **SIZES, bind_to_atlas=False, **options)
        np.testing.assert_allclose(head.landmarks.of(head.template), self.expected(arrays), atol=1e-6)

    def test_found_beside_the_model(self, tmp_path, small):
        path = write(tmp_path, small)
        flame_files.write_object_npy(tmp_path / "landmark_embedding.npy", self.embedding)
        self.check(path, small)

    def test_given_explicitly_wins_over_the_file_beside(self, tmp_path, small):
        path = write(tmp_path, small)
        flame_files.write_object_npy(tmp_path / "landmark_embedding.npy", flame_files.landmark_embedding(seed=9))
        other = flame_files.write_object_npy(tmp_path / "mine.npy", self.embedding)
        self.check(path, small, landmark_embedding=other)

    def test_with_eyes_the_iris_points_are_dropped(self, tmp_path, small):
        path = write(tmp_path, small)
        longer = {
            name: np.concatenate([value, value[:, :2]], axis=1) if name.startswith("full") else value
            for name, value in self.embedding.items()
        }
        flame_files.write_object_npy(tmp_path / "landmark_embedding_with_eyes.npy", longer)
        self.check(path, small)

    def test_static_and_dynamic_files_make_the_68(self, tmp_path, small):
        path = write(tmp_path, small)
        flame_files.write_static_embedding(tmp_path / "flame_static_embedding.pkl", self.embedding)
        dynamic = {
            "lmk_face_idx": self.embedding["dynamic_lmk_faces_idx"],
            "lmk_b_coords": self.embedding["dynamic_lmk_bary_coords"],
        }
        flame_files.write_object_npy(tmp_path / "flame_dynamic_embedding.npy", dynamic)
        self.check(path, small)

    def test_the_51_alone_say_which_file_has_the_contour(self, tmp_path, small):
        path = write(tmp_path, small)
        flame_files.write_static_embedding(tmp_path / "flame_static_embedding.pkl", self.embedding)
        with pytest.raises(MissingAssetError, match="not the 17 of the contour; use landmark_embedding.npy"):
            load_flame(path, **SIZES, bind_to_atlas=False)

    def test_of_another_mesh_is_refused(self, tmp_path, small):
        path = write(tmp_path, small)
        wrong = dict(self.embedding, full_lmk_faces_idx=self.embedding["full_lmk_faces_idx"] + 9000)
        other = flame_files.write_object_npy(tmp_path / "wrong.npy", wrong)
        with pytest.raises(InputError, match="belongs to another mesh"):
            load_flame(path, landmark_embedding=other, **SIZES, bind_to_atlas=False)

    def test_none_at_all_is_one_line_where_binding_needs_them(self, tmp_path, small):
        with pytest.raises(MissingAssetError, match="no landmark embedding beside .*landmark_embedding.npy") as caught:
            load_flame(write(tmp_path, small), **SIZES)
        assert "\n" not in str(caught.value)


def test_masks_become_regions_and_weights(tmp_path, small):
    path = write(tmp_path, small)
    masks = flame_files.write_masks(tmp_path / "FLAME_masks.pkl", len(small["v_template"]))
    eyeballs = set(masks["left_eyeball"]) | set(masks["right_eyeball"])
    head = load_flame(path, **SIZES, bind_to_atlas=False)
    for region, names in {
        "face": ["face"],
        "eyes": ["eye_region"],
        "mouth": ["lips"],
        "ears": ["left_ear", "right_ear"],
    }.items():
        expected = set(np.concatenate([masks[name] for name in names])) - eyeballs
        assert set(np.flatnonzero(head.regions[region])) == expected, region
    assert set(np.flatnonzero(head.regions["eyeballs"])) == eyeballs
    assert set(np.flatnonzero(head.regions["forehead"])) == set(masks["forehead"])
    focus = np.asarray(head.regions["face"] | head.regions["ears"])
    np.testing.assert_allclose(head.vertex_weights, np.where(focus, 1.0, 0.005), rtol=1e-6)


def test_masks_of_another_mesh_are_refused(tmp_path, small):
    path = write(tmp_path, small)
    flame_files.write_masks(tmp_path / "FLAME_masks.pkl", 5023)
    with pytest.raises(InputError, match="belongs to another mesh"):
        load_flame(path, **SIZES, bind_to_atlas=False)


def test_binding_gives_what_the_files_do_not(tmp_path, small, stand_in_binding):
    path = write(tmp_path, small)
    flame_files.write_object_npy(tmp_path / "landmark_embedding.npy", flame_files.landmark_embedding())
    rows, faces = np.array([4, 477]), np.array([0, 1])
    np.savez(
        tmp_path / "mediapipe_landmark_embedding.npz",
        lmk_face_idx=faces,
        lmk_b_coords=np.full((2, 3), 1 / 3),
        landmark_indices=rows,
    )
    head = load_flame(path, **SIZES)
    assert stand_in_binding.calls == 1
    np.testing.assert_array_equal(head.uv, 0.25)
    np.testing.assert_array_equal(head.vertex_weights, 0.5)
    assert head.mediapipe.count == 478
    np.testing.assert_array_equal(head.mediapipe.vertex_ids[rows], small["f"][faces])
    assert not np.any(np.delete(np.asarray(head.mediapipe.vertex_ids), rows, axis=0))


def test_masks_win_over_the_binding(tmp_path, small, stand_in_binding):
    path = write(tmp_path, small)
    flame_files.write_object_npy(tmp_path / "landmark_embedding.npy", flame_files.landmark_embedding())
    masks = flame_files.write_masks(tmp_path / "FLAME_masks.pkl", len(small["v_template"]))
    head = load_flame(path, **SIZES)
    face = np.setdiff1d(masks["face"], np.concatenate([masks["left_eyeball"], masks["right_eyeball"]]))
    np.testing.assert_array_equal(np.flatnonzero(head.regions["face"]), face)
    np.testing.assert_array_equal(head.vertex_weights[face], 1.0)


def test_unbound_heads_have_all_region_names_and_no_mediapipe(tmp_path, small):
    head = load_flame(write(tmp_path, small), **SIZES, bind_to_atlas=False)
    assert set(REGION_NAMES) <= set(head.regions)
    assert head.mediapipe.count == 0 and head.landmarks.count == 0
    assert not np.any(head.uv)
    assert np.isfinite(jax.jit(vertices)(head, jnp.ones(6), jnp.ones(4), jnp.ones((5, 3)))).all()


@pytest.mark.parametrize("value", [np.float64(1), np.array("text"), np.zeros((2, 2)), np.zeros(0), np.zeros((0, 3))])
@pytest.mark.parametrize("key", ["v_template", "f", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table"])
def test_nonsense_under_any_key_is_an_input_error(tmp_path, small, key, value):
    np.savez(tmp_path / "flame.npz", **small | {key: value})
    with pytest.raises(InputError):
        load_flame(tmp_path / "flame.npz", **SIZES, bind_to_atlas=False)
