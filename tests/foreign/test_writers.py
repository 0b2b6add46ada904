"""What we write for pickle and PyTorch comes back through our own careful readers; tests/peers asks PyTorch itself."""

from __future__ import annotations

import pickle
import pickletools

import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.foreign import read_checkpoint
from flowface_jax.foreign.pickle_writer import pickle_bytes
from flowface_jax.foreign.safe_pickle import read_pickle
from flowface_jax.foreign.torch_writer import torch_bytes

TYPES = ("float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool")


def _array(dtype):
    return (np.arange(12).reshape(3, 4) % 5).astype(dtype)[:, ::2]


@pytest.mark.parametrize(
    "value",
    [{}, [], (), {"a": {"b": [1, (2.5, None, True)]}}, False, -1, 2**31, -(2**63), "Grüße", [[1], [2, 3]], ("one",)],
)
def test_plain_data_comes_back_as_it_was(tmp_path, value):
    (tmp_path / "a.pkl").write_bytes(pickle_bytes(value))
    found = read_pickle(tmp_path / "a.pkl", "plain data")
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize("dtype", [*TYPES, "complex64", ">f4", "uint16"])
def test_arrays_come_back_bit_for_bit(tmp_path, dtype):
    arrays = {"two": _array(dtype), "none": np.zeros((0, 3), dtype), "one": np.array(1).astype(dtype)}
    (tmp_path / "a.pkl").write_bytes(pickle_bytes(arrays))
    found = read_pickle(tmp_path / "a.pkl", "arrays")
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert np.asarray(found[name]).dtype == array.dtype.newbyteorder("=") and np.shape(found[name]) == array.shape


@pytest.mark.parametrize("tensors", [True, False])
@pytest.mark.parametrize("dtype", TYPES)
def test_checkpoints_come_back_bit_for_bit(tmp_path, dtype, tensors):
    (tmp_path / "a.pt").write_bytes(torch_bytes({"deep": {"two": _array(dtype)}, "step": 3, "name": "x"}, tensors))
    found = read_checkpoint(tmp_path / "a.pt")
    assert list(found) == ["deep.two"] and found["deep.two"].dtype == dtype
    np.testing.assert_array_equal(found["deep.two"], _array(dtype))


def test_the_same_value_gives_the_same_bytes():
    assert torch_bytes({"a": _array("float32")}) == torch_bytes({"a": _array("float32")})


def test_only_names_that_every_version_knows_are_used():
    names = {argument for code, argument, _ in pickletools.genops(pickle_bytes({"a": _array("float32")}))
             if code.name == "GLOBAL"}  # fmt: skip
    assert names == {"numpy.core.multiarray _reconstruct", "numpy ndarray", "numpy dtype"}


@pytest.mark.parametrize("value", [object(), {1, 2}, np.array(["text"]), np.array([None]), {"a": b"".join}])
def test_what_is_no_plain_data_is_refused(value):
    with pytest.raises(InputError, match="expected"):
        pickle_bytes(value)


def test_a_type_that_pytorch_has_not():
    with pytest.raises(InputError, match="found complex64"):
        torch_bytes({"a": np.zeros(2, np.complex64)})


def test_pythons_own_writer_agrees_on_the_content(tmp_path):
    value = {"a": _array("float32"), "b": [1, "two", None]}
    (tmp_path / "ours.pkl").write_bytes(pickle_bytes(value))
    (tmp_path / "pythons.pkl").write_bytes(pickle.dumps(value, protocol=3))
    ours, pythons = (read_pickle(tmp_path / name, "data") for name in ("ours.pkl", "pythons.pkl"))
    np.testing.assert_array_equal(ours.pop("a"), pythons.pop("a"))
    assert ours == pythons
