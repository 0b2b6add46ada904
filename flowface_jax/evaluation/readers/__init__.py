"""What trackers write, as mesh sequences: ours, those of others, and plain meshes."""

from flowface_jax.evaluation.readers.source import KINDS, open_sequence

__all__ = ["KINDS", "open_sequence"]
