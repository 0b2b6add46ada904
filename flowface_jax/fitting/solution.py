"""What every solver returns."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from flowface_jax.fitting.energy import EnergyTerms
from flowface_jax.fitting.parameters import Parameters


@dataclasses.dataclass(frozen=True)
class Solution:
    """parameters: the minimiser. history: [n] energy before each step. converged: whether the solver's stopping rule
    was met within its limit of steps. terms: the energy at the minimiser, by term. windows: how many windows of
    frames it was solved in; 0 = all frames together.
    """

    parameters: Parameters
    history: np.ndarray
    converged: bool
    terms: EnergyTerms
    windows: int = 0


Watcher = Callable[[Callable[[], tuple[Parameters, np.ndarray]]], None]
"""Called by a solver between its steps with what gives its parameters and its energies [n] so far, valid until the
call returns.
"""
