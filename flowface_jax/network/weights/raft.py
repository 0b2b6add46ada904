"""RAFT-L's update block: the authors' checkpoints (raft-things.pth and the like) and torchvision's raft_large."""

from __future__ import annotations

from typing import Final

from flowface_jax.network.update import UpdateBlock
from flowface_jax.network.weights.layouts import padded_inputs
from flowface_jax.network.weights.table import Layer, Plan, Shapes, find_prefix, rows_of
from flowface_jax.network.weights.trees import shapes_of

_FLOW: Final = {"kernel": padded_inputs(2)}
"""The uncertainty, our third input, is unknown to RAFT."""

_AUTHORS: Final = (
    Layer("update/motion_encoder/correlation_1", "update_block.encoder.convc1"),
    Layer("update/motion_encoder/correlation_2", "update_block.encoder.convc2"),
    Layer("update/motion_encoder/flow_1", "update_block.encoder.convf1", _FLOW),
    Layer("update/motion_encoder/flow_2", "update_block.encoder.convf2"),
    Layer("update/motion_encoder/combine", "update_block.encoder.conv"),
    Layer("update/recurrent/horizontal/update", "update_block.gru.convz1"),
    Layer("update/recurrent/horizontal/reset", "update_block.gru.convr1"),
    Layer("update/recurrent/horizontal/candidate", "update_block.gru.convq1"),
    Layer("update/recurrent/vertical/update", "update_block.gru.convz2"),
    Layer("update/recurrent/vertical/reset", "update_block.gru.convr2"),
    Layer("update/recurrent/vertical/candidate", "update_block.gru.convq2"),
    Layer("update/flow_head/hidden", "update_block.flow_head.conv1"),
    Layer("update/flow_head/output", "update_block.flow_head.conv2"),
)
_TORCHVISION: Final = (
    Layer("update/motion_encoder/correlation_1", "update_block.motion_encoder.convcorr1.0"),
    Layer("update/motion_encoder/correlation_2", "update_block.motion_encoder.convcorr2.0"),
    Layer("update/motion_encoder/flow_1", "update_block.motion_encoder.convflow1.0", _FLOW),
    Layer("update/motion_encoder/flow_2", "update_block.motion_encoder.convflow2.0"),
    Layer("update/motion_encoder/combine", "update_block.motion_encoder.conv.0"),
    Layer("update/recurrent/horizontal/update", "update_block.recurrent_block.convgru1.convz"),
    Layer("update/recurrent/horizontal/reset", "update_block.recurrent_block.convgru1.convr"),
    Layer("update/recurrent/horizontal/candidate", "update_block.recurrent_block.convgru1.convq"),
    Layer("update/recurrent/vertical/update", "update_block.recurrent_block.convgru2.convz"),
    Layer("update/recurrent/vertical/reset", "update_block.recurrent_block.convgru2.convr"),
    Layer("update/recurrent/vertical/candidate", "update_block.recurrent_block.convgru2.convq"),
    Layer("update/flow_head/hidden", "update_block.flow_head.conv1"),
    Layer("update/flow_head/output", "update_block.flow_head.conv2"),
)
_SKIPS: Final = (
    (r"(.*\.)?(fnet|feature_encoder)\..*", "the features here are the image encoder's and the UV encodings"),
    (r"(.*\.)?(cnet|context_encoder)\..*", "context and first hidden state here are UV encodings"),
    (r"(.*\.)?(update_block\.mask|mask_predictor)\..*", "the flow is not enlarged here"),
)

LEVELS, RADIUS = 4, 4
"""Of the correlations that the published weights read."""


def recognise(shapes: Shapes) -> Plan | None:
    """The plan for RAFT-L's motion encoder, recurrent unit and flow head."""
    for layers, signature in ((_AUTHORS, "gru.convz1"), (_TORCHVISION, "recurrent_block.convgru1.convz")):
        prefix = find_prefix(shapes, [f"update_block.{signature}.weight", "update_block.flow_head.conv1.weight"])
        if prefix is not None:
            config = {"correlation_levels": LEVELS, "correlation_radius": RADIUS}
            return Plan("raft", config, rows_of(_update_shapes(), layers, prefix), _SKIPS)
    return None


def _update_shapes() -> dict[str, tuple[int, ...]]:
    """Of our update block with its default settings, without the heads that RAFT lacks."""
    block = UpdateBlock()
    cell = lambda channels: (1, 1, 1, channels)
    gates = 3 * block.hidden_size

    def init(key, hidden, seen, flow, log_std, horizontal, vertical):  # noqa: ANN001, ANN202 (arrays, as `__call__`)
        return block.init(key, hidden, seen, flow, log_std, (horizontal, vertical))

    planes = LEVELS * (2 * RADIUS + 1) ** 2
    inputs = [cell(channels) for channels in (block.hidden_size, planes, 2, 1, gates, gates)]
    shapes = shapes_of(init, *inputs, under="update")
    return {path: shape for path, shape in shapes.items() if "uncertainty_head" not in path}
