"""PyTorch loads the files that we write without it."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest

from flowface_jax.foreign.torch_writer import torch_bytes

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool"])
def test_tensors_load_in_the_restricted_reader_without_a_warning(dtype):
    array = (np.arange(12).reshape(3, 4) % 3).astype(dtype)[:, 1:]
    value = {
        "a": {"b": array},
        "empty": np.zeros((0, 3), dtype),
        "list": [array[0], 1, "x", None, 2.5],
        "one": array[0, 0:1],
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = torch.load(io.BytesIO(torch_bytes(value)), weights_only=True)
    assert str(found["a"]["b"].dtype) == f"torch.{dtype}"
    np.testing.assert_array_equal(found["a"]["b"].numpy(), array)
    assert tuple(found["empty"].shape) == (0, 3) and found["list"][1:] == [1, "x", None, 2.5]


def test_arrays_stay_numpys_where_asked():
    value = {"flame": {"exp": np.arange(5, dtype=np.float32)[None]}, "frame_id": "00001", "img_size": np.array([4, 5])}
    found = torch.load(io.BytesIO(torch_bytes(value, tensors=False)), weights_only=False)
    assert isinstance(found["flame"]["exp"], np.ndarray) and found["frame_id"] == "00001"
    np.testing.assert_array_equal(found["flame"]["exp"], value["flame"]["exp"])
    # What the tracker does with them when it goes on.
    assert torch.from_numpy(found["img_size"]).tolist() == [4, 5]
