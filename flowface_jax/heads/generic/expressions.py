"""ARKit's 52 expressions as displacements of the neutral head, at full activation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from flowface_jax.heads.generic import anatomy
from flowface_jax.heads.generic.carrying import mirrored, spare_eyes
from flowface_jax.heads.generic.fields import HeadFields, bump, smooth_step
from flowface_jax.heads.generic.lids import gaze, lid_motion
from flowface_jax.heads.generic.surface import lip_contact_height

Array = NDArray[np.float64]
Shape = Callable[[HeadFields], Array]

_JAW_OPEN_DEGREES = 22.0


def expression_basis(fields: HeadFields) -> Array:
    """[V,3,52] mm at amplitude 1, in the order of `NAMES`."""
    made: dict[str, Array] = {}
    for name, shape in _MIDDLE.items():
        made[name] = shape(fields)
    for name, shape in _SIDED.items():
        left = shape(fields)
        made[f"{name}Left"], made[f"{name}Right"] = left, mirrored(fields, left)
    made["jawRight"] = mirrored(fields, made["jawLeft"])
    made["mouthRight"] = mirrored(fields, made["mouthLeft"])
    return np.stack([made[name] for name in NAMES], axis=-1)


def _pull(fields: HeadFields, centre: anatomy.Point, width: float | anatomy.Point, way: anatomy.Point) -> Array:
    """Soft tissue around a point of the left half pulled along a vector (mm)."""
    return (fields.soft * bump(fields.points, centre, width))[:, None] * np.asarray(way, float)


def _pair(fields: HeadFields, centre: anatomy.Point, width: float | anatomy.Point, way: anatomy.Point) -> Array:
    """`_pull` and its mirror image; where both overlap on the midline, their mean direction remains."""
    one = _pull(fields, centre, width, way)
    return one + mirrored(fields, one)


def _left(fields: HeadFields, symmetric: Array) -> Array:
    """The left half of a symmetric displacement, fading across the midline."""
    return symmetric * fields.left[:, None]


def _upper(fields: HeadFields) -> Array:
    """[V] 1 on the upper lip's side of the mouth, 0 on the lower one's, one half at and beyond the corners."""
    taper = 0.5 * np.clip(fields.mouth_lateral, 0.0, 1.0) ** 3
    return np.where(fields.mouth_side > 0, 1.0 - taper, np.where(fields.mouth_side < 0, taper, 0.5))


def _lips(fields: HeadFields, width: float = 17.0, height: float = 9.0) -> Array:
    """[V] 1 on the lips, fading over the skin around them and backwards into the mouth."""
    return fields.soft * bump(fields.points, (0.0, -37.0, 97.0), (width, height, 16.0))


def _height_above_contact(fields: HeadFields) -> Array:
    return fields.points[:, 1] - lip_contact_height(fields.points[:, 0])


# Jaw ------------------------------------------------------------------------------------------------------------------


def jaw_turn(fields: HeadFields, degrees: float) -> Array:
    """The lower jaw turned open about the axis through both jaw joints."""
    angle = np.radians(degrees)
    offset = fields.points - np.asarray(anatomy.TEMPOROMANDIBULAR) * np.array([0.0, 1.0, 1.0])
    y = np.cos(angle) * offset[:, 1] - np.sin(angle) * offset[:, 2]
    z = np.sin(angle) * offset[:, 1] + np.cos(angle) * offset[:, 2]
    turned = np.column_stack([offset[:, 0], y, z]) - offset
    return turned * fields.jaw[:, None]


def _jaw_open(fields: HeadFields) -> Array:
    corners = _pair(fields, anatomy.LIP_CONTACT[-1], (9.0, 12.0, 12.0), (-2.5, 0, 0))
    return jaw_turn(fields, _JAW_OPEN_DEGREES) + corners


def _jaw_shift(way: anatomy.Point) -> Shape:
    return lambda fields: fields.jaw[:, None] * np.asarray(way, float)


def _jaw_sideways(fields: HeadFields) -> Array:
    """The chin swings to the side about the vertical axis between the jaw joints."""
    forward = np.clip((fields.points[:, 2] - anatomy.TEMPOROMANDIBULAR[2]) / 80.0, 0.0, 1.1)
    return (9.0 * fields.jaw * forward**1.5)[:, None] * np.array([1.0, 0.0, 0.0])


def _mouth_close(fields: HeadFields) -> Array:
    """Closes exactly the gap that the open jaw leaves between the two contact lines."""
    opened = _jaw_open(fields)
    contact = fields.mesh.parts["lip_contact"]
    half = len(contact) // 2 + 1
    gap = opened[contact[:half]] - opened[contact[::-1][:half]]
    x = fields.points[contact[:half], 0]
    wanted = np.column_stack([np.interp(np.abs(fields.points[:, 0]), x, gap[:, k]) for k in range(3)])
    wanted[:, 0] = 0.0
    away = np.abs(_height_above_contact(fields))
    upper = fields.mouth_side > 0
    fade = fields.soft * np.where(upper, np.exp(-((away / 11.0) ** 2)), np.exp(-((away / 17.0) ** 2)))
    fade *= smooth_step(fields.points[:, 2], 62.0, 84.0) * (np.abs(fields.points[:, 0]) < anatomy.LIP_CORNER_X)
    return wanted * (fade * np.where(upper, -0.35, 0.65))[:, None]


# Mouth ----------------------------------------------------------------------------------------------------------------


def _corner(way: anatomy.Point, width: float = 12.0) -> Callable[[HeadFields], Array]:
    return lambda fields: _pair(fields, anatomy.LIP_CONTACT[-1], (width, width, 18.0), way)


def _smile(fields: HeadFields) -> Array:
    shape = _corner((8.0, 8.5, -6.0), 13.0)(fields)
    shape += _pair(fields, (42, -6, 78), 14.0, (2.0, 4.5, 2.5))
    shape += _pair(fields, (30, -22, 86), 9.0, (2.0, 2.0, 0.5))
    shape += _lips(fields)[:, None] * np.array([0.0, 1.2, -1.5])
    return _left(fields, spare_eyes(fields, shape)) + 0.12 * lid_motion(fields, 0.0, 1.0)


def _frown(fields: HeadFields) -> Array:
    shape = _corner((1.5, -8.0, -2.0), 11.0)(fields) + _pair(fields, (27, -54, 83), 10.0, (0, -2.5, 0.5))
    return _left(fields, shape)


def _stretch(fields: HeadFields) -> Array:
    shape = _corner((9.0, -3.0, -7.0), 13.0)(fields)
    shape += ((1 - _upper(fields)) * _lips(fields))[:, None] * np.array([0.0, -2.5, -2.0])
    return _left(fields, shape)


def _thin_lips(fields: HeadFields) -> Array:
    """Vermilion drawn towards the contact line and back, contact unmoved in height."""
    above = np.clip(_height_above_contact(fields), -9.0, 9.0)
    weight = _lips(fields, 16.0, 8.0)
    return weight[:, None] * np.column_stack([np.zeros_like(above), -0.3 * above, np.full_like(above, -1.8)])


def _press(fields: HeadFields) -> Array:
    return _left(fields, _thin_lips(fields) + _corner((1.5, 0.5, -2.0), 9.0)(fields))


def _roll(upper: bool) -> Shape:
    """A lip turned inwards over the teeth."""

    def shape(fields: HeadFields) -> Array:
        share = _upper(fields) if upper else 1.0 - _upper(fields)
        height = np.abs(_height_above_contact(fields))
        weight = share * _lips(fields, 15.0, 8.0)
        towards = (-1.0 if upper else 1.0) * 0.42 * np.clip(height, 0.0, 9.0)
        return weight[:, None] * np.column_stack([np.zeros_like(height), towards, np.full_like(height, -4.8)])

    return shape


def _purse(inward: float, forward: float, apart: float) -> Shape:
    """Lips drawn together from the sides and pushed forward; `apart` opens them to a round."""

    def shape(fields: HeadFields) -> Array:
        wide, lips = _lips(fields, 30.0, 13.0), _lips(fields, 15.0, 8.5)
        above = np.clip(_height_above_contact(fields) / 5.0, -1.0, 1.0)
        sign = 2.0 * _upper(fields) - 1.0
        open_by = apart * lips * sign * (1.0 - fields.mouth_lateral**2)
        return np.column_stack([-inward * fields.points[:, 0] * wide, open_by + 0.6 * above * lips, forward * lips])

    return shape


def _lip_lift(way: anatomy.Point, upper: bool) -> Shape:
    def shape(fields: HeadFields) -> Array:
        share = _upper(fields) if upper else 1.0 - _upper(fields)
        middle = 1.0 - 0.6 * fields.mouth_lateral**3
        return (share * middle * _lips(fields, 15.0, 10.0))[:, None] * np.asarray(way, float)

    return shape


def _shrug_lower(fields: HeadFields) -> Array:
    chin = _pull(fields, (0, -62, 93), (15, 11, 14), (0, 4.5, 1.5))
    lower = _lip_lift((0, 4.0, 1.5), upper=False)(fields)
    return chin + lower + _lip_lift((0, 3.6, 1.0), upper=True)(fields)


def _mouth_left(fields: HeadFields) -> Array:
    return _lips(fields, 24.0, 14.0)[:, None] * np.array([9.0, 0.0, 0.0]) + _pull(
        fields, anatomy.LIP_CONTACT[-1], 12.0, (0, 1.5, -3.5)
    )


# Brows, cheeks, nose --------------------------------------------------------------------------------------------------


def _brow_down(fields: HeadFields) -> Array:
    shape = _pair(fields, (18, 48, 91), (11, 8, 12), (-2.2, -5.5, 0.6))
    shape += _pair(fields, (38, 51, 83), (11, 8, 12), (-1.0, -4.0, 0.0)) + _pair(
        fields, (20, 66, 91), 13.0, (0, -1.5, 0)
    )
    return _left(fields, spare_eyes(fields, shape)) + 0.1 * lid_motion(fields, 1.0, 0.0)


def _brow_inner_up(fields: HeadFields) -> Array:
    shape = _pair(fields, (15, 49, 91), (10, 10, 12), (0.6, 6.5, -0.3)) + _pair(fields, (13, 67, 92), 13.0, (0, 2.2, 0))
    return spare_eyes(fields, shape)


def _brow_outer_up(fields: HeadFields) -> Array:
    shape = _pair(fields, (44, 51, 77), (12, 10, 14), (0.5, 7.0, -1.2)) + _pair(
        fields, (42, 66, 78), 13.0, (0, 2.5, -0.6)
    )
    return _left(fields, spare_eyes(fields, shape))


def _cheek_puff(fields: HeadFields) -> Array:
    cheeks = _pair(fields, (46, -27, 73), (17, 15, 19), (8.5, 0.0, 6.5))
    return spare_eyes(fields, cheeks + _lips(fields, 22.0, 13.0)[:, None] * np.array([0.0, 0.0, 2.5]))


def _cheek_squint(fields: HeadFields) -> Array:
    shape = _pair(fields, (41, 4, 77), 12.0, (0.8, 5.0, 2.0))
    return _left(fields, spare_eyes(fields, shape)) + lid_motion(fields, 0.0, 0.45)


def _nose_sneer(fields: HeadFields) -> Array:
    shape = _pair(fields, (16, -5, 98), (6, 8, 10), (1.2, 4.5, 0.2)) + _pair(
        fields, (11, 20, 87), 8.0, (-0.3, 2.5, 0.8)
    )
    shape += _upper(fields)[:, None] * _pair(fields, (13, -28, 97), (10, 7, 12), (0.5, 3.0, 0.0))
    shape += _pair(fields, (14, 46, 91), 8.0, (-0.8, -2.0, 0.0))
    return _left(fields, spare_eyes(fields, shape))


# Eyes -----------------------------------------------------------------------------------------------------------------


def _look(yaw: float, pitch: float, upper: float, lower: float) -> Shape:
    return lambda fields: gaze(fields, yaw, pitch) + lid_motion(fields, upper, lower)


def _tongue_out(fields: HeadFields) -> Array:
    tongue = fields.mesh.both("tongue")
    share = smooth_step(fields.points[tongue, 2], 30.0, 82.0)
    result = np.zeros_like(fields.points)
    result[tongue] = np.column_stack([np.zeros_like(share), -4.0 * share**2 - 8.0 * share**4, 34.0 * share])
    return result


_MIDDLE: Final[dict[str, Shape]] = {
    "browInnerUp": _brow_inner_up,
    "cheekPuff": _cheek_puff,
    "jawForward": _jaw_shift((0.0, -0.5, 7.0)),
    "jawLeft": _jaw_sideways,
    "jawOpen": _jaw_open,
    "mouthClose": _mouth_close,
    "mouthFunnel": _purse(0.28, 7.0, 5.5),
    "mouthLeft": _mouth_left,
    "mouthPucker": _purse(0.46, 8.0, 0.0),
    "mouthRollLower": _roll(upper=False),
    "mouthRollUpper": _roll(upper=True),
    "mouthShrugLower": _shrug_lower,
    "mouthShrugUpper": _lip_lift((0, 3.2, 2.0), upper=True),
    "tongueOut": _tongue_out,
}

_SIDED: Final[dict[str, Shape]] = {
    "browDown": _brow_down,
    "browOuterUp": _brow_outer_up,
    "cheekSquint": _cheek_squint,
    "eyeBlink": lambda fields: lid_motion(fields, 1.0, 1.0),
    "eyeLookDown": _look(0.0, -30.0, 0.52, -0.9),
    "eyeLookIn": _look(-30.0, 0.0, 0.0, 0.0),
    "eyeLookOut": _look(30.0, 0.0, 0.0, 0.0),
    "eyeLookUp": _look(0.0, 25.0, -0.32, 0.35),
    "eyeSquint": lambda fields: lid_motion(fields, 0.25, 1.1),
    "eyeWide": lambda fields: lid_motion(fields, -0.34, -0.5),
    "mouthDimple": lambda fields: _left(fields, _corner((4.0, 1.5, -5.5), 10.0)(fields)),
    "mouthFrown": _frown,
    "mouthLowerDown": lambda fields: _left(fields, _lip_lift((1.0, -7.5, -0.5), upper=False)(fields)),
    "mouthPress": _press,
    "mouthSmile": _smile,
    "mouthStretch": _stretch,
    "mouthUpperUp": lambda fields: _left(fields, _lip_lift((0.0, 6.5, 0.5), upper=True)(fields)),
    "noseSneer": _nose_sneer,
}

NAMES: Final[tuple[str, ...]] = tuple(
    sorted([*_MIDDLE, "jawRight", "mouthRight", *(f"{name}{side}" for name in _SIDED for side in ("Left", "Right"))])
)
"""ARKit's spelling, in alphabetical order."""
