"""One function for each measure: predictions by name beside one truth in; a table, and what it was made from, out.

Predictions and truths are sequences, or paths of anything that `open_sequence` reads. Errors of one prediction name it.
Intervals come from drawing anew what was measured; neighbouring frames of a film are no independent measurements, so
they are drawn in blocks.
"""

from flowface_jax.evaluation.scoring.benchmarks import score_facescape, score_now
from flowface_jax.evaluation.scoring.images import score_avatar, score_nme
from flowface_jax.evaluation.scoring.inputs import Reading, key_points_of, opened, read_regions
from flowface_jax.evaluation.scoring.meshes import open_all, score_chamfer, score_jitter, score_ssme
from flowface_jax.evaluation.scoring.rows import Resampling, Scored
from flowface_jax.evaluation.scoring.speech import score_lips

__all__ = [
    "Reading",
    "Resampling",
    "Scored",
    "key_points_of",
    "open_all",
    "opened",
    "read_regions",
    "score_avatar",
    "score_chamfer",
    "score_facescape",
    "score_jitter",
    "score_lips",
    "score_nme",
    "score_now",
    "score_ssme",
]
