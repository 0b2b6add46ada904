from __future__ import annotations
import numpy as np
def identity_basis(fields):
    p=fields.points
    out=np.zeros((len(p),3,3))
    for k in range(3): out[:,k,k]=p[:,k]*0.04
    return out
