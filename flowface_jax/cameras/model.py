"""Pinhole cameras: one focal length each, OpenCV axes, continuous pixel coordinates."""

from __future__ import annotations

import os

import chex
import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.conventions import CONVENTIONS
from flowface_jax.errors import InputError
from flowface_jax.pytrees import pytree_dataclass, static_field
from flowface_jax.storage import read_json, write_json

FORMAT = "flowface-cameras/1"
_LARGEST_IMAGE_SIDE = 1_000_000


@pytree_dataclass
class Cameras:
    """C pinhole cameras (equation 10).

    focal: [C] px. principal_point: [C,2] px. rotation: [C,3,3] and translation: [C,3] m, world-to-camera.
    image_size: [C,2] (width, height) px, int32. names: C strings.
    """

    focal: jax.Array
    principal_point: jax.Array
    rotation: jax.Array
    translation: jax.Array
    image_size: jax.Array
    names: tuple[str, ...] = static_field()

    @property
    def count(self) -> int:
        return self.focal.shape[0]

    def to_camera(self, world: jax.Array) -> jax.Array:
        """World points [...,3] m in every camera's frame: [C,...,3] m."""
        rotated = jnp.einsum("cij,...j->c...i", self.rotation, world, precision="highest")
        return rotated + self.translation.reshape((-1,) + (1,) * (world.ndim - 1) + (3,))

    def project(self, world: jax.Array) -> jax.Array:
        """World points [...,3] m to pixels [C,...,2] (equation 10). Points behind a camera give unusable numbers."""
        return project(self.to_camera(world), self.focal, self.principal_point)

    def centres(self) -> jax.Array:
        """Camera positions in the world: [C,3] m."""
        return -jnp.einsum("cji,cj->ci", self.rotation, self.translation, precision="highest")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the plain JSON form, conventions included."""
        records = [
            {
                "name": name,
                "width": int(self.image_size[c, 0]),
                "height": int(self.image_size[c, 1]),
                "focal_px": float(self.focal[c]),
                "principal_point_px": np.asarray(self.principal_point[c], np.float64).tolist(),
                "rotation_world_to_camera": np.asarray(self.rotation[c], np.float64).tolist(),
                "translation_world_to_camera_m": np.asarray(self.translation[c], np.float64).tolist(),
            }
            for c, name in enumerate(self.names)
        ]
        write_json(path, {"format": FORMAT, "conventions": CONVENTIONS, "cameras": records})

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Cameras:
        """Read the plain JSON form. Raises InputError if a field is absent or no camera is listed."""
        value = read_json(path, "cameras in flowface's JSON form")
        if not isinstance(value, dict) or value.get("format") != FORMAT:
            raise InputError(f'{path} is not a flowface camera file: expected "format": "{FORMAT}"')
        try:
            records = value["cameras"]
            result = make_cameras(
                focal=[r["focal_px"] for r in records],
                principal_point=[r["principal_point_px"] for r in records],
                rotation=[r["rotation_world_to_camera"] for r in records],
                translation=[r["translation_world_to_camera_m"] for r in records],
                image_size=[[r["width"], r["height"]] for r in records],
                names=[str(r["name"]) for r in records],
            )
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise InputError(f"{path}: a camera record is incomplete or of the wrong shape ({error})") from None
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        return result


def make_cameras(
    focal: object,
    principal_point: object,
    rotation: object,
    translation: object,
    image_size: object,
    names: list[str] | tuple[str, ...] | None = None,
) -> Cameras:
    """Cameras from array-likes of the shapes that `Cameras` states, checked.

    Raises InputError for no camera, wrong shapes, non-finite numbers, a focal length ≤ 0 or a matrix that is no
    rotation.
    """
    f = _numbers("focal", focal).reshape(-1)
    count = len(f)
    if count == 0:
        raise InputError("expected at least one camera, found none")
    shapes = {
        "principal_point": (_numbers("principal_point", principal_point), (count, 2)),
        "rotation": (_numbers("rotation", rotation), (count, 3, 3)),
        "translation": (_numbers("translation", translation), (count, 3)),
        "image_size": (_numbers("image_size", image_size), (count, 2)),
    }
    for field, (array, shape) in shapes.items():
        if array.shape != shape:
            raise InputError(f"camera {field}: expected shape {shape}, found {array.shape}")
        if not np.isfinite(array).all():
            raise InputError(f"camera {field} holds NaN or infinity")
    size = shapes["image_size"][0]
    if (size < 1).any() or (size > _LARGEST_IMAGE_SIDE).any():
        raise InputError(f"camera image sizes must lie between 1 and {_LARGEST_IMAGE_SIDE} px, found {size.tolist()}")
    if not (np.isfinite(f).all() and (f > 0).all()):
        raise InputError(f"camera focal lengths must be positive pixels, found {f.tolist()}")
    r = shapes["rotation"][0].astype(np.float64)
    if np.abs(r @ r.transpose(0, 2, 1) - np.eye(3)).max() > 1e-3 or (np.linalg.det(r) < 0).any():
        raise InputError("camera rotation is not a right-handed rotation matrix")
    if names is None:
        names = [f"camera{c}" for c in range(count)]
    if len(names) != count:
        raise InputError(f"expected {count} camera names, found {len(names)}")
    return Cameras(
        focal=jnp.asarray(f),
        principal_point=jnp.asarray(shapes["principal_point"][0]),
        rotation=jnp.asarray(shapes["rotation"][0]),
        translation=jnp.asarray(shapes["translation"][0]),
        image_size=jnp.asarray(size.astype(np.int32)),
        names=tuple(names),
    )


def _numbers(field: str, value: object) -> np.ndarray:
    """The value as a float32 array; too large numbers become infinite. Raises InputError if it holds no numbers."""
    try:
        with np.errstate(over="ignore"):
            return np.asarray(value, np.float32)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"camera {field} is not an array of numbers") from None


def project(camera_points: jax.Array, focal: jax.Array, principal_point: jax.Array) -> jax.Array:
    """Camera-frame points [C,...,3] m to pixels [C,...,2] with focal [C] px and principal_point [C,2] px."""
    chex.assert_equal(camera_points.shape[0], focal.shape[0])
    extra = (1,) * (camera_points.ndim - 2)
    return focal.reshape((-1, *extra, 1)) * camera_points[..., :2] / camera_points[..., 2:] + principal_point.reshape(
        (-1, *extra, 2)
    )
