"""Mirror images: which vertex is whose, and heads that have none."""

import dataclasses

import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.heads.generic import generic_head
from flowface_jax.heads.symmetry import mirrored_vertices


def test_left_and_right_of_the_built_in_head_change_places():
    head = generic_head()
    other = mirrored_vertices(head)
    np.testing.assert_array_equal(other[other], np.arange(head.vertex_count))
    np.testing.assert_allclose(np.asarray(head.template)[other], np.asarray(head.template) * [-1, 1, 1], atol=1e-6)
    for left, right in (("left_eye", "right_eye"), ("left_ear", "right_ear"), ("upper_lip", "upper_lip")):
        swapped = np.asarray(head.regions[left])[other]
        np.testing.assert_array_equal(swapped, np.asarray(head.regions[right]))


def test_a_head_that_is_not_symmetric_is_refused():
    head = generic_head()
    crooked = dataclasses.replace(head, template=head.template.at[7, 1].add(0.003))
    with pytest.raises(InputError, match="its own mirror image, found vertex"):
        mirrored_vertices(crooked)
