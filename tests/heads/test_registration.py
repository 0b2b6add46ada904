"""Deforming the built-in head onto another shape of itself, where the true answer is known."""

import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.heads.generic import generic_head
from flowface_jax.heads.model import vertices
from flowface_jax.heads.registration import Registration, Surface, prepare, register

INNER = ("eyeballs", "teeth", "tongue", "mouth_interior", "nostrils")


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    """A random person: [V,3] m."""
    head = generic_head()
    identity = np.random.default_rng(3).normal(size=40).astype(np.float32)
    return np.asarray(vertices(head, jnp.asarray(identity), jnp.zeros(0)), np.float64)


def _surfaces(truth: np.ndarray) -> tuple[Surface, Surface, np.ndarray]:
    head = generic_head()
    triangles = np.asarray(head.triangles)
    inner = np.any([np.asarray(head.regions[name]) for name in INNER], axis=0)
    outer = triangles[~inner[triangles].any(1)]
    source = prepare(np.asarray(head.template), triangles, head.landmarks)
    return source, prepare(truth, outer, head.landmarks), ~inner


@pytest.fixture(scope="module")
def registered(truth: np.ndarray) -> Registration:
    return register(*_surfaces(truth))


def test_the_face_lands_on_its_true_place(truth: np.ndarray, registered: Registration) -> None:
    head = generic_head()
    face = np.asarray(head.regions["face"])
    before = np.linalg.norm(np.asarray(head.template) - truth, axis=1)[face]
    after = np.linalg.norm(registered.vertices - truth, axis=1)[face]
    assert np.median(before) > 3e-3
    assert np.median(after) < 1e-3
    assert np.percentile(after, 95) < 4.5e-3


def test_confidence_is_high_where_a_counterpart_was_found_and_zero_inside(registered: Registration) -> None:
    regions = generic_head().regions
    assert registered.confidence[np.asarray(regions["face"])].mean() > 0.9
    assert (registered.confidence[np.asarray(regions["teeth"])] == 0).all()


def test_lips_that_touch_lie_on_different_sides(truth: np.ndarray) -> None:
    head = generic_head()
    surface = prepare(truth, np.asarray(head.triangles), head.landmarks)
    upper = np.asarray(head.regions["upper_lip"]) & ~np.asarray(head.regions["lower_lip"])
    lower = np.asarray(head.regions["lower_lip"]) & ~np.asarray(head.regions["upper_lip"])
    assert (surface.sides[upper, 0] == 1).mean() > 0.9
    assert (surface.sides[lower, 0] == -1).mean() > 0.9
    assert not (surface.sides[upper, 0] == -1).any()
    assert not (surface.sides[lower, 0] == 1).any()


def test_a_match_never_crosses_the_mouth(truth: np.ndarray) -> None:
    head = generic_head()
    surface = prepare(truth, np.asarray(head.triangles), head.landmarks)
    lower = np.flatnonzero(surface.sides[:, 0] == -1)
    # From a lower lip moved up into the upper lip, plain nearest points would lie on the upper lip.
    found, _ = surface.closest(truth[lower] + [0, 0.004, 0], surface.sides[lower])
    assert (surface.sides[found.vertex_ids, 0] <= 0).all()
    plain, _ = surface.closest(truth[lower] + [0, 0.004, 0], 0 * surface.sides[lower])
    assert (surface.sides[plain.vertex_ids, 0] > 0).any()
