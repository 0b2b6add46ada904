"""Trackers that know their mesh in pixels alone: it is seen where they saw it, and turned the right way round."""

from __future__ import annotations

import json

import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.evaluation.readers import open_sequence
from flowface_jax.evaluation.readers.three_ddfa import VERTICES
from tests.evaluation.readers import replicas


def _landmarks(frames: int = 2) -> np.ndarray:
    """478 points on a face-like patch, as fractions of the image."""
    random = np.random.default_rng(0)
    points = random.uniform([0.3, 0.2, -0.1], [0.6, 0.8, 0.1], (478, 3))
    return np.stack([points + [0.01 * f, 0, 0] for f in range(frames)]).astype(np.float32)


def test_mediapipes_triangles_are_a_sheet_that_turns_one_way():
    pytest.importorskip("mediapipe", reason="its package states the edges")
    from flowface_jax.evaluation.readers.mediapipe_points import triangles

    found = triangles()
    assert found.shape[1] == 3 and found.max() == 467 and len(np.unique(found)) == 468
    edges = np.concatenate([found[:, [0, 1]], found[:, [1, 2]], found[:, [2, 0]]])
    assert len(np.unique(edges, axis=0)) == len(edges) == 2556
    shared = np.unique(np.sort(edges, axis=1), axis=0, return_counts=True)[1]
    assert shared.max() == 2


def test_mediapipe_fractions_become_pixels(tmp_path):
    pytest.importorskip("mediapipe", reason="its package states the edges")
    points = _landmarks()
    np.savez(tmp_path / "points.npz", landmarks=points)
    sequence = open_sequence(tmp_path / "points.npz", image_size=(200, 100))
    np.testing.assert_allclose(sequence.projected().pixels[1, 5], points[1, 5, :2] * [200, 100] + 0.5, atol=1e-3)
    np.testing.assert_allclose(sequence.projected().depth[1, 5], points[1, 5, 2] * 200, atol=1e-3)
    rows = [points[0].tolist(), None, [dict(zip("xyz", p.tolist(), strict=True)) for p in points[1]]]
    (tmp_path / "points.json").write_text(json.dumps({"image_size": [200, 100], "frames": rows}))
    read = open_sequence(tmp_path / "points.json")
    assert read.valid.tolist() == [True, False, True]
    np.testing.assert_allclose(read.projected().pixels[2], sequence.projected().pixels[1], atol=1e-3)
    with pytest.raises(InputError, match="--image-size"):
        open_sequence(tmp_path / "points.npz")


def _face(seed: int = 0) -> np.ndarray:
    """[V,3] px of 3DDFA's many vertices: x, y in the image, z towards the camera."""
    return np.random.default_rng(seed).uniform([100, 50, 0], [220, 190, 80], (VERTICES, 3)).astype(np.float32)


TRIANGLES = np.array([[0, 1, 2], [3, 4, 5]])


def test_3ddfa_meshes_are_turned_upright(tmp_path):
    face = _face()
    turned = np.stack([face[:, 0], 240 - face[:, 1], face[:, 2]], axis=1)
    replicas.write_meshes(tmp_path, turned[None], TRIANGLES, "frame_{}.obj")
    sequence = open_sequence(tmp_path, image_size=(320, 240))
    np.testing.assert_allclose(sequence.projected().pixels[0], face[:, :2] + 0.5, atol=1e-2)
    near, far = int(face[:, 2].argmax()), int(face[:, 2].argmin())
    assert sequence.projected().depth[0, near] < sequence.projected().depth[0, far]
    with pytest.raises(InputError, match="--image-size"):
        open_sequence(tmp_path)


def test_3ddfa_arrays_need_their_triangles(tmp_path):
    face = _face()
    for frame in (9, 10):
        np.save(tmp_path / f"{frame}.npy", (face + [frame, 0, 0]).T.astype(np.float32))
    with pytest.raises(InputError, match=r"triangles\.npy"):
        open_sequence(tmp_path, image_size=(320, 240))
    np.save(tmp_path / "triangles.npy", TRIANGLES.T)
    sequence = open_sequence(tmp_path, image_size=(320, 240))
    np.testing.assert_allclose(sequence.projected().pixels[:, 0, 0], face[0, 0] + [9.5, 10.5], atol=1e-2)
    np.testing.assert_array_equal(sequence.triangles, TRIANGLES)
