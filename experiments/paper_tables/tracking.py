"""Table 2's numbers from predictions on Multiface, and from scores that lie in a folder of synthetic captures."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from flowface_jax.errors import InputError
from flowface_jax.evaluation.mesh_sequence import MeshSequence
from flowface_jax.evaluation.multiface import (
    BenchmarkConfig,
    BenchmarkTopology,
    benchmark_topology,
    load_selection,
    select_sequences,
    truth_sequences,
)
from flowface_jax.evaluation.readers import open_sequence
from flowface_jax.evaluation.real_clips import MESH_POINTS
from flowface_jax.evaluation.reconstruction.key_points import head_key_points, place_key_points, vertex_key_points
from flowface_jax.evaluation.redrawn_regions import redraw_regions
from flowface_jax.evaluation.scoring.inputs import MEDIAPIPE_KEY_POINTS
from flowface_jax.evaluation.tables import Row
from flowface_jax.evaluation.tracking_benchmark import (
    ScoreConfig,
    SequenceScores,
    benchmark_row,
    interval,
    lost_sequence,
    score_filtered,
    score_sequence,
)
from flowface_jax.heads.generic import generic_head
from flowface_jax.heads.model import HeadModel, SurfacePoints
from flowface_jax.storage import require_file
from paper_tables.captures import Captured
from paper_tables.methods import METHODS, SEQUENCE, SINGLE

Scores = dict[str, dict[str, list[SequenceScores]]]
"""By half of table 2, then by method's name."""
_FILES = (".npz", ".json")


@dataclasses.dataclass(frozen=True)
class Predictions:
    """One method's folder: FOLDER/IDENTITY/SEGMENT/CAMERA (a folder, or a file with .npz or .json behind), anything
    that `open_sequence` reads, for each sequence.

    single: made from single images, so it has a place in both halves, in the second one filtered over time.
    key_points: file of 7 vertex numbers; None for meshes of the head or of MediaPipe.
    """

    folder: Path
    single: bool = False
    key_points: Path | None = None


def multiface_scores(
    root: Path,
    predictions: Mapping[str, Predictions],
    head: HeadModel,
    selection: Path | None = None,
    config: ScoreConfig | None = None,
    benchmark: BenchmarkConfig | None = None,
) -> Scores:
    """Scores of all methods on the benchmark's sequences; those without a prediction are lost.

    Raises InputError for data that is not there and predictions that are damaged.
    """
    benchmark, config = benchmark or BenchmarkConfig(), config or ScoreConfig()
    topology = benchmark_topology(root, benchmark)
    chosen = load_selection(selection) if selection else select_sequences(root, topology, benchmark)
    truth_points = multiface_key_points(topology)
    found: Scores = {SINGLE: {}, SEQUENCE: {}}
    for truth in truth_sequences(root, chosen, topology, benchmark):
        for name, method in predictions.items():
            for half, scores in _scored(method, truth, head, truth_points, config).items():
                found[half].setdefault(name, []).append(scores)
    return found


def multiface_key_points(topology: BenchmarkTopology) -> SurfacePoints:
    """The seven key points on Multiface's mesh: its vertices nearest to those of the built-in head laid on it."""
    head = generic_head()
    placed = redraw_regions(topology.vertices, topology.triangles, ("face",)).placement
    points = placed.apply(place_key_points(head_key_points(head), np.asarray(head.template)[None])[0])
    return vertex_key_points(cKDTree(topology.vertices).query(points)[1])


def synthetic_scores(sequences: Iterable[Captured]) -> Scores:
    """Every method's scores that synthetic_benchmark.py left; only methods that have all sequences.

    Raises InputError where there is none.
    """
    sequences, found = list(sequences), {SINGLE: {}, SEQUENCE: {}}
    for half in (SINGLE, SEQUENCE):
        ending = f"_{half}.json"
        names = [{p.name.removesuffix(ending) for p in (one.folder / "scores").glob(f"*{ending}")} for one in sequences]
        for name in sorted(set.intersection(*names)):
            paths = [one.folder / "scores" / f"{name}{ending}" for one in sequences]
            found[half][method_title(name)] = [SequenceScores.load(path) for path in paths]
    if not any(found.values()):
        raise InputError(f"{sequences[0].folder.parent}: no method has scores of all sequences; finish the benchmark")
    return found


def method_title(name: str) -> str:
    """How a method is called in tables, from the name of its files."""
    if name in METHODS:
        return METHODS[name].title
    for key, method in METHODS.items():
        ending = key.removeprefix("network")
        if ending != key and name.endswith(ending):
            return method.title.format(network=name.removesuffix(ending))
    return name


def rows_and_note(scores: Mapping[str, Sequence[SequenceScores]]) -> tuple[list[Row], list[str]]:
    """Rows of one half of table 2 with lost frames behind, and the intervals of SSME face as a note."""
    rows = [benchmark_row(name, found) for name, found in scores.items()]
    intervals = {name: interval(found) for name, found in scores.items()}
    stated = [f"{name} {one.low:.2f} to {one.high:.2f}" for name, one in intervals.items() if one is not None]
    return rows, [f"95 % interval of SSME face, drawing sequences: {'; '.join(stated)}"] if stated else []


def _scored(
    method: Predictions, truth: MeshSequence, head: HeadModel, truth_points: SurfacePoints, config: ScoreConfig
) -> dict[str, SequenceScores]:
    beside = method.folder / truth.name
    path = next((p for p in (beside, *(beside.with_name(beside.name + e) for e in _FILES)) if p.exists()), None)
    if path is None:
        return dict.fromkeys((SINGLE, SEQUENCE) if method.single else (SEQUENCE,), lost_sequence(truth))
    size = tuple(int(side) for side in np.asarray(truth.cameras.image_size)[0])
    # Meshes without cameras of their own lie in the truth's world.
    prediction = open_sequence(path, head=head, cameras=truth.cameras, image_size=(size[0], size[1]), name=truth.name)
    scores = score_sequence(prediction, truth, _key_points(method, prediction, head), truth_points, config)
    if not method.single:
        return {SEQUENCE: scores}
    return {SINGLE: scores, SEQUENCE: score_filtered(scores, prediction, truth, config)}


def _key_points(method: Predictions, prediction: MeshSequence, head: HeadModel) -> SurfacePoints:
    count = prediction.vertices.shape[1]
    if method.key_points is not None:
        return vertex_key_points(read_vertex_numbers(method.key_points))
    if count == head.vertex_count:
        return head_key_points(head)
    if count in (MESH_POINTS, MESH_POINTS + 10):
        return vertex_key_points(np.asarray(MEDIAPIPE_KEY_POINTS))
    raise InputError(
        f"{method.folder}: expected a mesh of head '{head.name}' ({head.vertex_count} vertices) or MediaPipe's, found "
        f"{count} vertices; name a file with its 7 key points (--key-points NAME=FILE)"
    )


def read_vertex_numbers(path: Path) -> np.ndarray:
    """Seven vertex numbers from a text file. Raises InputError for anything else."""
    text = require_file(path, "7 vertex numbers").read_text(encoding="utf-8", errors="replace")
    try:
        numbers = np.asarray([int(word) for word in text.replace(",", " ").split()])
    except ValueError:
        numbers = np.zeros(0, int)
    if len(numbers) != 7 or (numbers < 0).any():
        raise InputError(f"{path}: expected 7 vertex numbers from 0, found {len(numbers)}")
    return numbers
