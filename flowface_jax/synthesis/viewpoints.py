"""Where a photograph is taken from, and the square crop of the face that the network sees, as a camera of its own."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import jaxlie

from flowface_jax.conventions import BOX_MARGIN, SCALE_JITTER, SHIFT_JITTER
from flowface_jax.pytrees import pytree_dataclass

NEAREST, FARTHEST = 0.25, 3.0
"""Metres between camera and face: from a selfie to a telephoto portrait."""
FACE_SPAN = 0.2
"""Metres; a face of this height spans the drawn share of the image."""
FACE_SHARE = (0.15, 0.75)
"""Height of the face as a share of the image's shorter side."""
FIELD_OF_VIEW = (5.0, 85.0)
"""Degrees across the shorter side of the image."""
SHORTER_SIDE = 1080.0
_ASPECTS = (1.0, 4 / 3, 16 / 9)
_ELEVATION_SPREAD, _ELEVATION_LIMIT = 12.0, 40.0

ROLL_JITTER = 8.0
"""Degrees by which crops are turned in training."""
_NEAR = 1e-3


@pytree_dataclass
class Viewpoint:
    """A camera before a face.

    rotation: [3,3] and translation: [3] m, from the room (y up; the face at its origin, turned towards +z when it looks
    at the camera) to the camera's frame. focal: px. principal_point: [2] px, the image's centre. image_size: [2] px.
    """

    rotation: jax.Array
    translation: jax.Array
    focal: jax.Array
    principal_point: jax.Array
    image_size: jax.Array


@pytree_dataclass
class Crop:
    """A square crop of an image as a pinhole camera: what it sees at size x size px is the crop.

    focal: px and principal_point: [2] px, of the crop (off its centre, as the face was off the image's). roll: [3,3],
    applied to the original camera's frame before projecting. box: [4] px (left, top, right, bottom) of the rolled
    original image: the square that the crop shows. face_box: [4] px of the crop: the tight box round the face.
    scale: px of the crop per px of the original. image_box: [4] px of the crop: the original image's edges (before the
    roll); a photograph's crop has no pixels outside them.
    """

    focal: jax.Array
    principal_point: jax.Array
    roll: jax.Array
    box: jax.Array
    face_box: jax.Array
    scale: jax.Array
    image_box: jax.Array

    def project(self, camera_points: jax.Array) -> jax.Array:
        """Points [...,3] m of the original camera's frame to px [...,2] of the crop."""
        return project(jnp.matmul(camera_points, self.roll.T, precision="highest"), self.focal, self.principal_point)


def project(points: jax.Array, focal: jax.Array, principal_point: jax.Array) -> jax.Array:
    """Camera-frame points [...,3] m to px [...,2]; what is behind the camera is held just before it."""
    return focal * points[..., :2] / jnp.maximum(points[..., 2:], _NEAR) + principal_point


def sample_viewpoint(key: jax.Array) -> Viewpoint:
    """A random camera: distance log-uniform from selfie to telephoto, focal length so that the face fills a plausible
    share of the image, above or below the face, the face off the image's centre.
    """
    keys = jax.random.split(key, 6)
    distance = jnp.exp(jax.random.uniform(keys[0], minval=jnp.log(NEAREST), maxval=jnp.log(FARTHEST)))
    share = jnp.exp(jax.random.uniform(keys[1], minval=jnp.log(FACE_SHARE[0]), maxval=jnp.log(FACE_SHARE[1])))
    shortest, longest = (0.5 * SHORTER_SIDE / jnp.tan(jnp.radians(0.5 * angle)) for angle in FIELD_OF_VIEW[::-1])
    focal = jnp.clip(share * SHORTER_SIDE * distance / FACE_SPAN, shortest, longest)
    aspect = jnp.asarray(_ASPECTS)[jax.random.randint(keys[2], (), 0, len(_ASPECTS))]
    long_side = jnp.round(SHORTER_SIDE * aspect)
    upright = jax.random.bernoulli(keys[3])
    size = jnp.where(upright, jnp.stack([SHORTER_SIDE, long_side]), jnp.stack([long_side, SHORTER_SIDE]))
    # The face lies anywhere that keeps most of it inside, more often near the centre.
    span = FACE_SPAN * focal / distance
    room = jnp.maximum(0.5 * (size - span), 0.0)
    aside = room * jax.random.truncated_normal(keys[4], -2.0, 2.0, (2,)) * 0.5
    elevation = _ELEVATION_SPREAD * jax.random.truncated_normal(keys[5], -3.0, 3.0)
    rotation = facing(jnp.radians(jnp.clip(elevation, -_ELEVATION_LIMIT, _ELEVATION_LIMIT)))
    translation = jnp.append(aside * distance / focal, distance)
    return Viewpoint(rotation, translation, focal, 0.5 * size, size)


def facing(elevation: jax.Array) -> jax.Array:
    """Room-to-camera rotation [3,3] of a camera that looks back along −z from `elevation` rad above the face."""
    flip = jnp.diag(jnp.asarray([1.0, -1.0, -1.0]))
    return jnp.matmul(flip, jaxlie.SO3.from_x_radians(elevation).as_matrix(), precision="highest")


def crop_camera(
    camera_points: jax.Array,
    focal: jax.Array,
    principal_point: jax.Array,
    image_size: jax.Array,
    size: int,
    key: jax.Array | None = None,
    margin: float = BOX_MARGIN,
) -> Crop:
    """The network's crop of a face: the square round its box, enlarged by a fifth, jittered where a key is given.

    camera_points: [N,3] m, the vertices of the face region in the camera's frame. focal, principal_point [2],
    image_size [2]: px of the original image. size: side of the crop, px. margin: its side to the box's, where it is not
    to be the network's.
    """
    scale_by, shift_by, angle = jnp.ones(()), jnp.zeros(2), jnp.zeros(())
    if key is not None:
        keys = jax.random.split(key, 3)
        scale_by = 1.0 + jax.random.uniform(keys[0], minval=-SCALE_JITTER, maxval=SCALE_JITTER)
        shift_by = jax.random.uniform(keys[1], (2,), minval=-SHIFT_JITTER, maxval=SHIFT_JITTER)
        angle = jnp.radians(ROLL_JITTER) * jax.random.truncated_normal(keys[2], -2.0, 2.0)
    roll = jaxlie.SO3.from_z_radians(angle).as_matrix()
    pixels = project(jnp.matmul(camera_points, roll.T, precision="highest"), focal, principal_point)
    low, high = pixels.min(0), pixels.max(0)
    side = jnp.max(high - low) * margin * scale_by
    corner = 0.5 * (low + high) + shift_by * side - 0.5 * side
    scale = size / side
    return Crop(
        focal=focal * scale,
        principal_point=(principal_point - corner) * scale,
        roll=roll,
        box=jnp.concatenate([corner, corner + side]),
        face_box=jnp.concatenate([low - corner, high - corner]) * scale,
        scale=scale,
        image_box=jnp.concatenate([-corner, image_size - corner]) * scale,
    )
