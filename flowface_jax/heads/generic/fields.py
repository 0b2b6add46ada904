"""Smooth scalar fields on the neutral head from which regions, skinning, expressions and identity are composed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowface_jax.heads.generic import anatomy, eyes, mouth
from flowface_jax.heads.generic.mesh import GenericMesh
from flowface_jax.heads.generic.surface import lip_contact_height

Array = NDArray[np.float64]


def smooth_step(value: ArrayLike, low: float, high: float) -> Array:
    """0 below `low`, 1 above `high`, a cubic in between."""
    t = np.clip((np.asarray(value, float) - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def bump(points: Array, centre: ArrayLike, width: ArrayLike) -> Array:
    """Gaussian [N] of points [N,3] mm about a centre, with one standard deviation or one for each axis (mm)."""
    return np.exp(-0.5 * np.sum(((points - np.asarray(centre, float)) / np.asarray(width, float)) ** 2, axis=1))


def jaw_line_height(depth: Array) -> Array:
    """Height (mm) of the edge between face and neck at depth z (mm), from the nuchal line over gonion to chin."""
    return np.interp(depth, [-85.0, 13.0, 60.0, 92.0], [-20.0, -62.0, -78.0, -88.0])


@dataclass(frozen=True)
class HeadFields:
    """The neutral head with what every deformation needs to know about its vertices.

    points: [V,3] mm. soft: [V] skin and the linings of lids, nose and mouth. mouth_side: [V] +1 above the slit between
    the lips, -1 below, 0 at the corners. mouth_lateral: [V] 0 on the midline, 1 from the corners outwards.
    jaw: [V] share with which a vertex follows the lower jaw. left: [V] share of the left half.
    """

    mesh: GenericMesh
    points: Array
    soft: Array
    mouth_side: Array
    mouth_lateral: Array
    jaw: Array
    left: Array

    @property
    def mirror(self) -> NDArray[np.int64]:
        return self.mesh.mirror


def head_fields(mesh: GenericMesh) -> HeadFields:
    """Compute the fields of a mesh."""
    rigid = mesh.mask("eyeball", "teeth_upper", "teeth_lower", "tongue")
    side = _mouth_side(mesh)
    lateral = np.clip(np.abs(mesh.vertices[:, 0]) / anatomy.LIP_CORNER_X, 0.0, 1.0)
    left = smooth_step(mesh.vertices[:, 0], -9.0, 9.0)
    return HeadFields(mesh, mesh.vertices, (~rigid).astype(float), side, lateral, _jaw_share(mesh, side, lateral), left)


def _mouth_side(mesh: GenericMesh) -> Array:
    points = mesh.vertices
    side = np.where(points[:, 1] >= lip_contact_height(points[:, 0]), 1.0, -1.0)
    rows = ["lip_contact", "lip_middle", "lip_border", *(f"cavity_{k}" for k in range(5))]
    row_side = np.concatenate([np.ones(mouth.HALF), [0.0], -np.ones(mouth.HALF)])
    for name in rows:
        ids = mesh.parts[name]
        side[ids] = row_side
        side[mesh.mirror[ids]] = row_side
    for name, value in (("teeth_upper", 1.0), ("teeth_lower", -1.0), ("tongue", -1.0)):
        side[mesh.both(name)] = value
    return side


def jaw_angle(points: Array) -> Array:
    """Angle (degrees, downward) of points [N,3] mm about the axis through both jaw joints."""
    offset = points - np.asarray(anatomy.TEMPOROMANDIBULAR)
    return np.degrees(np.arctan2(-offset[:, 1], np.maximum(offset[:, 2], 1e-3)))


def _jaw_share(mesh: GenericMesh, side: Array, lateral: Array) -> Array:
    """1 on chin and lower lip, 0 on the upper face; a soft band across the cheeks, a cut between the lips."""
    points = mesh.vertices
    contact = np.column_stack([points[:, 0], lip_contact_height(points[:, 0]), np.full(len(points), 92.0)])
    below = jaw_angle(points) - jaw_angle(contact)
    band = smooth_step(below, -13.0, 13.0)
    weight = lateral**2.5
    share = np.where(side > 0, band * weight, np.where(side < 0, 1.0 - (1.0 - band) * weight, 0.5))
    share *= smooth_step(points[:, 2], 0.0, 38.0)
    share *= 1.0 - smooth_step(jaw_line_height(points[:, 2]) - points[:, 1], -6.0, 30.0)
    for k, back in enumerate((1.0, 1.0, 1.0, 0.9, 0.0)):
        ids = mesh.both(f"cavity_{k}")
        cavity = 0.5 - 0.5 * side[ids] * (1.0 - np.clip(lateral[ids], 0, 1) ** 4)
        share[ids] = 0.5 + (cavity - 0.5) * back
    share[mesh.both("teeth_upper")] = 0.0
    share[mesh.both("teeth_lower")] = 1.0
    tongue = mesh.both("tongue")
    share[tongue] = smooth_step(points[tongue, 2], 25.0, 55.0)
    share[mesh.mask("ear", "eyeball", "lid_edge", "lid_back")] = 0.0
    return share


def eye_offsets(fields: HeadFields) -> Array:
    """Vertices [V,3] mm about the left eye's centre."""
    return fields.points - np.asarray(anatomy.EYE_CENTRE)


def near_eye(fields: HeadFields) -> Array:
    """[V] 1 on the left lids and eyeball, falling to 0 about 12 mm from the eyeball's surface."""
    distance = np.linalg.norm(eye_offsets(fields), axis=1)
    share = 1.0 - smooth_step(distance - anatomy.EYE_RADIUS, 3.2, 14.0)
    for name in ("lid_margin", "lid_edge", "lid_back", "eyeball"):
        share[fields.mesh.parts[name]] = 1.0
    return share


def lid_margin_angles(x: Array) -> tuple[Array, Array]:
    """Elevation (rad) of the upper and lower lid margin about the eye's horizontal axis, at distance x from its centre.

    Outside the opening both are the same, so whatever moves by their difference stays put there.
    """
    row = eyes.lid_rows()[0] - np.asarray(anatomy.EYE_CENTRE)
    elevation = np.arctan2(row[:, 1], row[:, 2])
    n = eyes.LID_COUNT
    upper = np.interp(x, row[: n + 1, 0], elevation[: n + 1])
    lower_x, lower_elevation = np.append(row[n:, 0], row[0, 0])[::-1], np.append(elevation[n:], elevation[0])[::-1]
    return upper, np.interp(x, lower_x, lower_elevation)
