"""The skeleton of the built-in head: where its five joints lie and which vertices follow them."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from flowface_jax.heads.generic import anatomy
from flowface_jax.heads.generic.fields import HeadFields, smooth_step

Array = NDArray[np.float64]

NAMES: Final[tuple[str, ...]] = ("root", "neck", "jaw", "left_eye", "right_eye")
PARENTS: Final[tuple[int, ...]] = (-1, 0, 1, 1, 1)


def regressor(fields: HeadFields) -> Array:
    """Weights [5,V], rows summing to 1, that give each rest joint as an affine mixture of nearby vertices.

    Being affine, they carry a joint along exactly with any similarity of its support: eyes with their eyeballs, at any
    gaze. The mixture is the one of least norm.
    """
    mesh, points = fields.mesh, fields.points
    eyeball = mesh.parts["eyeball"]
    preauricular = np.asarray([71.0, 3.0, 9.0])
    near_condyle = _symmetric(fields, np.linalg.norm(points - preauricular, axis=1) < 18.0)
    neck = mesh.mask("skin") & (points[:, 1] < -50.0) & (points[:, 1] > -100.0) & (points[:, 2] < 30.0)
    rim = mesh.mask("rim")
    jaw_axis = np.asarray(anatomy.TEMPOROMANDIBULAR) * np.array([0.0, 1.0, 1.0])
    eye = np.asarray(anatomy.EYE_CENTRE)
    flip = np.array([-1.0, 1.0, 1.0])
    supports = (
        (np.flatnonzero(rim | neck), np.asarray(anatomy.ROOT_JOINT)),
        (np.flatnonzero(neck), np.asarray(anatomy.NECK_JOINT)),
        (np.flatnonzero(near_condyle), jaw_axis),
        (eyeball, eye),
        (mesh.mirror[eyeball], eye * flip),
    )
    weights = np.zeros((len(NAMES), len(points)))
    for row, (ids, position) in enumerate(supports):
        system = np.vstack([points[ids].T / 100.0, np.ones(len(ids))])
        weights[row, ids] = np.linalg.lstsq(system, np.append(position / 100.0, 1.0), rcond=None)[0]
    return weights


def _symmetric(fields: HeadFields, left: NDArray[np.bool_]) -> NDArray[np.bool_]:
    skin = fields.mesh.mask("skin") & left
    return skin | skin[fields.mirror]


def skinning_weights(fields: HeadFields) -> Array:
    """[V,5], rows summing to 1: root below the neck, jaw as `HeadFields.jaw`, eyeballs with their own joints."""
    mesh = fields.mesh
    weights = np.zeros((len(fields.points), len(NAMES)))
    above_root = smooth_step(fields.points[:, 1], -150.0, -95.0)
    weights[:, 2] = fields.jaw * above_root
    weights[:, 1] = above_root - weights[:, 2]
    weights[:, 0] = 1.0 - above_root
    for joint, ids in ((3, mesh.parts["eyeball"]), (4, mesh.mirror[mesh.parts["eyeball"]])):
        weights[ids] = 0.0
        weights[ids, joint] = 1.0
    return weights
