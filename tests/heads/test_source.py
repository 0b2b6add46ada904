"""`load_head` finds out by itself what a file is."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.heads import source
from flowface_jax.heads.source import load_head
from flowface_jax.heads.store import save_head
from tests.heads import flame_files
from tests.heads.gnm_files import gnm_arrays, write_gnm
from tests.heads.test_ict import made_up_arrays
from tests.shared_data import ict_folder

SIZES = {"identity_size": 5, "expression_size": 4, "bind_to_atlas": False}


@pytest.fixture(scope="module")
def flame():
    return flame_files.flame_arrays(identity=5, expression=4)


@pytest.mark.parametrize("generation", flame_files.GENERATIONS)
@pytest.mark.parametrize("name", ["flame.pkl", "renamed.bin"])
def test_flame_files_whatever_their_name(tmp_path, flame, generation, name):
    path = tmp_path / (name if generation != "npz" else f"{name}.npz")
    assert load_head(flame_files.write_flame(path, flame, generation), **SIZES).joint_count == 5


def test_flame_pickled_with_protocol_0(tmp_path, flame):
    path = tmp_path / "flame.pkl"
    path.write_bytes(pickle.dumps(flame, protocol=0))
    assert load_head(str(path), **SIZES).joint_count == 5


def test_gnm_file(tmp_path):
    assert load_head(write_gnm(tmp_path, gnm_arrays()), bind_to_atlas=False).name == "gnm_head_3.0"


def test_gnm_folder(tmp_path):
    write_gnm(tmp_path, gnm_arrays())
    assert load_head(tmp_path, bind_to_atlas=False).name == "gnm_head_3.0"


def test_ict_light_file(tmp_path):
    np.savez(tmp_path / "light.npz", **made_up_arrays())
    assert load_head(tmp_path / "light.npz", bind_to_atlas=False).name == "ict_facekit_light"


def test_ict_folder():
    assert load_head(ict_folder(), bind_to_atlas=False).name == "ict_facekit_light"


def test_the_whole_ict_model_beside_a_checkout_of_a_few_shapes_is_the_one_that_is_read(tmp_path):
    (tmp_path / "FaceXModel").mkdir()
    (tmp_path / "FaceXModel" / "generic_neutral_mesh.obj").write_text("v 0 0 0\n")
    arrays = made_up_arrays()
    np.savez(tmp_path / "ict_facekit_light.npz", **arrays)
    assert load_head(tmp_path, bind_to_atlas=False).expression_size == len(arrays["expression_names"])


def test_own_file(tmp_path, flame):
    head = load_head(flame_files.write_flame(tmp_path / "flame.pkl", flame, "2023"), **SIZES)
    save_head(head, tmp_path / "own.npz")
    again = load_head(tmp_path / "own.npz")
    np.testing.assert_array_equal(again.template, head.template)


def test_built_in_head_by_name(monkeypatch):
    monkeypatch.setattr("flowface_jax.heads.generic.generic_head", lambda: "the built-in head")
    assert load_head("generic") == "the built-in head"


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n", b"PK\x03\x04 not really a zip"])
def test_other_files_list_what_is_understood(tmp_path, content):
    path = tmp_path / "thing.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match="expected 'generic' .*FLAME .*GNM.*ICT-FaceKit") as caught:
        load_head(path)
    assert "\n" not in str(caught.value)


def test_an_npz_of_something_else_says_what_it_holds(tmp_path):
    np.savez(tmp_path / "other.npz", mean=np.zeros(3))
    with pytest.raises(InputError, match="holds mean; expected 'generic'"):
        load_head(tmp_path / "other.npz")


def test_an_absent_file_and_an_empty_folder(tmp_path):
    with pytest.raises(InputError, match="no head at"):
        load_head(tmp_path / "none.pkl")
    with pytest.raises(InputError, match="a folder without gnm_head.npz or ICT-FaceKit"):
        load_head(tmp_path)


def test_an_option_that_the_reader_does_not_take_is_named(tmp_path, flame):
    path = flame_files.write_flame(tmp_path / "flame.pkl", flame, "2023")
    with pytest.raises(InputError, match="takes no option eyes; it takes masks, landmark_embedding"):
        load_head(path, eyes=2)


def test_a_pickle_that_is_no_head_is_not_executed(tmp_path):
    path = tmp_path / "evil.pkl"
    path.write_bytes(b"\x80\x02cos\nsystem\nX\x0a\x00\x00\x00touch evil\x85R.")
    with pytest.raises(InputError, match=r"refuses to load os\.system"):
        load_head(path)


def test_what_is_understood_names_every_reader():
    for word in ("generic", "FLAME", "gnm_head.npz", "ICT-FaceKit", "flowface"):
        assert word in source.UNDERSTOOD
