"""Pictures of motion errors show what they are given."""

from __future__ import annotations

import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.evaluation.ssme import SsmeResult
from flowface_jax.viewing.motion_error import draw_error_map, draw_motion_error_curves, draw_trajectories

pytest.importorskip("matplotlib")


def result(slope):
    windows = np.arange(1, 31)
    ssme = slope * windows[None].astype(float)
    empty = np.zeros((0,))
    return SsmeResult(("face",), windows, ssme, ssme.mean(1), empty, empty, empty, empty)


def test_curves_of_worse_methods_lie_higher():
    low, high = (draw_motion_error_curves({"one": result(0.05), "other": result(s)}) for s in (0.1, 0.4))
    assert low.dtype == np.uint8 and low.ndim == 3 and low.shape == high.shape
    # The same scale serves both curves: the first one's part of the height shrinks with a worse second one.
    blue = lambda image: np.flatnonzero(((image.astype(int) - [0, 114, 178]) ** 2).sum(-1).min(1) < 300)
    assert np.ptp(blue(high)[blue(high) > 100]) < np.ptp(blue(low)[blue(low) > 100])
    with pytest.raises(InputError, match="region of face"):
        draw_motion_error_curves({"one": result(1)}, region="nose")
    with pytest.raises(InputError, match="at least one result"):
        draw_motion_error_curves({})


def test_trajectories_begin_at_the_pixel():
    frame = np.zeros((60, 40, 3), np.uint8)
    truth = np.stack([10 + np.arange(5.0), 20 + np.zeros(5)], axis=-1)
    other = truth + np.arange(5)[:, None] * [0, 0.5]
    other[2] = np.nan
    image = draw_trajectories(frame, truth, {"ours": other})
    assert image.dtype == np.uint8 and image.shape[1] > image.shape[0]
    left = image[:, : round(40 * image.shape[0] / 60)]
    red = np.argwhere((left[..., 0] > 150) & (left[..., 1] < 80)).mean(0) * 60 / image.shape[0]
    np.testing.assert_allclose(red, [20, 10], atol=0.3)
    with pytest.raises(InputError, match="ours"):
        draw_trajectories(frame, truth, {"ours": other + 1})


def test_the_map_colours_only_what_has_an_error():
    frame = np.full((50, 60, 3), 40, np.uint8)
    errors = np.full((50, 60), np.nan)
    errors[10:20, 10:30] = np.linspace(0, 2, 20)
    image = draw_error_map(frame, errors, limit=2.0)
    assert (image[0] == 40).all()
    assert image[15, 10, 2] > image[15, 10, 0] and image[15, 29, 0] > image[15, 29, 2]
    assert (frame == 40).all()
    with pytest.raises(InputError, match="found \\(3, 3\\)"):
        draw_error_map(frame, np.zeros((3, 3)))
    with pytest.raises(InputError, match="at least one pixel"):
        draw_error_map(frame, np.full((50, 60), np.nan))
