"""Measures of speech-driven animation: LVE and FDD."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.evaluation import published
from flowface_jax.evaluation.bootstrap import Interval
from flowface_jax.evaluation.mesh_sequence import MeshSequence
from flowface_jax.evaluation.scoring.inputs import Reading, Source, neutral_template, region_mask, speech_sequences
from flowface_jax.evaluation.scoring.rows import Cell, Resampling, Scored, naming, scored
from flowface_jax.evaluation.speech import LipVertexError, lip_vertex_error, upper_face_dynamics_deviation
from flowface_jax.evaluation.tables import Column

_LVE_UNIT = 1e5
"""Of the published tables' unit, 10⁻⁵ m², in a m²."""


def score_lips(
    predictions: Mapping[str, Source],
    truth: Source,
    reading: Reading | None = None,
    truth_reading: Reading | None = None,
    lips: str | os.PathLike[str] = "lips",
    upper_face: str | os.PathLike[str] | None = None,
    template: str | os.PathLike[str] | None = None,
    resampling: Resampling | None = None,
) -> Scored:
    """LVE and, with `upper_face` and `template`, FDD of speech animation; results are `LipVertexError`.

    Predictions and truth may be folders of one file for each sequence; those of one name belong together. lips,
    upper_face: as for `region_mask`. template: the neutral mesh. Raises InputError as `lip_vertex_error`.
    """
    reading = reading or Reading()
    if (upper_face is None) != (template is None):
        raise InputError("FDD: expected both the upper face and the neutral template, found one; give both or neither")
    theirs = speech_sequences(truth, truth_reading or reading)
    first = next(iter(theirs.values()))
    mask = region_mask(first, lips)
    columns = (*published.SPEECH.columns, Column("largest", "mm"))
    neutral = None if template is None else neutral_template(template, truth_reading or reading)
    if neutral is not None:
        columns = (*columns, Column("FDD", "10⁻⁵ m²", ""))
    results: dict[str, LipVertexError] = {}
    rows: dict[str, list[Cell]] = {}
    for name, source in predictions.items():
        with naming(name):
            ours = _of_same_names(speech_sequences(source, reading, name), theirs)
            result = results[name] = lip_vertex_error(ours, list(theirs.values()), mask)
            every = np.concatenate(result.per_frame)
            spread = resampling and _interval(resampling, result.per_frame)
            cells: list[Cell] = [(_LVE_UNIT * result.squared, spread), (result.millimetres, None)]
            if neutral is not None:
                upper = region_mask(first, upper_face)
                deviation = upper_face_dynamics_deviation(ours, list(theirs.values()), neutral, upper)
                cells.append((_LVE_UNIT * deviation, None))
        rows[name] = cells
    notes = [
        f"lips: {lips}, {int(mask.sum())} vertices; {len(theirs)} sequences, {int(np.isfinite(every).sum())} frames"
    ]
    if neutral is not None:
        notes.append(f"upper face: {upper_face}; FDD is positive where the upper face moves less than in truth")
    return scored(f"Speech animation beside {first.name}", columns, rows, notes, resampling, results)


def _of_same_names(ours: Mapping[str, MeshSequence], theirs: Mapping[str, MeshSequence]) -> Sequence[MeshSequence]:
    """A prediction for each of the truth's sequences, in their order."""
    if len(theirs) == len(ours) == 1:
        return list(ours.values())
    missing = [name for name in theirs if name not in ours]
    if missing:
        raise InputError(
            f"expected a file for each of {len(theirs)} sequences, named as the truth's, {len(missing)} are missing, "
            f"'{missing[0]}' first"
        )
    return [ours[name] for name in theirs]


def _interval(resampling: Resampling, per_frame: Sequence[np.ndarray]) -> Interval | None:
    """Of LVE in the published unit: sequences are drawn, or blocks of frames of a single one."""
    values = _LVE_UNIT * np.concatenate(per_frame)
    if len(per_frame) == 1:
        return resampling.of_frames(values)
    groups = np.repeat(np.arange(len(per_frame)), [len(one) for one in per_frame])
    return resampling.interval(values, groups, "sequences")
