"""Head models: one value for FLAME, GNM, ICT-FaceKit and the built-in head, and where each comes from."""

from flowface_jax.heads.model import HeadModel, SurfacePoints, restrict, vertices
from flowface_jax.heads.source import load_head
from flowface_jax.heads.store import read_head, save_head

__all__ = ["HeadModel", "SurfacePoints", "load_head", "read_head", "restrict", "save_head", "vertices"]
