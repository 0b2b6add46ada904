from __future__ import annotations
import numpy as np
NAMES=("jawOpen",)
def expression_basis(fields):
    return np.zeros((len(fields.points),3,1))
