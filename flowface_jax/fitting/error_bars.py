"""The error bars of a fit as its track states them, with what the images could not tell in plain words."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.fitting.config import FitConfig
from flowface_jax.fitting.energy import EnergyWeights
from flowface_jax.fitting.objective import Objective, make_objective
from flowface_jax.fitting.parameters import Chart, Parameters
from flowface_jax.fitting.problem import FitProblem, identity_scale
from flowface_jax.fitting.uncertainty import Observed, Uncertainty, estimate_uncertainty
from flowface_jax.heads.model import HeadModel

BY_PRIOR = 0.9
DETERMINED = 0.5
"""Posterior over prior standard deviation above which the prior alone decides, and below which the images do."""

MOST_CURVATURE = 400_000_000
"""How many numbers the curvature of all frames together may have (1.6 GB in float32)."""


def error_bars(
    parameters: Parameters,
    problem: FitProblem,
    chart: Chart,
    config: FitConfig,
    focal_guess: jax.Array,
    head: HeadModel,
    real_frames: int,
    camera_names: tuple[str, ...],
) -> tuple[Uncertainty | None, dict[str, Any]]:
    """Standard deviations of what was fitted, and the record of them; None and a note where none can be stated.

    head: the full head model. real_frames: F, without padding.
    """
    if not config.error_bars:
        return None, {"notes": ["No error bars were asked for."]}
    if not all(bool(np.isfinite(np.asarray(leaf)).all()) for leaf in jax.tree.leaves(parameters)):
        return None, {"notes": ["The fit did not end in finite numbers, so no error bars can be stated."]}
    parameters = jax.tree.map(jnp.asarray, parameters)
    # Of a clip fitted in windows, the problem counts the images of only the first.
    scale = jnp.float32(identity_scale(np.asarray(problem.inverse_std) > 0, config))
    problem = jax.tree.map(jnp.asarray, dataclasses.replace(problem, identity_scale=scale))
    about = dataclasses.replace(chart, base=parameters)
    objective = make_objective(problem, about, EnergyWeights.of(config), focal_guess)
    d, s = objective.columns.frame_size, objective.columns.shared_size
    if problem.frame_count * d * (6 * d + 3 * s) > MOST_CURVATURE:
        return None, {"notes": [f"{real_frames} frames are too many for error bars at once; fit a part of the clip."]}
    try:
        uncertainty, observed = estimate_uncertainty(parameters, objective, head, real_frames)
    except FloatingPointError as error:
        return None, {"notes": [f"No error bars can be stated: {error}."]}
    return uncertainty, _record(uncertainty, observed, objective, camera_names)


def _record(
    uncertainty: Uncertainty, observed: Observed, objective: Objective, names: tuple[str, ...]
) -> dict[str, Any]:
    """What the images determine and what they do not."""
    layout, weights = objective.chart.layout, objective.weights
    solved = objective.problem.head.identity_size if layout.identity != "fixed" else 0
    # The energy's own prior, counted once: of standard deviation 1 for a weight of one half.
    identity_prior = 1.0 / np.sqrt(2.0 * float(weights.prior)) if float(weights.prior) > 0 else np.inf
    ratio = uncertainty.identity[:solved] / identity_prior
    firmness = np.sqrt(np.asarray(objective.problem.focal_prior_weight))
    focal_prior = float(weights.focal_prior_std) / firmness if weights.has_focal_prior else np.inf
    by_prior = (layout.focal != "fixed") & (observed.log_focal > BY_PRIOR * focal_prior)
    undecided = int((ratio > BY_PRIOR).sum())
    notes = [
        f"The focal length of {name} is set by its prior alone (± {100 * std:.0f} %), and the head's distance with it."
        for name, std, decided in zip(names, observed.log_focal, by_prior, strict=True)
        if decided
    ]
    if undecided:
        notes.append(f"{undecided} of {solved} identity coefficients are set by their prior alone.")
    vertices = uncertainty.vertices_mm.astype(np.float32)
    return {
        "assumes": "independent errors of the stated sigma; linear about the solution",
        "gauge": _gauge(objective),
        "cameras": [
            {
                "name": name,
                "focal_std_if_independent": _number(observed.log_focal[c]),
                "head_depth_std_m": _number(observed.depth[c]),
                "focal_depth_correlation": _number(observed.correlation[c]),
                "focal_set_by_prior": bool(by_prior[c]),
            }
            for c, name in enumerate(names)
        ],
        "identity_solved": solved,
        "identity_determined": int((ratio < DETERMINED).sum()),
        "identity_set_by_prior": undecided,
        "expressions_held_at_limits": observed.held,
        "median_vertex_std_mm": _number(np.median(vertices)),
        "median_neutral_vertex_std_mm": _number(np.median(uncertainty.neutral_mm)),
        "notes": notes,
    }


def _gauge(objective: Objective) -> str:
    """What the world is, and so what all positions are uncertain against."""
    layout, cameras = objective.chart.layout, objective.chart.base.focal.shape[0]
    if layout.camera_pose != "fixed":
        return "the first camera is the world and has no uncertainty of its own"
    if cameras == 1:
        return "the camera's pose is given or is the world, and has no uncertainty of its own"
    return "the cameras' poses are given and have no uncertainty of their own"


def _number(value: float) -> float | None:
    """A finite number, or None: JSON has no infinity."""
    return float(value) if np.isfinite(value) else None
