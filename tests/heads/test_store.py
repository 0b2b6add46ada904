"""A head saved to our own file comes back bit for bit, and another file is refused in one line."""

from __future__ import annotations

import json

import jax
import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.heads.flame import load_flame
from flowface_jax.heads.store import read_head, save_head
from flowface_jax.storage import read_npz, write_npz
from tests.heads import flame_files


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    folder = tmp_path_factory.mktemp("flame")
    flame_files.write_object_npy(folder / "landmark_embedding.npy", flame_files.landmark_embedding())
    flame_files.write_masks(folder / "FLAME_masks.pkl", 197)
    path = flame_files.write_flame(folder / "flame2023.pkl", flame_files.flame_arrays(identity=5, expression=4), "2023")
    return load_flame(path, identity_size=5, expression_size=4, bind_to_atlas=False)


@pytest.fixture
def saved(tmp_path, head):
    save_head(head, tmp_path / "head.npz")
    return tmp_path / "head.npz"


def altered(saved, **changes):
    arrays = read_npz(saved, "head") | changes
    write_npz(saved, {name: value for name, value in arrays.items() if value is not None})
    return saved


def test_round_trip_is_bit_exact(head, saved):
    again = read_head(saved)
    assert jax.tree.structure(again) == jax.tree.structure(head)
    for before, after in zip(jax.tree.leaves(head), jax.tree.leaves(again), strict=True):
        assert before.dtype == after.dtype
        np.testing.assert_array_equal(before, after)


def test_the_same_head_gives_the_same_bytes(tmp_path, head, saved):
    save_head(read_head(saved), tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == saved.read_bytes()


def test_a_missing_array_is_named(saved):
    with pytest.raises(InputError, match="lacks skinning_weights"):
        read_head(altered(saved, skinning_weights=None))


def test_a_wrong_shape_is_named(saved):
    with pytest.raises(InputError, match=r"expected uv of shape \(197, 2\), found float32 of shape \(3, 2\)"):
        read_head(altered(saved, uv=np.zeros((3, 2), np.float32)))


def test_triangles_outside_the_mesh_are_refused(saved):
    with pytest.raises(InputError, match="triangles do not fit its 197 vertices"):
        read_head(altered(saved, triangles=np.array([[0, 1, 197]], np.int32)))


def test_another_format_is_refused(saved):
    with pytest.raises(InputError, match="expected format flowface-head/1, found flowface-head/9"):
        read_head(altered(saved, format=np.array("flowface-head/9")))


def test_other_conventions_are_refused_by_name(saved):
    conventions = json.loads(str(read_npz(saved, "head")["conventions"])) | {"length_unit": "inch"}
    with pytest.raises(InputError, match=r"other conventions \(length_unit\)"):
        read_head(altered(saved, conventions=np.array(json.dumps(conventions))))


@pytest.mark.parametrize("about", ["not json", "{}"])
def test_a_damaged_description_is_refused(saved, about):
    with pytest.raises(InputError, match="is damaged"):
        read_head(altered(saved, about=np.array(about)))


def test_a_truncated_file_is_refused(saved):
    saved.write_bytes(saved.read_bytes()[:-200])
    with pytest.raises(InputError, match="damaged or truncated"):
        read_head(saved)


@pytest.mark.parametrize("value", [np.float32(1), np.array("text"), np.zeros((2, 2)), np.zeros(0), np.zeros((0, 3))])
@pytest.mark.parametrize(
    "key", ["template", "triangles", "identity_basis", "regions", "joint_template", "landmarks_vertex_ids"]
)
def test_nonsense_under_any_key_is_an_input_error(saved, key, value):
    with pytest.raises(InputError):
        read_head(altered(saved, **{key: value}))
