"""Viewpoints and crops: the crop is the photograph, cut out and enlarged."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.synthesis.viewpoints import (
    BOX_MARGIN,
    FARTHEST,
    NEAREST,
    SHORTER_SIDE,
    crop_camera,
    project,
    sample_viewpoint,
)

FACE = jnp.asarray(np.random.default_rng(0).uniform([-0.07, -0.1, 0.0], [0.07, 0.1, 0.1], (200, 3)), jnp.float32)


def _seen(view):
    return FACE @ view.rotation.T + view.translation


def test_viewpoints_span_selfies_and_telephoto_lenses():
    views = jax.jit(jax.vmap(sample_viewpoint))(jax.random.split(jax.random.key(0), 2000))
    distance = np.asarray(views.translation)[:, 2]
    assert NEAREST <= distance.min() < 0.3 and 2.5 < distance.max() <= FARTHEST
    angle = np.degrees(2 * np.arctan(0.5 * SHORTER_SIDE / np.asarray(views.focal)))
    assert angle.max() > 60 and angle.min() < 10
    above = -np.degrees(np.arcsin(np.asarray(views.rotation)[:, 2, 1]))
    assert above.max() > 20 and above.min() < -20


def test_the_face_lies_in_the_photograph_before_the_camera():
    views = jax.jit(jax.vmap(sample_viewpoint))(jax.random.split(jax.random.key(1), 300))
    points = np.asarray(jax.vmap(_seen)(views))
    assert (points[..., 2] > 0.1).all()
    centre = np.asarray(jax.vmap(project)(jnp.asarray(points.mean(1)), views.focal, views.principal_point))
    assert ((centre > 0) & (centre < np.asarray(views.image_size))).all()


def test_without_jitter_the_face_fills_the_crop_but_for_the_margin():
    view = sample_viewpoint(jax.random.key(2))
    crop = crop_camera(_seen(view), view.focal, view.principal_point, view.image_size, 256)
    pixels = np.asarray(crop.project(_seen(view)))
    assert abs(np.ptp(pixels, axis=0).max() * BOX_MARGIN - 256) < 0.05
    np.testing.assert_allclose(0.5 * (pixels.min(0) + pixels.max(0)), 128, atol=0.05)
    np.testing.assert_allclose(crop.face_box, np.concatenate([pixels.min(0), pixels.max(0)]), atol=0.05)


def test_a_crop_is_the_photograph_turned_cut_out_and_enlarged():
    view = sample_viewpoint(jax.random.key(3))
    points = _seen(view)
    crop = crop_camera(points, view.focal, view.principal_point, view.image_size, 256, jax.random.key(4))
    photographed = np.asarray(project(points, view.focal, view.principal_point))
    turned = (photographed - view.principal_point) @ np.asarray(crop.roll)[:2, :2].T + view.principal_point
    np.testing.assert_allclose(crop.project(points), (turned - crop.box[:2]) * crop.scale, atol=0.05)


def test_jittered_boxes_differ_in_place_and_size_and_keep_the_face():
    view = sample_viewpoint(jax.random.key(5))
    points = _seen(view)
    crops = jax.vmap(lambda key: crop_camera(points, view.focal, view.principal_point, view.image_size, 256, key))(
        jax.random.split(jax.random.key(6), 300)
    )
    scale = np.asarray(crops.scale)
    assert scale.max() / scale.min() > 1.25
    centre = 0.5 * (np.asarray(crops.face_box)[:, :2] + np.asarray(crops.face_box)[:, 2:])
    assert (np.abs(centre - 128) < 0.09 * 256).all() and (centre.std(0) > 5).all()
