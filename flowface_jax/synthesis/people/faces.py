"""A whole face at one moment: identity, expression, gaze and lids put together."""

from __future__ import annotations

import jax

from flowface_jax.pytrees import pytree_dataclass
from flowface_jax.synthesis.people.assets import PeopleAssets
from flowface_jax.synthesis.people.expressions import sample_expression, sample_jaw, settle_exclusions, settle_mouth
from flowface_jax.synthesis.people.eyes import Gaze, pose_eyes, sample_gaze, sample_lids
from flowface_jax.synthesis.people.identity import sample_identity


@pytree_dataclass
class Face:
    """Arguments of `heads.model.vertices`. identity: [S]. expression: [E]. joint_rotations: [K,3] rad. gaze: theirs."""

    identity: jax.Array
    expression: jax.Array
    joint_rotations: jax.Array
    gaze: Gaze


def sample_face(
    key: jax.Array, assets: PeopleAssets, camera_direction: jax.Array | None = None, spread: float | None = None
) -> Face:
    """A random person at a random moment.

    camera_direction: [3], head's frame, where some look. spread: of the identity, the head's own where None.
    """
    who, what, jaw, where, lids = jax.random.split(key, 5)
    identity = sample_identity(who, assets.identity_size, assets.identity_spread if spread is None else spread)
    expression = sample_expression(what, assets)
    gaze = sample_gaze(where, camera_direction)
    return pose_face(identity, expression, gaze, sample_lids(lids), sample_jaw(jaw, assets), assets)


def pose_face(
    identity: jax.Array,
    expression: jax.Array,
    gaze: Gaze,
    closure: jax.Array,
    jaw: jax.Array,
    assets: PeopleAssets,
) -> Face:
    """The face of a person [S] with an expression [E], a gaze, lids closed by closure [2] and a jaw turned by [3] rad.

    Whatever a face cannot do at once (lips or lids through each other, opposed shapes) is settled.
    """
    expression = settle_mouth(settle_exclusions(expression, assets), identity, assets)
    expression, joints = pose_eyes(expression, identity, gaze, closure, assets)
    return Face(identity, expression, joints + assets.jaw_joint[:, None] * jaw, gaze)
