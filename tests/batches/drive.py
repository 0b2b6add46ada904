"""A batch as a program of its own, so that a test can kill it: python -m tests.batches.drive SOURCE OUT JOBS."""

from __future__ import annotations

import sys

from flowface_jax.batches import Resources, run_batch
from tests.batches.stand_in import count_frames

if __name__ == "__main__":
    run_batch(sys.argv[1], sys.argv[2], resources=Resources(int(sys.argv[3])), function=count_frames)
