"""Where the eyes look and how far the lids are closed, and the shapes and joints that make a head do so."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import jaxlie

from flowface_jax.pytrees import pytree_dataclass
from flowface_jax.synthesis.people.assets import PeopleAssets

LOOK_RANGE = (0.44, 0.52, 0.52, 0.52)
"""Radians (25° up, 30° down, in and out) of gaze at which ARKit's gaze shapes are at full strength."""
YAW_LIMIT, PITCH_LIMIT = 0.65, 0.45
"""Radians that an eye can turn to the side, and up or down."""
LOOKING_AT_CAMERA = 0.4
"""Share of people who look at the camera, where it is given."""
BLINKING, WINKING, NARROWED = 0.15, 0.04, 0.15
"""Shares of eyes: both shut or shutting; one shut; drooping."""
_STRONGEST_BLINK = 1.3
"""Linear shapes close an eye by so many mm, whoever's it is: eyes taller than the mean need more than 1 to shut."""
_SHUT = -1.5e-4
"""Metres between shut lids: they press slightly into each other, so that no slit remains."""


@pytree_dataclass
class Gaze:
    """Where the eyes look, in the head's frame. yaw: rad to the subject's left. pitch: rad up. distance: m."""

    yaw: jax.Array
    pitch: jax.Array
    distance: jax.Array

    def of_eyes(self, eye_distance: jax.Array) -> jax.Array:
        """Yaw and pitch of each eye, [2,2] rad: both axes meet at the distance."""
        convergence = jnp.arctan(0.5 * eye_distance / self.distance)
        yaw = jnp.stack([self.yaw - convergence, self.yaw + convergence])
        yaw = jnp.clip(yaw, -YAW_LIMIT, YAW_LIMIT)
        pitch = jnp.clip(self.pitch, -PITCH_LIMIT, PITCH_LIMIT)
        return jnp.stack([yaw, jnp.broadcast_to(pitch, yaw.shape)], axis=1)


def sample_gaze(key: jax.Array, camera_direction: jax.Array | None = None) -> Gaze:
    """A random gaze; where camera_direction [3] (head's frame) is given, often at the camera if the eyes reach it."""
    turn, far, at_camera = jax.random.split(key, 3)
    spread = jax.random.truncated_normal(turn, -2.2, 2.2, (2,)) * jnp.asarray([0.26, 0.17])
    yaw, pitch = spread[0], spread[1] - 0.04
    distance = jnp.exp(jax.random.uniform(far, minval=jnp.log(0.25), maxval=jnp.log(6.0)))
    if camera_direction is not None:
        to_yaw = jnp.arctan2(camera_direction[0], camera_direction[2])
        to_pitch = jnp.arctan2(camera_direction[1], jnp.hypot(camera_direction[0], camera_direction[2]))
        reached = (jnp.abs(to_yaw) < YAW_LIMIT) & (jnp.abs(to_pitch) < PITCH_LIMIT)
        look = reached & jax.random.bernoulli(at_camera, LOOKING_AT_CAMERA)
        yaw, pitch = jnp.where(look, to_yaw, yaw), jnp.where(look, to_pitch, pitch)
    return Gaze(yaw, pitch, distance)


def sample_lids(key: jax.Array) -> jax.Array:
    """How far each lid is closed beyond what expression and gaze do, [2] in 0..1 (1: shut)."""
    kind, amount, side, part = jax.random.split(key, 4)
    drawn = jax.random.uniform(kind)
    # Two thirds of blinks are caught shut, the rest on the way.
    shut = jnp.where(jax.random.uniform(part) < 0.67, 1.0, jax.random.uniform(amount, minval=0.3, maxval=1.0))
    one = jnp.where(jax.random.bernoulli(side), jnp.asarray([1.0, 0.0]), jnp.asarray([0.0, 1.0]))
    result = jnp.where(drawn < BLINKING + WINKING + NARROWED, 0.35 * jax.random.uniform(amount), 0.0) * jnp.ones(2)
    result = jnp.where(drawn < BLINKING + WINKING, shut * one, result)
    return jnp.where(drawn < BLINKING, shut * jnp.ones(2), result)


def pose_eyes(
    expression: jax.Array, identity: jax.Array, gaze: Gaze, closure: jax.Array, assets: PeopleAssets
) -> tuple[jax.Array, jax.Array]:
    """Add gaze and lids to an expression [E]: the new expression [E] and joint rotations [K,3] rad of the eyes.

    Gaze shapes move the lids along (and the eyeballs, on heads where they do); the eye joints turn by what they leave.
    closure: [2] in 0..1. Blinks are as strong as this person's eyes, in this expression, need for that closure; what
    would close an eye further than shut is weakened.
    """
    angles = gaze.of_eyes(assets.eye_distance)
    yaw, pitch = angles[:, 0], angles[:, 1]
    # Outwards is to the left for the left eye, to the right for the right one.
    outward = yaw * jnp.asarray([1.0, -1.0])
    wanted = jnp.stack([pitch, -pitch, -outward, outward], axis=1)
    strength = jnp.clip(wanted / jnp.asarray(LOOK_RANGE), 0.0, 1.0)
    # Lids that shut no longer follow a gaze upwards.
    strength = strength.at[:, 0].multiply(1.0 - closure)
    expression = expression + jnp.einsum("ed,edn->n", strength, assets.look)
    expression = _close_lids(expression, identity, closure, assets)
    turned = strength * assets.look_turn
    rest_pitch = pitch - (turned[:, 0] - turned[:, 1])
    rest_yaw = yaw - (turned[:, 3] - turned[:, 2]) * jnp.asarray([1.0, -1.0])
    rotations = jax.vmap(_eye_rotation)(rest_yaw, rest_pitch)
    return expression, jnp.matmul(assets.eye_joints.T, rotations, precision="highest")


def _eye_rotation(yaw: jax.Array, pitch: jax.Array) -> jax.Array:
    """Axis-angle [3] of an eye that is first raised and then turned."""
    return (jaxlie.SO3.from_y_radians(yaw) @ jaxlie.SO3.from_x_radians(-pitch)).log()


def _close_lids(expression: jax.Array, identity: jax.Array, closure: jax.Array, assets: PeopleAssets) -> jax.Array:
    """The expression with blinks that leave (1 − closure) of the opening that it has without them."""
    lids = assets.lids
    blinks = assets.blink.any(0)
    expression = jnp.where(blinks, 0.0, expression)
    for eye in range(2):
        moves, closing = lids.expression[:, eye], lids.closing[:, eye]
        neutral = lids.of_person(identity)[eye]
        opened = neutral + jnp.sum((1.0 - closing) * moves * expression)
        narrowed = -jnp.sum(closing * moves * expression)
        # Squinting shapes together never close more than nine tenths; only a blink shuts.
        share = jnp.clip(0.9 * opened / jnp.maximum(narrowed, 1e-6), 0.0, 1.0)
        expression = expression * (1.0 - closing * (1.0 - share))
        gap = opened - share * narrowed
        target = (1.0 - closure[eye]) * gap + closure[eye] * _SHUT
        per_blink = jnp.sum(assets.blink[eye] * moves)
        blink = jnp.where(per_blink < 0, (target - gap) / jnp.minimum(per_blink, -1e-6), closure[eye])
        expression = expression + assets.blink[eye] * jnp.clip(blink, 0.0, _STRONGEST_BLINK)
    return expression
