"""Checkpoints that PyTorch itself writes are read bit for bit, and every table is complete for the real modules."""

from __future__ import annotations

import argparse
import collections
import pathlib

import jax
import numpy as np
import pytest

from flowface_jax.foreign import read_checkpoint
from flowface_jax.network.weights.convert import convert_tensors
from flowface_jax.network.weights.report import NOT_KNOWN
from tests.network.weights.checkpoints import hollow, mit_shapes

torch = pytest.importorskip("torch")

FORMATS = pytest.mark.parametrize("modern", [True, False], ids=["zip", "stream"])


def _saved(path, value, modern, **options):
    torch.save(value, path, _use_new_zipfile_serialization=modern, **options)
    return read_checkpoint(path)


def _assert_equal(array, tensor):
    tensor = tensor.detach().contiguous()
    assert tuple(array.shape) == tuple(tensor.shape)
    if tensor.numel():
        assert np.ascontiguousarray(array).tobytes() == tensor.reshape(-1).view(torch.uint8).numpy().tobytes()
    assert str(array.dtype) == str(tensor.dtype).removeprefix("torch.")


@FORMATS
@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"]
)
def test_every_type_is_read_bit_for_bit(modern, dtype, tmp_path):
    tensor = (torch.randn(3, 4, generator=torch.Generator().manual_seed(0)) * 50).to(getattr(torch, dtype))
    read = _saved(tmp_path / "t.pth", {"x": tensor, "scalar": tensor[0, 0].clone(), "empty": tensor[:0]}, modern)
    for name, expected in (("x", tensor), ("scalar", tensor[0, 0]), ("empty", tensor[:0])):
        _assert_equal(read[name], expected)


@FORMATS
def test_views_parameters_and_attributes(modern, tmp_path):
    whole = torch.arange(60.0).reshape(3, 4, 5)
    marked = torch.nn.Parameter(torch.ones(2))
    marked.note = "an attribute"
    tagged = torch.ones(3)
    tagged.note = "an attribute"
    values = {
        "whole": whole,
        "part": whole[1:, ::2, 1:3],
        "turned": whole.permute(2, 0, 1),
        "parameter": torch.nn.Parameter(whole[0]),
        "marked": marked,
        "tagged": tagged,
    }
    read = _saved(tmp_path / "v.pt", values, modern)
    assert list(read) == list(values)
    for name, tensor in values.items():
        _assert_equal(read[name], tensor)
    assert np.shares_memory(read["whole"], read["turned"])


@FORMATS
def test_a_training_checkpoint(modern, tmp_path):
    model = torch.nn.DataParallel(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)))
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.zeros(1, 3, 5, 5)).sum().backward()
    optimizer.step()
    value = {
        "state_dict": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "epoch": 3,
        "args": argparse.Namespace(lr=0.1, out=pathlib.PurePosixPath("/tmp")),
        "counts": collections.defaultdict(int, a=1),
        "size": torch.Size([1, 2]),
        "device": torch.device("cpu"),
        "dtype": torch.float32,
        "loss": np.float64(0.5),
    }
    read = _saved(tmp_path / "last.ckpt", value, modern)
    assert set(read) == {f"state_dict.{name}" for name in model.state_dict()}
    for name, tensor in model.state_dict().items():
        _assert_equal(read[f"state_dict.{name}"], tensor)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@FORMATS
def test_every_pickle_protocol(modern, protocol, tmp_path):
    tensor = torch.arange(4.0)
    _assert_equal(_saved(tmp_path / "p.pth", {"x": tensor}, modern, pickle_protocol=protocol)["x"], tensor)


def test_unsigned_types_of_newer_files(tmp_path):
    tensor = torch.arange(6, dtype=torch.int32).to(torch.uint16)[1:]
    _assert_equal(_saved(tmp_path / "u.pth", {"x": tensor}, True)["x"], tensor)


def _converted(module, kind, prefix=""):
    """The real module's checkpoint, converted; nothing of it may stay unexplained."""
    tensors = {prefix + name: tensor.numpy() for name, tensor in module.state_dict().items()}
    converted = convert_tensors(tensors, "peer", kind)
    assert {entry.name for entry in converted.report.entries} == set(tensors)
    assert NOT_KNOWN not in {entry.reason for entry in converted.report.skipped}
    return converted


def _skipped(converted):
    return {entry.name for entry in converted.report.skipped if not entry.name.endswith("num_batches_tracked")}


def test_s3fd():
    pytest.importorskip("face_alignment")
    from face_alignment.detection.sfd.net_s3fd import s3fd

    assert not _skipped(_converted(s3fd(), "s3fd"))


SIZES = {
    "mit_b0": dict(hidden_sizes=[32, 64, 160, 256], depths=[2, 2, 2, 2], decoder_hidden_size=256),
    "mit_b1": dict(hidden_sizes=[64, 128, 320, 512], depths=[2, 2, 2, 2], decoder_hidden_size=256),
    "mit_b3": dict(hidden_sizes=[64, 128, 320, 512], depths=[3, 4, 18, 3], decoder_hidden_size=768),
    "mit_b5": dict(hidden_sizes=[64, 128, 320, 512], depths=[3, 6, 40, 3], decoder_hidden_size=768),
}


@pytest.mark.parametrize("kind", SIZES)
def test_every_size_of_segformer_is_complete(kind):
    transformers = pytest.importorskip("transformers")
    with torch.device("meta"):
        model = transformers.SegformerForSemanticSegmentation(transformers.SegformerConfig(**SIZES[kind]))
    tensors = hollow({name: tuple(tensor.shape) for name, tensor in model.state_dict().items()})
    report = convert_tensors(tensors, "peer", kind).report
    assert {entry.reason for entry in report.skipped} == {
        *("a counter of training steps", "the classes of another task are not predicted here"),
    }
    assert len(report.skipped) == 3


@pytest.mark.parametrize("kind", ["mit_b0"])
def test_segformer_with_names_in_memory_and_on_the_hub(kind, tmp_path):
    """transformers 5 renames in memory; what save_pretrained writes has the hub's names."""
    transformers = pytest.importorskip("transformers")
    model = transformers.SegformerForSemanticSegmentation(transformers.SegformerConfig(**SIZES[kind]))
    rng = np.random.default_rng(0)
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.dtype == torch.float32:
                tensor.copy_(torch.from_numpy(np.asarray(rng.standard_normal(tuple(tensor.shape), np.float32))))
    memory = _converted(model, kind)
    model.save_pretrained(tmp_path)
    stored = read_checkpoint(tmp_path / "model.safetensors")
    assert "segformer.encoder.patch_embeddings.0.proj.weight" in stored
    hub = convert_tensors(stored, "hub", kind)
    assert NOT_KNOWN not in {entry.reason for entry in hub.report.skipped}
    assert memory.config["decode_head"] and hub.config["decode_head"]
    _equal_trees(memory.variables, hub.variables)


@pytest.mark.parametrize("kind", ["mit_b0"])
def test_segformer_backbone_without_prefix(kind):
    transformers = pytest.importorskip("transformers")
    model = transformers.SegformerModel(transformers.SegformerConfig(**SIZES[kind]))
    assert not _skipped(_converted(model, kind))
    classes = transformers.SegformerForImageClassification(transformers.SegformerConfig(**SIZES[kind]))
    assert _skipped(_converted(classes, kind)) == {"classifier.weight", "classifier.bias"}


def test_nvlabs_names_have_as_many_parameters_as_transformers():
    transformers = pytest.importorskip("transformers")
    model = transformers.SegformerModel(transformers.SegformerConfig(**SIZES["mit_b0"]))
    count = sum(tensor.numel() for tensor in model.parameters())
    converted = convert_tensors(hollow(mit_shapes("mit_b0")), "nvlabs")
    assert sum(leaf.size for leaf in jax.tree.leaves(converted.variables)) == count


def _equal_trees(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)
