"""Settings of the registration of scans."""

from __future__ import annotations

from dataclasses import dataclass

from flowface_jax.settings import check_settings


@dataclass(frozen=True)
class RegistrationConfig:
    """How scans are registered.

    identity_size, expression_size: coefficients of the head model that are solved at most. landmark_std: m by which
    annotated landmarks miss; found_std: those that a detector found; carried_std: those that the flow carried.
    surface_std: m, noise of the scan. surface_points: vertices that look for the scan in the model fit. carried_points:
    points pre-selected on the topology, beside the landmarks. side: px of the frontal views. flow_tolerance: px by
    which flow there and back may disagree. carry: whether flow carries points to the expressions at all.
    poor_distance, usable_distance: mm of mean distance from which on a result is "poor" or only "usable".
    """

    identity_size: int = 100
    expression_size: int = 100
    landmark_std: float = 0.001
    found_std: float = 0.004
    carried_std: float = 0.0004
    surface_std: float = 0.0005
    surface_points: int = 1200
    carried_points: int = 350
    side: int = 768
    flow_tolerance: float = 1.0
    carry: bool = True
    usable_distance: float = 0.4
    poor_distance: float = 1.0

    def __post_init__(self) -> None:
        check_settings(self, "registration")
