"""Training crops: a function of seed and index alone, finite, with the face where the truth says."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.heads.generic import generic_head
from flowface_jax.synthesis.assets import make_render_assets
from flowface_jax.synthesis.crops import RealPictures, crops
from flowface_jax.synthesis.truth import Segment

SIZE, COUNT = 64, 4

pytestmark = pytest.mark.minutes


@pytest.fixture(scope="module")
def assets(quick_compilation_of_module):
    return make_render_assets(generic_head(), texture_side=64, uv_side=16)


@pytest.fixture(scope="module")
def batch(assets):
    return jax.tree.map(np.asarray, crops(assets, 5, 0, COUNT, SIZE))


def test_pictures_are_finite_and_differ(batch):
    assert batch.image.shape == (COUNT, SIZE, SIZE, 3)
    assert batch.image.min() >= 0 and batch.image.max() <= 1
    pairs = [np.abs(batch.image[i] - batch.image[j]).mean() for i in range(COUNT) for j in range(i)]
    assert min(pairs) > 0.02


def test_the_same_index_gives_the_same_picture_wherever_it_stands_in_a_batch(assets, batch):
    again = jax.tree.map(np.asarray, crops(assets, 5, 2, COUNT, SIZE))
    for mine, other in zip(jax.tree.leaves(batch), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(mine[2:], other[: COUNT - 2])


def test_the_face_is_where_the_truth_says(batch):
    truth = batch.truth
    for i in range(COUNT):
        left, top, right, bottom = truth.face_box[i]
        # The network's crop: the face's box, enlarged by a fifth and jittered.
        assert 0.6 < max(right - left, bottom - top) / SIZE < 1.0
        seen = truth.vertices[i][truth.visible[i]]
        assert ((seen >= 0) & (seen < SIZE)).all()
        column, row = seen.astype(int).T
        assert np.isfinite(truth.depth[i][row, column]).mean() > 0.9
        assert (truth.segmentation[i][row, column] != Segment.BACKGROUND).mean() > 0.9


def test_the_dense_map_agrees_with_the_vertices(batch):
    head = generic_head()
    face = np.asarray(head.regions["face"])
    uv = np.asarray(head.uv)[face]
    side = batch.truth.dense.shape[1]
    column = np.clip((uv[:, 0] * side).astype(int), 0, side - 1)
    row = np.clip(((1 - uv[:, 1]) * side).astype(int), 0, side - 1)
    for i in range(COUNT):
        weighted = batch.truth.dense_weight[i][row, column] == 1
        apart = np.linalg.norm(batch.truth.dense[i][row, column] - batch.truth.vertices[i][face], axis=1)
        # Half a texel of a 16 x 16 map is some pixels of the face.
        assert np.median(apart[weighted]) < 0.06 * SIZE


def test_sizes_that_cannot_be_drawn_are_refused(assets):
    for size in (0, 1, 20_000):
        with pytest.raises(InputError, match="size"):
            crops(assets, 5, 0, 1, size)


def test_skins_of_another_side_are_refused(assets):
    bank = RealPictures(albedo=np.zeros((2, 32, 32, 3), np.float32), confidence=np.zeros((2, 32, 32), np.float32))
    with pytest.raises(InputError, match="texel"):
        crops(assets, 5, 0, 1, SIZE, real=bank)
