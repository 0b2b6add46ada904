"""What is sent to the browser is a GLB that another reader understands, colours included."""

import io

import numpy as np
import pytest

from flowface_jax.viewing.browser.coloured_mesh import coloured_glb

VERTICES = np.float32([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
TRIANGLES = np.uint32([[0, 2, 1], [0, 1, 3], [1, 2, 3]])
COLOURS = np.uint8([[255, 0, 0], [0, 255, 0], [0, 0, 255], [188, 188, 188]])


@pytest.mark.parametrize("opacity", [1.0, 0.5])
def test_another_reader_gets_the_mesh_back(opacity):
    trimesh = pytest.importorskip("trimesh")
    glb = coloured_glb(VERTICES, VERTICES, TRIANGLES, COLOURS, opacity)
    scene = trimesh.load(io.BytesIO(glb), file_type="glb", process=False)
    (mesh,) = scene.geometry.values()
    assert np.array_equal(mesh.vertices, VERTICES) and np.array_equal(mesh.faces, TRIANGLES)


def test_colours_are_stored_as_linear_light():
    glb = coloured_glb(VERTICES, VERTICES, TRIANGLES, COLOURS)
    stored = np.frombuffer(glb, "<f4", count=12, offset=glb.index(VERTICES.tobytes()) + VERTICES.nbytes).reshape(4, 3)
    assert np.allclose(stored[:3], np.eye(3)) and np.allclose(stored[3], 0.5, atol=0.01)
