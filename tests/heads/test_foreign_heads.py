"""FLAME and GNM heads take part: another person in their file layouts is bound to the atlas by landmarks alone."""

from __future__ import annotations

import pickle

import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.heads.flame import load_flame
from flowface_jax.heads.generic import generic_head
from flowface_jax.heads.gnm import load_gnm
from flowface_jax.heads.model import vertices


@pytest.fixture(scope="module")
def stranger():
    """A random person of the built-in population, vertices shuffled: template, triangles, landmark ids, places."""
    head = generic_head()
    random = np.random.default_rng(8)
    identity = jnp.asarray(random.normal(size=head.identity_size).clip(-1.5, 1.5), jnp.float32)
    shape = vertices(head, identity, jnp.zeros(head.expression_size))
    order = random.permutation(head.vertex_count)
    place = np.argsort(order)
    weights = np.asarray(head.landmarks.barycentric)
    nearest = np.asarray(head.landmarks.vertex_ids)[np.arange(68), weights.argmax(1)]
    return {
        "template": np.asarray(shape)[order],
        "triangles": place[np.asarray(head.triangles)],
        "landmarks": place[nearest],
        "mediapipe": np.asarray(head.mediapipe.of(shape)),
        "face": np.asarray(head.regions["face"])[order],
    }


def _check(head, stranger):
    found = np.asarray(head.mediapipe.of(head.template))
    distance = 1e3 * np.linalg.norm(found - stranger["mediapipe"], axis=1)
    assert np.median(distance) < 3.0
    face, expected = np.asarray(head.regions["face"]), stranger["face"]
    assert (face & expected).sum() / (face | expected).sum() > 0.85
    assert np.asarray(head.uv).min() >= 0 and np.asarray(head.uv).max() <= 1


def test_a_flame_file_is_bound_through_its_landmarks(stranger, tmp_path):
    random, count = np.random.default_rng(0), len(stranger["template"])
    weights = np.zeros((count, 5))
    weights[:, 1] = 1.0
    arrays = {
        "v_template": stranger["template"].astype(np.float64),
        "f": stranger["triangles"].astype(np.uint32),
        "shapedirs": random.normal(scale=1e-3, size=(count, 3, 12)),
        "posedirs": np.zeros((count, 3, 36)),
        "J_regressor": np.full((5, count), 1.0 / count),
        "weights": weights,
        "kintree_table": np.asarray([[2**32 - 1, 0, 1, 1, 1], range(5)], np.uint32),
    }
    (tmp_path / "flame2023_no_jaw.pkl").write_bytes(pickle.dumps(arrays, protocol=2))
    triangle_of = {v: t for t, triangle in enumerate(stranger["triangles"]) for v in triangle}
    faces = np.asarray([triangle_of[v] for v in stranger["landmarks"]])
    corners = (stranger["triangles"][faces] == stranger["landmarks"][:, None]).astype(float)
    embedding = {"full_lmk_faces_idx": faces[None], "full_lmk_bary_coords": corners[None]}
    np.save(tmp_path / "landmark_embedding.npy", np.asarray(embedding, dtype=object), allow_pickle=True)
    head = load_flame(tmp_path / "flame2023_no_jaw.pkl", identity_size=8, expression_size=4)
    _check(head, stranger)


def test_a_gnm_file_is_bound_through_its_landmarks(stranger, tmp_path):
    random, count = np.random.default_rng(1), len(stranger["template"])
    skinning = np.zeros((4, count), np.float32)
    skinning[1] = 1.0
    np.savez(
        tmp_path / "gnm_head.npz",
        version=np.asarray("3.0"),
        variant=np.asarray("head"),
        template_vertex_positions=stranger["template"],
        vertex_identity_basis=random.normal(scale=1e-3, size=(6, count, 3)).astype(np.float32),
        expression_basis=random.normal(scale=1e-3, size=(5, count, 3)).astype(np.float32),
        template_joint_positions=np.zeros((4, 3), np.float32),
        joint_identity_basis=np.zeros((6, 4, 3), np.float32),
        joint_parent_indices=np.asarray([0, 0, 1, 1]),
        skinning_weights=skinning,
        pose_correctives_regressor=np.zeros((36, 3 * count), np.float32),
        triangles=stranger["triangles"].astype(np.int32),
        expression_names=np.asarray([f"lower_face_region_{i:03d}" for i in range(5)]),
        joint_names=np.asarray(["neck", "head", "left_eye", "right_eye"]),
    )
    rows = [f"{v} 1.0 {v} 0.0 {v} 0.0" for v in stranger["landmarks"]]
    (tmp_path / "head_sparse_68.txt").write_text("\n".join(rows) + "\n")
    _check(load_gnm(tmp_path / "gnm_head.npz"), stranger)
