"""What other programs read: one module per format, each registered as a target of `flowface export`."""

from flowface_jax.exporting.export import export
from flowface_jax.exporting.performance import Performance, open_performance
from flowface_jax.exporting.retargeting import RetargetSettings, retarget
from flowface_jax.exporting.target import Target
from flowface_jax.exporting.targets import TARGETS

__all__ = ["TARGETS", "Performance", "RetargetSettings", "Target", "export", "open_performance", "retarget"]
