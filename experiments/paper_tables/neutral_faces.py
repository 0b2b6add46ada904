"""NoW's numbers (tables 3 and 5): from submissions, and on synthetic captures against their true neutral heads."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from flowface_jax.conventions import METRES_TO_MILLIMETRES
from flowface_jax.evaluation.reconstruction.key_points import head_key_points, place_key_points
from flowface_jax.evaluation.reconstruction.now import NowError, Scan, now_error, summarise_now
from flowface_jax.evaluation.reconstruction.now_files import evaluate_now
from flowface_jax.evaluation.tables import Column, Row
from flowface_jax.fitting.track import Track
from flowface_jax.heads.model import HeadModel, vertices

MISSING = Column("missing", "%", "lower", 1)
"""Images (or captures) without a prediction, which take no part in the distances."""


def submission_rows(data: Path, submissions: Mapping[str, Path], source: str = "") -> list[Row]:
    """Rows of validation errors of NoW submissions by name, with `MISSING` behind."""
    rows = []
    for name, folder in submissions.items():
        found = evaluate_now(data, folder).summary
        missing = 100 * found.missing / (found.images + found.missing)
        rows.append(Row(name, (found.median, found.mean, found.std, missing), source=source))
    return rows


def error_row(name: str, errors: Sequence[NowError | None]) -> Row:
    """The same from errors of single predictions; None for one that was not made."""
    made = [error for error in errors if error is not None]
    missing = 100 * (len(errors) - len(made)) / max(1, len(errors))
    if not made:
        return Row(name, (None, None, None, missing))
    found = summarise_now(made)
    return Row(name, (found.median, found.mean, found.std, missing))


@dataclasses.dataclass(frozen=True, eq=False)
class TrueNeutral:
    """A synthetic person's neutral head as NoW's scans are: the head model and its scan."""

    head: HeadModel
    scan: Scan

    def error(self, neutral: np.ndarray) -> NowError:
        """NoW's error of a neutral head [V,3] m of the same topology, blind to its scale."""
        return now_error(neutral, np.asarray(self.head.triangles), _landmarks(self.head, neutral), self.scan)

    def error_of(self, track: Track) -> NowError:
        """That of a track's neutral head."""
        return self.error(np.asarray(track.neutral_vertices(self.head), np.float64))


def true_neutral(head: HeadModel, identity: np.ndarray, offsets: np.ndarray | float = 0.0) -> TrueNeutral:
    """The scan of a person. identity: [S]. offsets: [V,3] m that the model cannot make. Without what no scan shows: the
    insides of mouth and nostrils.
    """
    neutral = neutral_vertices(head, identity) + offsets
    hidden = np.any([np.asarray(head.regions[n]) for n in _HIDDEN if n in head.regions], axis=0)
    scale = METRES_TO_MILLIMETRES
    return TrueNeutral(head, Scan(scale * neutral[~hidden], scale * _landmarks(head, neutral)))


_HIDDEN = ("mouth_interior", "teeth", "tongue", "nostrils", "eyeballs")


def neutral_vertices(head: HeadModel, identity: np.ndarray) -> np.ndarray:
    """The head at rest without expression [V,3] m."""
    return np.asarray(vertices(head, jnp.asarray(identity, jnp.float32), jnp.zeros(head.expression_size)), np.float64)


def _landmarks(head: HeadModel, neutral: np.ndarray) -> np.ndarray:
    return place_key_points(head_key_points(head), neutral[None], head.name)[0]
