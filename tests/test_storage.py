"""Files are written whole and reproducibly, and nothing that is read is executed."""

import json
import os
import pickle
import stat

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowface_jax import storage
from flowface_jax.errors import InputError
from flowface_jax.storage import read_json, read_npz, require_file, write_bytes, write_json, write_npz


def test_same_arrays_give_the_same_bytes_whatever_their_order_and_the_time(tmp_path, monkeypatch):
    arrays = {"b": np.arange(5.0), "a": np.asarray("text"), "c": np.zeros((2, 0), np.int8)}
    write_npz(tmp_path / "1.npz", arrays)
    monkeypatch.setattr("time.time", lambda: 2e9)
    write_npz(tmp_path / "2.npz", dict(reversed(arrays.items())))
    assert (tmp_path / "1.npz").read_bytes() == (tmp_path / "2.npz").read_bytes()


def test_arrays_come_back_with_type_shape_and_every_bit(tmp_path):
    arrays = {
        "float": np.asarray([[1.5, -0.0], [np.inf, np.nan]], np.float32),
        "int": np.arange(6, dtype=np.int64).reshape(2, 3),
        "bool": np.asarray(True),
        "text": np.asarray(["é", "long name"]),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    }
    write_npz(tmp_path / "a.npz", arrays)
    back = read_npz(tmp_path / "a.npz", "test arrays")
    assert set(back) == set(arrays)
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype and back[name].shape == array.shape
        assert back[name].tobytes() == array.tobytes()


def test_objects_are_neither_written_nor_read(tmp_path):
    with pytest.raises(ValueError, match="pickle|[Oo]bject"):
        write_npz(tmp_path / "a.npz", {"x": np.asarray([{}], dtype=object)})
    assert list(tmp_path.iterdir()) == []
    np.savez(tmp_path / "b.npz", x=np.asarray([{}], dtype=object))
    with pytest.raises(InputError, match="b.npz holds pickled"):
        read_npz(tmp_path / "b.npz", "test arrays")


class Trap:
    """Unpickling it makes a folder."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("form", ["object array in .npz", "bare pickle"])
def test_reading_executes_nothing(tmp_path, form):
    trap = tmp_path / "sprung"
    if form == "bare pickle":
        (tmp_path / "a.npz").write_bytes(pickle.dumps(Trap(trap)))
    else:
        np.savez(tmp_path / "a.npz", x=np.asarray([Trap(trap)], dtype=object))
    with pytest.raises(InputError):
        read_npz(tmp_path / "a.npz", "test arrays")
    assert not trap.exists()


def test_missing_arrays_and_files_are_named(tmp_path):
    write_npz(tmp_path / "a.npz", {"x": 1.0})
    with pytest.raises(InputError, match="lacks y, z, which test arrays must have; it holds x"):
        read_npz(tmp_path / "a.npz", "test arrays", required=("x", "y", "z"))
    with pytest.raises(InputError, match="no such file: .*absent.npz.*expected test arrays"):
        read_npz(tmp_path / "absent.npz", "test arrays")
    with pytest.raises(InputError, match="is a folder"):
        require_file(tmp_path, "test arrays")


def test_single_array_file_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(3))
    with pytest.raises(InputError, match="single .npy array"):
        read_npz(tmp_path / "a.npy", "test arrays")


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_damaged_archive_gives_one_clear_error_or_the_true_arrays(tmp_path_factory, data):
    """Any flipped byte and any truncation: refused, or harmless; never another exception and never wrong numbers."""
    path = tmp_path_factory.mktemp("damaged") / "a.npz"
    arrays = {"x": np.arange(64, dtype=np.float32), "y": np.ones((3, 3))}
    write_npz(path, arrays)
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(bytes(content))
    try:
        back = read_npz(path, "test arrays", required=("x", "y"))
    except InputError as error:
        assert "a.npz" in str(error) and "\n" not in str(error)
    else:
        for name, array in arrays.items():
            np.testing.assert_array_equal(back[name], array)


def test_numbers_that_json_cannot_hold_become_null(tmp_path):
    value = {
        "nan": float("nan"),
        "array": np.asarray([1.0, np.inf, -np.inf]),
        "scalar": np.float32("nan"),
        "nested": [{"deep": (np.nan, 2)}],
        "count": np.int64(3),
        "flag": np.bool_(True),
    }
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json", "a test") == {
        "nan": None,
        "array": [1.0, None, None],
        "scalar": None,
        "nested": [{"deep": [None, 2]}],
        "count": 3,
        "flag": True,
    }
    json.loads((tmp_path / "a.json").read_text(), parse_constant=lambda name: pytest.fail(f"{name} in JSON"))


def test_json_bytes_do_not_depend_on_the_order_of_keys(tmp_path):
    write_json(tmp_path / "1.json", {"b": 1, "a": [2, 3]})
    write_json(tmp_path / "2.json", {"a": [2, 3], "b": 1})
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"{'a': 1}"])
def test_broken_json_is_refused(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(InputError, match="a.json is not valid JSON"):
        read_json(tmp_path / "a.json", "a test")


def test_interrupted_write_leaves_the_old_file_and_no_rubbish(tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    write_bytes(path, b"old")

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(storage.os, "replace", fail)
    with pytest.raises(KeyboardInterrupt):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.bin"]


def test_folders_are_made_and_the_file_is_readable_by_others(tmp_path):
    path = tmp_path / "new" / "folder" / "a.bin"
    write_bytes(path, b"content")
    assert path.read_bytes() == b"content"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
