"""LPIPS: its files and what it answers."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.evaluation.images import load_lpips, lpips
from flowface_jax.evaluation.images.lpips import BACKBONES, perceptual_distance
from flowface_jax.foreign.safetensors_file import safetensors_bytes
from tests.evaluation.images.pictures import blurred, noisy, picture


def _tensors(backbone):
    """Random weights under the names of the public files: backbone and heads."""
    draw = np.random.default_rng(0)
    trunk, heads, inputs, place = {}, {}, 3, 0
    for layer in BACKBONES[backbone]:
        size = (layer.features, inputs, layer.size, layer.size)
        trunk[f"features.{layer.index}.weight"] = draw.normal(0, (2 / np.prod(size[1:])) ** 0.5, size).astype(
            np.float32
        )
        trunk[f"features.{layer.index}.bias"] = draw.normal(0, 0.1, layer.features).astype(np.float32)
        inputs = layer.features
        if layer.tapped:
            heads[f"lin{place}.model.1.weight"] = draw.uniform(0, 1, (1, inputs, 1, 1)).astype(np.float32)
            place += 1
    return trunk, heads


def _write(path, tensors):
    path.write_bytes(safetensors_bytes(tensors, {}))
    return path


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lpips")
    trunk, heads = _tensors("alex")
    trunk["classifier.1.weight"] = np.zeros((4, 4), np.float32)
    return load_lpips(_write(folder / "alexnet.safetensors", trunk), _write(folder / "heads.safetensors", heads))


def test_equal_pictures_have_none_and_worse_ones_more(network):
    images = picture(64, count=5)
    np.testing.assert_allclose(lpips(images, images, network), 0, atol=1e-6)
    slight, strong = lpips(noisy(images, 0.02), images, network), lpips(noisy(images, 0.2), images, network)
    assert (0 < slight).all() and (slight < strong).all()
    other = lpips(blurred(images), images, network)
    np.testing.assert_allclose(other, lpips(images, blurred(images), network), rtol=1e-5)


def test_one_file_of_the_whole_metric_gives_the_same(network, tmp_path):
    trunk, heads = _tensors("alex")
    slices = {0: 1, 3: 2, 6: 3, 8: 4, 10: 5}
    whole = {f"net.slice{slices[int(n.split('.')[1])]}.{n.removeprefix('features.')}": t for n, t in trunk.items()}
    both = whole | heads | {n.replace("lin", "lins."): t for n, t in heads.items()}
    again = load_lpips(_write(tmp_path / "whole.safetensors", both))
    images = picture(48)
    np.testing.assert_array_equal(lpips(noisy(images), images, again), lpips(noisy(images), images, network))


def test_vgg_is_told_from_alexnet_by_its_tensors(tmp_path):
    trunk, heads = _tensors("vgg")
    # 138 million numbers of the published one lie in layers that are not used; these are 15 million.
    paths = _write(tmp_path / "vgg.safetensors", trunk), _write(tmp_path / "heads.safetensors", heads)
    found = load_lpips(*paths)
    assert found.backbone == "vgg" and len(found.kernels) == 13
    images = picture(16)
    assert 0 < lpips(noisy(images), images, found)[0]


def test_it_has_a_gradient_even_where_nothing_is_active(network):
    images = jnp.asarray(picture(40))
    slope = jax.grad(lambda x: perceptual_distance(x, images, network).sum())(jnp.asarray(noisy(np.asarray(images))))
    assert np.isfinite(np.asarray(slope)).all() and np.abs(np.asarray(slope)).max() > 0


def test_wrong_files_are_named(network, tmp_path):
    trunk, heads = _tensors("alex")
    good = _write(tmp_path / "good.safetensors", trunk)
    wrong = dict(trunk)
    wrong["features.0.weight"] = np.zeros((64, 3, 7, 7), np.float32)
    few = {name: t for name, t in heads.items() if "lin4" not in name}
    broken = heads | {"lin0.model.1.weight": np.full((1, 64, 1, 1), np.nan, np.float32)}
    cases = [
        ((_write(tmp_path / "wrong.safetensors", wrong),), "neither AlexNet nor VGG"),
        ((_write(tmp_path / "heads.safetensors", heads),), "neither AlexNet nor VGG"),
        ((good,), "five heads"),
        ((good, _write(tmp_path / "few.safetensors", few)), "five heads"),
        ((good, _write(tmp_path / "broken.safetensors", broken)), "no numbers"),
        ((tmp_path / "absent.pth",), "no such file"),
    ]
    for paths, message in cases:
        with pytest.raises(InputError, match=message):
            load_lpips(*paths)
    with pytest.raises(InputError, match="31 px"):
        lpips(np.zeros((30, 40, 3)), np.zeros((30, 40, 3)), network)
