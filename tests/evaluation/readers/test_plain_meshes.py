"""Plain meshes, our own tracks, and what is refused: each in one line that says what to do."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from flowface_jax.cameras.model import make_cameras
from flowface_jax.errors import InputError, MissingAssetError
from flowface_jax.evaluation.readers import open_sequence
from flowface_jax.evaluation.readers.vertex_file import write
from flowface_jax.heads.generic import generic_head
from tests.evaluation.readers import replicas
from tests.heads.flame_files import flame_arrays
from tests.synthesis.domes import dome_head, head_rotation, track_of

ARRAYS = flame_arrays()
MESH, FACES = ARRAYS["v_template"].astype(np.float32), ARRAYS["f"].astype(np.int32)


def _moving(frames: int = 12) -> np.ndarray:
    return np.stack([MESH + np.float32([0.01 * f, 0, 1]) for f in range(frames)])


@pytest.fixture
def camera_file(tmp_path):
    make_cameras([100.0], [[50, 40]], np.eye(3)[None], np.zeros((1, 3)), [[100, 80]]).save(tmp_path / "cameras.json")
    return tmp_path / "cameras.json"


def test_numbered_meshes_come_in_the_order_of_their_numbers(tmp_path, camera_file):
    moving = _moving()
    folder = replicas.write_meshes(tmp_path / "meshes", 100 * moving, FACES)
    sequence = open_sequence(folder, unit="cm", cameras=camera_file, name="mine", frames_per_second=25)
    np.testing.assert_allclose(sequence.vertices, moving, atol=1e-6)
    np.testing.assert_array_equal(sequence.triangles, FACES)
    assert (sequence.name, sequence.frames_per_second) == ("mine", 25)
    x, y, z = moving[10, 7]
    np.testing.assert_allclose(sequence.projected().pixels[10, 7], [100 * x / z + 50, 100 * y / z + 40], atol=1e-3)


def test_arrays_keep_all_that_a_sequence_has(tmp_path):
    valid = np.array([True] * 11 + [False])
    face = np.arange(len(MESH)) < 50
    np.savez(
        tmp_path / "mesh.npz", vertices=_moving(), faces=FACES, valid=valid, frames_per_second=24.0, region_face=face
    )
    sequence = open_sequence(tmp_path / "mesh.npz")
    assert sequence.valid.tolist() == valid.tolist() and sequence.frames_per_second == 24
    np.testing.assert_array_equal(sequence.regions["face"], face)
    write(tmp_path / "again.npz", sequence)
    again = open_sequence(tmp_path / "again.npz")
    np.testing.assert_array_equal(again.vertices, sequence.vertices)
    np.testing.assert_array_equal(again.regions["face"], face)


def test_a_track_is_read_with_its_own_head(tmp_path):
    track = track_of([head_rotation(yaw) for yaw in (-10, 0, 10)])
    track.save(tmp_path / "track")
    sequence = open_sequence(tmp_path / "track", head=dome_head())
    expected = np.asarray(track.image_vertices(dome_head(), 1))[0]
    np.testing.assert_allclose(sequence.projected().pixels[1], expected, atol=1e-2)
    with pytest.raises((MissingAssetError, InputError), match="head"):
        open_sequence(tmp_path / "track")


def test_a_track_of_the_built_in_head_is_read_beside_those_of_other_heads(tmp_path):
    head = generic_head()
    sizes = dict(identity=head.identity_size, offsets=(head.vertex_count, 3))
    zeros = {name: np.zeros(size, np.float32) for name, size in sizes.items()}
    zeros["expression"] = np.zeros((1, head.expression_size), np.float32)
    zeros["joint_rotations"] = np.zeros((1, head.joint_count, 3), np.float32)
    record = json.dumps({"head": {"name": "generic"}})
    dataclasses.replace(track_of([head_rotation(0)]), **zeros, record=record).save(tmp_path / "track")
    for named in (None, dome_head()):
        assert open_sequence(tmp_path / "track", head=named).vertices.shape[1] == head.vertex_count


def _other_count(folder):
    replicas.write_meshes(folder, _moving(2), FACES)
    replicas.write_meshes(folder, _moving(1)[:, :-1], FACES[(FACES < len(MESH) - 1).all(1)], "frame_2.obj")


def _other_faces(folder):
    replicas.write_meshes(folder, _moving(2), FACES)
    replicas.write_meshes(folder, _moving(1), FACES[:-1], "frame_2.obj")


def _with_nan(folder):
    vertices = _moving(3)
    vertices[1, 0, 0] = np.nan
    folder.mkdir()
    np.savez(folder / "mesh.npz", vertices=vertices, triangles=FACES)


def _arrays(**changes):
    def make(folder):
        folder.mkdir()
        np.savez(folder / "mesh.npz", **({"vertices": _moving(2), "triangles": FACES} | changes))

    return make


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (_other_count, r"frame_2\.obj: expected 197 vertices"),
        (_other_faces, r"frame_2\.obj: expected the triangles"),
        (_with_nan, "frame 1 are not finite"),
        (_arrays(vertices=1000 * _moving(2)), "--unit"),
        (_arrays(triangles=FACES + 1), "triangles of vertices 0 to 196"),
        (_arrays(valid=np.ones(5, bool)), "valid of shape"),
        (_arrays(vertices=_moving(2)[..., :2]), "vertices of shape"),
    ],
    ids=["vertices", "faces", "nan", "unit", "triangles", "valid", "shape"],
)
def test_meshes_that_cannot_be_a_head_in_motion_are_refused(make, expected, tmp_path):
    folder = tmp_path / "meshes"
    make(folder)
    path = folder / "mesh.npz" if (folder / "mesh.npz").is_file() else folder
    with pytest.raises(InputError, match=expected) as error:
        open_sequence(path)
    assert "\n" not in str(error.value)


def test_what_is_nothing_known_says_what_is(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    (tmp_path / "empty").mkdir()
    for path, expected in (
        (tmp_path / "notes.txt", "--kind"),
        (tmp_path / "empty", "--kind"),
        (tmp_path / "absent", "no such file or folder"),
    ):
        with pytest.raises(InputError, match=expected):
            open_sequence(path)
    with pytest.raises(InputError, match="expected a kind of auto, flowface"):
        open_sequence(tmp_path / "empty", kind="blender")
    with pytest.raises(InputError, match="expected mm, cm, m"):
        open_sequence(tmp_path / "empty", unit="inch")
