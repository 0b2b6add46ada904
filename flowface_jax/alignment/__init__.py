"""What stage 1 tells stage 2: where each surface point is in each image and how sure that is, with its files."""

from flowface_jax.alignment.alignment import Alignment, make_alignment
from flowface_jax.alignment.cap4d import read_cap4d_alignment, write_cap4d_alignment
from flowface_jax.alignment.key_points import KeyPoint, read_key_points, with_key_points
from flowface_jax.alignment.source import load_alignment

__all__ = [
    "Alignment",
    "KeyPoint",
    "load_alignment",
    "make_alignment",
    "read_cap4d_alignment",
    "read_key_points",
    "with_key_points",
    "write_cap4d_alignment",
]
