"""Made-up checkpoints with the published names and shapes; the real ones may not be passed on, and are large."""

from __future__ import annotations

import numpy as np

Tensors = dict[str, np.ndarray]

MIT = {
    "mit_b0": ((32, 64, 160, 256), (2, 2, 2, 2), 256),
    "mit_b1": ((64, 128, 320, 512), (2, 2, 2, 2), 256),
    "mit_b2": ((64, 128, 320, 512), (3, 4, 6, 3), 768),
}


def filled(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> Tensors:
    """Random numbers in these shapes."""
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}


def hollow(shapes: dict[str, tuple[int, ...]]) -> Tensors:
    """Zeros in these shapes that take no memory."""
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}


def mit_shapes(kind: str = "mit_b0", head: int | None = None, classes: int = 19) -> dict[str, tuple[int, ...]]:
    """NVlabs' names; head: the width of a decode head, in a segmentation checkpoint; None: an ImageNet checkpoint."""
    channels, depths, _ = MIT[kind]
    shapes: dict[str, tuple[int, ...]] = {}

    def layer(name: str, *weight: int) -> None:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = weight, weight[:1]

    before = 3
    for n, (width, depth, reduction) in enumerate(zip(channels, depths, (8, 4, 2, 1), strict=True), start=1):
        kernel = 7 if n == 1 else 3
        layer(f"patch_embed{n}.proj", width, before, kernel, kernel)
        layer(f"patch_embed{n}.norm", width)
        for i in range(depth):
            block = f"block{n}.{i}"
            layer(f"{block}.norm1", width)
            layer(f"{block}.attn.q", width, width)
            layer(f"{block}.attn.kv", 2 * width, width)
            layer(f"{block}.attn.proj", width, width)
            if reduction > 1:
                layer(f"{block}.attn.sr", width, width, reduction, reduction)
                layer(f"{block}.attn.norm", width)
            layer(f"{block}.norm2", width)
            layer(f"{block}.mlp.fc1", 4 * width, width)
            layer(f"{block}.mlp.dwconv.dwconv", 4 * width, 1, 3, 3)
            layer(f"{block}.mlp.fc2", width, 4 * width)
        layer(f"norm{n}", width)
        before = width
    if head is None:
        layer("head", 1000, before)
        return shapes
    shapes = {f"state_dict.backbone.{name}": shape for name, shape in shapes.items()}
    decode = "state_dict.decode_head"
    for n, width in enumerate(channels, start=1):
        layer(f"{decode}.linear_c{n}.proj", head, width)
    shapes[f"{decode}.linear_fuse.conv.weight"] = (head, 4 * head, 1, 1)
    layer(f"{decode}.linear_fuse.bn", head)
    shapes |= {f"{decode}.linear_fuse.bn.{name}": (head,) for name in ("running_mean", "running_var")}
    shapes[f"{decode}.linear_fuse.bn.num_batches_tracked"] = ()
    layer(f"{decode}.linear_pred", classes, head, 1, 1)
    layer(f"{decode}.conv_seg", classes, 128, 1, 1)
    return shapes


def raft_shapes(prefix: str = "module.") -> dict[str, tuple[int, ...]]:
    """The authors' names; of the two feature networks only a layer each."""
    layers = {
        "encoder.convc1": (256, 324, 1, 1),
        "encoder.convc2": (192, 256, 3, 3),
        "encoder.convf1": (128, 2, 7, 7),
        "encoder.convf2": (64, 128, 3, 3),
        "encoder.conv": (126, 256, 3, 3),
        **{f"gru.conv{gate}1": (128, 384, 1, 5) for gate in "zrq"},
        **{f"gru.conv{gate}2": (128, 384, 5, 1) for gate in "zrq"},
        "flow_head.conv1": (256, 128, 3, 3),
        "flow_head.conv2": (2, 256, 3, 3),
        "mask.0": (256, 128, 3, 3),
        "mask.2": (576, 256, 1, 1),
    }
    layers = {f"update_block.{name}": shape for name, shape in layers.items()}
    layers |= {"fnet.conv1": (64, 3, 7, 7), "cnet.conv1": (64, 3, 7, 7)}
    shapes = {f"{prefix}{name}.weight": shape for name, shape in layers.items()}
    return shapes | {f"{prefix}{name}.bias": shape[:1] for name, shape in layers.items()}


def mica_shapes(widths: tuple[int, ...] = (4, 4, 8, 8), vertices: int = 10) -> dict[str, tuple[int, ...]]:
    """The published names in a small network of two blocks in the second stage."""
    shapes: dict[str, tuple[int, ...]] = {}

    def norm(name: str, width: int) -> None:
        shapes.update({f"{name}.{leaf}": (width,) for leaf in ("weight", "bias", "running_mean", "running_var")})
        shapes[f"{name}.num_batches_tracked"] = ()

    def layer(name: str, *weight: int) -> None:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = weight, weight[:1]

    shapes["arcface.conv1.weight"], shapes["arcface.prelu.weight"] = (widths[0], 3, 3, 3), (widths[0],)
    norm("arcface.bn1", widths[0])
    before = widths[0]
    for n, (width, depth) in enumerate(zip(widths, (1, 2, 1, 1), strict=True), start=1):
        for i in range(depth):
            block = f"arcface.layer{n}.{i}"
            norm(f"{block}.bn1", before)
            shapes[f"{block}.conv1.weight"] = (width, before, 3, 3)
            norm(f"{block}.bn2", width)
            shapes[f"{block}.prelu.weight"] = (width,)
            shapes[f"{block}.conv2.weight"] = (width, width, 3, 3)
            norm(f"{block}.bn3", width)
            if i == 0:
                shapes[f"{block}.downsample.0.weight"] = (width, before, 1, 1)
                norm(f"{block}.downsample.1", width)
            before = width
    norm("arcface.bn2", before)
    layer("arcface.fc", 512, before * 7 * 7)
    norm("arcface.features", 512)
    for i in range(4):
        layer(f"flameModel.regressor.network.{i}", 30, 512 if i == 0 else 30)
    layer("flameModel.regressor.output", 30, 30)
    generator = {"v_template": (vertices, 3), "shapedirs": (vertices, 3, 40), "lbs_weights": (vertices, 5)}
    return shapes | {f"flameModel.generator.{name}": shape for name, shape in generator.items()}


def torchvision_raft_shapes() -> dict[str, tuple[int, ...]]:
    """torchvision's names in raft_large; of the two feature networks only a layer each."""
    motion, recurrent = "motion_encoder", "recurrent_block"
    names = {
        "encoder.convc1": f"{motion}.convcorr1.0",
        "encoder.convc2": f"{motion}.convcorr2.0",
        "encoder.convf1": f"{motion}.convflow1.0",
        "encoder.convf2": f"{motion}.convflow2.0",
        "encoder.conv": f"{motion}.conv.0",
        **{f"gru.conv{gate}{i}": f"{recurrent}.convgru{i}.conv{gate}" for gate in "zrq" for i in (1, 2)},
        "flow_head.conv1": "flow_head.conv1",
        "flow_head.conv2": "flow_head.conv2",
    }
    theirs = {f"update_block.{old}": f"update_block.{new}" for old, new in names.items()} | {
        "update_block.mask.0": "mask_predictor.convrelu.0",
        "update_block.mask.2": "mask_predictor.conv",
        "fnet.conv1": "feature_encoder.convnormrelu.0",
        "cnet.conv1": "context_encoder.convnormrelu.0",
    }
    split = ((*name.rpartition("."), shape) for name, shape in raft_shapes("").items())
    return {f"{theirs[layer]}.{leaf}": shape for layer, _, leaf, shape in split}


def resnet_shapes(depths: tuple[int, ...] = (3, 4, 23, 3)) -> dict[str, tuple[int, ...]]:
    """torchvision's names in its ResNets of bottlenecks; the default is ResNet-101."""
    shapes: dict[str, tuple[int, ...]] = {}

    def layer(convolution: str, norm: str, out: int, inputs: int, size: int) -> None:
        shapes[f"{convolution}.weight"] = (out, inputs, size, size)
        shapes.update({f"{norm}.{leaf}": (out,) for leaf in ("weight", "bias", "running_mean", "running_var")})
        shapes[f"{norm}.num_batches_tracked"] = ()

    layer("conv1", "bn1", 64, 3, 7)
    before = 64
    for n, depth in enumerate(depths, start=1):
        width = 32 * 2**n
        for i in range(depth):
            block = f"layer{n}.{i}"
            layer(f"{block}.conv1", f"{block}.bn1", width, before, 1)
            layer(f"{block}.conv2", f"{block}.bn2", width, width, 3)
            layer(f"{block}.conv3", f"{block}.bn3", 4 * width, width, 1)
            if i == 0:
                layer(f"{block}.downsample.0", f"{block}.downsample.1", 4 * width, before, 1)
            before = 4 * width
    return shapes | {"fc.weight": (1000, before), "fc.bias": (1000,)}


def bisenet_shapes(classes: int = 19) -> dict[str, tuple[int, ...]]:
    """CoinCheung/BiSeNet's names in BiSeNetV2; of the auxiliary heads only a layer."""
    shapes: dict[str, tuple[int, ...]] = {}

    def norm(name: str, width: int) -> None:
        shapes.update({f"{name}.{leaf}": (width,) for leaf in ("weight", "bias", "running_mean", "running_var")})
        shapes[f"{name}.num_batches_tracked"] = ()

    def layer(convolution: str, normalisation: str, out: int, inputs: int, size: int = 3) -> None:
        shapes[f"{convolution}.weight"] = (out, inputs, size, size)
        norm(normalisation, out)

    def named(name: str, *sizes: int) -> None:
        layer(f"{name}.conv", f"{name}.bn", *sizes)

    def numbered(name: str, first: int, *sizes: int) -> None:
        layer(f"{name}.{first}", f"{name}.{first + 1}", *sizes)

    before = 3
    for n, (width, depth) in enumerate(((64, 2), (64, 3), (128, 3)), start=1):
        for i in range(depth):
            named(f"detail.S{n}.{i}", width, before)
            before = width
    for name, sizes in {
        "conv": (16, 3, 3),
        "left.0": (8, 16, 1),
        "left.1": (16, 8, 3),
        "fuse": (16, 32, 3),
    }.items():
        named(f"segment.S1S2.{name}", *sizes)
    before = 16
    for stage, width, depth in (("S3", 32, 2), ("S4", 64, 2), ("S5_4", 128, 4)):
        for i in range(depth):
            block = f"segment.{stage}.{i}"
            named(f"{block}.conv1", before, before)
            numbered(f"{block}.{'dwconv' if i else 'dwconv1'}", 0, 6 * before, 1)
            if i == 0:
                numbered(f"{block}.dwconv2", 0, 6 * before, 1)
                numbered(f"{block}.shortcut", 0, before, 1)
                numbered(f"{block}.shortcut", 2, width, before, 1)
            numbered(f"{block}.conv2", 0, width, 6 * before, 1)
            before = width
    norm("segment.S5_5.bn", 128)
    named("segment.S5_5.conv_gap", 128, 128, 1)
    named("segment.S5_5.conv_last", 128, 128)
    for side in ("left1", "right2"):
        numbered(f"bga.{side}", 0, 128, 1)
        shapes[f"bga.{side}.2.weight"] = (128, 128, 1, 1)
    for side in ("left2", "right1", "conv"):
        numbered(f"bga.{side}", 0, 128, 128)
    named("head.conv", 1024, 128)
    named("aux2.conv", 128, 16)
    for head, width in (("head", 1024), ("aux2", 128)):
        shapes[f"{head}.conv_out.1.weight"], shapes[f"{head}.conv_out.1.bias"] = (classes, width, 1, 1), (classes,)
    return shapes
