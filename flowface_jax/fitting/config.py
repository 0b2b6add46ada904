"""Settings of the fit: one frozen dataclass, every field with its unit and its meaning."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from flowface_jax.errors import InputError
from flowface_jax.settings import check_settings, settings_from

GroupMode = Literal["auto", "fixed", "shared", "free"]
Solver = Literal["levenberg_marquardt", "adamw"]
Robust = Literal["none", "huber", "geman_mcclure"]
IdentityPrior = Literal["once", "per_image"]

FEWEST_POINTS = 60
"""Landmark sets of about as many points are fitted; fewer leave expressions to the prior."""


@dataclasses.dataclass(frozen=True)
class FitConfig:
    """How stage 2 is solved. `auto` is decided from what is given: known cameras are fixed, unknown ones solved.

    Parameter groups ("fixed" keeps the initial value, "shared" is one for all frames or cameras, "free" one each):
    identity: "shared" or "fixed". expression, joint_pose, head_pose: "free", "shared" or "fixed" over frames.
    focal: over cameras; auto = fixed if the cameras are known, else free. camera_pose: "free" or "fixed"; the first
        camera is always fixed, as the gauge, unless cameras are known.
    joints: names of the joints that may rotate; "auto" = the eyes, where no expression already turns them.
    offsets: per-vertex offsets δ on `offset_region`; auto = only with several cameras, as in the paper.
    identity_size, expression_size: how many leading coefficients are solved; 0 = all.

    Energy weights (metres, pixels; the squared residuals they multiply are stated in `energy`):
    prior_weight: λ_FLAME. 0.5 is the exact negative log-prior of unit-variance coefficients.
    identity_prior: "per_image" counts ‖β‖² once per observed image, "once" a single time, as in the paper. Most of
        what is wrong with an alignment of one person is wrong in every frame alike, so evidence for identity does
        not grow with the length of the clip as a plain sum pretends, and a long clip would drown the prior.
    temporal_weight: λ_temp, 1/m², per vertex of FLAME. At 200 a whole head that accelerates by 0.7 mm per frame² pays
        as much as one point that is one σ off. Real heads that are shaken accelerate by 20 mm per frame² at 25 fps:
        ten times this weight makes such a track lag.
    neutral_weight: λ_MICA, 1/m², per vertex of FLAME, counted as identity_prior says. At 5e4 a neutral head that is
        1 mm off all over pays as much as 500 points that are one σ off.
    offset_weight: λ_deform, 1/m². 2e5 lets offsets reach about 1.5 mm where several views agree.
    robust: kernel on E_A; "none" is the paper's square. robust_scale: in standard deviations, where it starts to bend.
    temporal_vertices: E_temp is evaluated on this many evenly spread vertices and scaled up; 0 = every vertex.
    focal_prior_std: standard deviation of a weak prior on log focal about the first guess; it only decides
        where the images say nothing. 0 = none.

    maximum_points: a dense alignment is thinned to this many points, evenly; 0 = never. Landmarks are not thinned.

    solver: "levenberg_marquardt" uses the energy's own structure, "adamw" is the paper's; both minimise one energy.
    max_iterations: limit of Levenberg-Marquardt. energy_tolerance: it has converged once less than this fraction
        of the energy is left to gain, as far as the last iterations show.
    window_frames: sequences of more than twice as many frames are fitted in windows of this many, with a shared
        identity, in bounded memory; 0 = never.
    error_bars: whether the track gets standard deviations of its parameters and vertices.

    AdamW: learning_rate: AdamW step in the units of `parameters.UNITS`. weight_decay: AdamW's.
    patience: steps without progress before the step is halved. plateau_tolerance: smallest relative decrease that
        counts as progress; outliers add a constant to the energy, so it must be small for them not to stop the fit.
    smallest_scale: converged once the step has shrunk to this fraction. max_steps: the limit.
    """

    identity: GroupMode = "shared"
    expression: GroupMode = "free"
    joint_pose: GroupMode = "free"
    head_pose: GroupMode = "free"
    focal: GroupMode = "auto"
    camera_pose: GroupMode = "auto"
    joints: tuple[str, ...] = ("auto",)
    offsets: GroupMode = "auto"
    offset_region: str = "nose"
    identity_size: int = 0
    expression_size: int = 0

    prior_weight: float = 0.5
    identity_prior: IdentityPrior = "per_image"
    temporal_weight: float = 200.0
    neutral_weight: float = 5e4
    offset_weight: float = 2e5
    robust: Robust = "geman_mcclure"
    robust_scale: float = 6.0
    temporal_vertices: int = 256
    focal_prior_std: float = 0.3

    maximum_points: int = 0

    solver: Solver = "levenberg_marquardt"
    max_iterations: int = 100
    energy_tolerance: float = 1e-6
    window_frames: int = 1024
    error_bars: bool = True

    learning_rate: float = 1e-2
    weight_decay: float = 0.0
    patience: int = 30
    plateau_tolerance: float = 3e-5
    smallest_scale: float = 0.02
    max_steps: int = 3000

    def __post_init__(self) -> None:
        check_settings(self, "fit")
        if self.identity == "free":
            raise InputError("fit.identity: one person has one identity; expected shared or fixed, found 'free'")
        if min(self.max_steps, self.max_iterations, self.patience) < 1 or self.robust_scale <= 0:
            raise InputError(
                "fit.max_steps, fit.max_iterations, fit.patience and fit.robust_scale must be positive; found "
                f"{self.max_steps}, {self.max_iterations}, {self.patience} and {self.robust_scale:g}"
            )
        if 0 < self.maximum_points < FEWEST_POINTS:
            raise InputError(
                f"fit.maximum_points: expected 0 (all) or at least {FEWEST_POINTS}, found {self.maximum_points}"
            )


def config_from_mapping(values: Mapping[str, Any], base: FitConfig | None = None) -> FitConfig:
    """`base` (default settings) with `values` replaced; text is parsed to the field's type.

    Raises InputError for an unknown key or a value of the wrong type.
    """
    return settings_from(FitConfig, values, "fit", base)
