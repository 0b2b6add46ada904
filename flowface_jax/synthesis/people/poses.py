"""How head and shoulders are turned."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import jaxlie

from flowface_jax.pytrees import pytree_dataclass

YAW_LIMIT, PITCH_LIMIT, ROLL_LIMIT = 90.0, 45.0, 45.0
"""Degrees."""
_SPREAD = (20.0, 11.0, 8.0)
_TAIL = 0.28
"""Share of yaws, pitches and rolls drawn from the whole range."""
_TORSO_FOLLOWS = 0.55
_TORSO_SPREAD = (14.0, 4.0, 4.0)


@pytree_dataclass
class HeadPose:
    """Orientation of head and torso in a room whose y is up and whose z points at where the camera stands.

    angles: [3] rad, intrinsic Euler angles about y (positive: to the subject's left), x (positive: down) and z.
    rotation, torso_rotation: [3,3], head's and torso's axes to the room's.
    """

    angles: jax.Array
    rotation: jax.Array
    torso_rotation: jax.Array


def sample_head_pose(key: jax.Array) -> HeadPose:
    """A pose concentrated near frontal, with heavy tails up to ±90° of yaw and ±45° of pitch and roll."""
    near, wide, tail, torso = jax.random.split(key, 4)
    limits = jnp.asarray([YAW_LIMIT, PITCH_LIMIT, ROLL_LIMIT])
    concentrated = jnp.asarray(_SPREAD) * jax.random.normal(near, (3,))
    anywhere = limits * jax.random.uniform(wide, (3,), minval=-1.0, maxval=1.0)
    degrees = jnp.where(jax.random.bernoulli(tail, _TAIL, (3,)), anywhere, concentrated)
    angles = jnp.radians(jnp.clip(degrees, -limits, limits))
    own = jnp.radians(jnp.asarray(_TORSO_SPREAD)) * jax.random.truncated_normal(torso, -2.0, 2.0, (3,))
    followed = jnp.asarray([_TORSO_FOLLOWS, 0.1, 0.15]) * angles
    return HeadPose(angles, rotation_of(angles), rotation_of(followed + own))


def rotation_of(angles: jax.Array) -> jax.Array:
    """The matrix [3,3] of yaw, pitch and roll [3] rad: rolled about z, then pitched about x, then turned about y."""
    turn = jaxlie.SO3.from_y_radians(angles[0]) @ jaxlie.SO3.from_x_radians(angles[1])
    return (turn @ jaxlie.SO3.from_z_radians(angles[2])).as_matrix()


def torso_translation(
    rotation: jax.Array, translation: jax.Array, torso_rotation: jax.Array, neck: jax.Array
) -> jax.Array:
    """Where a torso [3] m, modelled in the head's frame, must go so that its neck [3] m stays joined to the head's."""
    with jax.default_matmul_precision("highest"):
        return rotation @ neck + translation - torso_rotation @ neck
