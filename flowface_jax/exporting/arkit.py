"""ARKit's 52 curves of a performance: CSV as Epic's Live Link Face app records them, and JSON with everything stated.

Angles are right-handed turns about the face's axes (x to the subject's left, y up, z out of the face), in radians,
composed as yaw about y, then pitch about x, then roll about z; 0 faces the camera upright. So a positive yaw turns to
the subject's left, a positive pitch lowers the chin, a positive roll tips the head towards the subject's right.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import logging
import math
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy.spatial.transform import Rotation

from flowface_jax.cameras.conversion import OPENGL_AXES
from flowface_jax.errors import InputError
from flowface_jax.exporting.flame import require_camera
from flowface_jax.exporting.performance import Performance
from flowface_jax.exporting.retargeting import same_expressions
from flowface_jax.exporting.surface_transfer import eyeball_of
from flowface_jax.exporting.target import Target
from flowface_jax.heads.model import HeadModel
from flowface_jax.heads.registration import similarity
from flowface_jax.reporting import Reporter
from flowface_jax.storage import write_bytes, write_json

logger = logging.getLogger(__name__)

NAME = "arkit"
FORMAT = "flowface-arkit/1"
_SIDES: Final = ("Left", "Right")
_EYE: Final = ("eyeBlink", "eyeLookDown", "eyeLookIn", "eyeLookOut", "eyeLookUp", "eyeSquint", "eyeWide")
_PAIRS: Final = ("mouthSmile", "mouthFrown", "mouthDimple", "mouthStretch")
_LOWER_PAIRS: Final = ("mouthPress", "mouthLowerDown", "mouthUpperUp", "browDown")
CURVES: Final = (
    *(f"{name}{side}" for side in _SIDES for name in _EYE),
    *("jawForward", "jawRight", "jawLeft", "jawOpen", "mouthClose", "mouthFunnel", "mouthPucker"),
    *("mouthRight", "mouthLeft"),
    *(f"{name}{side}" for name in _PAIRS for side in _SIDES),
    *("mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper"),
    *(f"{name}{side}" for name in _LOWER_PAIRS for side in _SIDES),
    *("browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff", "cheekSquintLeft", "cheekSquintRight"),
    *("noseSneerLeft", "noseSneerRight", "tongueOut"),
)
"""ARKit's names in the order of Live Link Face's columns. Left and right are the subject's."""
ANGLES: Final = tuple(f"{part}{turn}" for part in ("Head", "LeftEye", "RightEye") for turn in ("Yaw", "Pitch", "Roll"))


@dataclasses.dataclass(frozen=True)
class ArkitSettings:
    """camera: number of the one that the head turns relative to. rate: of the timecode, frames per second; 0 for the
    clip's own.
    """

    camera: int = 0
    rate: float = 0.0


def write_arkit(performance: Performance, folder: Path, settings: ArkitSettings, reporter: Reporter) -> None:
    """Write curves.csv and curves.json. Raises InputError where the head's expressions are not ARKit's."""
    head, track = performance.head, performance.track
    if "jawOpen" not in head.expression_names:
        raise InputError(
            f"arkit holds ARKit's curves, which head '{head.name}' has not; lay the track onto one that has "
            "(--retarget generic)"
        )
    require_camera(performance, settings.camera, NAME)
    columns = same_expressions(head.expression_names, CURVES)
    absent = [name for name, row in zip(CURVES, columns, strict=True) if not row.any()]
    if absent:
        logger.warning("arkit: head '%s' has no %s; written as 0", head.name, ", ".join(absent))
    values = np.asarray(track.expression, np.float64) @ columns.T
    head_turns, head_places = head_in_camera(performance, settings.camera)
    angles = np.concatenate([angles_of(head_turns), *(angles_of(turns) for turns in eye_turns(performance))], axis=1)
    rate = settings.rate or performance.frame_rate
    write_bytes(folder / "curves.csv", _csv(performance.frame_times, rate, np.c_[values, angles]))
    write_json(folder / "curves.json", _json(performance, settings.camera, rate, values, angles, head_places, absent))


def head_in_camera(performance: Performance, camera: int) -> tuple[np.ndarray, np.ndarray]:
    """Rotations [F,3,3] and translations [F,3] m of the head in a camera's frame with y up and z towards the viewer."""
    track = performance.track
    turn = OPENGL_AXES @ np.asarray(track.cameras.rotation, np.float64)[camera]
    shift = OPENGL_AXES @ np.asarray(track.cameras.translation, np.float64)[camera]
    rotation = Rotation.from_rotvec(np.asarray(track.head_rotation, np.float64)).as_matrix()
    return turn @ rotation, np.asarray(track.head_translation, np.float64) @ turn.T + shift


def eye_turns(performance: Performance) -> tuple[np.ndarray, np.ndarray]:
    """Rotations [F,3,3] of the left and of the right eyeball in the head, whatever turned them; none without eyeballs.

    A head may turn its eyes by joints or by expressions; how the eyeball's vertices moved says it for both.
    """
    track, head = performance.track, performance.head
    rest = np.asarray(track.neutral_vertices(head), np.float64)
    turns = np.tile(np.eye(3), (2, track.frame_count, 1, 1))
    balls = [eyeball_of(head, side) for side in (1, -1)]
    for frame in range(track.frame_count):
        posed = np.asarray(track.local_vertices(head, frame), np.float64)
        for side, ball in enumerate(balls):
            if ball.sum() > 2:
                turns[side, frame] = similarity(rest[ball], posed[ball], np.ones(int(ball.sum())))[1]
    return turns[0], turns[1]


def angles_of(turns: np.ndarray) -> np.ndarray:
    """Yaw, pitch and roll [F,3] rad of rotations [F,3,3]."""
    return Rotation.from_matrix(turns).as_euler("YXZ")


def timecode(seconds: float, rate: float) -> str:
    """HH:MM:SS:FF.fff, the last part thousandths of a frame, as Live Link Face writes it."""
    whole = math.floor(seconds + 1e-9)
    thousandths = min(round((seconds - whole) * rate * 1000), math.ceil(rate) * 1000 - 1)
    frames, rest = divmod(max(thousandths, 0), 1000)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}:{frames:02d}.{rest:03d}"


def _csv(times: np.ndarray, rate: float, table: np.ndarray) -> bytes:
    """Every frame is a row, faceless ones too: importers count rows."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [name[0].upper() + name[1:] for name in CURVES] + list(ANGLES)
    writer.writerow(["Timecode", "BlendShapeCount", *names])
    for time, row in zip(times - times[0], table, strict=True):
        writer.writerow([timecode(float(time), rate), len(names), *(f"{value:.7f}" for value in row)])
    return text.getvalue().encode("ascii")


def _json(
    performance: Performance,
    camera: int,
    rate: float,
    values: np.ndarray,
    angles: np.ndarray,
    places: np.ndarray,
    absent: list[str],
) -> dict[str, Any]:
    track, head = performance.track, performance.head
    return {
        "format": FORMAT,
        "conventions": {
            "curves": "ARKit's blend shape locations, 0 to 1; left and right are the subject's",
            "angles": "radians, right-handed about the face's axes (x to the subject's left, y up, z out of the face): "
            "yaw about y, then pitch about x, then roll about z; the head's relative to the camera, 0 facing it",
            "translation": "metres in the camera's frame, x right, y up, z towards the viewer",
            "times": "seconds",
        },
        "head": head.name,
        "camera": track.cameras.names[camera],
        "frame_rate": rate,
        "absent_curves": absent,
        "curve_names": list(CURVES),
        "angle_names": list(ANGLES),
        "frame_ids": np.asarray(track.frame_ids).tolist(),
        "times": performance.frame_times.tolist(),
        "seen": performance.seen.tolist(),
        "curves": _rounded(values),
        "angles": _rounded(angles),
        "translation": _rounded(places),
        "head_model": _own(head, performance),
    }


def _own(head: HeadModel, performance: Performance) -> dict[str, Any]:
    """What poses the head model itself exactly, where its expressions are finer than ARKit's or its joints turn."""
    return {
        "expression_names": list(head.expression_names),
        "expression": _rounded(np.asarray(performance.track.expression)),
        "joint_names": list(head.joint_names),
        "joint_rotations": _rounded(np.asarray(performance.track.joint_rotations)),
    }


def _rounded(values: np.ndarray) -> list:
    return np.round(np.asarray(values, np.float64), 7).tolist()


TARGET = Target(
    NAME, "ARKit-52 curves: Live Link Face's CSV, and JSON (heads with ARKit's names)", ArkitSettings, write_arkit
)
