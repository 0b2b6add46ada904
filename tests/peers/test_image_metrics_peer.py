"""SSIM, MS-SSIM, PSNR and LPIPS are those of scikit-image, torchmetrics and lpips (need the `peers` extra)."""

from __future__ import annotations

import functools
import sys
import types

import numpy as np
import pytest

from flowface_jax.evaluation.images import load_lpips, lpips, ms_ssim, psnr, ssim
from flowface_jax.evaluation.images.lpips import BACKBONES
from flowface_jax.evaluation.images.ssim import SCALE_WEIGHTS
from tests.evaluation.images.pictures import blurred, noisy, picture

WORSE = {"noisy": noisy, "blurred": blurred}


@pytest.mark.parametrize("kind", WORSE)
def test_scikit_image(kind):
    metrics = pytest.importorskip("skimage.metrics", reason="pip install flowface-jax[peers]")
    images = picture(100, count=2)
    worse = WORSE[kind](images)
    for n, (ours, noise) in enumerate(zip(ssim(worse, images), psnr(worse, images), strict=True)):
        theirs = metrics.structural_similarity(
            worse[n],
            images[n],
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=1.0,
            channel_axis=-1,
        )
        assert ours == pytest.approx(theirs, abs=2e-5)
        assert noise == pytest.approx(metrics.peak_signal_noise_ratio(images[n], worse[n], data_range=1.0), abs=1e-4)


@pytest.mark.parametrize("kind", WORSE)
def test_torchmetrics(kind):
    torch = pytest.importorskip("torch", reason="pip install flowface-jax[peers]")
    functions = pytest.importorskip("torchmetrics.functional.image", reason="pip install flowface-jax[peers]")
    images = picture(200, count=2)[:, :, :189]
    worse = WORSE[kind](images)
    pair = [torch.from_numpy(one.transpose(0, 3, 1, 2).copy()) for one in (worse, images)]
    measure = functools.partial(functions.structural_similarity_index_measure, data_range=1.0, reduction="none")
    # It counts windows over the edge, with the image mirrored; whole ones are those 5 px inside.
    whole = measure(*pair, return_full_image=True)[1][..., 5:-5, 5:-5].mean((1, 2, 3))
    np.testing.assert_allclose(ssim(worse, images), whole.numpy(), atol=2e-5)
    expected = torch.ones(2)
    for scale, weight in enumerate(SCALE_WEIGHTS):
        pair = pair if scale == 0 else [torch.nn.functional.avg_pool2d(one, 2) for one in pair]
        factor = measure(*pair, return_contrast_sensitivity=True)[1]
        if scale == len(SCALE_WEIGHTS) - 1:
            factor = measure(*pair, return_full_image=True)[1][..., 5:-5, 5:-5].mean((1, 2, 3))
        expected = expected * factor.clamp(min=0) ** weight
    np.testing.assert_allclose(ms_ssim(worse, images), expected.numpy(), atol=2e-5)


@pytest.mark.parametrize("backbone", ["alex", "vgg"])
def test_lpips_with_random_weights(backbone, tmp_path, monkeypatch):
    torch = pytest.importorskip("torch", reason="pip install flowface-jax[peers]")
    _torchvision_or_stand_in(torch, monkeypatch)
    package = pytest.importorskip("lpips", reason="pip install flowface-jax[peers]")
    torch.manual_seed(0)
    theirs = package.LPIPS(net=backbone, pnet_rand=True, pretrained=False, verbose=False)
    for head in theirs.lins:
        torch.nn.init.uniform_(head.model[-1].weight, 0, 1)
    state = theirs.state_dict()
    torch.save(state, tmp_path / "whole.pth")
    trunk = {f"features.{n.split('.', 2)[2]}": t for n, t in state.items() if n.startswith("net.")}
    torch.save(trunk, tmp_path / "trunk.pth")
    torch.save(
        {n: t for n, t in state.items() if n.startswith("lin") and not n.startswith("lins")}, tmp_path / "heads.pth"
    )
    images = picture(96, count=2)
    worse = noisy(images)
    pair = [torch.from_numpy(one.transpose(0, 3, 1, 2).copy()) for one in (worse, images)]
    with torch.no_grad():
        expected = theirs(*pair, normalize=True).numpy().ravel()
    for network in (load_lpips(tmp_path / "whole.pth"), load_lpips(tmp_path / "trunk.pth", tmp_path / "heads.pth")):
        assert network.backbone == backbone
        np.testing.assert_allclose(lpips(worse, images, network), expected, rtol=1e-4)


def _torchvision_or_stand_in(torch, monkeypatch):
    """lpips takes only the layers from torchvision, which has no build for some of PyTorch's; they are stated here."""
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):
        stand_in = types.ModuleType("torchvision")
        stand_in.models = types.SimpleNamespace(
            alexnet=lambda pretrained: types.SimpleNamespace(features=_features(torch, "alex")),
            vgg16=lambda pretrained: types.SimpleNamespace(features=_features(torch, "vgg")),
        )
        monkeypatch.setitem(sys.modules, "torchvision", stand_in)


def _features(torch, backbone):
    """torchvision's `features`: convolution, rectifier, pooling where the next convolution follows one."""
    layers, inputs = [], 3
    for layer in BACKBONES[backbone]:
        if layer.pool is not None:
            layers.append(torch.nn.MaxPool2d(*layer.pool))
        layers.append(torch.nn.Conv2d(inputs, layer.features, layer.size, layer.stride, layer.padding))
        layers.append(torch.nn.ReLU())
        inputs = layer.features
    return torch.nn.Sequential(*layers, torch.nn.MaxPool2d(3, 2))
