"""What a deformation of the skin does to the parts that do not deform: eyeballs and lids, teeth, tongue and palate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flowface_jax.heads.generic.fields import HeadFields, near_eye

Array = NDArray[np.float64]

_CAVITY_FOLLOWS = (1.0, 0.9, 0.7, 0.4, 0.1)
"""Share with which each row of the mouth's cavity follows the lips before it."""


def mirrored(fields: HeadFields, displacement: Array) -> Array:
    """The mirror image [V,3] of a displacement field [V,3]."""
    return displacement[fields.mirror] * np.array([-1.0, 1.0, 1.0])


def spare_eyes(fields: HeadFields, displacement: Array) -> Array:
    """A displacement [V,3] without its part on lids and eyeballs, so that lids stay on the balls."""
    near = near_eye(fields)
    return displacement * (1.0 - near - near[fields.mirror])[:, None]


def carry_eyes(fields: HeadFields, displacement: Array) -> Array:
    """A displacement [V,3] or [V,3,N] whose part on lids and eyeballs is replaced by each socket's mean shift."""
    near = near_eye(fields)
    margin = fields.mesh.parts["lid_margin"]
    result = displacement.copy()
    for share, ids in ((near, margin), (near[fields.mirror], fields.mirror[margin])):
        spread = share.reshape(-1, *[1] * (displacement.ndim - 1))
        result += spread * (displacement[ids].mean(axis=0) - displacement)
    return result


def carry_mouth(fields: HeadFields, displacement: Array) -> Array:
    """A displacement [V,3,N] in which teeth and tongue follow the lips rigidly, and the mouth's lining its lips."""
    mesh = fields.mesh
    contact = mesh.parts["lip_contact"]
    both = mesh.both("lip_contact")
    result = displacement.copy()
    result[mesh.mask("teeth_upper", "teeth_lower", "tongue")] = displacement[both].mean(axis=0)
    for k, share in enumerate(_CAVITY_FOLLOWS):
        row = mesh.parts[f"cavity_{k}"]
        for ids, lips in ((row, contact), (fields.mirror[row], fields.mirror[contact])):
            result[ids] = displacement[ids] + share * (displacement[lips] - displacement[ids])
    return result
