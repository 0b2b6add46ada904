"""A made-up FLAME-like head and performances of it, and FLAME posed from its file's arrays, written out."""

from __future__ import annotations

import dataclasses
import functools
import tempfile
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from flowface_jax.aligners.frames import Frame, SourceInfo
from flowface_jax.exporting.performance import Performance
from flowface_jax.heads.flame import load_flame
from tests.exporting.performances import HEIGHT, WIDTH, made_up_track
from tests.heads.flame_files import flame_arrays, write_flame

BASIS = 0.1
"""How much smaller than the files' its bases are: heads stay egg-shaped."""
NOSE = slice(60, 90)
"""Vertices that the made-up nose consists of."""


@functools.cache
def arrays():
    """The file's arrays. Joints are regressed from elsewhere than the nose, as FLAME's are.

    What CAP4D's correctives add at rest is a shape that the identity can take back.
    """
    made = flame_arrays()
    made["shapedirs"] = BASIS * made["shapedirs"]
    made["J_regressor"][:, NOSE] = 0
    made["J_regressor"] /= made["J_regressor"].sum(1, keepdims=True)
    by_joint = (BASIS * made["posedirs"]).reshape(-1, 3, 4, 3, 3)
    by_joint[..., np.arange(3), np.arange(3)] = 0
    by_joint[..., 0, 0, 0] = made["shapedirs"][..., :5].sum(-1)
    made["posedirs"] = by_joint.reshape(-1, 3, 36)
    return made


@functools.cache
def flame_head(name="flame2023"):
    with tempfile.TemporaryDirectory() as folder:
        head = load_flame(write_flame(Path(folder) / f"{name}.pkl", arrays(), "2023"), bind_to_atlas=False)
    nose = np.zeros(head.vertex_count, bool)
    nose[NOSE] = True
    lips = np.zeros(head.vertex_count, bool)
    lips[90:110] = True
    return dataclasses.replace(head, regions={**head.regions, "nose": nose, "lips": lips})


def flame_performance(turning=("jaw", "left_eye", "right_eye"), name="flame2023", sources=(), cameras=2, **changes):
    """Four frames, the third without a face; the principal points are not in the middle."""
    track = made_up_track(flame_head(name), turning)
    if cameras == 1:
        first = {field: np.asarray(getattr(track.cameras, field))[:1] for field in _PER_CAMERA}
        changes["cameras"] = dataclasses.replace(track.cameras, **first, names=track.cameras.names[:1])
        for field in ("observed", "residual_px", "residual_p90_px", "face_width_px"):
            changes[field] = getattr(track, field)[:1]
    return Performance(dataclasses.replace(track, **changes), flame_head(name), sources, "made up")


_PER_CAMERA = ("focal", "principal_point", "rotation", "translation", "image_size")


class Clip:
    """Frames 0 to 11 of one grey value each: ten times their number, and a bright spot at the top left."""

    info = SourceInfo("clip", (WIDTH, HEIGHT), 12, 30.0, True)

    def __iter__(self):
        for number in range(12):
            image = np.full((HEIGHT, WIDTH, 3), 10 * number, np.uint8)
            image[:20, :20] = (250, 100, 50)
            yield Frame(number, number / 30, image)


def posed(shaped, joints, chained=True):
    """FLAME's skinning of a shaped mesh [V,3] by rotations [5,3,3], in float64: joints are regressed from the mesh."""
    made = arrays()
    places = made["J_regressor"] @ shaped
    feature = (joints[1:] - np.eye(3)).reshape(-1)
    mesh = shaped + made["posedirs"] @ feature
    return skinned(mesh, places, joints, chained)


def skinned(mesh, places, joints, chained):
    transforms = []
    for joint, parent in enumerate([-1, 0, 1, 1, 1]):
        own = np.eye(4)
        own[:3, :3], own[:3, 3] = joints[joint], places[joint] - joints[joint] @ places[joint]
        transforms.append(transforms[parent] @ own if chained and parent >= 0 else own)
    blended = np.einsum("vk,kij->vij", arrays()["weights"], np.stack(transforms))
    return np.einsum("vij,vj->vi", blended[:, :3, :3], mesh) + blended[:, :3, 3]


def shaped(identity, expression):
    made = arrays()
    directions = made["shapedirs"]
    return (
        made["v_template"]
        + directions[..., : len(identity)] @ identity
        + directions[..., 300 : 300 + len(expression)] @ expression
    )


def matrices(*rotation_vectors):
    return np.stack([Rotation.from_rotvec(vector).as_matrix() for vector in rotation_vectors])
