"""Foreign checkpoints come back as arrays, with nothing in them executed and no PyTorch."""

from __future__ import annotations

import io
import json
import struct
import tracemalloc
import zipfile

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from flowface_jax.errors import InputError
from flowface_jax.foreign import read_checkpoint
from flowface_jax.foreign.safetensors_file import parse_safetensors, safetensors_bytes
from tests.foreign.torch_files import WRITERS, Raw, View, write_stream, write_zip

EITHER = pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
SYSTEM = Raw(b"cos\nsystem\n(X\x04\x00\x00\x00truetR")


def _tensors():
    rng = np.random.default_rng(0)
    return {
        "single": rng.normal(size=(2, 3, 4)).astype(np.float32),
        "double": rng.normal(size=5),
        "half": rng.normal(size=(3, 2)).astype(np.float16),
        "brain": rng.normal(size=(4,)).astype(ml_dtypes.bfloat16),
        "counter": np.array(7, np.int64),
        "flags": np.array([True, False]),
        "empty": np.zeros((0, 3), np.float32),
    }


@EITHER
def test_tensors_of_every_type_come_back_bit_for_bit(write, tmp_path):
    tensors = _tensors()
    read = read_checkpoint(write(tmp_path / "weights.pth", tensors))
    assert list(read) == list(tensors)
    for name, tensor in tensors.items():
        assert read[name].dtype == tensor.dtype and read[name].shape == tensor.shape, name
        assert read[name].tobytes() == tensor.tobytes(), name


@EITHER
def test_views_share_their_storage(write, tmp_path):
    numbers = np.arange(24, dtype=np.float32)
    value = {
        "whole": View(numbers, (4, 6), (6, 1)),
        "transposed": View(numbers, (6, 4), (1, 6), parameter=True),
        "part": View(numbers, (2, 3), (6, 1), offset=7),
    }
    read = read_checkpoint(write(tmp_path / "views.pth", value))
    whole = numbers.reshape(4, 6)
    np.testing.assert_array_equal(read["whole"], whole)
    np.testing.assert_array_equal(read["transposed"], whole.T)
    np.testing.assert_array_equal(read["part"], whole[1:3, 1:4])
    assert np.shares_memory(read["whole"], read["part"])


@EITHER
def test_tables_are_joined_and_what_is_no_tensor_is_left_out(write, tmp_path):
    weight = np.ones((2, 2), np.float32)
    value = {
        "epoch": 3,
        "best": 0.5,
        "meta": {"env": "none", "classes": ["a"], "seed": None},
        "state_dict": {"backbone.norm.weight": weight},
        "optimizer": {"state": {0: {"exp_avg": weight}}, "param_groups": [{"lr": 0.1, "params": [0]}]},
    }
    assert list(read_checkpoint(write(tmp_path / "c.tar", value))) == ["state_dict.backbone.norm.weight"]


def test_parts_of_storages_in_the_oldest_files_are_read(tmp_path):
    """View metadata: (key, offset, count) after the storage's own description."""
    numbers = np.arange(6, dtype=np.float32)
    text = lambda value: b"X" + struct.pack("<I", len(value)) + value.encode()
    part = b"(" + text("1") + b"K\x02K\x03t"
    identifier = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + b"K\x06" + part + b"tQ"
    tensor = Raw(b"ctorch._utils\n_rebuild_tensor\n(" + identifier + b"K\x01K\x02\x85K\x01\x85tR")
    path = write_stream(tmp_path / "old.pth", {"whole": numbers, "part": tensor})
    np.testing.assert_array_equal(read_checkpoint(path)["part"], numbers[3:5])


def test_safetensors_are_read_as_their_own_library_writes_them(tmp_path):
    tensors = {name: tensor for name, tensor in _tensors().items() if name != "brain"}
    path = tmp_path / "model.safetensors"
    save_file(tensors, path, {"format": "pt"})
    read = read_checkpoint(path)
    assert set(read) == set(tensors)
    for name, tensor in tensors.items():
        assert read[name].dtype == tensor.dtype and read[name].tobytes() == tensor.tobytes(), name


def test_safetensors_hold_bfloat16():
    tensors = {"brain": np.array([1.5, -2], ml_dtypes.bfloat16), "wide": np.array([3.0])}
    read, metadata = parse_safetensors(safetensors_bytes(tensors, {"about": "x"}))
    assert metadata == {"about": "x"}
    assert read["brain"].dtype == ml_dtypes.bfloat16 and read["brain"].tolist() == [1.5, -2]


@EITHER
@pytest.mark.parametrize("place", ["value", "nested"])
def test_code_is_refused_by_name(write, place, tmp_path):
    value = {"a": np.ones(2, np.float32), "b": SYSTEM if place == "value" else {"c": [SYSTEM]}}
    with pytest.raises(InputError, match=r"refuses to load os\.system from .*evil\.pth"):
        read_checkpoint(write(tmp_path / "evil.pth", value))


@EITHER
def test_whole_models_are_refused_by_their_class(write, tmp_path):
    model = Raw(b"ctorchvision.models.resnet\nResNet\n)\x81")
    with pytest.raises(InputError, match=r"refuses to load torchvision\.models\.resnet\.ResNet"):
        read_checkpoint(write(tmp_path / "model.pth", {"model": model}))


@pytest.mark.parametrize("name", ["zip", "stream", "safetensors"])
def test_every_truncation_is_one_line(name, tmp_path):
    path = tmp_path / "whole"
    tensors = {"a": np.arange(30, dtype=np.float32), "b": np.ones((2, 2), np.float32)}
    if name == "safetensors":
        path.write_bytes(safetensors_bytes(tensors, {}))
    else:
        WRITERS[name](path, tensors)
    whole, cut = path.read_bytes(), tmp_path / "cut.pth"
    for length in range(0, len(whole) - 1, 11):
        cut.write_bytes(whole[:length])
        with pytest.raises(InputError) as caught:
            read_checkpoint(cut)
        assert "\n" not in str(caught.value) and "cut.pth" in str(caught.value)


@pytest.mark.parametrize("name", ["zip", "stream", "safetensors"])
def test_random_damage_never_escapes_as_another_error(name, tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "damaged.pth"
    if name == "safetensors":
        path.write_bytes(safetensors_bytes(_tensors(), {}))
    else:
        WRITERS[name](path, _tensors())
    whole = bytearray(path.read_bytes())
    for _ in range(200):
        damaged = bytearray(whole)
        for at in rng.integers(0, len(damaged), 3):
            damaged[at] = rng.integers(0, 256)
        path.write_bytes(damaged)
        try:
            read_checkpoint(path)
        except InputError as error:
            assert "\n" not in str(error)


@EITHER
@pytest.mark.parametrize("claimed", [10, 2**40, -1])
def test_sizes_that_the_file_does_not_have_are_refused_without_memory(write, claimed, tmp_path):
    path = write(tmp_path / "large.pth", {"a": np.zeros(4, np.float32)}, claimed=claimed)
    _refused_in_little_memory(path)


@EITHER
@pytest.mark.parametrize(
    "view",
    [
        dict(size=(2**40,), stride=(0,)),
        dict(size=(5,), stride=(1,)),
        dict(size=(2, 2), stride=(3, 1)),
        dict(size=(4,), stride=(1,), offset=1),
        dict(size=(4,), stride=(-1,), offset=3),
        dict(size=(2,), stride=(1, 1)),
    ],
    ids=str,
)
def test_views_outside_their_storage_are_refused(write, view, tmp_path):
    _refused_in_little_memory(write(tmp_path / "view.pth", {"a": View(np.zeros(4, np.float32), **view)}))


@EITHER
@pytest.mark.parametrize(
    "code",
    [
        b"cbuiltins\nbytearray\n(\x8a\x05\x00\x00\x00\x00\x7ftR",
        b"cbuiltins\nbytes\n(\x8a\x05\x00\x00\x00\x00\x7ftR",
        b"Nr\xff\xff\xff\x7f",
    ],
    ids=["bytearray", "bytes", "memo"],
)
def test_requests_for_memory_are_not_met(write, code, tmp_path):
    path = write(tmp_path / "large.pth", {"a": np.zeros(4, np.float32), "b": Raw(code)})
    tracemalloc.start()
    try:
        read_checkpoint(path)
    except InputError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 2_000_000


def test_tables_within_tables_without_end_are_refused(tmp_path):
    level = b"}(X\x01\x00\x00\x00aNu"
    for _ in range(40):
        level = b"}(X\x01\x00\x00\x00a" + level + b"q\x01X\x01\x00\x00\x00bh\x01u"
    with pytest.raises(InputError, match="too many or too deep"):
        read_checkpoint(write_zip(tmp_path / "deep.pth", {"a": Raw(level)}))


def test_compressed_entries_are_refused(tmp_path):
    path = write_zip(tmp_path / "bomb.pth", {"a": np.zeros(1_000_000, np.float32)}, compressed=True)
    _refused_in_little_memory(path, "compressed entries")


def test_files_of_big_endian_machines_are_refused(tmp_path):
    tensors = {"a": np.zeros(4, np.float32)}
    for path in (
        write_zip(tmp_path / "zip.pth", tensors, byteorder=b"big"),
        write_stream(tmp_path / "stream.pth", tensors, little_endian=False),
    ):
        with pytest.raises(InputError, match="big-endian"):
            read_checkpoint(path)


def test_other_files_are_refused_in_one_line(tmp_path):
    contents = {"text": b"hello", "nothing": b"", "picture": b"\x89PNG\r\n\x1a\n" + bytes(40), "tar": bytes(1024)}
    for name, content in contents.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(InputError, match=f"{name} cannot be read as a checkpoint") as caught:
            read_checkpoint(path)
        assert "\n" not in str(caught.value)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as other:
        other.writestr("notes.txt", "no tensors")
    (tmp_path / "notes.zip").write_bytes(archive.getvalue())
    with pytest.raises(InputError, match="without data.pkl"):
        read_checkpoint(tmp_path / "notes.zip")
    with pytest.raises(InputError, match="no table of named tensors"):
        read_checkpoint(write_zip(tmp_path / "list.pth", [1, 2]))
    with pytest.raises(InputError, match="no such file"):
        read_checkpoint(tmp_path / "absent.pth")


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [4], "data_offsets": [0, 12]},
        {"dtype": "F32", "shape": [2**50], "data_offsets": [0, 2**52]},
        {"dtype": "F32", "shape": [-4], "data_offsets": [0, 16]},
        {"dtype": "F32", "shape": [4], "data_offsets": [16, 0]},
        {"dtype": "X9", "shape": [4], "data_offsets": [0, 16]},
        {"dtype": "F32", "shape": [4]},
        ["F32"],
    ],
    ids=str,
)
def test_safetensors_entries_that_do_not_fit_are_refused(entry, tmp_path):
    header = json.dumps({"a": entry}).encode()
    path = tmp_path / "odd.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(16))
    _refused_in_little_memory(path)


def _refused_in_little_memory(path, message="odd|storage|tensor"):
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=message):
            read_checkpoint(path)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()
