"""Pickled model files are read without running anything that they contain."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import scipy.sparse

from flowface_jax.errors import InputError
from flowface_jax.foreign.safe_pickle import read_npy, read_npz_objects, read_pickle
from tests.heads.flame_files import python2_pickle, stand_in_chumpy, write_object_npy

KIND = "a test file"
PLAIN = {
    "double": np.linspace(0, 1, 12).reshape(3, 4),
    "fortran": np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3)),
    "big endian": np.arange(3, dtype=">u4"),
    "scalar": np.float32(2.5),
    "empty": np.zeros((0, 3)),
    "flags": np.array([True, False]),
    "words": np.array(["lbs", "x"]),
    "objects": np.array([1, "two"], dtype=object),
    "nested": [1, (2.0, "three"), {"four": None}],
}


@pytest.mark.parametrize("protocol", range(6))
def test_plain_data_comes_back_as_it_was(tmp_path, protocol):
    path = tmp_path / "plain.pkl"
    path.write_bytes(pickle.dumps(PLAIN, protocol=protocol))
    read = read_pickle(path, KIND)
    assert list(read) == list(PLAIN)
    for name, value in PLAIN.items():
        np.testing.assert_array_equal(np.asarray(read[name], dtype=object), np.asarray(value, dtype=object))
        if isinstance(value, np.ndarray):
            assert read[name].dtype == value.dtype, name


def test_python_2_pickles_are_read(tmp_path):
    path = tmp_path / "python2.pkl"
    path.write_bytes(python2_pickle({"a": np.arange(7.0), "kind": "lbs"}))
    assert b"numpy.core.multiarray" in path.read_bytes()
    read = read_pickle(path, KIND)
    np.testing.assert_array_equal(read["a"], np.arange(7.0))
    assert read["kind"] == "lbs"


@pytest.mark.parametrize("layout", ["csc_matrix", "csr_matrix", "coo_matrix", "csc_array", "coo_array"])
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_sparse_matrices_come_back_dense(tmp_path, layout, protocol):
    dense = np.array([[0.0, 1.5, 0.0, 0.0], [2.0, 0.0, 0.0, -3.0]])
    path = tmp_path / "sparse.pkl"
    path.write_bytes(pickle.dumps(getattr(scipy.sparse, layout)(dense), protocol=protocol))
    np.testing.assert_array_equal(read_pickle(path, KIND), dense)


def test_sparse_matrices_that_point_outside_are_refused(tmp_path):
    matrix = scipy.sparse.csc_matrix(np.eye(3))
    matrix.indices = np.array([0, 1, 7], np.int32)
    path = tmp_path / "sparse.pkl"
    path.write_bytes(pickle.dumps(matrix))
    with pytest.raises(InputError, match="indices do not fit"):
        read_pickle(path, KIND)


def test_chumpy_arrays_are_read_without_chumpy(tmp_path):
    array = np.random.default_rng(0).normal(size=(4, 3, 2))
    path = tmp_path / "chumpy.pkl"
    with stand_in_chumpy() as (ch, select):
        path.write_bytes(pickle.dumps({"plain": ch(array), "selected": select(array)}, protocol=2))
    read = read_pickle(path, KIND)
    np.testing.assert_array_equal(read["plain"], array)
    np.testing.assert_array_equal(read["selected"], array)


def test_a_chumpy_expression_is_refused_by_name(tmp_path):
    path = tmp_path / "expression.pkl"
    path.write_bytes(b"\x80\x02cchumpy.ch_ops\nadd\n)\x81}b.")
    with pytest.raises(InputError, match=r"chumpy\.ch_ops\.add is a chumpy expression"):
        read_pickle(path, KIND)


CALLS = [
    ("os", "system"),
    ("posix", "system"),
    ("subprocess", "Popen"),
    ("builtins", "eval"),
    ("__builtin__", "eval"),
    ("builtins", "exec"),
    ("builtins", "getattr"),
    ("builtins", "__import__"),
    ("numpy", "load"),
    ("numpy", "fromfile"),
    ("numpy.core.multiarray", "fromfile"),
    ("numpy.testing._private.utils", "runstring"),
    ("scipy.sparse", "load_npz"),
    ("torch", "load"),
    ("torch.serialization", "load"),
    ("functools", "partial"),
    ("operator", "attrgetter"),
    ("flowface_jax.storage", "write_bytes"),
]


@pytest.mark.parametrize("module, name", CALLS, ids=[".".join(call) for call in CALLS])
@pytest.mark.parametrize("form", ["global", "stack_global", "inst"])
def test_code_is_refused_by_name_and_does_not_run(tmp_path, module, name, form):
    victim = tmp_path / "victim"
    argument = f"touch {victim}"
    text = lambda value: b"\x8c" + bytes([len(value)]) + value.encode()
    payload = {
        "global": f"c{module}\n{name}\n(V{argument}\ntR.".encode(),
        "stack_global": b"\x80\x04"
        + text(module)
        + text(name)
        + b"\x93"
        + text(argument)[:1]
        + text(argument)[1:]
        + b"\x85R.",
        "inst": f"(V{argument}\ni{module}\n{name}\n.".encode(),
    }[form]
    path = tmp_path / "evil.pkl"
    path.write_bytes(payload)
    with pytest.raises(InputError, match=f"refuses to load {module}.{name} from .*evil.pkl"):
        read_pickle(path, KIND)
    assert not victim.exists()


class _Touch:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        import os

        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("container", ["npy", "npz"])
def test_code_inside_object_arrays_is_refused(tmp_path, container):
    victim = tmp_path / "victim"
    path = tmp_path / f"evil.{container}"
    if container == "npy":
        write_object_npy(path, {"lmk": _Touch(victim)})
        read = read_npy
    else:
        np.savez(path, fine=np.arange(3), evil=np.array(_Touch(victim), dtype=object))
        read = read_npz_objects
    with pytest.raises(InputError, match=r"refuses to load \w+\.mkdir"):
        read(path, KIND)
    assert not victim.exists()


def test_a_file_cannot_change_what_the_next_file_may_do(tmp_path):
    path = tmp_path / "alter.pkl"
    path.write_bytes(b"\x80\x02cnumpy\ndtype\n(N}X\x06\x00\x00\x00_buildK\x01stb.")
    with pytest.raises(InputError):
        read_pickle(path, KIND)
    good = tmp_path / "good.pkl"
    good.write_bytes(pickle.dumps(np.arange(3)))
    np.testing.assert_array_equal(read_pickle(good, KIND), np.arange(3))


def test_dtypes_that_claim_to_hold_objects_in_raw_bytes_are_refused(tmp_path):
    payload = pickle.dumps(np.arange(2, dtype=np.int64), protocol=2).replace(b"i8", b"O8")
    path = tmp_path / "pointers.pkl"
    path.write_bytes(payload)
    with pytest.raises(InputError, match="objects whose contents do not fit"):
        read_pickle(path, KIND)


def test_every_truncation_is_one_line(tmp_path):
    whole = pickle.dumps({"v_template": np.arange(30.0), "J": scipy.sparse.csc_matrix(np.eye(4))}, protocol=4)
    path = tmp_path / "cut.pkl"
    for length in range(0, len(whole) - 1, 7):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError) as caught:
            read_pickle(path, KIND)
        assert "\n" not in str(caught.value)


def test_random_damage_never_escapes_as_another_error(tmp_path):
    rng = np.random.default_rng(0)
    whole = bytearray(pickle.dumps({"a": np.arange(30.0), "b": [1, "x"]}, protocol=2))
    path = tmp_path / "damaged.pkl"
    for _ in range(300):
        damaged = bytearray(whole)
        for at in rng.integers(0, len(damaged), 3):
            damaged[at] = rng.integers(0, 256)
        path.write_bytes(damaged)
        try:
            read_pickle(path, KIND)
        except InputError:
            continue


def test_object_npy_gives_back_the_dictionary(tmp_path):
    path = write_object_npy(tmp_path / "embedding.npy", {"ids": np.arange(4), "weights": np.eye(3)})
    read = read_npy(path, KIND)
    np.testing.assert_array_equal(read["ids"], np.arange(4))
    np.testing.assert_array_equal(read["weights"], np.eye(3))


def test_plain_npy_is_read_too(tmp_path):
    path = tmp_path / "plain.npy"
    np.save(path, np.asfortranarray(np.arange(6.0).reshape(2, 3)))
    np.testing.assert_array_equal(read_npy(path, KIND), np.arange(6.0).reshape(2, 3))


def test_absent_files_are_named(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_pickle(tmp_path / "none.pkl", KIND)
