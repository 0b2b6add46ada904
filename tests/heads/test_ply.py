"""Reading PLY meshes."""

import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.exporting.ply import write_ply
from flowface_jax.heads.ply import read_ply

VERTICES = np.asarray([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0.5]], np.float32)
HEADER = """ply
format {format} 1.0
comment made up
element vertex 4
property float x
property float y
property float z
property uchar red
element face 2
property list uchar int vertex_indices
property uchar flags
end_header
"""


def binary(order, faces):
    """Coloured vertices and flagged faces, in a byte order."""
    rows = b"".join(np.asarray(v, f"{order}f4").tobytes() + b"\x07" for v in VERTICES)
    rows += b"".join(bytes([len(f)]) + np.asarray(f, f"{order}i4").tobytes() + b"\x01" for f in faces)
    name = "binary_little_endian" if order == "<" else "binary_big_endian"
    return HEADER.format(format=name).encode() + rows


def test_what_we_write_is_read(tmp_path):
    triangles = np.asarray([[0, 1, 2], [0, 2, 3]])
    write_ply(tmp_path / "a.ply", VERTICES, triangles)
    mesh = read_ply(tmp_path / "a.ply")
    np.testing.assert_array_equal(mesh.vertices, VERTICES)
    np.testing.assert_array_equal(mesh.triangles, triangles)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("faces", [[(0, 1, 2), (0, 2, 3)], [(0, 1, 2, 3), (3, 1, 0)], [(3, 1, 0), (0, 1, 2, 3)]])
def test_both_byte_orders_and_polygons_of_mixed_sizes(tmp_path, order, faces):
    (tmp_path / "a.ply").write_bytes(binary(order, faces))
    mesh = read_ply(tmp_path / "a.ply")
    np.testing.assert_array_equal(mesh.vertices, VERTICES)
    fans = [(f[0], f[k], f[k + 1]) for f in faces for k in range(1, len(f) - 1)]
    np.testing.assert_array_equal(mesh.triangles, fans)


def test_text(tmp_path):
    rows = [f"{x} {y} {z} 7" for x, y, z in VERTICES] + ["3 0 1 2 1", "4 0 1 2 3 1"]
    (tmp_path / "a.ply").write_text(HEADER.format(format="ascii") + "\n".join(rows) + "\n")
    mesh = read_ply(tmp_path / "a.ply")
    np.testing.assert_array_equal(mesh.vertices, VERTICES)
    np.testing.assert_array_equal(mesh.triangles, [[0, 1, 2], [0, 1, 2], [0, 2, 3]])


def test_points_without_faces(tmp_path):
    head = "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\nend_header\n"
    (tmp_path / "a.ply").write_text(head + "1 2 3\n")
    mesh = read_ply(tmp_path / "a.ply")
    assert mesh.vertices.tolist() == [[1, 2, 3]] and mesh.triangles.shape == (0, 3)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"solid stl",
        b"ply\nformat ascii 1.0\n",
        b"ply\nformat ascii 1.0\nelement face 0\nend_header\n",
        b"ply\nformat ascii 1.0\nelement vertex x\nend_header\n",
        b"ply\nformat odd 1.0\nelement vertex 0\nend_header\n",
        HEADER.format(format="ascii").encode() + b"1 2 3 4\n",
        binary("<", [(0, 1, 2), (0, 2, 3)])[:-20],
        binary("<", [(0, 1, 2), (0, 2, 9)]),
        binary("<", [(0, 1, 2), (0, 2, 3)]).replace(np.float32(0.5).tobytes(), np.float32(np.nan).tobytes()),
    ],
)
def test_damaged_files_are_refused(tmp_path, payload):
    (tmp_path / "a.ply").write_bytes(payload)
    with pytest.raises(InputError, match="a.ply"):
        read_ply(tmp_path / "a.ply")
