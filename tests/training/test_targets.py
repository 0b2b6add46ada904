"""What a picture teaches: its truth, with depths counted from the face in pixels of the crop."""

import jax.numpy as jnp
import numpy as np

from flowface_jax.synthesis.truth import Truth
from flowface_jax.training.targets import targets_of
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
    targets = targets_of(truth, head)
    for crop in range(2):
        mean = depth[crop, face].mean()
        expected = (depth[crop] - mean) * focal[crop] / mean
        np.testing.assert_allclose(targets.depth[crop], expected, atol=1e-3)
    # A hidden vertex counts like any other.
    np.testing.assert_array_equal(targets.weight, head.vertex_weights)
    np.testing.assert_array_equal(targets.mean, truth.vertices)
