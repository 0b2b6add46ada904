"""Our FLAME is smplx's FLAME: same vertices, same landmarks, from the same file (needs the `peers` extra)."""

from __future__ import annotations

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.foreign.safe_pickle import read_npy, read_pickle
from flowface_jax.heads.flame import load_flame
from flowface_jax.heads.model import vertices
from tests.heads import flame_files

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install flowface-jax[peers]")
smplx = pytest.importorskip("smplx", reason="smplx is not installed: pip install flowface-jax[peers]")

IDENTITY, EXPRESSION = 300, 100


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("flame")
    flame_files.write_flame(folder / "FLAME_NEUTRAL.pkl", flame_files.flame_arrays(), "2023")
    embedding = flame_files.landmark_embedding()
    flame_files.write_object_npy(folder / "landmark_embedding.npy", embedding)
    static = {"lmk_face_idx": embedding["static_lmk_faces_idx"], "lmk_b_coords": embedding["static_lmk_bary_coords"]}
    (folder / "flame_static_embedding.pkl").write_bytes(pickle.dumps(static, protocol=2))
    return folder


@pytest.fixture(scope="module")
def ours(folder):
    return load_flame(folder / "FLAME_NEUTRAL.pkl", bind_to_atlas=False)


@pytest.fixture(scope="module")
def theirs(folder):
    return smplx.FLAME(str(folder), num_betas=IDENTITY, num_expression_coeffs=EXPRESSION, ext="pkl")


def both(ours, theirs, identity, expression, rotations):
    """Vertices [V,3] and the 51 inner landmarks of both."""
    row = lambda values: torch.tensor(np.asarray(values, np.float32))[None]
    names = ("global_orient", "neck_pose", "jaw_pose", "leye_pose", "reye_pose")
    pose = {name: row(rotation) for name, rotation in zip(names, rotations, strict=True)}
    with torch.no_grad():
        output = theirs(betas=row(identity), expression=row(expression), **pose)
    posed = jax.jit(vertices)(ours, jnp.asarray(identity), jnp.asarray(expression), jnp.asarray(rotations))
    return (posed, output.vertices[0].numpy()), (ours.landmarks.of(posed)[17:], output.joints[0, -51:].numpy())


@pytest.mark.parametrize("seed, largest", [(0, 0.0), (1, 0.3), (2, 1.0), (3, 2.5)])
def test_vertices_and_landmarks_agree(ours, theirs, seed, largest):
    rng = np.random.default_rng(seed)
    identity, expression = rng.normal(size=IDENTITY), rng.normal(size=EXPRESSION)
    rotations = rng.uniform(-largest, largest, (5, 3))
    for mine, other in both(ours, theirs, identity, expression, rotations):
        np.testing.assert_allclose(mine, other, atol=2e-6)


@pytest.mark.parametrize("joint", range(5))
def test_each_joint_alone_agrees(ours, theirs, joint):
    rotations = np.zeros((5, 3))
    rotations[joint] = [0.4, -0.2, 0.1]
    (mine, other), _ = both(ours, theirs, np.zeros(IDENTITY), np.zeros(EXPRESSION), rotations)
    np.testing.assert_allclose(mine, other, atol=2e-6)


def test_gradients_agree(ours, theirs):
    rng = np.random.default_rng(4)
    identity, expression = rng.normal(size=IDENTITY), rng.normal(size=EXPRESSION)
    target = rng.normal(size=ours.template.shape)
    gradient = jax.jit(
        jax.grad(lambda e: jnp.sum(vertices(ours, jnp.asarray(identity), e, jnp.full((5, 3), 0.2)) * target))
    )
    variable = torch.tensor(expression[None], dtype=torch.float32, requires_grad=True)
    joint = torch.full((1, 3), 0.2)
    names = ("global_orient", "neck_pose", "jaw_pose", "leye_pose", "reye_pose")
    output = theirs(
        betas=torch.tensor(identity[None], dtype=torch.float32), expression=variable, **dict.fromkeys(names, joint)
    )
    (output.vertices[0] * torch.tensor(target, dtype=torch.float32)).sum().backward()
    np.testing.assert_allclose(gradient(jnp.asarray(expression)), variable.grad[0].numpy(), atol=1e-4)


@pytest.mark.parametrize("kind", ["int64", "float32", "float64", "bool", "uint8", "float16"])
def test_pytorch_tensors_in_embedding_files_are_read_without_pytorch(tmp_path, kind):
    tensor = (torch.arange(24) % 3).to(getattr(torch, kind)).reshape(2, 3, 4)
    content = {"whole": tensor, "part": tensor[1:, ::2].transpose(0, 2), "scalar": tensor[0, 0, 1], "ids": np.arange(3)}
    read = read_npy(flame_files.write_object_npy(tmp_path / "embedding.npy", content), "an embedding")
    for name in ("whole", "part", "scalar"):
        np.testing.assert_array_equal(read[name], content[name].numpy())
        assert read[name].dtype == content[name].numpy().dtype
    (tmp_path / "embedding.pkl").write_bytes(pickle.dumps(content, protocol=2))
    np.testing.assert_array_equal(read_pickle(tmp_path / "embedding.pkl", "an embedding")["whole"], tensor.numpy())
