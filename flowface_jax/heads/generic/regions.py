"""Which vertices belong to which part of the built-in head, and how much each counts in a fit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flowface_jax.heads.generic.fields import HeadFields, jaw_line_height
from flowface_jax.heads.model import FOCUS_WEIGHT, OTHER_WEIGHT

Mask = NDArray[np.bool_]


def regions(fields: HeadFields) -> dict[str, Mask]:
    """Name → [V] bool: the regions that every head names, and finer ones."""
    mesh, p = fields.mesh, fields.points
    x, y, z = np.abs(p[:, 0]), p[:, 1], p[:, 2]
    left = p[:, 0] > 1e-9
    lids = mesh.mask("lid_margin", "lid_lash", "lid_plate", "lid_edge", "lid_back")
    skin = mesh.mask("skin")
    nostrils = mesh.mask("nostril_0", "nostril_1", "nostril_end")
    eyeballs = mesh.mask("eyeball")
    ears = mesh.mask("ear", "ear_attachment")
    teeth, tongue = mesh.mask("teeth_upper", "teeth_lower"), mesh.mask("tongue")
    below_jaw = y < jaw_line_height(z)
    hair = (y > 99.0) | (z < 22.0 + 0.55 * (y - 40.0))
    face = (skin & ~ears & (z > 13.0) & ~below_jaw & ~hair) | lids | nostrils
    lips = mesh.mask("lip_contact", "lip_middle", "lip_border")
    eyes = face & (((x - 31.5) / 21.0) ** 2 + ((y - 30.0) / 15.0) ** 2 < 1.0)
    nose_width = np.interp(y, [-17.5, -12.0, 4.0, 22.0, 40.0], [14.0, 20.0, 18.5, 12.5, 10.0])
    nose = (face & (x <= nose_width) & (y > -17.0) & (y < 38.0)) | nostrils
    mouth = (face & (x < 33.0) & (y < -19.0) & (y > -55.0)) | lips
    brows = face & (x > 9.0) & (x < 58.0) & (y > 43.0) & (y < 59.0)
    return {
        "face": face,
        "eyes": eyes | lids,
        "nose": nose,
        "mouth": mouth,
        "ears": ears,
        "neck": skin & ~face & ~ears & below_jaw,
        "scalp": skin & ~face & ~ears & ~below_jaw,
        "eyeballs": eyeballs,
        "lips": lips,
        "upper_lip": lips & (fields.mouth_side >= 0),
        "lower_lip": lips & (fields.mouth_side <= 0),
        "eyelids": lids,
        "left_eye": (eyes | lids) & left,
        "right_eye": (eyes | lids) & ~left,
        "left_eyeball": eyeballs & left,
        "right_eyeball": eyeballs & ~left,
        "left_ear": ears & left,
        "right_ear": ears & ~left,
        "forehead": face & (y > 55.0),
        "brows": brows,
        "cheeks": face & ~eyes & ~nose & ~mouth & ~brows & (y < 28.0) & (y > -50.0) & (x > 14.0),
        "chin": face & (x < 26.0) & (y < -53.0),
        "jaw": face & ~mouth & (y < -30.0) & (fields.jaw > 0.3),
        "nostrils": nostrils,
        "teeth": teeth,
        "tongue": tongue,
        "mouth_interior": mesh.mask("cavity"),
    }


def vertex_weights(named: dict[str, Mask]) -> NDArray[np.float32]:
    """The λ of the energy and the loss (appendix D.3): 1 on face and ears, 0.005 elsewhere, [V]."""
    return np.where(named["face"] | named["ears"], FOCUS_WEIGHT, OTHER_WEIGHT).astype(np.float32)
