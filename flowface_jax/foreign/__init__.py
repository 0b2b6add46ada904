"""Other programs' files, read without executing anything in them: pickles, PyTorch checkpoints, safetensors."""

from flowface_jax.foreign.checkpoint import read_checkpoint

__all__ = ["read_checkpoint"]
