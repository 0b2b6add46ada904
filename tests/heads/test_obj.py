"""OBJ meshes are read whatever form their faces have, and damage is found by its line."""

from __future__ import annotations

import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.heads.obj import read_obj, read_obj_vertices

SQUARE = """# a square and a triangle
mtllib none.mtl
v 0 0 0
v 1 0 0
v 1 1 0 0.5 0.5 0.5
v 0 1 0
vt 0 0
vt 1 0.5
usemtl first
f 1/1 2/2 3/1 4/2
usemtl second
f -4//1 2//1 3//1
"""


def write(tmp_path, text):
    path = tmp_path / "mesh.obj"
    path.write_text(text)
    return path


def test_quads_negative_ids_and_materials(tmp_path):
    mesh = read_obj(write(tmp_path, SQUARE))
    np.testing.assert_array_equal(mesh.vertices, [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    np.testing.assert_array_equal(mesh.triangles, [[0, 1, 2], [0, 2, 3], [0, 1, 2]])
    np.testing.assert_array_equal(mesh.triangle_uvs, [[0, 1, 0], [0, 0, 1], [-1, -1, -1]])
    np.testing.assert_array_equal(mesh.uv, [[0, 0], [1, 0.5]])
    assert [mesh.material_names[m] for m in mesh.materials] == ["first", "first", "second"]


def test_vertices_alone_are_the_same(tmp_path):
    path = write(tmp_path, SQUARE)
    np.testing.assert_array_equal(read_obj_vertices(path), read_obj(path).vertices)


@pytest.mark.parametrize(
    "broken, line",
    [
        (SQUARE.replace("v 1 1 0 0.5", "v 1 one 0 0.5"), 5),
        (SQUARE.replace("v 1 0 0", "v 1 0"), 4),
        (SQUARE.replace("v 1 0 0", "v 1 nan 0"), 4),
        (SQUARE.replace("f 1/1 2/2 3/1 4/2", "f 1/1 2/2"), 10),
        (SQUARE.replace("f 1/1 2/2 3/1 4/2", "f 1/1 2/2 9/1"), 10),
        (SQUARE.replace("f 1/1 2/2 3/1 4/2", "f 1/1 2/2 3/9"), 10),
        (SQUARE.replace("f 1/1 2/2 3/1 4/2", "f 1/1 x 3/1"), 10),
        (SQUARE.replace("f 1/1 2/2 3/1 4/2", "f 0 1 2"), 10),
    ],
)
def test_damage_is_found_by_its_line(tmp_path, broken, line):
    with pytest.raises(InputError, match=f"line {line}:"):
        read_obj(write(tmp_path, broken))


def test_a_file_that_is_no_mesh_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no vertices"):
        read_obj(write(tmp_path, "hello\n"))
