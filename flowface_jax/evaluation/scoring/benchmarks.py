"""Benchmarks with folders of their own: NoW and FaceScape."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from flowface_jax.conventions import METRES_TO_MILLIMETRES
from flowface_jax.errors import InputError
from flowface_jax.evaluation import published
from flowface_jax.evaluation.bootstrap import Interval
from flowface_jax.evaluation.readers.mesh_folder import read_mesh
from flowface_jax.evaluation.readers.options import METRES
from flowface_jax.evaluation.reconstruction.facescape import (
    FacescapeErrors,
    LabView,
    Mesh,
    WildView,
    facescape_errors,
    mesh_in_camera,
    summarise_facescape,
)
from flowface_jax.evaluation.reconstruction.facescape_files import (
    WILD_IMAGES,
    lab_images,
    read_lab_truth,
    read_wild_truth,
)
from flowface_jax.evaluation.reconstruction.now import Unit
from flowface_jax.evaluation.reconstruction.now_files import CHALLENGES, NowResult, evaluate_now, read_image_list
from flowface_jax.evaluation.scoring.inputs import Reading, opened
from flowface_jax.evaluation.scoring.rows import Cell, Resampling, Scored, each, naming, scored
from flowface_jax.evaluation.tables import Column
from flowface_jax.reporting import Reporter

Part = Literal["lab", "wild"]
_CURVE_BIN = 0.005
"""mm: how finely distances are counted to find medians of redrawn subjects."""
_CURVE_END = 100.0
_PER_CENT = (Column("completeness", "%", "higher", 1), Column("missing", "%", "lower", 1))


def score_now(
    submissions: Mapping[str, str | os.PathLike[str]],
    data: str | os.PathLike[str],
    images: str | os.PathLike[str] | None = None,
    metrical_unit: Unit | None = None,
    without_flat_triangles: bool = False,
    by_challenge: bool = False,
    resampling: Resampling | None = None,
    reporter: Reporter | None = None,
) -> Scored:
    """NoW's median, mean and standard deviation, mm, of submission folders; results are `NowResult`.

    data: the evaluation folder. images: a list of images; None for the folder's validation list. metrical_unit: unit
    of the submissions for the metrical challenge, None for the non-metrical one. by_challenge: medians of each too.
    Raises InputError as `evaluate_now`.
    """
    chosen = None if images is None else read_image_list(images)
    columns = [*published.NOW_SINGLE_VIEW.columns, Column("images", "", "", 0), Column("missing", "", "lower", 0)]
    if by_challenge:
        columns += [Column(f"median {challenge}", "mm") for challenge in CHALLENGES]
    results: dict[str, NowResult] = {}
    rows: dict[str, list[Cell]] = {}
    for name, folder in each(submissions, reporter, "now"):
        if not Path(folder).is_dir():
            raise InputError(f"{name}: no such folder: {folder}; expected a NoW submission")
        with naming(name):
            result = results[name] = evaluate_now(data, folder, chosen, metrical_unit, without_flat_triangles)
        numbers = result.summary
        spreads = _now_intervals(result, resampling)
        cells: list[Cell] = list(zip((numbers.median, numbers.mean, numbers.std), spreads, strict=True))
        cells += [(float(numbers.images), None), (float(numbers.missing), None)]
        if by_challenge:
            medians = [result.by_challenge.get(challenge) for challenge in CHALLENGES]
            cells += [(None if one is None else one.median, None) for one in medians]
        rows[name] = cells
    kind = "non-metrical" if metrical_unit is None else f"metrical, predictions in {metrical_unit}"
    notes = [
        "over the vertices of all images together; images without a prediction are left out and counted as missing"
    ]
    return scored(f"NoW, {kind}", columns, rows, notes, resampling, results)


def score_facescape(
    predictions: Mapping[str, str | os.PathLike[str]],
    benchmark: str | os.PathLike[str],
    part: Part = "lab",
    reading: Reading | None = None,
    resampling: Resampling | None = None,
    reporter: Reporter | None = None,
) -> Scored:
    """FaceScape's CD, mean normal error and completeness; results are lists of `FacescapeErrors`, None where missing.

    predictions: folders with, for each image, NAME.obj or NAME.ply, or a folder NAME of anything that `opened` reads
    with cameras, such as a track of that image. NAME: NN_F_VV in the lab, NNN in the wild. Lab meshes are in the
    image's OpenCV camera, mm unless `reading` names another unit; wild ones in half widths of the picture.
    """
    results: dict[str, list[FacescapeErrors | None]] = {}
    rows: dict[str, list[Cell]] = {}
    for name, folder in each(predictions, reporter, "facescape"):
        if not Path(folder).is_dir():
            raise InputError(f"{name}: no such folder: {folder}; expected one with a mesh for each image")
        with naming(name):
            measured = dict(_image_errors(Path(folder), benchmark, part, reading or Reading()))
            errors = results[name] = list(measured.values())
            numbers = summarise_facescape(errors)
        groups = np.asarray([image.split("_")[0] for image, error in measured.items() if error is not None])
        values = np.asarray([(e.chamfer, e.normal, 100 * e.completeness) for e in errors if e is not None]).T
        unit = "subjects" if part == "lab" else "images"
        spreads = [resampling and resampling.interval(column, groups, unit) for column in values]
        means = (numbers.chamfer, numbers.normal, 100 * numbers.completeness)
        rows[name] = [*zip(means, spreads, strict=True), (100 * numbers.missing / len(errors), None)]
    columns = (*published.FACESCAPE.columns, *_PER_CENT)
    notes = ["NME is the mean normal error; means over the images with a prediction"]
    return scored(f"FaceScape benchmark, {part} images", columns, rows, notes, resampling, results)


def _image_errors(
    folder: Path, benchmark: str | os.PathLike[str], part: Part, reading: Reading
) -> Iterator[tuple[str, FacescapeErrors | None]]:
    """Name and errors of every image of a part."""
    for image in lab_images() if part == "lab" else range(WILD_IMAGES):
        name = image.name if part == "lab" else f"{image:03d}"
        prediction = _prediction(folder, name, part, reading)
        if prediction is None:
            yield name, None
            continue
        truth: tuple[Mesh, LabView | WildView]
        truth = read_lab_truth(benchmark, image) if part == "lab" else read_wild_truth(benchmark, image)
        with naming(name):
            yield name, facescape_errors(prediction, *truth)


def _prediction(folder: Path, name: str, part: Part, reading: Reading) -> Mesh | None:
    for path in (folder / f"{name}.obj", folder / f"{name}.ply"):
        if path.is_file():
            vertices, triangles = read_mesh(path)
            scale = METRES_TO_MILLIMETRES * METRES[reading.unit or "mm"] if part == "lab" else 1.0
            return scale * vertices.astype(np.float64), triangles
    if part == "lab" and (folder / name).is_dir():
        return mesh_in_camera(opened(folder / name, reading))
    return None


def _now_intervals(result: NowResult, resampling: Resampling | None) -> Sequence[Interval | None]:
    """Of median, mean and standard deviation, drawing subjects, or images where there is one subject."""
    if resampling is None:
        return [None] * 3
    subjects = sorted({image.subject for image in result.errors})
    unit = "subjects" if len(subjects) > 1 else "images"
    keys = [image.subject if len(subjects) > 1 else "/".join(image) for image in result.errors]
    places = sorted(set(keys))
    edges = np.arange(0, _CURVE_END + _CURVE_BIN, _CURVE_BIN)
    counts, sums = np.zeros((len(places), len(edges) - 1)), np.zeros((len(places), 3))
    for key, error in zip(keys, result.errors.values(), strict=True):
        distances = np.asarray(error.distances, np.float64)
        counts[places.index(key)] += np.histogram(np.minimum(distances, _CURVE_END), edges)[0]
        sums[places.index(key)] += len(distances), distances.sum(), (distances**2).sum()

    def median(drawn: np.ndarray) -> float:
        cumulative = counts[drawn.astype(int)].sum(0).cumsum()
        return float(edges[np.searchsorted(cumulative, cumulative[-1] / 2)] + _CURVE_BIN / 2)

    def moment(drawn: np.ndarray) -> tuple[float, float]:
        number, first, second = sums[drawn.astype(int)].sum(0)
        return first / number, float(np.sqrt(max(second / number - (first / number) ** 2, 0)))

    statistics = (median, lambda drawn: moment(drawn)[0], lambda drawn: moment(drawn)[1])
    return [resampling.interval(np.arange(len(places)), None, unit, statistic) for statistic in statistics]
