"""The recurrent update block: RAFT-L's motion encoder, GRU and flow head, and a second head for the uncertainty."""

from __future__ import annotations

from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from flowface_jax.network.convolution import Convolution, ConvolutionParameters, convolve

CORRELATION_HIDDEN, CORRELATION_FEATURES = 256, 192
FLOW_HIDDEN, FLOW_FEATURES = 128, 64
HEAD_HIDDEN = 256
LOG_STD_LIMIT = 12.0
"""|log σ| that a head may answer, σ in cells: beyond it the exponential and its square would leave float32."""


class MotionEncoder(nn.Module):
    """Correlations [B,U,U,L], flow [B,U,U,2] (cells) and uncertainty [B,U,U,1] to motion features [B,U,U,features]."""

    features: int = 128
    uncertainty_input: Literal["convolved", "appended", "none"] = "convolved"
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, correlations: jax.Array, flow: jax.Array, uncertainty: jax.Array) -> jax.Array:
        convolution = lambda features, size, name: Convolution(features, (size, size), dtype=self.dtype, name=name)
        flow, uncertainty = flow.astype(self.dtype), uncertainty.astype(self.dtype)
        seen = nn.relu(convolution(CORRELATION_HIDDEN, 1, "correlation_1")(correlations.astype(self.dtype)))
        seen = nn.relu(convolution(CORRELATION_FEATURES, 3, "correlation_2")(seen))
        moved = jnp.concatenate([flow, uncertainty], axis=-1) if self.uncertainty_input == "convolved" else flow
        moved = nn.relu(convolution(FLOW_HIDDEN, 7, "flow_1")(moved))
        moved = nn.relu(convolution(FLOW_FEATURES, 3, "flow_2")(moved))
        kept = [flow, uncertainty] if self.uncertainty_input == "appended" else [flow]
        free = self.features - sum(part.shape[-1] for part in kept)
        combined = nn.relu(convolution(free, 3, "combine")(jnp.concatenate([seen, moved], axis=-1)))
        return jnp.concatenate([combined, *kept], axis=-1)


class GatedPass(nn.Module):
    """One pass of the separable GRU, with kernels along one axis: parameters `update`, `reset`, `candidate`.

    The gates are convolutions of [hidden, context, motion]. Convolution is linear, so each part of the input is
    convolved once with all the gates that need it; the context, equal for all images and iterations, by
    `of_context`, once for all.
    """

    kernel_size: tuple[int, int]
    hidden_size: int
    input_size: int
    dtype: Any = jnp.float32

    def setup(self) -> None:
        gate = lambda name: ConvolutionParameters(
            self.hidden_size, self.kernel_size, self.hidden_size + self.input_size, name=name
        )
        self.update, self.reset, self.candidate = gate("update"), gate("reset"), gate("candidate")

    def _kernel(self, first: int, last: int, gates: int) -> jax.Array:
        """Inputs first … last of the first `gates` kernels, side by side."""
        kernels = [gate()[0][:, :, first:last] for gate in (self.update, self.reset, self.candidate)[:gates]]
        return jnp.concatenate(kernels, axis=-1).astype(self.dtype)

    def of_context(self, context: jax.Array) -> jax.Array:
        """What the context [1 or B,U,U,D] and the biases add to the three gates: [1 or B,U,U,3·hidden]."""
        first = self.hidden_size
        bias = jnp.concatenate([gate()[1] for gate in (self.update, self.reset, self.candidate)])
        return self._convolve(context, self._kernel(first, first + context.shape[-1], 3)) + bias.astype(self.dtype)

    def __call__(self, hidden: jax.Array, motion: jax.Array, from_context: jax.Array) -> jax.Array:
        size = self.hidden_size
        total = size + self.input_size
        given = self._convolve(motion, self._kernel(total - motion.shape[-1], total, 3)) + from_context
        gates = nn.sigmoid(given[..., : 2 * size] + self._convolve(hidden, self._kernel(0, size, 2)))
        update, reset = gates[..., :size], gates[..., size:]
        own = self.candidate()[0][:, :, :size].astype(self.dtype)
        candidate = nn.tanh(given[..., 2 * size :] + self._convolve(reset * hidden, own))
        return (1 - update) * hidden + update * candidate

    def _convolve(self, images: jax.Array, kernel: jax.Array) -> jax.Array:
        rows, columns = self.kernel_size
        return convolve(images.astype(self.dtype), kernel, 1, (rows // 2, columns // 2))


class SeparableGru(nn.Module):
    """RAFT's recurrent unit: a horizontal pass with 1×5 kernels, then a vertical one with 5×1."""

    hidden_size: int
    input_size: int
    dtype: Any = jnp.float32

    def setup(self) -> None:
        self.horizontal = GatedPass((1, 5), self.hidden_size, self.input_size, self.dtype)
        self.vertical = GatedPass((5, 1), self.hidden_size, self.input_size, self.dtype)

    def of_context(self, context: jax.Array) -> tuple[jax.Array, jax.Array]:
        """What the context adds to the gates of both passes."""
        return self.horizontal.of_context(context), self.vertical.of_context(context)

    def __call__(self, hidden: jax.Array, motion: jax.Array, from_context: tuple[jax.Array, jax.Array]) -> jax.Array:
        hidden = self.horizontal(hidden, motion, from_context[0])
        return self.vertical(hidden, motion, from_context[1])


class Head(nn.Module):
    """Two 3×3 convolutions from the hidden state to `outputs` numbers a cell, float32."""

    outputs: int
    dtype: Any = jnp.float32
    zero_start: bool = False

    @nn.compact
    def __call__(self, hidden: jax.Array) -> jax.Array:
        seen = nn.relu(Convolution(HEAD_HIDDEN, dtype=self.dtype, name="hidden")(hidden))
        start = nn.initializers.zeros if self.zero_start else nn.initializers.lecun_normal()
        return Convolution(self.outputs, dtype=self.dtype, kernel_init=start, name="output")(seen).astype(jnp.float32)


class UpdateBlock(nn.Module):
    """One refinement (equation 4): hidden state, flow and log σ to better ones.

    extra: numbers a cell that a third head predicts besides (depth, covariance); 0 leaves it out. first_log_std: what
    the uncertainty head's numbers are added to, σ in cells.
    """

    hidden_size: int = 128
    context_size: int = 128
    motion_size: int = 128
    uncertainty_input: Literal["convolved", "appended", "none"] = "convolved"
    uncertainty_form: Literal["log", "value"] = "log"
    extra: int = 0
    dtype: Any = jnp.float32
    first_log_std: float = 0.0

    def setup(self) -> None:
        self.motion_encoder = MotionEncoder(self.motion_size, self.uncertainty_input, self.dtype)
        self.recurrent = SeparableGru(self.hidden_size, self.context_size + self.motion_size, self.dtype)
        self.flow_head = Head(2, self.dtype)
        self.uncertainty_head = Head(1, self.dtype)
        if self.extra:
            self.extra_head = Head(self.extra, self.dtype, zero_start=True)

    def of_context(self, context: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The context's part of the gates, the same in every iteration."""
        return self.recurrent.of_context(context)

    def __call__(
        self,
        hidden: jax.Array,
        correlations: jax.Array,
        flow: jax.Array,
        log_std: jax.Array,
        from_context: tuple[jax.Array, jax.Array],
    ) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array | None]:
        """hidden: [B,U,U,hidden]. correlations: [B,U,U,L]. flow: [B,U,U,2] cells. log_std: [B,U,U,1], σ in cells.

        Returns the new hidden state, flow, log σ, and the extra head's numbers [B,U,U,extra] or None.
        """
        seen = log_std if self.uncertainty_form == "log" else jnp.exp(log_std)
        motion = self.motion_encoder(correlations, flow, seen)
        hidden = self.recurrent(hidden, motion, from_context)
        flow = flow + self.flow_head(hidden)
        log_std = jnp.clip(self.uncertainty_head(hidden) + self.first_log_std, -LOG_STD_LIMIT, LOG_STD_LIMIT)
        return hidden, flow, log_std, self.extra_head(hidden) if self.extra else None
