"""The neutral head is the mean of what MICA says to each frame, whatever the batches; nothing else enters it."""

import numpy as np
import pytest

from flowface_jax.aligners import identity
from flowface_jax.aligners.face_crops import TEMPLATE
from flowface_jax.aligners.face_detector import load_face_detector
from flowface_jax.aligners.frames import Frame, SourceInfo
from flowface_jax.aligners.identity import IdentityNetwork, check_topology, load_mica, predict_neutral
from flowface_jax.alignment.alignment import make_alignment
from flowface_jax.errors import InputError, MissingAssetError
from flowface_jax.heads.generic import generic_head
from flowface_jax.network.mica import Mica
from flowface_jax.network.weights import save_weights
from tests.network.random_weights import random_variables

SIZE = (160, 140)


class Film:
    """Random pictures in memory, counting how many were read."""

    def __init__(self, count, seed):
        self.info = SourceInfo(f"film{seed}", SIZE, count, 25.0, True)
        self.images = np.random.default_rng(seed).integers(0, 256, (count, SIZE[1], SIZE[0], 3), np.uint8)
        self.read = 0

    def __iter__(self):
        for index, image in enumerate(self.images):
            self.read += 1
            yield Frame(index, index / 25, image)


@pytest.fixture(scope="module")
def mica():
    network = Mica(depths=(1, 1, 1, 1), widths=(4, 4, 8, 8), hidden_size=16, code_size=6)
    rng = np.random.default_rng(0)
    template, basis = rng.normal(0, 0.1, (9, 3)), rng.normal(0, 0.01, (9, 3, 6))
    variables = random_variables(network, (1, 112, 112, 3))
    return IdentityNetwork(network, variables, template.astype(np.float32), basis.astype(np.float32))


def _alignment(valid):
    """68 landmarks of faces that move through the picture, [C,F] of them visible."""
    valid = np.asarray(valid)
    mean = np.zeros((*valid.shape, 68, 2), np.float32)
    for number, place in enumerate(np.ndindex(valid.shape)):
        five = 0.8 * TEMPLATE + [20 + 3 * number, 25 - number]
        for point, rows in zip(five, ((37, 38, 40, 41), (43, 44, 46, 47), (30,), (60,), (64,)), strict=True):
            mean[place][list(rows)] = point
    return make_alignment(mean, np.ones(mean.shape[:3]), valid, [SIZE] * len(valid), "landmarks")


def _single(mica, film, alignment, c, f):
    only = np.zeros_like(alignment.valid)
    only[c, f] = True
    films = [Film(len(film.images), 99) if k != c else film for k in range(len(only))]
    return predict_neutral(
        films, make_alignment(alignment.mean, alignment.std, only, alignment.image_size, "landmarks"), mica
    )


def test_the_head_is_the_mean_over_all_valid_frames_of_all_cameras(mica):
    films, alignment = [Film(4, 1), Film(4, 2)], _alignment([[1, 0, 1, 1], [0, 1, 0, 0]])
    steps = []
    head = predict_neutral(films, alignment, mica, progress=steps.append, largest_batch=3)
    singles = [_single(mica, films[c], alignment, c, f) for c, f in ((0, 0), (0, 2), (0, 3), (1, 1))]
    assert head.shape == (9, 3) and head.dtype == np.float32
    np.testing.assert_allclose(head, np.mean(singles, axis=0), atol=1e-6)
    assert np.ptp(singles, axis=0).max() > 1e-4
    assert steps == [3, 4]


def test_batches_and_their_padding_change_nothing_and_compile_once(mica):
    alignment = _alignment([[1] * 7])
    before = identity._codes._cache_size()
    in_threes = predict_neutral([Film(7, 1)], alignment, mica, largest_batch=4)
    assert identity._codes._cache_size() == before + 1
    for size in (1, 7, 100):
        found = predict_neutral([Film(7, 1)], alignment, mica, largest_batch=size)
        np.testing.assert_allclose(found, in_threes, atol=1e-6)


def test_pictures_of_invalid_frames_and_after_the_last_one_do_not_matter(mica):
    alignment = _alignment([[1, 0, 1, 0, 0, 0]])
    film, other = Film(6, 1), Film(6, 1)
    other.images[[1, 3, 4, 5]] = 0
    np.testing.assert_array_equal(predict_neutral([film], alignment, mica), predict_neutral([other], alignment, mica))
    assert film.read == 3


def test_frames_are_straightened_before_they_are_cropped(mica):
    alignment = _alignment([[1, 1]])
    flipped = Film(2, 1)
    flipped.images = flipped.images[:, :, ::-1]
    straight = predict_neutral([Film(2, 1)], alignment, mica)
    undone = predict_neutral([flipped], alignment, mica, undistort=[lambda image: np.ascontiguousarray(image[:, ::-1])])
    np.testing.assert_array_equal(undone, straight)


def test_a_face_predicted_outside_the_picture_is_not_used(mica):
    alignment = _alignment([[1, 1]])
    inside = predict_neutral([Film(2, 1)], _alignment([[1, 0]]), mica)
    alignment.mean[0, 1] += 200
    np.testing.assert_array_equal(predict_neutral([Film(2, 1)], alignment, mica), inside)


def test_without_a_usable_frame_it_says_so(mica):
    with pytest.raises(InputError, match="no frame shows eyes, nose and mouth"):
        predict_neutral([Film(2, 1)], _alignment([[0, 0]]), mica)
    with pytest.raises(InputError, match=r"1 camera\(s\), found 2 source\(s\)"):
        predict_neutral([Film(2, 1), Film(2, 2)], _alignment([[1, 1]]), mica)


@pytest.fixture
def file(mica, tmp_path):
    """Writes weights with the given FLAME tables, None for none."""

    def write(flame, variables=mica.variables):
        path = tmp_path / "mica.safetensors"
        sizes = {"depths": [1, 1, 1, 1], "widths": [4, 4, 8, 8], "hidden_size": 16, "code_size": 6}
        save_weights(path, "mica", variables if flame is None else {**variables, "flame": flame}, sizes)
        return path

    return write


def test_weights_bring_their_own_head(mica, file):
    template, basis = np.full((5023, 3), 0.1, np.float32), np.full((5023, 3, 6), 0.01, np.float32)
    loaded = load_mica(file({"template": template, "identity_basis": basis}))
    assert loaded.network == mica.network
    np.testing.assert_array_equal(loaded.template, template)
    found = predict_neutral([Film(2, 1)], _alignment([[1, 1]]), loaded)
    # The same codes as in memory: every component moves every coordinate alike.
    expected = predict_neutral([Film(2, 1)], _alignment([[1, 1]]), mica)
    code = np.linalg.lstsq(mica.identity_basis.reshape(-1, 6), (expected - mica.template).ravel(), rcond=None)[0]
    np.testing.assert_allclose(found, 0.1 + 0.01 * code.sum(), atol=1e-5)


def test_weights_without_a_head_need_a_flame_head(file):
    path = file(None)
    with pytest.raises(MissingAssetError, match="holds no FLAME head to decode with"):
        load_mica(path)
    with pytest.raises(InputError, match="5023 vertices and 6 identity components"):
        load_mica(path, flame=generic_head())


def test_weights_that_do_not_fit_are_refused(mica, file):
    flame = {"template": np.zeros((5023, 3), np.float32), "identity_basis": np.zeros((5023, 3, 6), np.float32)}
    with pytest.raises(InputError, match="batch_stats/.* does not fit Mica: expected shape .* found no such array"):
        load_mica(file(flame, {"params": mica.variables["params"]}))
    with pytest.raises(InputError, match="5023 vertices and 6 identity components"):
        load_mica(file({**flame, "identity_basis": np.zeros((5023, 3, 5), np.float32)}))
    with pytest.raises(InputError, match="expected weights of kind s3fd, found mica"):
        load_face_detector(file(flame))


def test_only_heads_of_flames_topology_can_be_compared_with():
    with pytest.raises(InputError, match="MICA predicts FLAME's 5023 vertices, but head"):
        check_topology(generic_head())
