"""The paper's table 5: the fit with parts of it left out (configs/table5.py), as NoW measures neutral faces.

    python experiments/table5.py --now NOW_Evaluation --single without_mica=A ours=B --multi without_offsets=C ours=D
    python experiments/table5.py --subjects 5

With data: submissions of finished runs, fitted as the rows of configs/table5.py say. Without: made-up people seen by
one camera in one frame (single view) and by four uncalibrated cameras in several (multi-view), some points observed
with a few pixels of noise; every nose is pushed out of the head model by up to 3 mm, for the offsets to find.

What the paper used and we do not have: MICA's predictions, which are licensed. On made-up people a stand-in takes their
place: the true neutral head with part of its identity lost and a made-up error added; its own row says how wrong it is.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from paper_tables.neutral_faces import MISSING, TrueNeutral, error_row, neutral_vertices, submission_rows, true_neutral
from paper_tables.output import add_output, apart, beside, named_paths, run, write_tables

from flowface_jax.alignment.alignment import Alignment
from flowface_jax.demo import first_camera
from flowface_jax.errors import InputError
from flowface_jax.evaluation import published
from flowface_jax.evaluation.tables import Row
from flowface_jax.fitting.config import FitConfig, config_from_mapping
from flowface_jax.fitting.fit import fit
from flowface_jax.heads.generic import generic_head
from flowface_jax.heads.model import HeadModel
from flowface_jax.synthesis.sequences import Performance, make_performance, observe

CONFIGS = Path(__file__).resolve().parents[1] / "configs" / "table5.py"
HALVES = {"single": published.FIT_ABLATION_SINGLE_VIEW, "multi": published.FIT_ABLATION_MULTI_VIEW}
TITLES = {"without_mica": "without MICA", "without_offsets": "without offsets", "ours": "ours"}
ROWS = {"single": ("without_mica", "ours"), "multi": ("without_mica", "without_offsets", "ours")}
NEUTRAL_ONLY = "MICA only (stand-in)"
NOSE_M = 0.003
CAMERAS, FRAMES = 4, 6
POINTS, NOISE_PX = 300, 4.0
"""Observed vertices, and their noise where they face the camera; faces are 512 px wide."""
KEPT, ADDED = 0.85, 0.2
"""Share of the identity that the stand-in keeps, and the spread of its error, in standard deviations."""


@dataclasses.dataclass(frozen=True, eq=False)
class Person:
    """A made-up person: its scan, the stand-in for MICA [V,3] m, and what the cameras observed of it."""

    truth: TrueNeutral
    predicted: np.ndarray
    observed: dict[str, Alignment]


def main() -> None:
    """Measure and write both halves."""
    options = _options()
    if options.now is not None:
        given = {"single": options.single, "multi": options.multi}
        if not any(given.values()):
            raise InputError("--single, --multi: expected at least one submission ROW=FOLDER, found none")
        for half, items in given.items():
            if items:
                rows = submission_rows(options.now, named_paths(items, f"--{half}"))
                print(write_tables(options.out, f"table5_{half}", beside(HALVES[half], rows, (), (MISSING,))))
        return
    if options.subjects < 1:
        raise InputError(f"--subjects: expected 1 or more, found {options.subjects}")
    people = [person(generic_head(), seed) for seed in range(options.subjects)]
    seen = f"multi-view: {CAMERAS} uncalibrated cameras, {FRAMES} frames"
    note = f"{options.subjects} made-up people, {POINTS} points with {NOISE_PX:g} px of noise; {seen}"
    for half, published_table in HALVES.items():
        rows = synthetic_rows(people, half)
        tables = apart(published_table, f"Ablations of the fit, made-up people, {half} view", rows, (note,), (MISSING,))
        print(write_tables(options.out, f"table5_{half}", tables))


def synthetic_rows(people: list[Person], half: str) -> list[Row]:
    """The rows of one half, fitted as configs/table5.py says."""
    rows = []
    for row in ROWS[half]:
        config, with_neutral = fit_of(row)
        errors = []
        for one in people:
            neutral = one.predicted if with_neutral else None
            track = fit(one.observed[half], one.truth.head, config=config, neutral_template=neutral)
            errors.append(one.truth.error_of(track))
        rows.append(error_row(TITLES[row], errors))
    if half == "single":
        rows.insert(1, error_row(NEUTRAL_ONLY, [one.truth.error(one.predicted) for one in people]))
    return rows


def fit_of(row: str) -> tuple[FitConfig, bool]:
    """The settings of a row of configs/table5.py, and whether it is given a neutral head."""
    spec = importlib.util.spec_from_file_location("table5_configs", CONFIGS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    chosen = module.get_config(row)
    return config_from_mapping(dict(chosen.fit), FitConfig(error_bars=False)), bool(chosen.neutral)


def person(head: HeadModel, seed: int) -> Person:
    """A person of the model's population with a nose of its own."""
    performance = make_performance(head, seed, FRAMES, CAMERAS)
    offsets = NOSE_M * np.outer(nose_bump(head), [0.0, 0.3, 1.0])
    # The nose moves with the head alone: no joint of this head turns it.
    moved = performance.world + np.einsum("fij,vj->fvi", performance.head_rotation, offsets)
    performance = dataclasses.replace(performance, world=moved)
    random = np.random.default_rng([seed, 5])
    identity = KEPT * performance.identity + ADDED * random.normal(size=performance.identity.shape)
    truth = true_neutral(head, performance.identity, offsets)
    views = dict(_views(performance, head, seed))
    return Person(truth, neutral_vertices(head, identity).astype(np.float32), views)


def nose_bump(head: HeadModel) -> np.ndarray:
    """[V] 1 at the nose's tip, falling smoothly to 0 at its edge."""
    template, nose = np.asarray(head.template, np.float64), np.asarray(head.regions["nose"])
    tip = template[np.flatnonzero(nose)[template[nose, 2].argmax()]]
    reach = np.linalg.norm(template[nose] - tip, axis=1).max()
    return np.where(nose, np.clip(1 - np.linalg.norm(template - tip, axis=1) / reach, 0, 1), 0.0)


def _views(performance: Performance, head: HeadModel, seed: int) -> Iterator[tuple[str, Alignment]]:
    wanted = np.flatnonzero(np.asarray(head.vertex_weights) > 0.5)
    points = wanted[np.linspace(0, len(wanted) - 1, POINTS).round().astype(int)]
    yield "multi", observe(performance, head, 1000 + seed, NOISE_PX, points=points)
    first = dataclasses.replace(performance, world=performance.world[:1])
    yield "single", first_camera(observe(first, head, 2000 + seed, NOISE_PX, points=points))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--now", type=Path, metavar="DIR", help="NoW's evaluation folder, with scans and landmarks")
    parser.add_argument("--single", nargs="+", default=[], metavar="ROW=DIR", help="submissions from single images")
    parser.add_argument("--multi", nargs="+", default=[], metavar="ROW=DIR", help="submissions from joint fits")
    parser.add_argument("--subjects", type=int, default=5, help="made-up people, where there is no data")
    add_output(parser, "table5")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
