"""What a crop teaches, rendered or read from records."""

import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.heads.generic import generic_head
from flowface_jax.synthesis.assets import make_render_assets
from flowface_jax.synthesis.render import Picture
from flowface_jax.synthesis.truth import Truth
from flowface_jax.training.batches import CropBatch
from flowface_jax.training.devices import Share
from flowface_jax.training.sources import Studio, crops_of, rendered_source
from flowface_jax.training.supervision import make_supervision, targets_of
from tests.fitting.small import small_head


def test_depths_are_counted_from_the_face_in_pixels_of_the_crop():
    head = small_head()
    count, face = head.vertex_count, np.asarray(head.regions["face"])
    random = np.random.default_rng(0)
    depth = np.stack([1.0 + random.uniform(0, 0.1, count), 0.4 + random.uniform(0, 0.1, count)]).astype(np.float32)
    focal = np.asarray([900.0, 350.0], np.float32)
    grid = jnp.zeros((2, 4, 4))
    truth = Truth(
        vertices=jnp.asarray(random.uniform(0, 256, (2, count, 2)), jnp.float32),
        vertex_depth=jnp.asarray(depth),
        visible=jnp.zeros((2, count), bool),
        dense=jnp.zeros((2, 4, 4, 2)),
        dense_visible=grid > 0,
        dense_weight=grid,
        depth=grid,
        normals=jnp.zeros((2, 4, 4, 3)),
        segmentation=grid.astype(jnp.int32),
        face_box=jnp.zeros((2, 4)),
        focal=jnp.asarray(focal),
        principal_point=jnp.zeros((2, 2)),
        rotation=jnp.zeros((2, 3, 3)),
        translation=jnp.zeros((2, 3)),
    )
    batch = crops_of(Picture(jnp.zeros((2, 8, 8, 3)), truth), head)
    targets = targets_of(batch, make_supervision(head, 8))
    for crop in range(2):
        mean = depth[crop, face].mean()
        expected = (depth[crop] - mean) * focal[crop] / mean
        np.testing.assert_allclose(targets.depth[crop], expected, atol=1e-3)
    # A hidden vertex counts like any other.
    np.testing.assert_array_equal(targets.weight, np.tile(head.vertex_weights, (2, 1)))
    np.testing.assert_array_equal(targets.mean, truth.vertices)


def test_the_dense_map_is_the_points_of_the_triangles_and_unknown_points_do_not_count():
    head = generic_head()
    supervision = make_supervision(head, 32, {"lips": 4.0})
    # Affine in the template: whatever is interpolated over a triangle lies where its point of the surface does.
    flat = (np.asarray(head.template)[:, :2] * [400.0, -400.0] + 64.0).astype(np.float32)
    known = np.ones(head.vertex_count, bool)
    known[::7] = False
    batch = CropBatch(jnp.zeros((1, 4, 4, 3)), jnp.asarray(flat)[None], jnp.asarray(known)[None])
    targets = targets_of(batch, supervision)
    ids, shares = np.asarray(supervision.dense_ids), np.asarray(supervision.dense_barycentric)
    expected = np.einsum("tkd,tk->td", flat[ids], shares).reshape(32, 32, 2)
    np.testing.assert_allclose(targets.dense[0], expected, atol=1e-2)
    counted = np.asarray(targets.dense_weight[0]).ravel() > 0
    assert counted.sum() > 100
    assert known[ids[counted]].all()
    assert not np.asarray(targets.weight)[0, ~known].any()
    lips = np.asarray(head.regions["lips"]) & known
    np.testing.assert_allclose(np.asarray(targets.weight)[0, lips], 4 * np.asarray(head.vertex_weights)[lips])


def test_an_unknown_region_is_refused_with_the_names_that_there_are():
    with pytest.raises(InputError, match="no region 'horns'; it has .*lips"):
        make_supervision(generic_head(), 8, {"horns": 2.0})


def test_every_device_gets_its_own_crops_and_an_epoch_begins_again():
    """A rendered batch on four devices, two of them on this process."""
    share = Share(first=2, count=2, total=4)
    studio = Studio(make_render_assets(generic_head()))
    source = rendered_source(studio, 32, 8, 0, share, epoch_samples=24)
    np.testing.assert_array_equal(source.inputs(0), [[4, 5], [6, 7]])
    np.testing.assert_array_equal(source.inputs(2), [[20, 21], [22, 23]])
    np.testing.assert_array_equal(source.inputs(3), source.inputs(0))
    with pytest.raises(InputError, match="4 devices share evenly, found 6"):
        rendered_source(studio, 32, 6, 0, share, epoch_samples=24)
