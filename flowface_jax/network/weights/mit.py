"""SegFormer's Mix Transformer encoders, MiT-b0 … b5: NVlabs' checkpoints and those of Hugging Face's hub."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from flowface_jax.network.segformer import MIT_SIZES, DecodeHead, MitSize, MixTransformer
from flowface_jax.network.weights.layouts import half
from flowface_jax.network.weights.table import (
    Layer,
    Plan,
    Row,
    Shapes,
    UnsuitableError,
    count_of,
    find_prefix,
    rows_of,
)
from flowface_jax.network.weights.trees import module_shapes, shapes_of

_STAGES: Final = (1, 2, 3, 4)
_BLOCK: Final = "encoder/stage_{n}/block_{i}"


@dataclass(frozen=True)
class Naming:
    """One way of naming the tensors.

    roots: what may stand before the encoder's names. projection, depth: names from which the size is read.
    encoder, head: the tables. skips: (pattern, reason) of what is left out.
    """

    name: str
    roots: tuple[str, ...]
    projection: str
    depth: str
    encoder: tuple[Layer, ...]
    head: tuple[Layer, ...]
    skips: tuple[tuple[str, str], ...]


def _halves(foreign: str) -> tuple[Layer, Layer]:
    return tuple(
        Layer(f"{_BLOCK}/attention/{name}", foreign, {"kernel": half(index), "bias": half(index)})
        for index, name in enumerate(("key", "value"))
    )


_NVLABS: Final = Naming(
    name="nvlabs",
    roots=("", "backbone."),
    projection="patch_embed{n}.proj.weight",
    depth=r"block{n}\.(\d+)\.",
    encoder=(
        Layer("encoder/stage_{n}/patch_embedding/projection", "patch_embed{n}.proj"),
        Layer("encoder/stage_{n}/patch_embedding/norm", "patch_embed{n}.norm"),
        Layer(f"{_BLOCK}/attention_norm", "block{n}.{i}.norm1"),
        Layer(f"{_BLOCK}/attention/query", "block{n}.{i}.attn.q"),
        *_halves("block{n}.{i}.attn.kv"),
        Layer(f"{_BLOCK}/attention/output", "block{n}.{i}.attn.proj"),
        Layer(f"{_BLOCK}/attention/reduction", "block{n}.{i}.attn.sr"),
        Layer(f"{_BLOCK}/attention/reduction_norm", "block{n}.{i}.attn.norm"),
        Layer(f"{_BLOCK}/feedforward_norm", "block{n}.{i}.norm2"),
        Layer(f"{_BLOCK}/feedforward/expand", "block{n}.{i}.mlp.fc1"),
        Layer(f"{_BLOCK}/feedforward/depthwise", "block{n}.{i}.mlp.dwconv.dwconv"),
        Layer(f"{_BLOCK}/feedforward/contract", "block{n}.{i}.mlp.fc2"),
        Layer("encoder/stage_{n}/norm", "norm{n}"),
    ),
    head=(
        Layer("decode_head/projection_{n}", "linear_c{n}.proj"),
        Layer("decode_head/fuse", "linear_fuse.conv"),
        Layer("decode_head/fuse_norm", "linear_fuse.bn"),
    ),
    skips=(
        (r"(.*\.)?head\.(weight|bias)", "ImageNet's classes are not predicted here"),
        (r".*decode_head\.linear_pred\..*", "the classes of another task are not predicted here"),
        (r".*decode_head\.conv_seg\..*", "not used by the published network either"),
    ),
)

_HUB_BLOCK: Final = "encoder.block.{n0}.{i}"
_HUGGING_FACE_4: Final = Naming(
    name="huggingface",
    roots=("segformer.", ""),
    projection="encoder.patch_embeddings.{n0}.proj.weight",
    depth=r"encoder\.block\.{n0}\.(\d+)\.",
    encoder=(
        Layer("encoder/stage_{n}/patch_embedding/projection", "encoder.patch_embeddings.{n0}.proj"),
        Layer("encoder/stage_{n}/patch_embedding/norm", "encoder.patch_embeddings.{n0}.layer_norm"),
        Layer(f"{_BLOCK}/attention_norm", f"{_HUB_BLOCK}.layer_norm_1"),
        Layer(f"{_BLOCK}/attention/query", f"{_HUB_BLOCK}.attention.self.query"),
        Layer(f"{_BLOCK}/attention/key", f"{_HUB_BLOCK}.attention.self.key"),
        Layer(f"{_BLOCK}/attention/value", f"{_HUB_BLOCK}.attention.self.value"),
        Layer(f"{_BLOCK}/attention/output", f"{_HUB_BLOCK}.attention.output.dense"),
        Layer(f"{_BLOCK}/attention/reduction", f"{_HUB_BLOCK}.attention.self.sr"),
        Layer(f"{_BLOCK}/attention/reduction_norm", f"{_HUB_BLOCK}.attention.self.layer_norm"),
        Layer(f"{_BLOCK}/feedforward_norm", f"{_HUB_BLOCK}.layer_norm_2"),
        Layer(f"{_BLOCK}/feedforward/expand", f"{_HUB_BLOCK}.mlp.dense1"),
        Layer(f"{_BLOCK}/feedforward/depthwise", f"{_HUB_BLOCK}.mlp.dwconv.dwconv"),
        Layer(f"{_BLOCK}/feedforward/contract", f"{_HUB_BLOCK}.mlp.dense2"),
        Layer("encoder/stage_{n}/norm", "encoder.layer_norm.{n0}"),
    ),
    head=(
        Layer("decode_head/projection_{n}", "linear_c.{n0}.proj"),
        Layer("decode_head/fuse", "linear_fuse"),
        Layer("decode_head/fuse_norm", "batch_norm"),
    ),
    skips=(
        (r"(.*\.)?decode_head\.classifier\..*", "the classes of another task are not predicted here"),
        (r"(.*\.)?classifier\.(weight|bias)", "ImageNet's classes are not predicted here"),
    ),
)

_BLOCK_5: Final = "stages.{n0}.blocks.{i}"
_HUGGING_FACE_5: Final = Naming(
    name="huggingface 5",
    roots=("segformer.", ""),
    projection="stages.{n0}.patch_embeddings.proj.weight",
    depth=r"stages\.{n0}\.blocks\.(\d+)\.",
    encoder=(
        Layer("encoder/stage_{n}/patch_embedding/projection", "stages.{n0}.patch_embeddings.proj"),
        Layer("encoder/stage_{n}/patch_embedding/norm", "stages.{n0}.patch_embeddings.layer_norm"),
        Layer(f"{_BLOCK}/attention_norm", f"{_BLOCK_5}.layernorm_before"),
        Layer(f"{_BLOCK}/attention/query", f"{_BLOCK_5}.attention.q_proj"),
        Layer(f"{_BLOCK}/attention/key", f"{_BLOCK_5}.attention.k_proj"),
        Layer(f"{_BLOCK}/attention/value", f"{_BLOCK_5}.attention.v_proj"),
        Layer(f"{_BLOCK}/attention/output", f"{_BLOCK_5}.attention.o_proj"),
        Layer(f"{_BLOCK}/attention/reduction", f"{_BLOCK_5}.attention.sequence_reduction.sequence_reduction"),
        Layer(f"{_BLOCK}/attention/reduction_norm", f"{_BLOCK_5}.attention.sequence_reduction.layer_norm"),
        Layer(f"{_BLOCK}/feedforward_norm", f"{_BLOCK_5}.layernorm_after"),
        Layer(f"{_BLOCK}/feedforward/expand", f"{_BLOCK_5}.mlp.fc1"),
        Layer(f"{_BLOCK}/feedforward/depthwise", f"{_BLOCK_5}.mlp.dwconv.dwconv"),
        Layer(f"{_BLOCK}/feedforward/contract", f"{_BLOCK_5}.mlp.fc2"),
        Layer("encoder/stage_{n}/norm", "stages.{n0}.layer_norm"),
    ),
    head=(
        Layer("decode_head/projection_{n}", "linear_projections.{n0}.proj"),
        Layer("decode_head/fuse", "linear_fuse"),
        Layer("decode_head/fuse_norm", "batch_norm"),
    ),
    skips=_HUGGING_FACE_4.skips,
)

NAMINGS: Final = (_NVLABS, _HUGGING_FACE_4, _HUGGING_FACE_5)


def recognise(shapes: Shapes) -> Plan | None:
    """The plan for a MiT of a published size, with its decode head where there is one of the published width.

    Raises UnsuitableError for a MiT of another size.
    """
    for naming in NAMINGS:
        projections = [naming.projection.format(n=n, n0=n - 1) for n in _STAGES]
        prefix = find_prefix(shapes, projections, naming.roots)
        if prefix is not None:
            channels = tuple(shapes[prefix + name][0] for name in projections)
            depths = tuple(count_of(shapes, re.escape(prefix) + naming.depth.format(n=n, n0=n - 1)) for n in _STAGES)
            return _plan(shapes, naming, prefix, channels, depths)
    return None


def _plan(shapes: Shapes, naming: Naming, prefix: str, channels: tuple, depths: tuple) -> Plan:
    kind = next((kind for kind, size in MIT_SIZES.items() if (size.channels, size.depths) == (channels, depths)), None)
    if kind is None:
        raise UnsuitableError(f"a Mix Transformer of channels {channels} and depths {depths}, none of MiT-b0 … b5")
    size = MIT_SIZES[kind]
    rows = rows_of(module_shapes(MixTransformer(size), (1, 32, 32, 3), under="encoder"), naming.encoder, prefix)
    head, skips = _head_rows(shapes, naming, size, prefix)
    config = {"channels": list(channels), "depths": list(depths), "decode_head": bool(head), "names": naming.name}
    return Plan(kind, config, rows + head, naming.skips + skips)


def _head_rows(
    shapes: Shapes, naming: Naming, size: MitSize, prefix: str
) -> tuple[tuple[Row, ...], tuple[tuple[str, str], ...]]:
    """The decode head's rows, or none and the reason why its tensors are left out."""
    wrapper = prefix
    for root in naming.roots:
        wrapper = wrapper.removesuffix(root)
    head_prefix = f"{wrapper}decode_head."
    rows = rows_of(_head_shapes(size), naming.head, head_prefix)
    first = next(row for row in rows if row.own.endswith("projection_1/kernel"))
    found = shapes.get(first.foreign)
    if found is None:
        return (), ()
    if found != first.foreign_shape:
        reason = f"its decode head has {found[0]} channels, this one's {size.head}"
        return (), ((re.escape(head_prefix) + ".*", reason),)
    return rows, ()


def _head_shapes(size: MitSize) -> dict[str, tuple[int, ...]]:
    """Of what a decode head for other classes shares with ours: all but its last layer."""
    module = DecodeHead(size.head, 1)
    maps = [(1, 8 >> stage, 8 >> stage, channels) for stage, channels in enumerate(size.channels)]
    shapes = shapes_of(lambda key, *arrays: module.init(key, list(arrays)), *maps, under="decode_head")
    return {path: shape for path, shape in shapes.items() if "/output/" not in path}
