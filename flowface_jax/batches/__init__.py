"""Many videos at a time: every scene and everybody in it a track of their own, and one table of what came of them."""

from flowface_jax.batches.batch import Batch, run_batch
from flowface_jax.batches.engines import Resources
from flowface_jax.batches.jobs import VideoJob
from flowface_jax.batches.records import Row, VideoRecord
from flowface_jax.batches.settings import BatchSettings
from flowface_jax.batches.tracking import track_video

__all__ = ["Batch", "BatchSettings", "Resources", "Row", "VideoJob", "VideoRecord", "run_batch", "track_video"]
