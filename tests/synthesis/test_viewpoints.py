"""Viewpoints and crops: the crop is the photograph, cut out and enlarged."""

from __future__ import annotations

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.conventions import BOX_MARGIN
from flowface_jax.synthesis.randomness import random_key
from flowface_jax.synthesis.rasteriser import interpolate, rasterise
from flowface_jax.synthesis.viewpoints import (
    FARTHEST,
    NEAREST,
    SHORTER_SIDE,
    crop_camera,
    project,
    sample_viewpoint,
)
from tests.viewing.shapes import sphere

FACE = jnp.asarray(np.random.default_rng(0).uniform([-0.07, -0.1, 0.0], [0.07, 0.1, 0.1], (200, 3)), jnp.float32)


cut = jax.jit(crop_camera, static_argnames="size")


@pytest.fixture(scope="module")
def views():
    return jax.jit(jax.vmap(sample_viewpoint))(jax.random.split(random_key(0), 2000))


def _one(views, index):
    return jax.tree.map(lambda leaf: leaf[index], views)


def _seen(view, points=FACE):
    return points @ view.rotation.T + view.translation


def _crop(view, key=None):
    return cut(_seen(view), view.focal, view.principal_point, view.image_size, size=256, key=key)


def test_viewpoints_span_selfies_and_telephoto_lenses(views):
    distance = np.asarray(views.translation)[:, 2]
    assert NEAREST <= distance.min() < 0.3 and 2.5 < distance.max() <= FARTHEST
    angle = np.degrees(2 * np.arctan(0.5 * SHORTER_SIDE / np.asarray(views.focal)))
    assert angle.max() > 60 and angle.min() < 10
    above = -np.degrees(np.arcsin(np.asarray(views.rotation)[:, 2, 1]))
    assert above.max() > 20 and above.min() < -20


def test_the_face_lies_in_the_photograph_before_the_camera(views):
    points = np.asarray(jax.jit(jax.vmap(_seen))(views))
    assert (points[..., 2] > 0.1).all()
    centre = points.mean(1)
    pixels = np.asarray(views.focal)[:, None] * centre[:, :2] / centre[:, 2:] + np.asarray(views.principal_point)
    assert ((pixels > 0) & (pixels < np.asarray(views.image_size))).all()


def test_without_jitter_the_face_fills_the_crop_but_for_the_margin(views):
    view = _one(views, 2)
    crop = _crop(view)
    pixels = np.asarray(crop.project(_seen(view)))
    assert abs(np.ptp(pixels, axis=0).max() * BOX_MARGIN - 256) < 0.05
    np.testing.assert_allclose(0.5 * (pixels.min(0) + pixels.max(0)), 128, atol=0.05)
    np.testing.assert_allclose(crop.face_box, np.concatenate([pixels.min(0), pixels.max(0)]), atol=0.05)


def test_a_crop_may_have_a_wider_margin_round_the_same_centre(views):
    view = _one(views, 2)
    wide = jax.jit(crop_camera, static_argnames=("size", "margin"))
    crop = wide(_seen(view), view.focal, view.principal_point, view.image_size, size=256, margin=1.8)
    pixels = np.asarray(crop.project(_seen(view)))
    assert abs(np.ptp(pixels, axis=0).max() * 1.8 - 256) < 0.05
    np.testing.assert_allclose(0.5 * (pixels.min(0) + pixels.max(0)), 128, atol=0.05)


def test_a_crop_is_the_photograph_turned_cut_out_and_enlarged(views):
    view = _one(views, 3)
    points = _seen(view)
    crop = _crop(view, random_key(4))
    photographed = np.asarray(project(points, view.focal, view.principal_point))
    turned = (photographed - view.principal_point) @ np.asarray(crop.roll)[:2, :2].T + view.principal_point
    np.testing.assert_allclose(crop.project(points), (turned - crop.box[:2]) * crop.scale, atol=0.05)


def test_a_picture_taken_with_the_crops_camera_is_the_photograph_resampled(views):
    vertices, triangles = sphere(rings=24, segments=48, radius=0.08)
    index = int(np.argmin(np.abs(np.asarray(views.focal / views.translation[:, 2]) - 4000)))
    view = _one(views, index)
    points = _seen(view, jnp.asarray(vertices - np.asarray([0, 0, 1]), jnp.float32))
    crop = cut(points, view.focal, view.principal_point, view.image_size, size=256, key=random_key(1))

    def picture(pixels, size):
        fragments = rasterise(pixels, points[:, 2], triangles, size)
        return np.asarray(interpolate(fragments, triangles, jnp.sin(60 * points))), np.asarray(fragments.seen)

    # The photograph at half its resolution is still finer than the crop.
    width, height = (int(side) // 2 for side in view.image_size)
    photograph, _ = picture(0.5 * project(points, view.focal, view.principal_point), (width, height))
    ours, seen = picture(crop.project(points), (256, 256))
    inside = cv2.erode(seen.astype(np.uint8), np.ones((5, 5))) > 0
    turned = (np.moveaxis(np.indices((256, 256))[::-1], 0, -1) + 0.5) / np.asarray(crop.scale) + np.asarray(
        crop.box[:2]
    )
    place = (turned - view.principal_point) @ np.asarray(crop.roll)[:2, :2] + view.principal_point
    resampled = cv2.remap(photograph, np.float32(0.5 * place - 0.5), None, cv2.INTER_LINEAR)
    assert inside.sum() > 10_000
    assert np.quantile(np.abs(ours - resampled)[inside], 0.99) < 0.02


def test_jittered_boxes_differ_in_place_and_size_and_keep_the_face(views):
    view = _one(views, 5)
    crops = jax.jit(jax.vmap(lambda key: _crop(view, key)))(jax.random.split(random_key(6), 300))
    scale = np.asarray(crops.scale)
    assert scale.max() / scale.min() > 1.25
    centre = 0.5 * (np.asarray(crops.face_box)[:, :2] + np.asarray(crops.face_box)[:, 2:])
    assert (np.abs(centre - 128) < 0.09 * 256).all() and (centre.std(0) > 5).all()
