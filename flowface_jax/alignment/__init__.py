"""What stage 1 tells stage 2: where each surface point is in each image and how sure that is, with its files."""

from flowface_jax.alignment.alignment import Alignment, make_alignment
from flowface_jax.alignment.cap4d import read_cap4d_alignment, write_cap4d_alignment
from flowface_jax.alignment.source import load_alignment

__all__ = ["Alignment", "load_alignment", "make_alignment", "read_cap4d_alignment", "write_cap4d_alignment"]
