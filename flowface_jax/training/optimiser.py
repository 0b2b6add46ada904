"""The optimiser and its learning rate over the steps of a run."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import jax
import optax

from flowface_jax.errors import InputError
from flowface_jax.settings import check_settings

Schedule = Literal["steps", "cosine", "constant"]


@dataclasses.dataclass(frozen=True)
class OptimiserConfig:
    """AdamW and its schedule. The defaults are the paper's (section 4) where it says them.

    learning_rate: at its highest. schedule: "steps" multiplies it by `decay` each time that 1/`decays` of the run is
    over (the paper's ×0.1 every 2 of 6 epochs is decay 0.1, decays 3); "cosine" takes it down to `last_share` of
    itself; "constant" leaves it. warmup_steps: in which it grows from 0.
    weight_decay: decoupled, of kernels only. first_moment, second_moment: β1, β2. epsilon: of AdamW.
    clip_norm: the gradient's norm is cut to this; 0: never.
    """

    learning_rate: float = 1e-4
    schedule: Schedule = "steps"
    decay: float = 0.1
    decays: int = 3
    last_share: float = 0.01
    warmup_steps: int = 0
    weight_decay: float = 1e-2
    first_moment: float = 0.9
    second_moment: float = 0.999
    epsilon: float = 1e-8
    clip_norm: float = 0.0

    def __post_init__(self) -> None:
        check_settings(self, "optimiser")
        if self.learning_rate <= 0 or self.epsilon <= 0 or self.decays < 1:
            raise InputError("optimiser.learning_rate and epsilon must be positive and decays at least 1")
        if max(self.first_moment, self.second_moment) >= 1 or max(self.decay, self.last_share) > 1:
            raise InputError(
                "optimiser.first_moment and second_moment must be below 1, decay and last_share at most 1; found "
                f"{self.first_moment:g}, {self.second_moment:g}, {self.decay:g} and {self.last_share:g}"
            )


def learning_rate(config: OptimiserConfig, steps: int) -> optax.Schedule:
    """The learning rate at each step of a run of so many steps."""
    after = max(1, steps - config.warmup_steps)
    if config.schedule == "cosine":
        main = optax.cosine_decay_schedule(config.learning_rate, after, config.last_share)
    elif config.schedule == "constant":
        main = optax.constant_schedule(config.learning_rate)
    else:
        bounds = [round(after * part / config.decays) for part in range(1, config.decays)]
        main = optax.piecewise_constant_schedule(config.learning_rate, dict.fromkeys(bounds, config.decay))
    if config.warmup_steps == 0:
        return main
    rise = optax.linear_schedule(0.0, config.learning_rate, config.warmup_steps)
    return optax.join_schedules([rise, main], [config.warmup_steps])


def make_optimiser(config: OptimiserConfig, steps: int) -> optax.GradientTransformation:
    """AdamW over a run of so many steps."""
    adamw = optax.adamw(
        learning_rate(config, steps),
        b1=config.first_moment,
        b2=config.second_moment,
        eps=config.epsilon,
        weight_decay=config.weight_decay,
        mask=_kernels,
    )
    if config.clip_norm == 0:
        return adamw
    return optax.chain(optax.clip_by_global_norm(config.clip_norm), adamw)


def _kernels(params: Any) -> Any:
    """Which leaves decay: kernels do; biases, norms and positional textures do not."""
    return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key == "kernel", params)
