"""Public checkpoints become our variables: recognised, complete, every number in its place, every tensor explained."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.foreign.safetensors_file import safetensors_bytes
from flowface_jax.network.alignment_network import AlignmentNetwork
from flowface_jax.network.config import NetworkConfig
from flowface_jax.network.mica import Mica
from flowface_jax.network.weights.convert import convert, convert_tensors
from flowface_jax.network.weights.report import NOT_KNOWN
from flowface_jax.network.weights.table import Layer, rows_of
from flowface_jax.network.weights.trees import flatten, module_shapes
from tests.foreign.torch_files import write_stream, write_zip
from tests.network.weights.checkpoints import (
    bisenet_shapes,
    filled,
    hollow,
    mica_shapes,
    mit_shapes,
    raft_shapes,
    resnet_shapes,
    torchvision_raft_shapes,
)


def _reasons(report):
    return {entry.reason for entry in report.skipped}


@pytest.fixture(scope="module")
def b0():
    return filled(mit_shapes("mit_b0", head=256))


@pytest.fixture(scope="module")
def b0_network():
    """Shapes of a whole alignment network, by path."""
    network = AlignmentNetwork(NetworkConfig("mit_b0", image_size=64, uv_size=8))
    return module_shapes(network, (1, 64, 64, 3))


def test_a_segmentation_checkpoint_fills_encoder_and_decode_head(b0, b0_network):
    converted = convert_tensors(b0, "b0.pth")
    assert converted.kind == "mit_b0" and converted.config["decode_head"]
    flat = flatten(converted.variables)
    expected = {
        path: shape
        for path, shape in b0_network.items()
        if path.split("/")[1] in ("encoder", "decode_head") and "/output/" not in path.replace("attention/output", "")
    }
    assert {path: values.shape for path, values in flat.items()} == expected
    assert NOT_KNOWN not in _reasons(converted.report)
    skipped = {entry.name.removeprefix("state_dict.decode_head.") for entry in converted.report.skipped}
    assert skipped == {
        *("linear_pred.weight", "linear_pred.bias", "conv_seg.weight", "conv_seg.bias"),
        "linear_fuse.bn.num_batches_tracked",
    }


def test_numbers_land_where_the_layers_compute_the_same(b0):
    """Against the published layers' formulas in PyTorch's order, so that a transposition cannot go unseen."""
    params = convert_tensors(b0, "b0.pth").variables["params"]
    rng = np.random.default_rng(1)
    stage, there = params["encoder"]["stage_1"], "state_dict.backbone."
    image = rng.standard_normal((3, 7, 7), np.float32)
    kernel = stage["patch_embedding"]["projection"]["kernel"]
    np.testing.assert_allclose(
        np.einsum("hwi,hwio->o", image.transpose(1, 2, 0), kernel),
        np.einsum("ihw,oihw->o", image, b0[f"{there}patch_embed1.proj.weight"]),
        rtol=1e-4,
        atol=1e-4,
    )
    token = rng.standard_normal(32, np.float32)
    attention, block = stage["block_0"]["attention"], f"{there}block1.0."
    both = b0[f"{block}attn.kv.weight"] @ token + b0[f"{block}attn.kv.bias"]
    for name, expected in (("key", both[:32]), ("value", both[32:])):
        got = token @ attention[name]["kernel"] + attention[name]["bias"]
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
    depthwise = stage["block_0"]["feedforward"]["depthwise"]["kernel"]
    np.testing.assert_array_equal(depthwise[:, :, 0, 5], b0[f"{block}mlp.dwconv.dwconv.weight"][5, 0])
    fuse = params["decode_head"]["fuse"]["kernel"]
    np.testing.assert_array_equal(fuse[0, 0, 7], b0["state_dict.decode_head.linear_fuse.conv.weight"][:, 7, 0, 0])


def _hugging_face(name):
    """NVlabs' name to that on Hugging Face's hub, for everything but attention's keys and values."""
    import re

    name = re.sub(r"^patch_embed(\d)\.", lambda m: f"encoder.patch_embeddings.{int(m[1]) - 1}.", name)
    name = re.sub(r"^block(\d)\.", lambda m: f"encoder.block.{int(m[1]) - 1}.", name)
    name = re.sub(r"^norm(\d)\.", lambda m: f"encoder.layer_norm.{int(m[1]) - 1}.", name)
    for ours, theirs in (
        (r"(embeddings\.\d\.)norm", r"\1layer_norm"),
        (r"attn\.norm", "attention.self.layer_norm"),
        (r"(block\.\d\.\d+\.)norm", r"\1layer_norm_"),
        (r"attn\.q", "attention.self.query"),
        (r"attn\.sr", "attention.self.sr"),
        (r"attn\.proj", "attention.output.dense"),
        (r"mlp\.fc", "mlp.dense"),
        (r"^head\.", "classifier."),
    ):
        name = re.sub(ours, theirs, name)
    return name


@pytest.mark.parametrize("prefix", ["segformer.", "", "module."])
def test_hugging_face_names_give_the_same_variables(prefix):
    nvlabs = filled(mit_shapes("mit_b0"))
    hub = {}
    for name, tensor in nvlabs.items():
        new = _hugging_face(name)
        if ".attn.kv" in name:
            stem, leaf = new.replace("attn.kv", "attention.self.X").rsplit(".", 1)
            for part, half in zip(("key", "value"), np.split(tensor, 2), strict=True):
                hub[f"{prefix}{stem[:-1]}{part}.{leaf}"] = half
        else:
            hub[new if new.startswith("classifier") else prefix + new] = tensor
    ours, theirs = convert_tensors(nvlabs, "a"), convert_tensors(hub, "b")
    assert ours.kind == theirs.kind == "mit_b0"
    jax.tree.map(np.testing.assert_array_equal, ours.variables, theirs.variables)
    assert NOT_KNOWN not in _reasons(theirs.report) and len(theirs.report.skipped) == 2


@pytest.mark.parametrize("kind", ["mit_b0", "mit_b1", "mit_b2"])
def test_the_size_is_read_from_the_tensors(kind):
    assert convert_tensors(hollow(mit_shapes(kind)), "x").kind == kind


def test_a_decode_head_of_another_width_is_left_out_and_says_so():
    converted = convert_tensors(hollow(mit_shapes("mit_b2", head=256)), "b2")
    assert "decode_head" not in converted.variables["params"]
    assert "its decode head has 256 channels, this one's 768" in _reasons(converted.report)
    assert NOT_KNOWN not in _reasons(converted.report)


def test_raft_fills_the_update_block_but_the_uncertainty(b0_network):
    tensors = filled(raft_shapes())
    converted = convert_tensors(tensors, "raft-things.pth")
    flat = flatten(converted.variables)
    expected = {
        path: shape
        for path, shape in b0_network.items()
        if path.startswith("params/update/") and "uncertainty_head" not in path
    }
    assert converted.kind == "raft" and {path: values.shape for path, values in flat.items()} == expected
    kernel = flat["params/update/motion_encoder/flow_1/kernel"]
    theirs = tensors["module.update_block.encoder.convf1.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(kernel[:, :, :2], theirs)
    assert not kernel[:, :, 2].any()
    assert {entry.name.split(".")[1] for entry in converted.report.skipped} == {"fnet", "cnet", "update_block"}
    assert NOT_KNOWN not in _reasons(converted.report)


def test_torchvisions_raft_gives_the_same_variables():
    authors, torchvision = filled(raft_shapes("")), filled(torchvision_raft_shapes())
    one, other = convert_tensors(authors, "a"), convert_tensors(torchvision, "t", "raft")
    jax.tree.map(np.testing.assert_array_equal, one.variables, other.variables)
    assert NOT_KNOWN not in _reasons(other.report)


def _assert_whole(converted, network, *parts):
    """The converted variables are the network's `parts` (beginnings of paths), each in its shape."""
    flat = {path: values.shape for path, values in flatten(converted.variables).items()}
    inner = lambda path: path.partition("/")[2]
    assert flat == {path: shape for path, shape in network.items() if inner(path).startswith(parts)}
    assert NOT_KNOWN not in _reasons(converted.report)


def test_resnet101_fills_the_trunk():
    network = module_shapes(AlignmentNetwork(NetworkConfig("resnet101", image_size=32)), (1, 32, 32, 3))
    converted = convert_tensors(hollow(resnet_shapes()), "resnet101.pth", "resnet101")
    _assert_whole(converted, network, "trunk/")
    skipped = {entry.name for entry in converted.report.skipped if "num_batches" not in entry.name}
    assert skipped == {"fc.weight", "fc.bias"}
    with pytest.raises(InputError, match=r"a ResNet of depths \(3, 4, 6, 3\) .* only ResNet-101"):
        convert_tensors(hollow(resnet_shapes((3, 4, 6, 3))), "resnet50.pth")


@pytest.mark.parametrize("has_head", [True, False])
def test_bisenet_fills_the_encoder(has_head):
    network = module_shapes(AlignmentNetwork(NetworkConfig("bisenet_v2", image_size=64, uv_size=8)), (1, 64, 64, 3))
    network = {path: shape for path, shape in network.items() if "/head/output/" not in path}
    shapes = bisenet_shapes()
    parts = ("encoder/",)
    if not has_head:
        shapes = {name: shape for name, shape in shapes.items() if not name.startswith(("head", "aux"))}
        parts = ("encoder/detail/", "encoder/segment/", "encoder/aggregation/")
    converted = convert_tensors(hollow(shapes), "bisenet.pth", "bisenet_v2")
    _assert_whole(converted, network, *parts)
    assert converted.config == {"head": has_head}


def test_mica_computes_the_published_flattening():
    tensors = filled(mica_shapes())
    converted = convert_tensors(tensors, "mica.tar")
    config = converted.config
    module = Mica(tuple(config["depths"]), tuple(config["widths"]), config["hidden_size"], config["code_size"])
    assert tuple(config["depths"]) == (1, 2, 1, 1)
    shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 112, 112, 3)))
    variables = {name: converted.variables[name] for name in shapes}
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(jnp.shape, dict(shapes))
    features = np.random.default_rng(2).standard_normal((8, 7, 7), np.float32)
    got = features.transpose(1, 2, 0).reshape(-1) @ variables["params"]["arcface"]["linear"]["kernel"]
    expected = tensors["arcface.fc.weight"] @ features.reshape(-1)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-3)
    flame = converted.variables["flame"]
    np.testing.assert_array_equal(flame["template"], tensors["flameModel.generator.v_template"])
    np.testing.assert_array_equal(flame["identity_basis"], tensors["flameModel.generator.shapedirs"][..., :30])
    assert NOT_KNOWN not in _reasons(converted.report)


def test_mica_without_the_head_model_is_whole_too():
    shapes = {name: shape for name, shape in mica_shapes().items() if "generator" not in name}
    assert "flame" not in convert_tensors(hollow(shapes), "mica.tar").variables


@pytest.mark.parametrize("write", [write_zip, write_stream], ids=["zip", "stream"])
def test_files_of_every_format_give_the_same_variables(write, tmp_path):
    tensors = filled(mica_shapes())
    (tmp_path / "a.safetensors").write_bytes(safetensors_bytes(tensors, {}))
    split = {"arcface": {}, "flameModel": {}, "epoch": 160}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        split[part][rest] = tensor
    one, other = convert(tmp_path / "a.safetensors"), convert(write(tmp_path / "mica.tar", split), kind="mica")
    jax.tree.map(np.testing.assert_array_equal, one.variables, other.variables)
    assert other.source.startswith("mica.tar sha256:") and one.report == other.report


def test_half_precision_becomes_single():
    tensors = {name: tensor.astype(np.float16) for name, tensor in filled(raft_shapes("")).items()}
    leaves = jax.tree.leaves(convert_tensors(tensors, "half").variables)
    assert {leaf.dtype for leaf in leaves} == {np.dtype(np.float32)}


def test_missing_tensors_are_named_and_counted(b0):
    parts = {name: tensor for name, tensor in b0.items() if ".block3.1.attn" not in name}
    with pytest.raises(InputError, match=r"cut.pth lacks 10 tensors of mit_b0, among them .*block3\.1\.attn\.kv"):
        convert_tensors(parts, "cut.pth")


def test_tensors_of_another_shape_are_named(b0):
    wrong = b0 | {"state_dict.backbone.norm2.bias": np.zeros(7, np.float32)}
    with pytest.raises(InputError, match=r"expected state_dict\.backbone\.norm2\.bias of shape \[64\].* found \[7\]"):
        convert_tensors(wrong, "odd.pth")


def test_numbers_that_are_none_are_refused(b0):
    name = "state_dict.backbone.norm2.bias"
    with pytest.raises(InputError, match="norm2.bias holds values that are no numbers"):
        convert_tensors(b0 | {name: np.full_like(b0[name], np.nan)}, "odd.pth")


def test_sizes_that_were_never_published_are_refused():
    shapes = mit_shapes("mit_b2")
    extra = {name.replace("block3.5", "block3.6"): shape for name, shape in shapes.items()}
    with pytest.raises(InputError, match=r"depths \(3, 4, 7, 3\), none of MiT-b0"):
        convert_tensors(hollow(shapes | extra), "b2")


def test_another_kind_than_asked_is_refused(b0):
    with pytest.raises(InputError, match="expected a checkpoint of kind raft, found mit_b0"):
        convert_tensors(b0, "b0.pth", kind="raft")
    with pytest.raises(InputError, match="kind: expected one of mit_b0, .* found vgg"):
        convert("b0.pth", kind="vgg")


def test_unknown_architectures_are_refused_in_one_line():
    with pytest.raises(InputError, match="x.pth is of no known architecture .*embedding.weight") as caught:
        convert_tensors({"embedding.weight": np.zeros((3, 3))}, "x.pth")
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="it holds no tensor"):
        convert_tensors({}, "x.pth")


def test_the_report_is_a_table_of_every_tensor(b0):
    report = convert_tensors(b0, "b0.pth").report
    lines = report.table().splitlines()
    assert lines[0].startswith("189 of 194 tensors loaded, 5 left out (1 × a counter of training steps; 2 × ")
    assert [line.split()[0] for line in lines[1:]] == sorted(b0)
    (line,) = (line for line in lines if "block1.0.attn.kv.bias" in line)
    assert line.split()[1:] == [
        "[64]",
        "params/encoder/stage_1/block_0/attention/key/bias,",
        "params/encoder/stage_1/block_0/attention/value/bias",
    ]


def test_a_variable_without_a_line_in_the_table_is_an_error():
    with pytest.raises(KeyError, match="params/linear/bias is in no line"):
        rows_of(module_shapes(nn.Dense(2), (1, 3), under="linear"), [Layer("other", "other")], "")
