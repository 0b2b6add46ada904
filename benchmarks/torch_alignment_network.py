"""The alignment network as a PyTorch user would assemble it: Hugging Face's SegFormer and RAFT's update block.

Written from the published description, literally: inputs of the recurrent unit are concatenated, the all-pairs volume
is pooled, and read by `grid_sample`. Parameters carry the names of RAFT's checkpoints (`update_block.encoder.convc1`)
and of Hugging Face's. Needs the `peers` extra.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from transformers import SegformerConfig, SegformerForSemanticSegmentation

from flowface_jax.network.alignment_network import FIRST_STD_SHARE
from flowface_jax.network.config import NetworkConfig
from flowface_jax.network.segformer import MIT_SIZES

IMAGE_MEAN, IMAGE_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def correlation_pyramid(first: torch.Tensor, second: torch.Tensor, levels: int) -> list[torch.Tensor]:
    """All-pairs correlation of maps [B,D,h,w], pooled over the second: per level [B·h·w,1,h_l,w_l]."""
    batch, depth, height, width = second.shape
    volume = torch.einsum("bdq,bdk->bqk", first.flatten(2), second.flatten(2)) / depth**0.5
    pyramid = [volume.reshape(-1, 1, height, width)]
    for _ in range(levels - 1):
        pyramid.append(functional.avg_pool2d(pyramid[-1], 2))
    return pyramid


def look_up(pyramid: list[torch.Tensor], places: torch.Tensor, radius: int) -> torch.Tensor:
    """Windows round places [B,2,h,w] (x, y; whole numbers at cell centres): [B,levels·(2·radius+1)²,h,w]."""
    batch, _, height, width = places.shape
    steps = torch.arange(-radius, radius + 1, dtype=places.dtype, device=places.device)
    window = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), dim=-1)
    read = []
    for level, volume in enumerate(pyramid):
        where = places.permute(0, 2, 3, 1).reshape(-1, 1, 1, 2) / 2**level + window
        # `grid_sample` wants -1 and 1 at the outermost centres; a map of one cell has none to tell apart.
        last = torch.tensor([volume.shape[3] - 1, volume.shape[2] - 1], dtype=places.dtype, device=places.device)
        grid = (2 * where / last - 1).to(volume.dtype)
        values = functional.grid_sample(volume, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
        read.append(values.reshape(batch, height, width, -1))
    return torch.cat(read, dim=-1).permute(0, 3, 1, 2)


class MotionEncoder(nn.Module):
    """RAFT's, with the uncertainty as a third input of the flow's convolution, beside its output, or left out."""

    def __init__(self, planes: int, features: int, uncertainty_input: str) -> None:
        super().__init__()
        self.uncertainty_input = uncertainty_input
        kept = 3 if uncertainty_input == "appended" else 2
        self.convc1, self.convc2 = nn.Conv2d(planes, 256, 1), nn.Conv2d(256, 192, 3, padding=1)
        self.convf1 = nn.Conv2d(3 if uncertainty_input == "convolved" else 2, 128, 7, padding=3)
        self.convf2, self.conv = nn.Conv2d(128, 64, 3, padding=1), nn.Conv2d(256, features - kept, 3, padding=1)

    def forward(self, correlations: torch.Tensor, flow: torch.Tensor, uncertainty: torch.Tensor) -> torch.Tensor:
        both = torch.cat([flow, uncertainty], dim=1)
        seen = torch.relu(self.convc2(torch.relu(self.convc1(correlations))))
        moved = torch.relu(self.convf1(both if self.uncertainty_input == "convolved" else flow))
        moved = torch.relu(self.convf2(moved))
        combined = torch.relu(self.conv(torch.cat([seen, moved], dim=1)))
        return torch.cat([combined, both if self.uncertainty_input == "appended" else flow], dim=1)


class SeparableGru(nn.Module):
    """RAFT's SepConvGRU: a horizontal pass, then a vertical one."""

    def __init__(self, hidden: int, inputs: int) -> None:
        super().__init__()
        for number, size in ((1, (1, 5)), (2, (5, 1))):
            for gate in ("convz", "convr", "convq"):
                padding = (size[0] // 2, size[1] // 2)
                setattr(self, f"{gate}{number}", nn.Conv2d(hidden + inputs, hidden, size, padding=padding))

    def forward(self, hidden: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        for z, r, q in ((self.convz1, self.convr1, self.convq1), (self.convz2, self.convr2, self.convq2)):
            both = torch.cat([hidden, inputs], dim=1)
            update, reset = torch.sigmoid(z(both)), torch.sigmoid(r(both))
            candidate = torch.tanh(q(torch.cat([reset * hidden, inputs], dim=1)))
            hidden = (1 - update) * hidden + update * candidate
        return hidden


class Head(nn.Module):
    """RAFT's flow head, with any number of outputs."""

    def __init__(self, hidden: int, outputs: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(hidden, 256, 3, padding=1), nn.Conv2d(256, outputs, 3, padding=1)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.conv2(torch.relu(self.conv1(hidden)))


class UpdateBlock(nn.Module):
    """Motion encoder, recurrent unit, flow head, and its copy for the logarithm of the uncertainty."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        size = config.hidden_size
        planes = config.correlation_levels * (2 * config.correlation_radius + 1) ** 2
        self.uncertainty_form = config.uncertainty_form
        self.first_log_std = float(np.log(config.uv_size / FIRST_STD_SHARE))
        self.encoder = MotionEncoder(planes, size, config.uncertainty_input)
        self.gru = SeparableGru(size, 2 * size)
        self.flow_head, self.uncertainty_head = Head(size, 2), Head(size, 1)

    def forward(
        self,
        hidden: torch.Tensor,
        context: torch.Tensor,
        correlations: torch.Tensor,
        flow: torch.Tensor,
        log_std: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """New hidden state, change of the flow, and log σ; everything [B,…,U,U]."""
        seen = log_std if self.uncertainty_form == "log" else log_std.exp()
        motion = self.encoder(correlations, flow, seen)
        hidden = self.gru(hidden, torch.cat([context, motion], dim=1))
        return hidden, self.flow_head(hidden), self.uncertainty_head(hidden) + self.first_log_std


class PositionalEncoding(nn.Module):
    """Four learned textures, enlarged, stacked and mixed."""

    def __init__(self, side: int, features: int, texture_size: int) -> None:
        super().__init__()
        sides = [side // 2**level for level in range(4)]
        self.textures = nn.ParameterList([nn.Parameter(torch.randn(1, texture_size, s, s)) for s in sides])
        self.linear = nn.Conv2d(4 * texture_size, features, 1)

    def forward(self) -> torch.Tensor:
        side = self.textures[0].shape[-2:]
        enlarged = [functional.interpolate(t, side, mode="bilinear", align_corners=False) for t in self.textures]
        return self.linear(torch.cat(enlarged, dim=1))


class UvFlow(nn.Module):
    """Image features [B,D,U,U] to flow [N,B,2,U,U] and log σ [N,B,1,U,U] in cells."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        encoding = lambda features: PositionalEncoding(config.uv_size, features, config.texture_size)
        self.uv_features = encoding(config.feature_size)
        self.uv_context, self.uv_hidden = encoding(config.hidden_size), encoding(config.hidden_size)
        self.update_block = UpdateBlock(config)

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        batch, _, side, _ = features.shape
        spread = lambda value: value.expand(batch, *value.shape[1:])
        pyramid = correlation_pyramid(spread(self.uv_features()), features, self.config.correlation_levels)
        hidden, context = spread(torch.tanh(self.uv_hidden())), spread(torch.relu(self.uv_context()))
        along = torch.arange(side, dtype=torch.float32, device=features.device)
        rows, columns = torch.meshgrid(along, along, indexing="ij")
        start = spread(torch.stack([columns, rows])[None])
        places, log_std = start, torch.full_like(start[:, :1], float(np.log(self.config.initial_std)))
        flows, stds = [], []
        for _ in range(self.config.iterations):
            flow = places - start
            seen = look_up(pyramid, places, self.config.correlation_radius).to(hidden.dtype)
            hidden, change, log_std = self.update_block(
                hidden, context, seen, flow.to(hidden.dtype), log_std.to(hidden.dtype)
            )
            places, log_std = places + change.float(), log_std.float()
            flows.append(places - start)
            stds.append(log_std)
        return torch.stack(flows), torch.stack(stds)


class AlignmentNetwork(nn.Module):
    """Crops [B,3,D,D] in [0, 1] to `UvFlow`'s answer; only for SegFormer backbones."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.pool = config.image_size // 4 // config.uv_size
        self.segformer = SegformerForSemanticSegmentation(segformer_config(config.backbone, config.feature_size))
        self.uv_flow = UvFlow(config)
        self.register_buffer("mean", torch.tensor(IMAGE_MEAN).reshape(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(IMAGE_STD).reshape(1, 3, 1, 1))

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = self.segformer(pixel_values=(images - self.mean) / self.deviation).logits
        return self.uv_flow(functional.avg_pool2d(logits, self.pool))


def segformer_config(backbone: str, outputs: int = 128) -> SegformerConfig:
    """Hugging Face's settings of "mit_b0" … "mit_b5"."""
    size = MIT_SIZES[backbone]
    return SegformerConfig(
        hidden_sizes=list(size.channels), depths=list(size.depths), decoder_hidden_size=size.head, num_labels=outputs
    )


def randomise(module: nn.Module, seed: int = 0) -> nn.Module:
    """Weights under which signals keep their size and nothing is trivial: biases, norms and statistics included."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in module.state_dict().items():
        if "textures" in name:
            value.normal_(0, 1, generator=generator)
        elif value.ndim >= 2 and name.endswith("weight"):
            value.normal_(0, (1.0 / value[0].numel()) ** 0.5, generator=generator)
        elif name.endswith("running_var") or name.endswith("weight"):
            value.uniform_(0.7, 1.3, generator=generator)
        elif name.endswith(("bias", "running_mean")):
            value.normal_(0, 0.1, generator=generator)
    return module.eval()


def our_variables(network: AlignmentNetwork) -> dict[str, Any]:
    """The same weights as variables of `flowface_jax.network.alignment_network.AlignmentNetwork`."""
    head = network.segformer.decode_head
    params: dict[str, Any] = {"encoder": {}, "decode_head": {}}
    for number, stage in enumerate(network.segformer.segformer.stages, start=1):
        params["encoder"][f"stage_{number}"] = _stage(stage)
    for number, projection in enumerate(head.linear_projections, start=1):
        params["decode_head"][f"projection_{number}"] = _layer(projection.proj)
    params["decode_head"] |= {
        "fuse": _layer(head.linear_fuse),
        "fuse_norm": _layer(head.batch_norm),
        "output": _layer(head.classifier),
    }
    statistics = {"mean": _array(head.batch_norm.running_mean), "var": _array(head.batch_norm.running_var)}
    batch_stats = {"decode_head": {"fuse_norm": statistics}}
    return {"params": {**params, **uv_flow_parameters(network.uv_flow)}, "batch_stats": batch_stats}


def uv_flow_parameters(module: UvFlow) -> dict[str, Any]:
    """The weights of `UvFlow` as parameters of ours."""
    params = {}
    for name in ("uv_features", "uv_context", "uv_hidden"):
        encoding = getattr(module, name)
        textures = {f"texture_{i}": _array(t)[0].transpose(1, 2, 0) for i, t in enumerate(encoding.textures)}
        linear = _layer(encoding.linear)
        params[name] = {**textures, "linear": {**linear, "kernel": linear["kernel"][0, 0]}}
    return {**params, "update": update_parameters(module.update_block)}


def update_parameters(block: UpdateBlock) -> dict[str, Any]:
    """The weights of `UpdateBlock` as parameters of ours."""
    names = {
        "correlation_1": "convc1",
        "correlation_2": "convc2",
        "flow_1": "convf1",
        "flow_2": "convf2",
        "combine": "conv",
    }
    gates = {"update": "convz", "reset": "convr", "candidate": "convq"}
    head = lambda module: {"hidden": _layer(module.conv1), "output": _layer(module.conv2)}
    return {
        "motion_encoder": {ours: _layer(getattr(block.encoder, theirs)) for ours, theirs in names.items()},
        "recurrent": {
            axis: {ours: _layer(getattr(block.gru, f"{theirs}{number}")) for ours, theirs in gates.items()}
            for number, axis in ((1, "horizontal"), (2, "vertical"))
        },
        "flow_head": head(block.flow_head),
        "uncertainty_head": head(block.uncertainty_head),
    }


def _stage(stage: nn.Module) -> dict[str, Any]:
    embedding = stage.patch_embeddings
    tree: dict[str, Any] = {
        "patch_embedding": {"projection": _layer(embedding.proj), "norm": _layer(embedding.layer_norm)},
        "norm": _layer(stage.layer_norm),
    }
    for number, block in enumerate(stage.blocks):
        attention = block.attention
        parts = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "o_proj"}
        attending = {ours: _layer(getattr(attention, theirs)) for ours, theirs in parts.items()}
        if attention.sequence_reduction_ratio > 1:
            attending["reduction"] = _layer(attention.sequence_reduction.sequence_reduction)
            attending["reduction_norm"] = _layer(attention.sequence_reduction.layer_norm)
        tree[f"block_{number}"] = {
            "attention_norm": _layer(block.layernorm_before),
            "attention": attending,
            "feedforward_norm": _layer(block.layernorm_after),
            "feedforward": {
                "expand": _layer(block.mlp.fc1),
                "depthwise": _layer(block.mlp.dwconv.dwconv),
                "contract": _layer(block.mlp.fc2),
            },
        }
    return tree


def _layer(layer: nn.Module) -> dict[str, np.ndarray]:
    """One layer's kernel and bias (transposed for JAX), or scale and bias."""
    weight = _array(layer.weight)
    if weight.ndim == 1:
        leaves = {"scale": weight}
    else:
        leaves = {"kernel": weight.transpose(2, 3, 1, 0) if weight.ndim == 4 else weight.T}
    return leaves if layer.bias is None else {**leaves, "bias": _array(layer.bias)}


def _array(value: torch.Tensor) -> np.ndarray:
    return value.detach().cpu().float().numpy().copy()
