"""Our SegFormer is Hugging Face's: same maps and same decoded features from one weights file (`peers` extra)."""

from __future__ import annotations

import re

import jax
import numpy as np
import pytest

from flowface_jax.network.segformer import MIT_SIZES, DecodeHead, MixTransformer
from flowface_jax.network.weights.convert import convert

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install flowface-jax[peers]")
transformers = pytest.importorskip("transformers", reason="pip install flowface-jax[peers]")

from safetensors.torch import save_file  # noqa: E402

from benchmarks.torch_alignment_network import randomise, segformer_config  # noqa: E402

BACKBONES = ("mit_b0", "mit_b2")
OUTPUTS = 128


@pytest.fixture(scope="module", params=BACKBONES)
def backbone(request):
    return request.param


@pytest.fixture(scope="module")
def theirs(backbone):
    return randomise(transformers.SegformerForSemanticSegmentation(segformer_config(backbone, OUTPUTS)), seed=1)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).normal(size=(2, 128, 96, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def expected(theirs, images):
    """Their four maps and logits, channels last."""
    found, features = [], torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    with torch.inference_mode():
        logits = theirs(pixel_values=features).logits
        for stage in theirs.segformer.stages:
            features = stage(features)
            found.append(features)
    return [value.numpy().transpose(0, 2, 3, 1) for value in (*found, logits)]


@pytest.fixture(scope="module")
def ours(theirs, tmp_path_factory):
    """The variables that the file with the checkpoint's own names converts to."""
    path = tmp_path_factory.mktemp("segformer") / "segformer.safetensors"
    save_file({name: value.contiguous() for name, value in theirs.state_dict().items()}, path)
    return convert(path).variables


def _part(variables, name):
    return {collection: tree[name] for collection, tree in variables.items() if name in tree}


def _error(found, expected):
    """Largest difference, relative to the largest value."""
    assert found.shape == expected.shape
    return np.abs(np.asarray(found) - expected).max() / np.abs(expected).max()


def test_every_stage_is_the_same(backbone, ours, images, expected):
    encoder = MixTransformer(MIT_SIZES[backbone], epsilon=1e-5, embedding_epsilon=1e-5)
    maps = jax.jit(encoder.apply)(_part(ours, "encoder"), images)
    assert len(maps) == 4
    for mine, other in zip(maps, expected[:4], strict=True):
        assert _error(mine, other) < 1e-5


def test_the_decode_head_is_the_same(backbone, theirs, ours, expected):
    head, variables = DecodeHead(MIT_SIZES[backbone].head, OUTPUTS), _part(ours, "decode_head")
    # Conversion leaves out the layer of another task's classes.
    last = theirs.decode_head.classifier
    output = {"kernel": last.weight.detach().numpy().transpose(2, 3, 1, 0), "bias": last.bias.detach().numpy()}
    variables = {**variables, "params": {**variables["params"], "output": output}}
    logits = jax.jit(head.apply)(variables, expected[:4])
    assert _error(logits, expected[4]) < 1e-5


def test_the_published_epsilon_matters_little_but_is_told_apart(ours, backbone, images, expected):
    if backbone != "mit_b0":
        pytest.skip("one size is enough")
    encoder = MixTransformer(MIT_SIZES[backbone], epsilon=1e-6)
    error = _error(jax.jit(encoder.apply)(_part(ours, "encoder"), images)[3], expected[3])
    assert 1e-7 < error < 1e-3


@pytest.mark.parametrize("naming", ["hub", "hub_encoder", "nvlabs", "nvlabs_segmentation"])
def test_every_naming_of_the_same_weights_converts_to_the_same(naming, theirs, ours, tmp_path):
    state = theirs.state_dict()
    if naming.startswith("hub"):
        state = {_hub_name(name): value for name, value in state.items()}
    else:
        state = _nvlabs_state(state)
    if naming == "hub_encoder":
        prefix = "segformer."
        state = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    if naming == "nvlabs":
        prefix = "backbone."
        state = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        state |= {"head.weight": torch.zeros(1000, 8), "head.bias": torch.zeros(1000)}
    if naming == "nvlabs_segmentation":
        state = {"state_dict": state, "meta": {"epoch": 3}}
    path = tmp_path / f"{naming}.pth"
    torch.save(state, path)
    found = convert(path).variables
    parts = ("encoder", "decode_head") if naming in ("hub", "nvlabs_segmentation") else ("encoder",)
    for part in parts:
        jax.tree.map(np.testing.assert_array_equal, _part(found, part), _part(ours, part))


def _hub_name(name):
    """The name that version 4 of the library, and so the files of its hub, gives."""
    stage = r"segformer\.stages\.(\d)"
    rules = (
        (rf"^{stage}\.patch_embeddings\.", r"segformer.encoder.patch_embeddings.\1."),
        (rf"^{stage}\.layer_norm\.", r"segformer.encoder.layer_norm.\1."),
        (rf"^{stage}\.blocks\.", r"segformer.encoder.block.\1."),
        (r"\.layernorm_before\.", ".layer_norm_1."),
        (r"\.layernorm_after\.", ".layer_norm_2."),
        (r"\.attention\.q_proj\.", ".attention.self.query."),
        (r"\.attention\.k_proj\.", ".attention.self.key."),
        (r"\.attention\.v_proj\.", ".attention.self.value."),
        (r"\.attention\.o_proj\.", ".attention.output.dense."),
        (r"\.attention\.sequence_reduction\.sequence_reduction\.", ".attention.self.sr."),
        (r"\.attention\.sequence_reduction\.layer_norm\.", ".attention.self.layer_norm."),
        (r"\.mlp\.fc(\d)\.", r".mlp.dense\1."),
        (r"\.linear_projections\.", ".linear_c."),
    )
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def _nvlabs_state(state):
    """The weights under the authors' names, keys and values fused."""
    rules = (
        (r"^segformer\.encoder\.patch_embeddings\.(\d)\.layer_norm\.", r"backbone.patch_embed\1.norm."),
        (r"^segformer\.encoder\.patch_embeddings\.(\d)\.", r"backbone.patch_embed\1."),
        (r"^segformer\.encoder\.layer_norm\.(\d)\.", r"backbone.norm\1."),
        (r"^segformer\.encoder\.block\.(\d)\.", r"backbone.block\1."),
        (r"\.layer_norm_(\d)\.", r".norm\1."),
        (r"\.attention\.self\.query\.", ".attn.q."),
        (r"\.attention\.self\.sr\.", ".attn.sr."),
        (r"\.attention\.self\.layer_norm\.", ".attn.norm."),
        (r"\.attention\.output\.dense\.", ".attn.proj."),
        (r"\.mlp\.dense(\d)\.", r".mlp.fc\1."),
        (r"\.linear_c\.(\d)\.", r".linear_c\1."),
        (r"\.linear_fuse\.", ".linear_fuse.conv."),
        (r"decode_head\.batch_norm\.", "decode_head.linear_fuse.bn."),
        (r"decode_head\.classifier\.", "decode_head.linear_pred."),
    )
    renamed = {}
    for name, value in state.items():
        name = _hub_name(name)
        if ".attention.self.value." in name:
            continue
        if ".attention.self.key." in name:
            other = state[_find(state, name.replace(".self.key.", ".self.value."))]
            name, value = name.replace(".attention.self.key.", ".attn.kv."), torch.cat([value, other])
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        # Stages and projections count from 1.
        count = lambda match: f"{match[1]}{int(match[2]) + 1}"
        name = re.sub(r"^(backbone\.(?:patch_embed|norm|block))(\d)", count, name)
        renamed[re.sub(r"^(decode_head\.linear_c)(\d)", count, name)] = value
    return renamed


def _find(state, hub_name):
    return next(name for name in state if _hub_name(name) == hub_name)
